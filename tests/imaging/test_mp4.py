"""Videos: format, timing, sizes and labels, and every way in which ffmpeg may fail."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_keras.imaging import mp4
from nst_keras.runtime.errors import InputError
from tests.imaging.conftest import frames_of

FPS = 30


@pytest.fixture
def ffmpeg():
    return pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()


@pytest.fixture
def fake_ffmpeg(tmp_path_factory, monkeypatch):
    """Returns a function that replaces ffmpeg by a program, given as Python source."""
    pytest.importorskip("imageio_ffmpeg")

    def install(source):
        program = tmp_path_factory.mktemp("bin") / "ffmpeg"
        program.write_text(f"#!{sys.executable}\nimport os, sys, time\n{source}\n")
        program.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))

    return install


@pytest.fixture
def write_mp4(tmp_path_factory, monkeypatch):
    """Returns a function that writes arrays and files as a video, and returns its path."""

    def write(path, pictures, labels=None, pace=None, **constants):
        if pace:
            monkeypatch.setattr(mp4, "default_pace", lambda _: pace)
        for name, value in constants.items():
            monkeypatch.setattr(mp4, name, value)
        frames = frames_of(tmp_path_factory.mktemp("frames"), pictures, labels)
        mp4.write_mp4(path, frames)
        return path

    return write


def flat(width, height, *color):
    return np.full((height, width, 3), color, np.uint8)


def describe(ffmpeg, path):
    """What ffmpeg reports about a file."""
    command = [ffmpeg, "-hide_banner", "-i", path]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def decode(ffmpeg, path):
    """All pictures of a video, (count, height, width, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        command = [ffmpeg, "-loglevel", "error", "-i", path, f"{folder}/%05d.png"]
        subprocess.run(command, check=True)
        return np.stack([_pixels(f"{folder}/{name}") for name in sorted(os.listdir(folder))])


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


def test_video_plays_everywhere(ffmpeg, tmp_path, write_mp4):
    path = write_mp4(tmp_path / "out.mp4", [flat(64, 48, 200, 30, 30)], HOLD_MS=200)

    said = describe(ffmpeg, path)
    assert "Video: h264" in said
    assert "yuv420p(tv, bt709" in said
    assert "64x48" in said and "30 fps" in said
    data = path.read_bytes()
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat")  # plays before it is loaded whole
    assert list(tmp_path.iterdir()) == [path]


def test_every_frame_lasts_its_time_in_its_color(ffmpeg, tmp_path, write_mp4):
    colors = [(255, 0, 0), (0, 160, 0), (20, 40, 250), (240, 240, 240)]
    frames = [flat(64, 48, *color) for color in colors]

    path = write_mp4(tmp_path / "out.mp4", frames, pace=100, HOLD_MS=1000)

    pictures = decode(ffmpeg, path)
    assert pictures.shape == (3 * 3 + FPS, 48, 64, 3)
    expected = np.repeat(colors, [3, 3, 3, FPS], axis=0)
    assert np.abs(pictures - expected[:, None, None]).max() <= 6


@pytest.mark.parametrize(
    ("count", "seconds"), [(1, 2.5), (4, 3 * 0.4 + 2.5), (40, 39 / 15 + 2.5), (250, 249 / 30 + 2.5)]
)
def test_few_frames_are_shown_longer_and_many_faster(ffmpeg, tmp_path, count, seconds, write_mp4):
    frames = [flat(16, 16, level, level, level) for level in np.linspace(0, 255, count)]

    path = write_mp4(tmp_path / "out.mp4", frames)

    assert len(decode(ffmpeg, path)) == pytest.approx(seconds * FPS, abs=0.01)


def test_of_too_many_frames_first_and_last_are_kept(ffmpeg, tmp_path, write_mp4):
    frames = [flat(16, 16, level, level, level) for level in range(0, 255, 4)]

    path = write_mp4(tmp_path / "out.mp4", frames, MAX_FRAMES=3, pace=1, HOLD_MS=1)

    assert decode(ffmpeg, path)[:, 8, 8, 0].tolist() == pytest.approx([0, 128, 252], abs=4)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((37, 21), 1920, (36, 20)),
        ((36, 21), 1920, (36, 20)),
        ((301, 200), 90, (90, 60)),
        ((200, 301), 91, (60, 90)),
        ((16, 16), 1920, (16, 16)),
    ],
)
def test_size_is_even_and_limited(ffmpeg, tmp_path, size, longest, expected, write_mp4):
    frames = [flat(*size, 90, 120, 200)]

    path = write_mp4(tmp_path / "out.mp4", frames, LONGEST=longest, HOLD_MS=100)

    assert decode(ffmpeg, path).shape[1:3] == expected[::-1]


