"""A run as asked for."""

import dataclasses
import os

import pytest

from nst_keras.runs.folder import Status
from nst_keras.runs.record import RunRecord
from nst_keras.runtime.errors import InputError
from tests.conftest import flags_of
from tests.runs.conftest import read_command


@pytest.fixture
def small(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """The flags of a run in the folder `job`."""
    monkeypatch.chdir(tmp_path)
    return flags_of(picture_paths, tiny_weights_path)


def leave_begun(run, **settings):
    """Leave a folder as a run leaves it once it has made its decisions."""
    run.folder.prepare(run.fingerprint)
    RunRecord(status="running", fingerprint=run.fingerprint, requested=run.fingerprint).write(
        run.folder.record
    )
    lines = [f"--content={run.settings.content}", f"--style={run.settings.style[0]}"]
    lines += [f"--{name}={value}" for name, value in settings.items()]
    run.folder.flags.write_text("\n".join(lines))


def test_a_run_has_its_settings_pictures_and_folder(small, tmp_path):
    run = read_command(*small)
    assert run.settings.size == 48 and run.settings.optimizer  # which the preset decides
    assert run.inputs.content.shape == (40, 60, 3) and run.inputs.styles[0].shape == (50, 50, 3)
    assert run.folder.path.resolve() == tmp_path / "job" and not run.prolongs
    assert run.begun() == run.settings  # nothing is decided yet


def test_without_a_folder_the_name_follows_from_the_pictures(small):
    run = read_command(*(flag for flag in small if not flag.startswith("--workdir")))
    assert run.folder.path.parent.name == "runs" and "photo" in run.folder.path.name


def test_a_folder_alone_stands_for_its_flags_and_given_ones_come_first(small):
    leave_begun(read_command(*small), size=40, seed=7)
    run = read_command("--workdir=job", "--seed=8")
    assert (run.settings.size, run.settings.seed) == (40, 8)


def test_a_folder_alone_must_contain_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="^--workdir=job: contains no run to resume; give --co"):
        read_command("--workdir=job")


def test_a_begun_run_keeps_its_decisions(small):
    run = read_command(*small)
    leave_begun(run, precision="float16", iterations=6, coarse_iterations=4, tile_size=256)
    begun = run.begun()
    assert (begun.precision, begun.iterations) == ("float16", 6)
    assert (begun.coarse_iterations, begun.tile_size) == ((4,), 256)
    limited = read_command(*small, "--time_limit=1h", "--tile_size=512")
    leave_begun(limited, tile_size=256)
    assert limited.begun().tile_size == 512  # a new one counts
    assert limited.begun().time_limit is None  # and nothing is measured again


def test_more_steps_prolong_a_run_and_are_not_those_of_the_folder(small):
    constant = [*small, "--schedule=constant"]
    leave_begun(read_command(*constant), precision="float32", iterations=6, coarse_iterations=4)
    assert not read_command(*constant).prolongs
    assert not read_command(*constant, "--iterations=9", "--overwrite").prolongs
    longer = read_command(*constant, "--iterations=9")
    assert longer.prolongs
    assert longer.begun().iterations == 9 and longer.begun().coarse_iterations == (4,)


def test_terms_and_networks_of_the_users_own_are_needed_again(small):
    run = read_command(*small)
    run.folder.prepare(run.fingerprint)
    for key, words in (("extractor", "an extractor"), ("term warm", "terms")):
        hashes = {**run.fingerprint.hashes, key: "1" * 64}
        run.folder.update_record(requested=dataclasses.replace(run.fingerprint, hashes=hashes))
        with pytest.raises(InputError, match=f"^--workdir=job: its run has {words} of its own; "):
            read_command("--workdir=job")


def test_a_pending_copy_belongs_to_the_run_that_made_the_result(small):
    copy = [*small, "--output=copy.png", "--overwrite"]
    run = read_command(*copy)
    run.folder.prepare(run.fingerprint)
    run.folder.result.touch()
    run.folder.update_record(
        status="finished", fingerprint=run.fingerprint, pending_copy=os.path.abspath("copy.png")
    )
    assert run.status is Status.FINISHED
    assert read_command(*copy, "--seed=5").status is Status.NEW
    assert read_command(*small, "--overwrite").status is Status.NEW
