"""GIFs, videos and strips: sizes, timing, limits and labels; every way in which ffmpeg may fail."""

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from nst_keras.imaging import animation
from nst_keras.runtime.errors import InputError
from tests.imaging.conftest import frames_of


def flat(width, height, level):
    return np.full((height, width, 3), level, np.float32)


def noise(count, width, height):
    return list(np.random.default_rng(0).random((count, height, width, 3), np.float32))


@pytest.fixture
def write_animation(tmp_path_factory, monkeypatch):
    """Returns a function that calls a function of `animation` for arrays and files."""

    def write(write_frames, path, pictures, labels=None, pace=None, **constants):
        if pace:
            monkeypatch.setattr(animation, "default_pace", lambda _: pace)
        for name, value in constants.items():
            monkeypatch.setattr(animation, name, value)
        write_frames(path, frames_of(tmp_path_factory.mktemp("frames"), pictures, labels))
        return path

    return write


@pytest.fixture
def write_gif(write_animation):
    """Returns a function that writes arrays and files as a GIF, and returns its path."""
    return functools.partial(write_animation, animation.write_gif)


@pytest.fixture
def write_strip(tmp_path_factory, monkeypatch):
    """Returns a function that writes arrays and files as a strip, and returns its path."""

    def write(path, pictures, labels=None, height=256, gap=8):
        monkeypatch.setattr(animation, "GAP", gap)
        frames = frames_of(tmp_path_factory.mktemp("frames"), pictures, labels)
        animation.write_strip(path, frames, height)
        return path

    return write


@pytest.fixture
def load_frame(tmp_path):
    """Returns a function that loads an array as a frame."""

    def load(picture, size, label=""):
        [(path, _)] = frames_of(tmp_path, [picture])
        return animation.load_frame(path, size, label)

    return load


def save(path, width, height, color):
    Image.new("RGB", (width, height), color).save(path)
    return path


def read_gif(path):
    with Image.open(path) as gif:
        frames = [
            (f.info["duration"], f.size, f.convert("RGB")) for f in ImageSequence.Iterator(gif)
        ]
        return gif.info.get("loop"), frames


def test_a_thin_gif_is_not_stretched(tmp_path, write_gif):
    _, shown = read_gif(write_gif(tmp_path / "out.gif", [flat(2325, 16, 0.5)] * 2))
    assert {size for _, size, _ in shown} == {(512, 4)}


def test_gif_loops_at_one_size_and_holds_the_last_frame(tmp_path, write_gif):
    frames = [
        save(tmp_path / "a.jpg", 20, 15, "red"),
        flat(29, 21, 0.5),
        save(tmp_path / "c.png", 40, 30, "blue"),
    ]

    path = write_gif(tmp_path / "out.gif", frames, pace=80, HOLD_MS=2000)

    loop, shown = read_gif(path)
    assert loop == 0
    assert [duration for duration, _, _ in shown] == [80, 80, 2000]
    assert {size for _, size, _ in shown} == {(40, 30)}
    assert shown[1][2].getpixel((20, 15)) == (128, 128, 128)
    assert shown[2][2].getpixel((20, 15)) == (0, 0, 255)


def test_gif_is_not_enlarged_beyond_longest(tmp_path, write_gif):
    _, shown = read_gif(write_gif(tmp_path / "out.gif", [flat(60, 90, 0.2)], GIF_SIDE=30))

    assert shown[0][1] == (20, 30)


@pytest.mark.parametrize(("count", "pace"), [(3, 400), (10, 240), (31, 80)])
def test_few_frames_are_shown_longer(tmp_path, count, pace, write_gif):
    frames = [flat(16, 16, level) for level in np.linspace(0, 1, count)]

    _, shown = read_gif(write_gif(tmp_path / "out.gif", frames))

    assert [duration for duration, _, _ in shown] == [pace] * (count - 1) + [2500]


def test_of_too_many_frames_first_and_last_are_kept(tmp_path, write_gif):
    frames = [flat(16, 16, level) for level in np.linspace(0, 1, 101)]

    _, shown = read_gif(write_gif(tmp_path / "out.gif", frames, GIF_FRAMES=5))

    levels = [image.getpixel((0, 0))[0] for _, _, image in shown]
    assert levels == [0, 64, 128, 191, 255]