def test_odd_sides_are_cropped_not_stretched(ffmpeg, tmp_path, write_mp4):
    frame = np.zeros((33, 65, 3), np.uint8)
    frame[:, 32:] = 255  # an edge that a stretched picture would blur

    path = write_mp4(tmp_path / "out.mp4", [frame], HOLD_MS=100, QUALITY=1)

    assert np.abs(decode(ffmpeg, path)[0] - frame[:32, :64]).max() <= 12


def test_frames_from_files_get_the_size_of_the_largest(ffmpeg, tmp_path, write_mp4):
    small, large = tmp_path / "a.jpg", tmp_path / "b.png"
    Image.new("RGB", (20, 15), (250, 10, 10)).save(small)
    Image.new("RGB", (40, 30), (10, 10, 250)).save(large)

    path = write_mp4(tmp_path / "out.mp4", [small, large], pace=100, HOLD_MS=100)

    pictures = decode(ffmpeg, path)
    assert pictures.shape == (6, 30, 40, 3)
    assert np.abs(pictures[0] - (250, 10, 10)).max() <= 8
    assert np.abs(pictures[5] - (10, 10, 250)).max() <= 8


def test_labels_stay_with_their_frames_and_in_the_corner(ffmpeg, tmp_path, write_mp4):
    frames = [flat(320, 240, 120, 160, 200)] * 5
    labels = ["0", "", "200", "", ""]

    path = write_mp4(
        tmp_path / "out.mp4", frames, labels, MAX_FRAMES=3, pace=100, HOLD_MS=100, QUALITY=10
    )

    pictures = decode(ffmpeg, path)
    changed = np.abs(pictures - (120, 160, 200)).max(-1) > 20
    # Thinned to three of five, of which the last has no label.
    assert changed.any((1, 2)).tolist() == [True] * 6 + [False] * 3
    assert not changed[:, :200].any() and not changed[..., 80:].any()
    assert changed[3].sum() > 1.2 * changed[0].sum()  # "200" is longer than "0"
    assert pictures[3].min(-1)[changed[3]].max() > 220


def test_the_same_frames_give_the_same_file(ffmpeg, tmp_path, write_mp4):
    frames = list(np.random.default_rng(0).integers(0, 255, (4, 32, 48, 3), np.uint8))

    paths = [write_mp4(tmp_path / name, frames) for name in ("a.mp4", "b.mp4")]

    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["-y.mp4", "http:a%03d.mp4", "sp ace'\"\n.mp4", "caf\u00e9"])
def test_any_file_name_works(ffmpeg, tmp_path, monkeypatch, name, write_mp4):
    monkeypatch.chdir(tmp_path)

    write_mp4(Path(name), [flat(16, 16, 1, 2, 3)], HOLD_MS=100)

    assert os.listdir(tmp_path) == [name]
    assert len(decode(ffmpeg, tmp_path / name)) == 3


def test_older_video_is_replaced(ffmpeg, tmp_path, write_mp4):
    path = tmp_path / "out.mp4"
    path.write_bytes(bytes(1 << 20))

    write_mp4(path, [flat(16, 16, 1, 2, 3)], HOLD_MS=100)

    assert len(decode(ffmpeg, path)) == 3


@pytest.mark.parametrize(
    "source",
    [
        "sys.exit('noise\\n[libx264] no such luck \\x1b')",  # before it has read anything
        "sys.stdin.buffer.read(99999); sys.exit('noise\\n[libx264] no such luck')",
        "sys.stdin.buffer.read(); sys.exit('noise\\n[libx264] no such luck\\n\\n')",
        # Far more than a pipe holds, while none of the frames is read.
        "sys.stderr.write('noise\\n' * 99999); sys.exit('[libx264] no such luck')",
    ],
)
def test_failing_ffmpeg_is_reported_and_leaves_nothing(fake_ffmpeg, tmp_path, source, write_mp4):
    fake_ffmpeg(source)

    with pytest.raises(
        OSError, match=r"ffmpeg made no video: noise \.\.\. \[libx264\] no such luck"
    ) as caught:
        write_mp4(tmp_path / "out.mp4", [flat(640, 480, 1, 2, 3)])

    assert caught.value.filename == str(tmp_path / "out.mp4")
    assert caught.value.strerror.isprintable()
    assert not isinstance(caught.value, BrokenPipeError)
    assert list(tmp_path.iterdir()) == []


