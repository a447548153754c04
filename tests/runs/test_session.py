"""Runs and batches by their command in process: what is done once, and resuming."""

import dataclasses
import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_keras import stylize
from nst_keras.runs import command as run
from nst_keras.runs import output_copy, preparation, requested, setup
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.public import public_record
from nst_keras.runs.writers import RunWriter
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.settings.command_line import join_groups
from nst_keras.settings.config import format_command, parse_config
from nst_keras.transfer import planning
from nst_keras.transfer import stylize as stylize_lib
from tests.conftest import files_of, flags_of, logged_steps

FOLDERS = ("job_2", "job_20")


@pytest.fixture
def small(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """The flags of a run of 6 steps."""
    monkeypatch.chdir(tmp_path)
    return [*flags_of(picture_paths, tiny_weights_path), "--scales=1"]


@pytest.fixture
def pair(small):
    """The flags of two runs that can be one batch."""
    return [[*small, f"--style_weight={w}", f"--workdir=job_{w}"] for w in (2, 20)]


def test_the_page_is_there_before_tensorflow_starts(small, monkeypatch):
    pages, normal = [], setup.start

    def start(*arguments):
        pages.append(Path("job/index.html").read_text())
        return normal(*arguments)

    monkeypatch.setattr(setup, "start", start)
    assert run.main(small) == 0
    assert "<strong>Preparing</strong>: TensorFlow is starting" in pages[0]
    assert 'data-role="content"' in pages[0] and 'data-role="style"' in pages[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--overwrite", "--seed=5", "--distribute=tpu"], "--distribute=tpu"),
        (["--overwrite", "--memory_limit=100M"], "--memory_limit"),
        (["--overwrite", "--init=job/result.png"], "--init=job/result.png: belongs to the run in"),
        (["--iterations=9", "--distribute=tpu"], "--distribute=tpu"),  # which would prolong it
    ],
)
def test_a_refused_command_costs_no_result(small, capsys, flags, message):
    constant = [*small, "--schedule=constant"]
    assert run.main(constant) == 0
    before = files_of(Path("job"))
    assert run.main([*constant, *flags]) == 2
    assert message in capsys.readouterr().err
    assert files_of(Path("job")) == before
    assert run.main([*constant, "--overwrite", "--seed=5"]) == 0
    assert RunFolder("job").read_record().settings["seed"] == "5"


def test_a_network_that_cannot_be_had_costs_no_result(small, capsys, monkeypatch):
    assert run.main(small) == 0
    before = files_of(Path("job"))

    def fail(*_):
        raise InputError("--weights=imagenet: cannot be downloaded")

    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_problems", fail)
        assert run.main([*small, "--overwrite", "--seed=5"]) == 2
    assert files_of(Path("job")) == before


def test_a_refused_run_says_so_in_its_folder_and_can_be_done_later(small, capsys):
    assert run.main([*small, "--memory_limit=100M"]) == 2
    record = RunFolder("job").read_record()
    assert record.status == "refused" and record.reason in capsys.readouterr().err
    assert "Not started" in Path("job/index.html").read_text()
    assert run.main([*small, "--seed=5"]) == 0