def test_gif_of_noise_stays_under_the_limit(tmp_path, write_gif):
    path = write_gif(tmp_path / "out.gif", noise(26, 48, 36), GIF_BYTES=40_000)

    _, shown = read_gif(path)
    assert path.stat().st_size <= 40_000
    assert len(shown) == 24
    assert 16 <= shown[0][1][0] < 48


def test_limit_that_no_gif_meets_is_refused_and_writes_nothing(tmp_path, write_gif):
    with pytest.raises(ValueError, match="out.gif: does not fit 50 bytes even with 16 px"):
        write_gif(tmp_path / "out.gif", noise(2, 20, 20), GIF_BYTES=50)

    assert list(tmp_path.iterdir()) == []


def test_gif_is_deterministic(tmp_path, write_gif):
    frames = noise(4, 40, 30)
    digests = {
        hashlib.sha256(write_gif(tmp_path / name, frames).read_bytes()).hexdigest()
        for name in ("a.gif", "b.gif")
    }

    assert len(digests) == 1


def test_strip_puts_pictures_of_one_height_in_a_row(tmp_path, write_strip):
    frames = [flat(20, 10, 0.0), save(tmp_path / "b.png", 15, 30, "red"), flat(40, 40, 0.5)]

    path = write_strip(tmp_path / "strip.png", frames, height=20, gap=3)

    with Image.open(path) as strip:
        assert strip.format == "PNG"
        assert strip.size == (40 + 3 + 10 + 3 + 20, 20)  # 20x10 at height 20 is 40 wide, ...
        row = [strip.getpixel((x, 10)) for x in (0, 39, 40, 42, 43, 52, 53, 55, 56, 75)]
    black, white, red, gray = (0, 0, 0), (255, 255, 255), (255, 0, 0), (128, 128, 128)
    assert row == [black, black, white, white, red, red, white, white, gray, gray]


def test_strip_labels_stand_below_their_pictures(tmp_path, write_strip):
    frames = [flat(100, 100, 0.0), flat(100, 100, 0.0)]

    path = write_strip(tmp_path / "strip.png", frames, ["", "step 500"], height=140, gap=10)

    with Image.open(path) as strip:
        pixels = np.asarray(strip)
    assert pixels.shape == (140 + 22, 290, 3)  # two lines of the smallest font, 11 px
    assert (pixels[140:, :150] == 255).all()
    assert (pixels[140:, 150:] < 255).any()


def test_strip_makes_very_wide_pictures_lower(tmp_path, write_strip):
    frames = [flat(400, 20, 0.0), flat(20, 20, 0.0)]

    path = write_strip(tmp_path / "strip.png", frames, height=40, gap=2)

    with Image.open(path) as strip:
        dark = np.asarray(strip).max(-1) == 0
    assert dark.shape == (40, 100 + 2 + 40)
    assert [dark[:, 50].sum(), dark[:, 120].sum()] == [5, 40]  # 100x5, as wide for its height
    assert dark[17:22, :100].all()  # in the middle


def test_strip_makes_room_for_a_label_longer_than_its_picture(tmp_path, write_strip):
    frames = [flat(5, 100, 0.0), flat(5, 100, 0.0)]

    path = write_strip(tmp_path / "strip.png", frames, ["content", "style " * 99], height=100)

    with Image.open(path) as strip:
        pixels = np.asarray(strip)
    inked = np.flatnonzero((pixels[100:] < 255).any((0, 2)))
    assert inked[0] < 5 < 90 < inked[-1]
    assert 5 + 8 + 5 < pixels.shape[1] < 8 + 2 * 100  # no wider than the height for each


def test_gif_labels_stay_with_their_frames_when_some_are_left_out(tmp_path, write_gif):
    frames = [flat(64, 64, 0.5)] * 9
    labels = ["", "1", "2", "3", "", "5", "6", "7", ""]

    _, shown = read_gif(write_gif(tmp_path / "out.gif", frames, labels, GIF_FRAMES=3))

    assert [duration for duration, _, _ in shown] == [400 * 2 + 2500]  # all alike: without labels


