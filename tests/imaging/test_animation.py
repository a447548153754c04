"""GIFs and strips: sizes, timing, limits and labels."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageSequence

from nst_keras.imaging import animation
from tests.imaging.conftest import frames_of


def flat(width, height, level):
    return np.full((height, width, 3), level, np.float32)


def noise(count, width, height):
    return list(np.random.default_rng(0).random((count, height, width, 3), np.float32))


@pytest.fixture
def write_gif(tmp_path_factory, monkeypatch):
    """Returns a function that writes arrays and files as a GIF, and returns its path."""

    def write(path, pictures, labels=None, pace=None, **constants):
        if pace:
            monkeypatch.setattr(animation, "default_pace", lambda _: pace)
        for name, value in constants.items():
            monkeypatch.setattr(animation, name, value)
        frames = frames_of(tmp_path_factory.mktemp("frames"), pictures, labels)
        animation.write_gif(path, frames)
        return path

    return write


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
    with pytest.raises(ValueError, match="at least 16 px"):
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