def test_silent_failure_names_the_status(fake_ffmpeg, tmp_path, write_mp4):
    fake_ffmpeg("sys.exit(7)")

    with pytest.raises(OSError, match="it ended with status 7"):
        write_mp4(tmp_path / "out.mp4", [flat(640, 480, 1, 2, 3)])


def test_real_ffmpeg_that_fails_is_reported(ffmpeg, tmp_path, write_mp4):
    with pytest.raises(OSError, match="ffmpeg made no video: .*libx264.*bad"):
        write_mp4(tmp_path / "out.mp4", [flat(640, 480, 1, 2, 3)], QUALITY="bad")

    assert list(tmp_path.iterdir()) == []


def test_older_video_outlives_a_failure(fake_ffmpeg, tmp_path, write_mp4):
    fake_ffmpeg("sys.exit(1)")
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")

    with pytest.raises(OSError, match="ffmpeg"):
        write_mp4(path, [flat(16, 16, 1, 2, 3)])

    assert path.read_bytes() == b"old"


def test_ffmpeg_is_stopped_when_a_frame_cannot_be_read(fake_ffmpeg, tmp_path, write_mp4):
    fake_ffmpeg("sys.stdin.buffer.read(); time.sleep(600)")
    whole, broken = tmp_path / "a.png", tmp_path / "b.png"
    Image.effect_noise((64, 64), 50).save(whole)
    broken.write_bytes(whole.read_bytes()[:600])

    with pytest.raises(InputError, match=r"b\.png: .*truncated"):
        write_mp4(tmp_path / "out.mp4", [whole, broken])

    assert sorted(tmp_path.iterdir()) == [whole, broken]


@pytest.mark.parametrize(
    "source",
    [
        "time.sleep(600)",
        "sys.stdin.buffer.read(); time.sleep(600)",
        "sys.stdin.close(); os.close(0); time.sleep(600)",
    ],
)
def test_stuck_ffmpeg_is_killed(fake_ffmpeg, tmp_path, monkeypatch, source, write_mp4):
    fake_ffmpeg(source)
    monkeypatch.setattr(mp4, "STUCK_SECONDS", 0.5)

    with pytest.raises(OSError, match="it ended with status -9"):
        write_mp4(tmp_path / "out.mp4", [flat(640, 480, 1, 2, 3)])

    assert list(tmp_path.iterdir()) == []


def test_missing_ffmpeg_is_reported(tmp_path, monkeypatch, write_mp4):
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "missing"))

    with pytest.raises(FileNotFoundError, match="missing"):
        write_mp4(tmp_path / "out.mp4", [flat(16, 16, 1, 2, 3)])

    assert list(tmp_path.iterdir()) == []


def test_missing_extra_is_reported_before_any_work(tmp_path, monkeypatch, write_mp4):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)

    with pytest.raises(InputError, match=r"^--mp4: needs pip install '\.\[video\]'$"):
        mp4.find_ffmpeg()
    with pytest.raises(InputError, match=r"pip install '\.\[video\]'"):
        write_mp4(tmp_path / "out.mp4", [flat(16, 16, 1, 2, 3)])

    assert list(tmp_path.iterdir()) == []


def test_extra_without_ffmpeg_is_reported(monkeypatch):
    package = pytest.importorskip("imageio_ffmpeg")

    def find():
        raise RuntimeError("No ffmpeg exe\ncould be found.")

    monkeypatch.setattr(package, "get_ffmpeg_exe", find)

    with pytest.raises(InputError, match="^--mp4: No ffmpeg exe could be found.$"):
        mp4.find_ffmpeg()


def test_installed_extra_passes(ffmpeg):
    mp4.find_ffmpeg()