def test_what_is_killed_while_tensorflow_starts_can_be_resumed_by_its_folder(small, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(setup, "start", lambda *_: os._exit(9))
        if not (child := os.fork()):
            run.main([*small, "--seed=5"])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert run.main(["--workdir=job"]) == 0
    assert RunFolder("job").read_record().settings["seed"] == "5"


def test_a_copy_that_may_be_replaced_may_be_so_after_an_interruption_and_with_more_steps(
    small, monkeypatch, capsys
):
    constant = [*small, "--schedule=constant", "--output=copy.png"]
    Path("copy.png").write_text("mine")
    assert run.main(constant) == 2
    assert "--output=copy.png: exists already" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        at_step(patch, 3, "job", stop)
        assert run.main([*constant, "--overwrite"]) == 75
    assert Path("copy.png").read_text() == "mine"
    assert run.main(["--workdir=job"]) == 0
    first = Path("job/result.png").read_bytes()
    assert Path("copy.png").read_bytes() == first
    assert run.main(["--workdir=job", "--iterations=9"]) == 0
    assert Path("copy.png").read_bytes() == Path("job/result.png").read_bytes() != first


def test_a_copy_that_somebody_has_changed_is_left_as_it_is(small, monkeypatch, capsys):
    copied = [*small, "--schedule=constant", "--output=copy.png"]
    at_step(monkeypatch, 3, "job", lambda: Path("copy.png").write_text("of others"))
    assert run.main(copied) == 0
    assert "was not replaced" in capsys.readouterr().err
    assert Path("copy.png").read_text() == "of others"
    Path("copy.png").unlink()
    assert run.main(copied) == 0  # which is finished
    assert Path("copy.png").read_bytes() == Path("job/result.png").read_bytes()
    before = files_of(Path("job"))
    assert run.main(copied) == 0 and files_of(Path("job")) == before
    Path("copy.png").write_text("edited")
    assert run.main(copied) == 0 and run.main([*copied, "--iterations=9"]) == 2
    assert Path("copy.png").read_text() == "edited"


def test_a_refused_run_that_may_replace_a_file_may_do_so_later(small, capsys):
    Path("copy.png").write_text("old")
    assert run.main([*small, "--overwrite", "--output=copy.png", "--memory_limit=100M"]) == 2
    assert run.main(["--workdir=job", "--memory_limit=8G"]) == 0
    assert Path("copy.png").read_bytes() == Path("job/result.png").read_bytes()


def test_a_copy_that_fails_leaves_a_finished_run(small, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(output_copy, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.main([*small, "--output=copy.png"])
    assert RunFolder("job").read_record().status == "finished"
    assert run.main([*small, "--output=no/copy.png"]) == 2  # checked of a finished run, too
    assert "there is no folder" in capsys.readouterr().err
    assert run.main([*small, "--output=copy.png"]) == 0
    assert Path("copy.png").read_bytes() == Path("job/result.png").read_bytes()


def test_a_copy_that_failed_is_made_by_the_same_command_and_nothing_else(small, monkeypatch):
    command = [*small, "--output=copy.png", "--overwrite"]
    with monkeypatch.context() as patch:
        patch.setattr(output_copy, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.main(command)
    assert RunFolder("job").read_record().pending_copy == os.path.abspath("copy.png")
    assert os.path.abspath("copy.png") not in json.dumps(record_on_page())
    with monkeypatch.context() as patch:
        patch.setattr(setup, "start", lambda *_: os._exit(9))  # no step is taken again
        assert run.main(command) == 0
    assert Path("copy.png").read_bytes() == Path("job/result.png").read_bytes()
    assert RunFolder("job").read_record().pending_copy == ""
    assert run.main([*command, "--quiet"]) == 0  # and now all of it
    assert Path("job/checkpoints").exists()


def record_on_page():
    return public_record(RunFolder("job").read_record()).as_json()


def test_a_folder_that_cannot_be_written_down_costs_no_result(small, tmp_path, monkeypatch, capsys):
    (tmp_path / "a\nb").mkdir()
    monkeypatch.chdir(tmp_path / "a\nb")
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "_flagfile", lambda *_: "")
        assert run.main([*small, "--quiet"]) == 0
    before = files_of(Path("job"))
    assert run.main([*small, "--overwrite", "--seed=3"]) == 2
    assert "has a line break; rename the file or folder" in capsys.readouterr().err
    assert files_of(Path("job")) == before


def test_more_steps_by_the_folder_alone_have_a_command_of_their_own(small):
    constant = [*small, "--schedule=constant", "--image_at=8"]
    assert run.main(constant) == 0
    assert run.main(["--workdir=job", "--iterations=9"]) == 0
    record = RunFolder("job").read_record()
    assert "--content=" in record.command and "--iterations=9" in record.command
    assert not any("--image_at=8" in note for note in record.notes)  # it is within the run now


def test_a_run_killed_at_its_early_end_has_its_animation_anew(small, monkeypatch):
    assert run.main([*small, "--gif", "--image_every=1"]) == 0
    whole = Path("job/progress.gif").read_bytes()
    Path("job/progress.gif").write_bytes(b"of fewer steps")
    RunFolder("job").update_record(status="running")
    Path("job/result.png").unlink()
    assert run.main([*small, "--gif", "--image_every=1"]) == 0
    assert Path("job/progress.gif").read_bytes() == whole


def test_runs_of_a_batch_have_files_of_their_own(pair, capsys):
    assert run_batch([[*flags, "--output=copy.png"] for flags in pair]) == 2
    assert "--output=copy.png: two runs of the batch would write there" in capsys.readouterr().err
    assert not Path("job_2").exists()


def test_collections_leave_out_what_was_there_before_the_run_until_its_end(small, monkeypatch):
    frozen = []
    at_step(monkeypatch, 2, "job", lambda: frozen.append(gc.get_freeze_count()))
    gc.unfreeze()
    try:
        assert run.main(small) == 0
        assert frozen[0] > 100_000 and gc.get_freeze_count() == 0
    finally:
        gc.freeze()  # as the fixture of all modules has left it


@pytest.fixture(scope="module")
def whole(picture_paths, tiny_weights_path, tmp_path_factory):
    """The folder of a batch that nothing interrupted."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    flags = [*flags_of(picture_paths, tiny_weights_path), "--scales=1"]
    pair = [[*flags, f"--style_weight={w}", f"--workdir={folder}/job_{w}"] for w in (2, 20)]
    assert run_batch(pair) == 0
    return folder


def run_batch(groups):
    return run.main([*join_groups(groups)])


def results_in(folder="."):
    """The bytes of the results and metrics of both runs."""
    names = ("result.png", "metrics.jsonl")
    return [Path(folder, job, name).read_bytes() for job in FOLDERS for name in names]


def pixels_in(folder="."):
    found = [Image.open(Path(folder, job, "result.png")) for job in FOLDERS]
    return [np.asarray(image).astype(int) for image in found]


def assert_alike(pictures, others):
    """The pictures of both runs are far closer to their own than these are to each other."""
    apart = np.linalg.norm(others[0] - others[1])
    for picture, other in zip(pictures, others, strict=True):
        assert np.linalg.norm(picture - other) < 0.05 * apart


def at_step(patch, step, job, act):
    """Have something happen once a run has written the pictures of a step."""
    normal = RunWriter.write_pictures

    def call(self, iterate):
        normal(self, iterate)
        if iterate.step == step and self.folder.path.name == job:
            act()

    patch.setattr(RunWriter, "write_pictures", call)


def stop():
    signal.raise_signal(signal.SIGTERM)


def count_calls(monkeypatch, *places):
    """What is called from here on, of (module, name), and what it returned."""
    calls = []

    def count(module, name):
        normal = getattr(module, name)

        def counted(*arguments, **options):
            result = normal(*arguments, **options)
            calls.append((name, result))
            return result

        monkeypatch.setattr(module, name, counted)

    for place in places:
        count(*place)
    return calls


# A run


def test_a_run_is_resolved_read_and_planned_once(small, monkeypatch):
    places = ((requested, "resolve"), (requested, "read_inputs"), (planning, "make_plan"))
    calls = count_calls(monkeypatch, *places)
    assert run.main(small) == 0
    names = [name for name, _ in calls]
    assert names == ["resolve", "read_inputs", "make_plan"]


def test_each_run_of_a_batch_is_settled_once_and_has_its_own_notes(pair, monkeypatch):
    places = ((requested, "resolve"), (requested, "read_inputs"), (planning, "make_plan"))
    calls = count_calls(monkeypatch, *places)
    assert run_batch([[*pair[0], "--image_at=98"], [*pair[1], "--image_at=98"]]) == 0
    names = [name for name, _ in calls]
    assert names == ["resolve", "read_inputs"] * 2 + ["make_plan"] * 2
    for job in FOLDERS:
        notes = json.loads(Path(job, "run.json").read_text())["notes"]
        assert [note.partition(":")[0] for note in notes].count("--image_at=98") == 1


def test_the_command_and_stylize_make_the_same_plan_and_picture(small, monkeypatch):
    flags = [flag for flag in small if not flag.startswith(("--image_every", "--checkpoint"))]
    calls = count_calls(monkeypatch, (planning, "make_plan"), (stylize_lib, "make_plan"))
    assert run.main(flags) == 0
    given, _ = parse_config(flags)
    about_files = ("content", "style", "workdir", "scores")
    config = dataclasses.replace(
        given, **{field: getattr(type(given)(), field) for field in about_files}
    )
    *_, last = stylize(given.content, given.style, config)
    (_, by_command), (_, by_stylize) = calls
    assert by_command == by_stylize
    with Image.open("job/result.png") as result:
        np.testing.assert_array_equal(
            np.asarray(result), np.floor(last.image * 255 + np.float32(0.5)).astype(np.uint8)
        )


def test_a_resumed_run_reads_its_newest_checkpoint_once(small, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 4, "job", stop)
        assert run.main(small) == 75
    calls = count_calls(monkeypatch, (Checkpointer, "_load"))
    assert run.main(["--workdir=job"]) == 0
    assert [checkpoint.step for _, checkpoint in calls] == [4]


# Batches


def test_folders_of_a_batch_are_those_of_runs(pair, whole, capsys, tmp_path):
    assert run_batch(pair) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["job_2/result.png", "job_20/result.png"]
    log = said.err
    assert log.count("step 6/6") == 1  # one of them stands for both
    assert results_in() == results_in(whole)
    for flags in pair:  # each knows it is done
        assert run.main(flags) == 0 and "is already finished" in capsys.readouterr().err
    batch = {job: files_of(tmp_path / job) for job in FOLDERS}
    (tmp_path / "alone").mkdir()
    for flags, job in zip(pair, FOLDERS, strict=True):
        assert run.main([*flags, f"--workdir=alone/{job}"]) == 0
        assert batch[job].keys() == files_of(tmp_path / "alone" / job).keys()
    assert_alike(pixels_in(), pixels_in("alone"))


def test_an_interrupted_batch_says_for_each_run_how_to_resume_it(
    pair, whole, capsys, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        at_step(patch, 4, "job_2", stop)
        assert run_batch(pair) == 75
    log = capsys.readouterr().err
    for job in FOLDERS:  # after whole rounds
        record = json.loads(Path(job, "run.json").read_text())
        assert (record["status"], record["step"]) == ("interrupted", 4)
        again = record["resume_command"]
        assert again == format_command([f"--workdir={tmp_path / job}"])
        assert log.count(f"stopped after step 4; resume with: {again}\n") == 1
    calls = count_calls(monkeypatch, (Checkpointer, "_load"))
    assert run_batch(pair) == 0
    assert [checkpoint.step for _, checkpoint in calls] == [4, 4]  # each was read once
    assert results_in() == results_in(whole)


def test_a_run_of_an_interrupted_batch_can_be_resumed_alone(pair, whole, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 4, "job_2", stop)
        assert run_batch(pair) == 75
    for job in FOLDERS:
        assert run.main([f"--workdir={job}"]) == 0
        assert logged_steps(Path(job)) == [1, 2, 3, 4, 5, 6]
    assert_alike(pixels_in(), pixels_in(whole))


def test_a_second_ctrl_c_loses_no_rows_of_a_batch(pair, whole, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        at_step(patch, 5, "job_2", interrupt)  # the other one does not get to that step
        assert run_batch(pair) == 75
    assert run_batch(pair) == 0
    assert results_in() == results_in(whole)


def test_a_batch_leaves_finished_runs_alone(pair, capsys):
    assert run.main(pair[0]) == 0
    result = Path("job_2/result.png").read_bytes()
    assert run_batch([[*flags, "--overwrite"] for flags in pair]) == 2
    assert "--batch: some of the runs are already finished" in capsys.readouterr().err
    assert Path("job_2/result.png").read_bytes() == result
    assert not Path("job_20/result.png").exists()


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("--iterations=5", "--batch: the runs differ in --iterations"),
        ("--optimizer=lbfgs", "--batch: --optimizer=lbfgs"),
        ("--time_limit=1m", "--batch: --time_limit"),
        ("--sise=5", "--sise"),
        ("--workdir=job_2", "--workdir=job_2: two runs of the batch would write there"),
    ],
)
def test_runs_that_cannot_be_one_batch_are_refused(pair, capsys, own, words):
    pair[1].append(own)
    assert run_batch(pair) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not list(Path().glob("*/run.json"))


def test_pictures_of_different_sizes_are_refused_before_tensorflow_starts(
    pair, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(setup, "start", lambda _: 1 / 0)
    Image.new("RGB", (50, 50)).save(tmp_path / "square.png")
    pair[1].append("--content=square.png")
    assert run_batch(pair) == 2
    assert "--batch: the pictures are of different sizes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_batch_that_is_killed_resumes_as_one(pair):
    more = [[*flags, "--iterations=80", "--checkpoint_every=7"] for flags in pair]
    command = [sys.executable, "-m", "nst_keras.run", *join_groups(more)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    expected = results_in()
    for job in FOLDERS:
        Path(job).rename(f"whole_{job}")

    def saved():
        return {path.name for path in Path(FOLDERS[0]).glob("checkpoints/*.npz")}

    chance, kills = random.Random(0), 0
    is_over = False
    while not is_over:
        before = saved()
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and (kills == 5 or saved() <= before):
                time.sleep(0.005)
            time.sleep(chance.uniform(0.0, 0.2))
            is_over = process.poll() is not None
            if not is_over:
                process.kill()
                kills += 1
    assert kills
    if process.returncode == 2:  # killed when one was finished and the other not
        assert [run.main(flags) for flags in more] == [0, 0]
    else:
        assert process.returncode == 0
    assert results_in() == expected
