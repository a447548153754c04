"""The command line in process: bad input, a whole tiny run, interruption and resume."""

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import nst_keras
from nst_keras import recolor
from nst_keras.devices import startup
from nst_keras.imaging import images
from nst_keras.runs import command as run
from nst_keras.runs import execution, extras, renewals, setup
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.writers import RunWriter
from nst_keras.transfer import planning, problem
from tests.conftest import files_of, flags_of, in_a_thread, logged_steps, picture
from tests.imaging.conftest import adobe_profile, p3_profile
from tests.runs.conftest import more_pictures, page_data
from tests.transfer.conftest import spoil_gradients


@pytest.fixture
def job(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """The flags of a run of 10 steps at two scales."""
    monkeypatch.chdir(tmp_path)
    return flags_of(picture_paths, tiny_weights_path)


@pytest.fixture
def small(job):
    """A run of 6 steps at one scale, for what does not depend on scales."""
    return [*job, "--scales=1"]


@pytest.fixture(scope="session")
def whole(picture_paths, tiny_weights_path, tmp_path_factory):
    """The files of `job` where nothing interrupted it."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "job"
    command = [*flags_of(picture_paths, tiny_weights_path), f"--workdir={folder}"]
    assert run.main(command) == 0
    return files_of(folder)


@pytest.fixture(scope="session")
def small_finished(picture_paths, tiny_weights_path, tmp_path_factory):
    """The folder of `small` after its run."""
    above = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(above)
        assert run.main([*flags_of(picture_paths, tiny_weights_path), "--scales=1"]) == 0
    return above / "job"


@pytest.fixture
def finished(small, small_finished, tmp_path, capsys):
    """The flags of `small`, whose run is finished."""
    shutil.copytree(small_finished, tmp_path / "job")
    capsys.readouterr()
    return small


@pytest.fixture
def no_tensorflow(monkeypatch):
    """Fail if a job gets as far as starting TensorFlow."""

    def too_late(**_):
        raise AssertionError("bad input should have been refused before TensorFlow starts")

    monkeypatch.setattr(startup, "start_tensorflow", too_late)


@pytest.fixture(scope="module")
def two_processes(picture_paths, tiny_weights_path, tmp_path_factory):
    """Run folders of a process without standard streams, and of one with settings for Keras."""
    above = tmp_path_factory.mktemp("processes")
    asked = {"backend": "torch", "floatx": "float16", "image_data_format": "channels_first"}
    (above / "keras.json").write_text(json.dumps({**asked, "epsilon": 0.1}))
    variables = {"KERAS_HOME": str(above), "KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1"}
    common = {**os.environ, "PYTHONPATH": str(Path(nst_keras.__file__).parent.parent)}
    command = [sys.executable, "-m", "nst_keras.run", *flags_of(picture_paths, tiny_weights_path)]
    command += ["--scales=1", "--optimizer=sgd", "--learning_rate=0.02"]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    processes = [
        subprocess.Popen([*given, f"--workdir={name}"], env=common | more, cwd=above)
        for name, given, more in (
            ("closed", closed, {"TF_CPP_MIN_LOG_LEVEL": "0"}),
            ("keras", command, variables),
        )
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    return above / "closed", above / "keras"


def test_a_file_and_variables_for_keras_change_nothing(two_processes):
    assert len({(folder / "metrics.jsonl").read_bytes() for folder in two_processes}) == 1
    pictures = (np.asarray(Image.open(folder / "result.png")) for folder in two_processes)
    np.testing.assert_array_equal(*pictures)


def test_closed_descriptors_put_no_message_into_a_file(two_processes):
    """What C++ code would write goes to descriptor 2."""
    folder, _ = two_processes
    found = files_of(folder)
    assert not [name for name, data in found.items() if b"oneDNN" in data or b"nst_keras: " in data]
    assert RunFolder(folder).read_record().status == "finished"


def refused(arguments, capsys) -> str:
    """The one line with which a command line is refused."""
    assert run.main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--content=missing.jpg"], ["--content=missing.jpg", "no such file"]),
        (["--style=missing.jpg"], ["--style=missing.jpg", "no such file"]),
        (["--content="], ["--content", "empty"]),
        (["--init=missing.jpg"], ["--init=missing.jpg", "no such file"]),
        (["--weights=missing.npz"], ["--weights=missing.npz", "embedded"]),
        (["--content_layers=block9_conv1"], ["--content_layers=block9_conv1", "block5_conv2"]),
        (["--style_weight=-1"], ["--style_weight=-1", "at least 0"]),
        (["--style_weight=nan"], ["--style_weight=nan", "must be a number of at least 0"]),
        (
            ["--style_layer_weights=1"],
            ["--style_layer_weights=1.0", "has 1 values, but --style_layers has 2"],
        ),
        (["--style_blend=1,2"], ["--style_blend=1.0,2.0", "has 2 values, but --style has 1"]),
        (["--content_weight=0", "--style_weight=0"], ["--content_weight=0", "above 0"]),
        (["--backbone=vgg16", "--weights=embedded"], ["--backbone=vgg16", "embedded"]),
        (["--backbone=vgg16"], ["--weights=", "--backbone=vgg19"]),
        (["--size=abc"], ["--size=abc", "whole number of pixels"]),
        (["--sise=64"], ["--sise", "did you mean --size"]),
        (["photo.jpg"], ["photo.jpg: is one too many", "--content and --style"]),
        (["--flagfile=missing.cfg"], ["--flagfile=missing.cfg", "cannot be read"]),
        (["--style_mask=missing.png"], ["--style_mask=missing.png", "no such file"]),
        (["--style_mask=rest,rest"], ["--style_mask", "rest twice"]),
        (["--style_region=all,all"], ["--style_region", "2 masks", "--style has 1 entry"]),
        (["--regions=missing.png"], ["--regions=missing.png", "no such file"]),
        (["--regions=auto:7"], ["--regions=auto:7", "auto:2"]),
        (["--regions=auto", "--style_mask=rest"], ["--style_mask --regions", "one of them"]),
        (["--style=keep"], ["--style=keep", "at least one picture"]),
        (["--profile=adobe"], ["--profile=adobe", "srgb, input"]),
        (["--proof=missing.icc"], ["--proof=missing.icc", "ICC profile"]),
        (["--output=picture.doc"], ["--output=picture.doc", ".png"]),
        (["--output=missing/picture.png"], ["--output=missing/picture.png", "no folder"]),
        (["--objective=gaty"], ["--objective=gaty", "jcjohnson", "crowsonkb"]),
        (["--optimizer=adamm"], ["--optimizer=adamm", "lbfgs", "rmsprop"]),
        (["--optimizer=sgd"], ["--optimizer=sgd", "--learning_rate"]),
        (["--schedule=step"], ["--schedule=step", "cosine", "piecewise"]),
        (["--history=0"], ["--history=0", "from 1"]),
        (["--style_blend=0"], ["--style_blend=0.0", "above 0"]),
        (["--balance=sky:1"], ["--balance=sky:1.0", "content, style, tv"]),
        (["--workdir=/dev/null/job"], ["--workdir=/dev/null/job", "cannot be written to"]),
    ],
)
def test_bad_flags_are_refused(job, flags, words, capsys, no_tensorflow):
    message = refused([*job, *flags], capsys)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.jpg", b"this is not a picture", ["not a JPEG", "picture"]),
        ("empty.png", b"", ["--content="]),
        ("small.png", "1x1", ["1x1", "too small"]),
        ("cut.png", "cut", ["--content="]),
        ("bomb.png", "bomb", ["too large"]),
    ],
)
def test_bad_pictures_are_refused(job, name, content, words, capsys, tmp_path, no_tensorflow):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else _bad_png(content))
    message = refused([*job, f"--content={path}"], capsys)
    assert str(path) in message and all(word in message for word in words), message


def test_a_size_at_which_the_picture_is_too_thin_is_refused(job, capsys, tmp_path, no_tensorflow):
    images.write_image(tmp_path / "thin.png", picture(20, 600))
    message = refused([*job, "--content=thin.png", "--size=64"], capsys)
    assert message.startswith("nst_keras: --size=64: the content of 600x20 would become 64x2, ")
    assert "--size=465 or more" in message and not (tmp_path / "job").exists()


def _bad_png(kind: str) -> bytes:
    import struct
    import zlib

    stream = io.BytesIO()
    Image.fromarray(images.to_uint8(picture(30, 30))).save(stream, "PNG")
    data = stream.getvalue()
    if kind == "cut":
        return data[: len(data) // 2]
    side = {"1x1": 1, "bomb": 100_000}[kind]
    header = struct.pack(">II", side, side) + b"\x08\x02\x00\x00\x00"
    chunk = b"IHDR" + header
    return (
        data[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    )


@pytest.mark.parametrize("damage", ["shape", "truncated"])
def test_bad_weights_are_refused(job, damage, tiny_weights_path, capsys, tmp_path, no_tensorflow):
    path = tmp_path / "bad.npz"
    if damage == "truncated":
        path.write_bytes(tiny_weights_path.read_bytes()[:2000])
    else:
        with np.load(tiny_weights_path) as data:
            arrays = dict(data)
        arrays["block2_conv1/kernel"] = np.zeros((3, 3, 1, 1), np.float32)
        np.savez(path, **arrays)
    message = refused([*job, f"--weights={path}"], capsys)
    assert f"--weights={path}" in message


def test_flagfile_lines_are_refused_with_their_place(job, capsys, tmp_path, no_tensorflow):
    path = tmp_path / "bad.cfg"
    path.write_text("--size=48\n--style_wieght=3\n")
    assert "bad.cfg, line 2" in refused([*job, f"--flagfile={path}"], capsys)
    path.write_text("--init=noise  # why\n")
    assert "comment" in refused([*job, f"--flagfile={path}"], capsys)


def test_missing_inputs_are_named(capsys, tmp_path, monkeypatch, no_tensorflow):
    monkeypatch.chdir(tmp_path)
    assert "--content is missing" in refused([], capsys)
    assert "contains no run" in refused(["--workdir=nowhere"], capsys)


def test_a_full_disk_ends_with_its_status_before_work(job, capsys, monkeypatch, no_tensorflow):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert run.main(job) == 74
    said = "nst_keras: --workdir=job: cannot be written to: No space left on device\n"
    assert capsys.readouterr().err == said


def test_foreign_folder_is_left_alone(job, capsys, tmp_path, no_tensorflow):
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    assert "not a run folder" in refused(job, capsys)
    assert "not a run folder" in refused([*job, "--overwrite"], capsys)
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_existing_output_is_refused(job, capsys, tmp_path, no_tensorflow):
    (tmp_path / "out.png").write_bytes(b"precious")
    assert "exists" in refused([*job, "--output=out.png"], capsys)
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    content = job[0].removeprefix("--content=")
    assert "one of the inputs" in refused([*job, f"--output={content}", "--overwrite"], capsys)


def test_help_and_version(capsys):
    for flag in ("--help", "-h"):
        assert run.main([flag]) == 0
        assert "--style_scale" in capsys.readouterr().out
    assert run.main(["--help=objective"]) == 0
    assert "--style_weight" in capsys.readouterr().out
    assert run.main(["--version"]) == 0
    assert nst_keras.__version__ in capsys.readouterr().out


def test_whole_job(job, capsys, tmp_path):
    flags = ["--image_at=3,9", "--output=copy.jpg", "--scores", "--learning_rate=0.02"]
    assert run.main([*job, *flags]) == 0
    said = capsys.readouterr()
    log = said.err
    assert said.out == f"{Path('job', 'result.png')}\n"
    folder = RunFolder(tmp_path / "job")
    record = folder.read_record()
    assert record.status == "finished" and record.step == record.total_steps == 10
    assert (
        "plan: 4 steps at 36x24, 6 at 48x32" in log
        and "CPU" in log
        and str(folder.page.name) in log
    )
    steps = sorted(path.name for path in folder.iterations.iterdir())
    assert steps == [f"iteration_{step:05d}.jpg" for step in (2, 3, 4, 6, 8, 9, 10)]
    rows = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert [row["scale"] for row in rows] == [0] * 4 + [1] * 6
    assert rows[9]["terms"]["total"] < rows[4]["terms"]["total"]
    assert {"ssim", "content_cosine", "gram_error/block3_conv3"} <= record.scores.keys()
    for path in (folder.strip, folder.gif, folder.page, folder.latest, tmp_path / "copy.jpg"):
        assert path.stat().st_size > 0
    with Image.open(folder.side_by_side) as row:  # content, style, result, and gaps
        assert row.width > 32 * (1.5 + 1 + 1.5)
    with Image.open(folder.result) as result:
        assert result.size == (48, 32)
    assert "data:image" in folder.page.read_text()


def test_a_result_of_16_bits_is_a_tiff_and_the_output(small, capsys, tmp_path):
    assert run.main([*small, "--bits=16", "--output=copy.tiff", "--color=content_exact"]) == 0
    folder = RunFolder(tmp_path / "job")
    assert (tmp_path / "copy.tiff").read_bytes() == folder.deep_result.read_bytes()
    deep, shown = tifffile.imread(folder.deep_result), np.asarray(Image.open(folder.result))
    assert deep.dtype == np.uint16 and np.unique(deep).size > 256
    assert np.abs(deep / 257.0 - shown).max() <= 0.5 + 0.5 / 257  # 257 is 65535 / 255
    assert "result.tif" in page_data(folder.page)["files"]


@pytest.mark.parametrize(
    ("output", "words"), [("copy.jpg", "--output=copy.jpg must end in one of .tif .tiff .png")]
)
def test_16_bits_need_a_format_that_has_them(small, capsys, output, words, no_tensorflow):
    assert run.main([*small, "--bits=16", f"--output={output}"]) == 2
    assert f"--bits=16: {words}" in capsys.readouterr().err


def test_a_run_that_has_finished_with_8_bits_says_so(finished, capsys, tmp_path, no_tensorflow):
    assert run.main([*finished, "--bits=16", "--output=copy.tif"]) == 0
    assert "--bits=16: the run has finished with 8 bits" in capsys.readouterr().err
    assert tifffile.imread(tmp_path / "copy.tif").dtype == np.uint8


def test_the_result_file_holds_its_settings_but_no_path_and_no_date(finished, tmp_path):
    with Image.open(tmp_path / "job" / "result.png") as result:
        info = dict(result.info)
    text = "\n".join(f"{key} {value}" for key, value in info.items())
    assert "--style_weight=8.0" in info["nst_keras settings"]
    content = finished[0].removeprefix("--content=")
    assert hashlib.sha256(Path(content).read_bytes()).hexdigest() in text
    assert "photo" not in text and str(tmp_path) not in text and "202" not in text.split("sha")[0]


def test_same_command_gives_same_bytes(finished, tmp_path):
    assert run.main([*finished, "--workdir=again"]) == 0
    for name in ("result.png", "metrics.jsonl", "progress.gif"):
        assert (tmp_path / "job" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_off_the_main_thread_and_without_streams_the_bytes_are_the_same(
    job, whole, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    assert in_a_thread(lambda: run.main(job)) == 0
    assert files_of(tmp_path / "job")["result.png"] == whole["result.png"]


def test_names_of_pictures_reach_the_terminal_without_control_characters(small, capsys, tmp_path):
    content = tmp_path / "a b\x1b]0;title\x07.png"
    content.write_bytes(Path(small[0].removeprefix("--content=")).read_bytes())
    command = [flag for flag in small if not flag.startswith("--workdir")]
    assert run.main([*command, f"--content={content}", "--size=64", f"--output={content}.jpg"]) == 0
    log = capsys.readouterr().err
    assert log.replace("\n", "").isprintable()
    assert all(line.startswith("nst_keras: ") for line in log.splitlines())
    assert r"a b\x1b]0;title\x07.png with painting.png" in log


def test_finished_run_is_left_as_it_is(finished, capsys, tmp_path, no_tensorflow):
    before = files_of(tmp_path / "job")
    assert run.main(finished) == 0
    assert "is already finished" in capsys.readouterr().err
    assert files_of(tmp_path / "job") == before


def test_a_damaged_iteration_picture_costs_no_result(small, capsys, tmp_path, monkeypatch):
    def damage(self, iterate):
        normal(self, iterate)
        if iterate.is_last:
            self.folder.iteration(2).write_bytes(b"no picture")

    normal = RunWriter.write_pictures
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", damage)
        patch.setattr(execution, "Background", AtOnce)
        assert run.main([*small, "--image_at=2,5"]) == 0
    assert "iteration_00002.jpg: cannot be read as a picture" in capsys.readouterr().err
    folder = RunFolder(tmp_path / "job")
    assert folder.read_record().status == "finished" and folder.result.exists()


def test_a_finished_run_is_completed_if_it_was_killed_in_its_last_moment(
    small, capsys, tmp_path, request
):
    output = [*small, "--output=copy.png"]
    assert run.main(output) == 0
    folder = RunFolder(tmp_path / "job")
    page = folder.page.read_bytes()
    folder.page.write_text("the page of a running run")
    os.utime(folder.page, ns=(0, folder.record.stat().st_mtime_ns - 1))
    left = [folder.path / ".index.html.1a2b3c4d.tmp", tmp_path / ".copy.png.1a2b3c4d.tmp"]
    for path in left:
        path.write_bytes(b"half of it")
    request.getfixturevalue("no_tensorflow")
    assert run.main(output) == 0
    assert folder.page.read_bytes() == page
    assert not any(path.exists() for path in left)


def test_warnings_of_earlier_processes_stay_with_the_run(small, tmp_path, monkeypatch):
    resting = [*small, "--tolerance=0.9", "--patience=2", "--scales=2"]
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", _raise_signal(5, signal.SIGTERM))
        assert run.main(resting) == 75
    folder = RunFolder(tmp_path / "job")
    before = [note for note in folder.read_record().notes if "converged at step" in note]
    assert len(before) == 1
    assert run.main(["--workdir=job"]) == 0
    assert before[0] in folder.read_record().notes


def test_other_settings_need_another_folder_or_overwrite(finished, capsys, tmp_path):
    before = files_of(tmp_path / "job")
    message = refused([*finished, "--style_weight=3"], capsys)
    assert "style_weight: 8.0 there, 3.0 here" in message
    assert files_of(tmp_path / "job") == before
    assert run.main([*finished, "--style_weight=3", "--overwrite"]) == 0
    assert (tmp_path / "job" / "result.png").read_bytes() != before["result.png"]


def test_more_steps_at_a_constant_rate_resume_from_the_end(small, tmp_path, capsys):
    constant = [*small, "--schedule=constant", "--learning_rate=0.02", "--image_every=1"]
    assert run.main([*constant, "--iterations=9", "--workdir=whole"]) == 0
    assert run.main(constant) == 0
    gif = (tmp_path / "job" / "progress.gif").read_bytes()
    capsys.readouterr()
    assert run.main(["--workdir=job", "--iterations=9"]) == 0
    assert "resuming after step 6" in capsys.readouterr().err
    for name in ("result.png", "metrics.jsonl", "progress.gif"):
        found = (tmp_path / "job" / name).read_bytes()
        assert found == (tmp_path / "whole" / name).read_bytes(), name
    assert (tmp_path / "job" / "progress.gif").read_bytes() != gif
    assert run.main([*constant, "--iterations=9"]) == 0  # and is the same job for either command
    assert "is already finished" in capsys.readouterr().err


def test_more_steps_of_a_falling_rate_are_refused_with_the_reason(
    finished, capsys, tmp_path, no_tensorflow
):
    before = files_of(tmp_path / "job")
    message = refused([*finished, "--iterations=9"], capsys)
    assert "iterations: 6 there, 9 here; with --schedule=linear" in message
    assert "iterations: 6 there, 5 here)" in refused([*finished, "--iterations=5"], capsys)
    assert files_of(tmp_path / "job") == before


@pytest.mark.parametrize("crash_at", [2, 7])  # before and after the first checkpoint
def test_crash_and_same_command_equal_an_uninterrupted_run(
    job, whole, tmp_path, monkeypatch, crash_at
):
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", _crash(crash_at))
        with pytest.raises(RuntimeError, match="power failure"):
            run.main(job)
    assert run.main(job) == 0
    assert_equal_but_for_times(files_of(tmp_path / "job"), whole)


def assert_equal_but_for_times(resumed, whole):
    names = [name for name in whole if name not in ("run.json", "index.html", "flags.cfg")]
    assert names
    for name in names:
        if not name.startswith("checkpoints"):
            assert resumed[name] == whole[name], name


def _crash(step: int):
    normal = RunWriter.write_pictures

    def call(self, iterate):
        normal(self, iterate)
        if iterate.step == step:
            raise RuntimeError("power failure")

    return call


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_each_signal_saves_the_state(small, capsys, tmp_path, monkeypatch, number):
    monkeypatch.setattr(RunWriter, "write_pictures", _raise_signal(5, number))
    assert run.main(small) == 75
    folder = RunFolder(tmp_path / "job")
    log = capsys.readouterr().err
    assert "stopped after step 5" in log and f"--workdir={folder.path}" in log
    assert folder.read_record().status == "interrupted"
    assert "step_000000005" in states_of(files_of(folder.path))


def test_a_signal_saves_the_state_and_the_folder_alone_resumes(
    job, whole, capsys, tmp_path, monkeypatch
):
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", _raise_signal(5, signal.SIGTERM))
        assert run.main(job) == 75
    folder = RunFolder(tmp_path / "job")
    log = capsys.readouterr().err
    assert "stopped after step 5" in log and f"--workdir={folder.path}" in log
    assert folder.read_record().status == "interrupted"
    assert folder.latest.exists() and folder.page.exists() and not folder.result.exists()
    before = folder.read_record().parts
    assert run.main(["--workdir=job"]) == 0
    log = capsys.readouterr().err
    assert "resuming after step 5" in log and ", including " in log
    after = folder.read_record().parts
    assert {"reading", "import", "planning", "setup", "first steps", "steps"} <= before.keys()
    assert all(before[name] <= after[name] for name in before) and "writing" in after
    assert folder.result.read_bytes() == whole["result.png"]
    assert folder.metrics.read_bytes() == whole["metrics.jsonl"]


def _raise_signal(step: int, number: int):
    normal = RunWriter.write_pictures

    def call(self, iterate):
        normal(self, iterate)
        if iterate.step == step:
            signal.raise_signal(number)

    return call


class Late:
    """In place of the thread: what was submitted is done as late as can be, or never."""

    done = None  # how many are done; None: all

    def __init__(self):
        self.waiting = []

    def submit(self, work):
        self.waiting.append(work)

    def wait(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for work in self.waiting[: self.done]:
            work()


class AtOnce(Late):
    def submit(self, work):
        work()


def states_of(found: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    """The checkpoints among a job's files, without their clock readings."""
    states = {}
    for path in sorted(path for path in found if path.startswith("checkpoints")):
        with np.load(io.BytesIO(found[path])) as data:
            header = json.loads(bytes(data["header"]))
            arrays = {name: data[name].tobytes() for name in data.files if name != "header"}
        states[Path(path).stem] = {**arrays, "of": f"{header['step']}".encode()}
    return states


def test_a_thread_that_writes_changes_no_byte(job, whole, tmp_path, monkeypatch):
    """A run that waits for the disk, one with the thread, and one whose thread is always late."""
    monkeypatch.setattr(renewals.Renewals, "is_due", lambda *_: True)
    for kind in (AtOnce, Late):
        monkeypatch.setattr(execution, "Background", kind)
        command = [*job, "--keep_checkpoints=9", "--tensorboard", f"--workdir={kind.__name__}"]
        assert run.main(command) == 0
    at_once, late = files_of(tmp_path / "AtOnce"), files_of(tmp_path / "Late")
    states = states_of(at_once)
    assert len(states) == 4 and states_of(late) == states
    assert states_of(whole).items() <= states.items()
    for name in whole:
        if Path(name).suffix in (".jpg", ".png", ".gif", ".jsonl"):
            assert late[name] == at_once[name] == whole[name], name
    (events,) = [data for name, data in late.items() if name.startswith("events")]
    assert events.count(b"\x89PNG") == 5


def test_a_power_cut_that_loses_submitted_work_repeats_those_steps(
    job, whole, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Late, "done", 10)  # the metrics of step 6, but not its checkpoint
        patch.setattr(execution, "Background", Late)
        patch.setattr(renewals.Renewals, "is_due", lambda *_: False)
        patch.setattr(RunWriter, "write_pictures", _crash(9))
        with pytest.raises(RuntimeError, match="power failure"):
            run.main(job)
    left = files_of(tmp_path / "job")
    assert list(states_of(left)) == ["step_000000003"]
    assert logged_steps(tmp_path / "job") == [1, 2, 3, 4, 5, 6]
    assert run.main(job) == 0
    resumed = files_of(tmp_path / "job")
    for name in ("result.png", "metrics.jsonl", "progress.gif"):
        assert resumed[name] == whole[name], name


def test_a_full_disk_ends_the_run_and_space_lets_it_resume(small, capsys, tmp_path, monkeypatch):
    normal = images.write_image

    def full(path, *arguments, **options):
        if Path(path).name == "iteration_00004.jpg":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        normal(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(images, "write_image", full)
        assert run.main(small) == 74
    assert "iteration_00004.jpg: No space left on device" in capsys.readouterr().err
    assert list(states_of(files_of(tmp_path / "job"))) == ["step_000000003"]
    assert run.main(small) == 0
    assert "resuming after step 3" in capsys.readouterr().err


def test_a_long_step_is_given_up_some_seconds_after_a_signal(small, capsys, tmp_path, monkeypatch):
    tiled = [*small, "--tile_size=40", "--style_layers=block1_conv1,block2_conv1"]
    tiled += ["--content_layers=block2_conv1", "--learning_rate=0.02"]
    assert run.main([*tiled, "--workdir=whole"]) == 0
    seen = []

    class Progress(problem.TileProgress):
        def __call__(self, done, in_all):
            seen.append(done)
            if len(seen) == 3 * in_all + 2:
                signal.raise_signal(signal.SIGTERM)
            super().__call__(done, in_all)

    with monkeypatch.context() as patch:
        patch.setattr(problem, "TileProgress", Progress)
        patch.setattr(setup, "_PATIENCE", 0.0)
        assert run.main(tiled) == 75
    folder = RunFolder(tmp_path / "job")
    log = capsys.readouterr().err
    assert (
        "stopped during a step (tile 2 of 4); resume with: " in log
        and f"--workdir={folder.path}" in log
    )
    assert folder.read_record().status == "interrupted"
    assert logged_steps(tmp_path / "job") == [1, 2, 3]
    assert run.main(["--workdir=job"]) == 0
    assert "resuming after step 3" in capsys.readouterr().err
    for name in ("result.png", "metrics.jsonl"):
        assert (folder.path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_signal_in_the_last_step_lets_a_job_in_tiles_finish(small, tmp_path, monkeypatch):
    tiled = [*small, "--tile_size=40", "--style_layers=block1_conv1,block2_conv1"]
    tiled += ["--content_layers=block2_conv1", "--learning_rate=0.02"]
    normal = RunWriter.write_pictures

    def call(self, iterate):
        normal(self, iterate)
        if iterate.is_last:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(RunWriter, "write_pictures", call)
    monkeypatch.setattr(setup, "_PATIENCE", 0.0)
    assert run.main(tiled) == 0
    assert RunFolder(tmp_path / "job").read_record().status == "finished"


def test_a_run_finishes_even_if_nobody_reads_its_log(small, tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stderr", Gone())
    assert run.main(small) == 0
    assert RunFolder(tmp_path / "job").read_record().status == "finished"


def test_a_recovery_is_reported_and_logs_no_step_twice(small, capsys, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        spoil_gradients(patch, [5])
        assert run.main(small) == 0
    told = (
        "the gradient not finite at step 5; resuming from step 3 at half the learning rate "
        "(recovery 1 of 3)"
    )
    assert told in capsys.readouterr().err
    record = RunFolder(tmp_path / "job").read_record()
    assert record.status == "finished" and any(told in note for note in record.notes)
    assert logged_steps(tmp_path / "job") == [1, 2, 3, 4, 5, 6]


def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(small, capsys, tmp_path, monkeypatch):
    normal = RunWriter.write_pictures

    def call(self, iterate):
        normal(self, iterate)
        if iterate.step == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", call)
        assert run.main(small) == 75
    log = capsys.readouterr().err
    assert "interrupted" in log and "step 5/6" not in log  # not even the next report
    assert logged_steps(tmp_path / "job") == [1, 2, 3, 4, 5]
    assert list(states_of(files_of(tmp_path / "job"))) == ["step_000000003", "step_000000005"]


def test_a_signal_before_the_first_step_is_obeyed_after_it(small, capsys, tmp_path, monkeypatch):
    normal = startup.start_tensorflow

    def start(*given):
        signal.raise_signal(signal.SIGINT)  # TensorFlow would make an error of its own of it
        normal(*given)

    with monkeypatch.context() as patch:
        patch.setattr(startup, "start_tensorflow", start)
        assert run.main(small) == 75
    log = capsys.readouterr().err
    assert "stopped after step 1" in log and "Traceback" not in log
    assert logged_steps(tmp_path / "job") == [1]
    assert run.main(small) == 0


def test_relative_paths_of_the_first_command_hold_on_resume(small, tmp_path, monkeypatch):
    content, weights = (small[index].partition("=")[2] for index in (0, 2))
    (tmp_path / "start.png").write_bytes(Path(content).read_bytes())
    (tmp_path / "net.npz").write_bytes(Path(weights).read_bytes())
    command = [*small, "--init=start.png", "--weights=net.npz", "--output=copy.png"]
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", _raise_signal(5, signal.SIGTERM))
        assert run.main(command) == 75
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run.main([f"--workdir={tmp_path / 'job'}"]) == 0
    assert (tmp_path / "copy.png").exists()


def test_the_first_command_still_matches_after_the_folder_alone_was_resumed(
    small, tmp_path, monkeypatch, capsys
):
    command = [flag for flag in small if not flag.startswith("--precision")]
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", _raise_signal(5, signal.SIGTERM))
        assert run.main(command) == 75
    assert capsys.readouterr().err.count("nst_keras: precision: ") == 1  # what auto has become
    before = RunFolder(tmp_path / "job").read_record()
    assert run.main(["--workdir=job"]) == 0
    assert run.main(command) == 0
    assert "precision: " not in capsys.readouterr().err
    after = RunFolder(tmp_path / "job").read_record()
    assert (after.command, after.requested) == (before.command, before.requested)


def test_a_crash_while_finishing_repeats_no_step(job, whole, capsys, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(extras, "write_strips", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.main(job)
    record = RunFolder(tmp_path / "job").read_record()
    assert (record.status, record.reason) == ("failed", "ZeroDivisionError: division by zero")
    assert run.main(job) == 0
    assert "resuming after step 10" in capsys.readouterr().err
    assert RunFolder(tmp_path / "job").read_record().status == "finished"
    assert_equal_but_for_times(files_of(tmp_path / "job"), whole)


def test_a_refused_time_limit_leaves_the_folder_free(job, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(planning, "measure_seconds", lambda *_: ((99.0, 99.0), 0.0))
        message = refused([*job, "--time_limit=60s", "--quiet"], capsys)
    assert "--time_limit=60s" in message and "--size" in message
    assert run.main(job) == 0


def test_given_steps_are_an_upper_bound_under_a_time_limit(small, tmp_path):
    assert run.main([*small, "--time_limit=1h"]) == 0
    assert RunFolder(tmp_path / "job").read_record().total_steps == 6


def test_pictures_beyond_the_last_step_are_reported(small, capsys):
    assert run.main([*small, "--image_at=3,3,500"]) == 0
    assert (
        "--image_at=500: the run has only 6 steps; no image will be kept for it"
        in capsys.readouterr().err
    )


def test_time_limit_is_planned_once(job, tmp_path, monkeypatch):
    def measured(settings, inputs, plan, replicas):
        assert (replicas.count, plan.tile_size) == (1, None)
        return tuple(100.0 for _ in plan.scales), 0.0

    monkeypatch.setattr(planning, "measure_seconds", measured)
    limited = [flag for flag in job if not flag.startswith("--iterations")]
    limited.append("--time_limit=1h")
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pictures", _raise_signal(5, signal.SIGTERM))
        assert run.main(limited) == 75
    record = RunFolder(tmp_path / "job").read_record()
    steps = [scale.steps for scale in record.scales]
    # 3600 s less the slack, the start and the end buy 33 steps of 100 s, shared 4 : 80.
    assert sum(steps) in range(30, 34) and steps[0] < steps[1] / 5
    monkeypatch.setattr(planning, "measure_seconds", None)  # must not be measured again
    assert run.main(limited) == 0
    assert RunFolder(tmp_path / "job").read_record().step == sum(steps)


def test_tensorboard_events(small, tmp_path, monkeypatch, capsys, request):
    assert run.main([*small, "--tensorboard"]) == 0
    capsys.readouterr()
    (events,) = (tmp_path / "job" / "events").iterdir()
    data = events.read_bytes()
    assert b"content/block2_conv2" in data and b"\x89PNG" in data
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    request.getfixturevalue("no_tensorflow")
    assert "pip install '.[tensorboard]'" in refused(
        [*small, "--tensorboard", "--workdir=no"], capsys
    )


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_an_optimizer_by_name_is_recorded_as_changed(small, optimizer, tmp_path):
    assert run.main([*small, f"--optimizer={optimizer}", "--learning_rate=1"]) == 0
    changed = RunFolder(tmp_path / "job").read_record().changed
    assert ("learning_rate" in changed) == (optimizer == "sgd") and "optimizer" in changed


def test_a_finished_run_can_get_a_video(finished, tmp_path, no_tensorflow):
    pytest.importorskip("imageio_ffmpeg")
    assert run.main([*finished, "--mp4"]) == 0
    assert (tmp_path / "job" / "progress.mp4").exists()
    assert "progress.mp4" in (tmp_path / "job" / "index.html").read_text()


def test_video_with_labels(small, tmp_path, capsys, monkeypatch):
    pytest.importorskip("imageio_ffmpeg")
    assert run.main([*small, "--mp4", "--frame_labels"]) == 0
    assert (tmp_path / "job" / "progress.mp4").read_bytes()[4:8] == b"ftyp"
    assert "progress.mp4" in (tmp_path / "job" / "index.html").read_text()


def test_a_video_without_its_package_is_refused_at_once(job, capsys, monkeypatch, no_tensorflow):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert "pip install '.[video]'" in refused([*job, "--mp4"], capsys)


def test_a_video_that_fails_does_not_cost_the_picture(small, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "ffmpeg made no video: broken pipe")

    monkeypatch.setattr(extras.animation, "find_ffmpeg", lambda: None)
    monkeypatch.setattr(extras.animation, "write_mp4", fail)
    assert run.main([*small, "--mp4"]) == 0
    assert "ffmpeg made no video" in capsys.readouterr().err
    assert RunFolder(tmp_path / "job").read_record().status == "finished"


def test_default_folder_is_named_after_the_pictures(small, tmp_path):
    assert run.main([flag for flag in small if not flag.startswith("--workdir")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("photo_painting-") and (folder / "result.png").exists()


def test_notes_about_inputs_are_reported_and_recorded(small, capsys, tmp_path):
    alpha = np.full((40, 60, 4), 128, np.uint8)
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    assert run.main([*small, f"--content={tmp_path / 'alpha.png'}", "--size=64", "--quiet"]) == 0
    log = capsys.readouterr().err
    assert "white" in log and "enlarged to --size=64" in log
    notes = RunFolder(tmp_path / "job").read_record().notes
    assert any("enlarged" in note for note in notes)
    assert "result:" not in log  # --quiet


# Masks, profiles and proofs.


def test_a_run_with_masks_shows_its_regions_and_keeps_bytes(small, picture_paths, capsys):
    content, style = picture_paths
    left = np.zeros((40, 60), np.uint8)
    left[:, :30] = 255
    Image.fromarray(left).save("left.png")
    flags = [f"--style={style},keep", "--style_mask=rest,left.png", "--size=60"]
    assert run.main([*small, *flags]) == 0
    folder = RunFolder("job")
    photo, result = (np.asarray(Image.open(path)) for path in (content, folder.result))
    np.testing.assert_array_equal(result[:, :29], photo[:, :29])
    assert np.abs(result[:, 31:].astype(int) - photo[:, 31:]).max() > 10
    names = {path.name for path in folder.regions.iterdir()}
    assert names == {"content.jpg", "content_1.png", "content_keep.png"}
    assert more_pictures(folder.page) == ["Regions of the photo"]
    record = folder.read_record()
    assert [one.name for one in record.styles] == [style.name]
    assert {"style 1", "style mask 2"} <= record.fingerprint.hashes.keys()
    capsys.readouterr()
    assert run.main([*small, *flags]) == 0
    assert "already finished" in capsys.readouterr().err
    assert run.main(["--workdir=job"]) == 0
    assert "already finished" in capsys.readouterr().err
    assert recolor.main(["job", "--color=histogram"]) == 0
    with Image.open(folder.recolored("histogram")) as recolored:
        np.testing.assert_array_equal(np.asarray(recolored)[:, :29], photo[:, :29])
        assert np.abs(np.asarray(recolored, int)[:, 31:] - result[:, 31:]).max() > 5
    swapped = [f"--style=keep,{style}", "--style_mask=left.png,rest", "--size=60"]
    assert run.main([*small, *swapped]) == 2
    assert "contains another run" in capsys.readouterr().err


def test_a_run_keeps_the_profile_of_its_photo_and_proofs_its_result(small, picture_paths):
    photo = np.asarray(Image.open(picture_paths[0]))
    Image.fromarray(photo).save("wide.png", icc_profile=p3_profile())
    Path("printer.icc").write_bytes(adobe_profile())
    flags = ["--content=wide.png", "--profile=input", "--proof=printer.icc", "--output=copy.tif"]
    assert run.main([*small, *flags]) == 0
    folder = RunFolder("job")
    for path in (folder.result, folder.latest, folder.content, Path("copy.tif"), folder.proof):
        with Image.open(path) as opened:
            expected = None if path == folder.proof else p3_profile()
            assert opened.info.get("icc_profile") == expected, path
    wide = np.asarray(Image.open(io.BytesIO(folder.result.read_bytes())), int)
    shown = np.asarray(Image.open(io.BytesIO(folder.proof.read_bytes())), int)
    with images.opened(folder.result) as opened:
        converted = np.asarray(images.in_srgb(opened), int)
    assert np.abs(converted - shown).mean() < 3 and np.abs(wide - converted).max() > 5
    folder.proof.unlink()
    assert run.main([*small, *flags[:3]]) == 0  # finished already
    assert folder.proof.exists()