def test_gif_label_is_white_on_dark_whatever_the_palette(tmp_path, write_gif):
    frame = np.random.default_rng(0).uniform(0, 0.05, (240, 320, 3)).astype(np.float32)

    _, [(_, _, shown)] = read_gif(write_gif(tmp_path / "out.gif", [frame], ["1"]))

    assert np.asarray(shown)[200:, :40].max() > 200
    assert np.asarray(shown)[:200].max() < 50


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_label_is_legible_and_changes_only_the_lower_left_corner(level, load_frame):
    frame = flat(320, 240, level)

    before = np.asarray(load_frame(frame, (320, 240)), int)
    after = np.asarray(load_frame(frame, (320, 240), "1,500"), int)

    rows, columns = np.nonzero((before != after).any(-1))
    assert rows.min() > 240 * 0.85 and rows.max() < 239
    assert columns.min() > 0 and columns.max() < 320 * 0.25
    plate = after[rows.min() + 1, (columns.min() + columns.max()) // 2].max()
    assert after[rows.min() :, : columns.max()].max() > 230
    assert (255 + 13) / (plate + 13) > 2  # in encoded values; about a contrast of 5 in light


def test_label_grows_with_the_frame(load_frame):
    heights = []
    for side in (400, 800):
        changed = np.asarray(load_frame(flat(side, side, 1.0), (side, side), "7"))[..., 0] < 255
        heights.append(changed.any(1).sum())

    assert heights[1] == pytest.approx(2 * heights[0], abs=2)


@pytest.mark.parametrize("label", ["a\nb\tc", "\U0001f600", "\udc80\0", "\u65e5\u672c", "w" * 999])
def test_hostile_labels_are_drawn_within_the_frame(
    tmp_path, label, write_gif, write_strip, load_frame
):
    frames = [flat(64, 48, 0.9), flat(16, 16, 0.9)]

    assert load_frame(frames[0], (64, 48), label).size == (64, 48)
    assert load_frame(frames[1], (16, 16), label).size == (16, 16)
    write_strip(tmp_path / "strip.png", frames, [label, label], height=60)
    write_gif(tmp_path / "out.gif", frames, [label, label])


def test_label_without_printable_characters_changes_nothing(load_frame):
    frame = flat(64, 48, 0.9)

    assert load_frame(frame, (64, 48), " \n\0") == load_frame(frame, (64, 48))


# Videos


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
def write_mp4(write_animation):
    """Returns a function that writes arrays and files as a video, and returns its path."""
    return functools.partial(write_animation, animation.write_mp4)


def filled(width, height, *color):
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
    path = write_mp4(tmp_path / "out.mp4", [filled(64, 48, 200, 30, 30)], HOLD_MS=200)

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
    frames = [filled(64, 48, *color) for color in colors]

    path = write_mp4(tmp_path / "out.mp4", frames, pace=100, HOLD_MS=1000)

    pictures = decode(ffmpeg, path)
    assert pictures.shape == (3 * 3 + animation.FPS, 48, 64, 3)
    expected = np.repeat(colors, [3, 3, 3, animation.FPS], axis=0)
    assert np.abs(pictures - expected[:, None, None]).max() <= 6


@pytest.mark.parametrize(
    ("count", "seconds"), [(1, 2.5), (4, 3 * 0.4 + 2.5), (40, 39 / 15 + 2.5), (250, 249 / 30 + 2.5)]
)
def test_few_frames_of_a_video_are_shown_longer_and_many_faster(
    ffmpeg, tmp_path, count, seconds, write_mp4
):
    frames = [filled(16, 16, level, level, level) for level in np.linspace(0, 255, count)]

    path = write_mp4(tmp_path / "out.mp4", frames)

    assert len(decode(ffmpeg, path)) == pytest.approx(seconds * animation.FPS, abs=0.01)


def test_of_too_many_frames_of_a_video_first_and_last_are_kept(ffmpeg, tmp_path, write_mp4):
    frames = [filled(16, 16, level, level, level) for level in range(0, 255, 4)]

    path = write_mp4(tmp_path / "out.mp4", frames, VIDEO_FRAMES=3, pace=1, HOLD_MS=1)

    assert decode(ffmpeg, path)[:, 8, 8, 0].tolist() == pytest.approx([0, 128, 252], abs=4)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((37, 21), 1920, (36, 20)),
        ((36, 21), 1920, (36, 20)),
        ((301, 200), 90, (90, 60)),
        ((200, 301), 91, (60, 90)),
        ((16, 16), 1920, (16, 16)),
        ((16, 1000), 200, (2, 200)),
        ((1000, 16), 50, (94, 2)),  # 1.5 px
    ],
)
def test_size_is_even_and_limited(ffmpeg, tmp_path, size, longest, expected, write_mp4):
    frames = [filled(*size, 90, 120, 200)]

    path = write_mp4(tmp_path / "out.mp4", frames, VIDEO_SIDE=longest, HOLD_MS=100)

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
    frames = [filled(320, 240, 120, 160, 200)] * 5
    labels = ["0", "", "200", "", ""]

    path = write_mp4(
        tmp_path / "out.mp4", frames, labels, VIDEO_FRAMES=3, pace=100, HOLD_MS=100, QUALITY=10
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

    write_mp4(Path(name), [filled(16, 16, 1, 2, 3)], HOLD_MS=100)

    assert os.listdir(tmp_path) == [name]
    assert len(decode(ffmpeg, tmp_path / name)) == 3


def test_older_video_is_replaced(ffmpeg, tmp_path, write_mp4):
    path = tmp_path / "out.mp4"
    path.write_bytes(bytes(1 << 20))

    write_mp4(path, [filled(16, 16, 1, 2, 3)], HOLD_MS=100)

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
        write_mp4(tmp_path / "out.mp4", [filled(640, 480, 1, 2, 3)])

    assert caught.value.filename == str(tmp_path / "out.mp4")
    assert caught.value.strerror.isprintable()
    assert not isinstance(caught.value, BrokenPipeError)
    assert list(tmp_path.iterdir()) == []


def test_silent_failure_names_the_status(fake_ffmpeg, tmp_path, write_mp4):
    fake_ffmpeg("sys.exit(7)")

    with pytest.raises(OSError, match="it ended with status 7"):
        write_mp4(tmp_path / "out.mp4", [filled(640, 480, 1, 2, 3)])


def test_real_ffmpeg_that_fails_is_reported(ffmpeg, tmp_path, write_mp4):
    with pytest.raises(OSError, match="ffmpeg made no video: .*libx264.*bad"):
        write_mp4(tmp_path / "out.mp4", [filled(640, 480, 1, 2, 3)], QUALITY="bad")

    assert list(tmp_path.iterdir()) == []


def test_older_video_outlives_a_failure(fake_ffmpeg, tmp_path, write_mp4):
    fake_ffmpeg("sys.exit(1)")
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")

    with pytest.raises(OSError, match="ffmpeg"):
        write_mp4(path, [filled(16, 16, 1, 2, 3)])

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
    monkeypatch.setattr(animation, "STUCK_SECONDS", 0.5)

    with pytest.raises(OSError, match="it ended with status -9"):
        write_mp4(tmp_path / "out.mp4", [filled(640, 480, 1, 2, 3)])

    assert list(tmp_path.iterdir()) == []


def test_missing_ffmpeg_is_reported(tmp_path, monkeypatch, write_mp4):
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "missing"))

    with pytest.raises(InputError, match="^--mp4: there is no program .*/missing$"):
        animation.find_ffmpeg()
    with pytest.raises(InputError, match="^an MP4: there is no program .*/missing$"):
        write_mp4(tmp_path / "out.mp4", [filled(16, 16, 1, 2, 3)])

    assert list(tmp_path.iterdir()) == []


def test_missing_extra_is_reported_before_any_work(tmp_path, monkeypatch, write_mp4):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)

    with pytest.raises(InputError, match=r"^--mp4: needs pip install '\.\[video\]'$"):
        animation.find_ffmpeg()
    with pytest.raises(InputError, match=r"pip install '\.\[video\]'"):
        write_mp4(tmp_path / "out.mp4", [filled(16, 16, 1, 2, 3)])

    assert list(tmp_path.iterdir()) == []


def test_extra_without_ffmpeg_is_reported(monkeypatch):
    package = pytest.importorskip("imageio_ffmpeg")

    def find():
        raise RuntimeError("No ffmpeg exe\ncould be found.")

    monkeypatch.setattr(package, "get_ffmpeg_exe", find)

    with pytest.raises(InputError, match="^--mp4: No ffmpeg exe could be found.$"):
        animation.find_ffmpeg()


def test_installed_extra_passes(ffmpeg):
    animation.find_ffmpeg()
