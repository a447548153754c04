"""The folder of a sweep: its logs, and how far its trials are."""

import pytest

from nst_keras.imaging import images
from nst_keras.runs.folder import Status
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.sweeps.folder import SweepFolder, last_line, open_log
from nst_keras.sweeps.trials import make_trials, read_vary
from tests.conftest import picture


@pytest.fixture
def trials(picture_paths, tiny_weights_path):
    content, style = picture_paths
    base = Config(
        content=str(content), style=(str(style),), weights=str(tiny_weights_path), size=48
    )
    return make_trials(base, [], [read_vary("style_weight=4,8")])


@pytest.fixture
def folder(tmp_path):
    folder = SweepFolder(tmp_path / "sweep")
    folder.prepare()
    return folder


def finish(run, fingerprint):
    run.prepare(fingerprint)
    run.result.write_text("x")
    run.update_record(status="finished")


def test_a_folder_of_something_else_is_refused(tmp_path, folder):
    folder.check()
    SweepFolder(tmp_path / "new").check()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: is a file, not a folder"):
        SweepFolder(tmp_path / "file").check()
    with pytest.raises(InputError, match="is not empty and is not a sweep folder"):
        SweepFolder(tmp_path).check()


def test_trials_are_new_begun_or_finished(folder, trials):
    states = folder.states(trials, overwrite=False)
    assert [state.status for state in states.values()] == [Status.NEW] * 2
    assert {state.size for state in states.values()} == {(40, 60)}
    first, second = trials
    finish(folder.run(first.name), states[first.name].fingerprint)
    run = folder.run(second.name)
    run.prepare(states[second.name].fingerprint)
    run.flags.write_text("")
    run.update_record(status="failed", reason="out of memory")
    found = folder.states(trials, overwrite=False)
    assert [state.status for state in found.values()] == [Status.FINISHED, Status.BEGUN]


def test_a_run_of_other_settings_is_replaced_only_if_asked_for(folder, trials):
    first, second = trials
    states = folder.states(trials, overwrite=False)
    finish(folder.run(first.name), states[second.name].fingerprint)
    with pytest.raises(InputError, match="contains another run .style_weight: 8.0 there, 4.0 here"):
        folder.states(trials, overwrite=False)
    state = folder.states(trials, overwrite=True)[first.name]
    assert (state.status, state.replaces) == (Status.NEW, True)
    folder.run(first.name).record.unlink()  # somebody's folder, not a run
    with pytest.raises(InputError, match="not a run folder"):
        folder.states(trials, overwrite=True)


def test_an_input_that_cannot_be_read_is_refused_with_its_place(folder, picture_paths):
    base = Config(content=str(picture_paths[0]), style=(str(picture_paths[1]),))
    trials = make_trials(base, [], [read_vary("content=missing.png")])
    with pytest.raises(InputError, match=r"--vary=content.*missing\.png"):
        folder.states(trials, overwrite=False)


@pytest.mark.parametrize("fit", ["scale", "crop"])
def test_a_size_that_is_too_small_is_refused_with_its_place(folder, picture_paths, tmp_path, fit):
    images.write_image(tmp_path / "thin.png", picture(20, 600))
    style = (str(picture_paths[1]),)
    base = Config(content=str(tmp_path / "thin.png"), style=style, fit=fit)
    trials = make_trials(base, [], [read_vary("size=465,464")])
    if fit == "crop":
        assert len(folder.states(trials, overwrite=False)) == 2
        return
    with pytest.raises(InputError, match="--vary=size.*--size=464: the content of 600x20"):
        folder.states(trials, overwrite=False)


def test_a_failure_is_read_by_all_processes(folder):
    assert folder.read_failure("a") == ""
    folder.failure("a").write_text("out of paint\n")
    assert folder.read_failure("a") == "out of paint"


def test_a_log_is_open_in_one_place_at_a_time(folder):
    with open_log(folder.log("a")) as first:
        assert first is not None
        first.write(b"line")
        with open_log(folder.log("a")) as second:
            assert second is None
    with open_log(folder.log("a"), wait=True) as again:
        assert again is not None
    assert folder.log("a").read_bytes() == b"line"


def test_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "x.log"
    for text, line in [("", ""), ("a\n\n", "a"), ("x" * 50_000 + "\nnst_keras: b\xff \n", "b\xff")]:
        log.write_text(text)
        assert last_line(log) == line
