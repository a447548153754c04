"""`nst_keras.run`: its result with and without a folder, resuming, and what it refuses."""

import io
import shutil
import signal

import keras
import numpy as np
import pytest
from PIL import Image

import nst_keras
from nst_keras import Callback, Config, InputError, LossTerm, stylize
from nst_keras.imaging import images
from nst_keras.network.extractor import feature_extractor
from nst_keras.runs import command
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.errors import StepDropped
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import files_of, picture
from tests.imaging.conftest import p3_profile

CONTENT, STYLE = picture(40, 60, seed=1), picture(50, 50, seed=2)
LEFT = np.zeros(CONTENT.shape[:2], np.float32)
LEFT[:, :30] = 1.0
TWO_SCALES = {"scales": None, "min_size": 36, "coarse_iterations": 4}


@pytest.fixture(scope="module")
def settings(tiny_weights_path):
    """Keywords of a run of 6 steps."""
    return {
        "objective": "relative",
        "content_layers": "block2_conv1",
        "style_layers": "block1_conv1",
        "size": 48,
        "scales": 1,
        "iterations": 6,
        "precision": "float32",
        "log_every": 2,
        "weights": tiny_weights_path,
    }


@pytest.fixture
def in_folder(settings, tmp_path):
    """Keywords of the same run with a folder."""
    return {**settings, "workdir": tmp_path / "job", "scores": False, "gif": False}


@pytest.fixture(scope="module")
def expected(settings):
    """The last iterate of the same run by `stylize`."""
    *_, last = stylize(CONTENT, STYLE, **settings)
    return last


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    """The result of the run with a folder, and its keywords; neither is to be changed."""
    workdir = tmp_path_factory.mktemp("finished") / "job"
    given = {**settings, "workdir": workdir, "scores": False, "gif": False}
    return nst_keras.run(CONTENT, STYLE, **given), given


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        self.stop = batch >= self.step


def test_without_a_folder_it_returns_what_stylize_yields_last(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two = {**settings, **TWO_SCALES}
    *_, expected = stylize(CONTENT, STYLE, **two)
    found = nst_keras.run(CONTENT, STYLE, Config(seed=0), **two)
    np.testing.assert_array_equal(found.image, expected.image)
    assert found.image.dtype == np.float32
    assert (found.step, found.total_steps, found.finished) == (10, 10, True)
    assert found.losses["step"] == [1, 2, 4, 5, 6, 8, 10]
    assert set(found.losses) == {"step", *expected.terms}
    assert found.losses["total"][-1] == expected.terms["total"]
    assert (found.page, found.folder, found.scores) == (None, None, {})
    assert not list(tmp_path.iterdir())


def test_with_a_folder_it_writes_what_the_command_writes(in_folder, tmp_path):
    photo, painting = tmp_path / "photo.png", tmp_path / "painting.png"
    images.write_image(photo, CONTENT)
    images.write_image(painting, STYLE)
    found = nst_keras.run(photo, painting, **in_folder)
    flags = f"--flagfile={found.folder / 'flags.cfg'}"
    assert command.main([flags, f"--workdir={tmp_path / 'again'}"]) == 0
    ours, theirs = files_of(found.folder), files_of(tmp_path / "again")
    differing = {"run.json", "index.html", "flags.cfg"}  # hold times, commands and the folder
    differing |= {name for name in ours if name.startswith("checkpoints/")}
    assert set(ours) == set(theirs)
    for name in set(ours) - differing:
        assert ours[name] == theirs[name], name
    assert found.page.is_file() and found.finished
    np.testing.assert_array_equal(
        images.read_image(found.folder / "result.png").pixels,
        images.to_uint8(found.image) / np.float32(255),
    )


def test_pictures_in_memory_are_kept_in_the_folder_exactly(finished, in_folder, expected):
    found, _ = finished
    np.testing.assert_array_equal(found.image, expected.image)
    kept = images.read_image(found.folder / "inputs/given_content.tif").pixels
    np.testing.assert_array_equal(kept, CONTENT)
    eight = images.to_uint8(CONTENT)
    other = nst_keras.run(eight, [STYLE], **in_folder)
    kept = images.read_image(other.folder / "inputs/given_content.png").pixels
    np.testing.assert_array_equal(kept, eight / np.float32(255))


@pytest.mark.parametrize("again", ["the same call", "the folder alone", "the command"])
def test_a_stopped_run_resumes(in_folder, expected, again):
    first = nst_keras.run(CONTENT, STYLE, callbacks=StopAt(4), **in_folder)
    assert (first.step, first.finished) == (4, False)
    assert first.image.shape == expected.image.shape
    assert first.losses["step"] == [1, 2, 4]
    if again == "the command":
        assert command.main([f"--workdir={first.folder}"]) == 0
        found = nst_keras.run(workdir=first.folder)
    elif again == "the folder alone":
        found = nst_keras.run(workdir=str(first.folder))
    else:
        found = nst_keras.run(CONTENT, STYLE, **in_folder)
    assert found.finished and found.losses["step"] == [1, 2, 4, 6]
    np.testing.assert_array_equal(images.to_uint8(found.image), images.to_uint8(expected.image))


def test_checkpoints_alone_resume_as_well(settings, expected, tmp_path):
    given = {**settings, "checkpoints": tmp_path}
    first = nst_keras.run(CONTENT, STYLE, callbacks=[StopAt(4)], **given)
    assert (first.step, first.finished) == (4, False)
    found = nst_keras.run(CONTENT, STYLE, **given)
    assert found.losses["step"] == [6]  # of this call
    np.testing.assert_array_equal(found.image, expected.image)


class Tell(Callback):
    """Notes the begin and the end of what is computed."""

    def __init__(self):
        self.told = []

    def on_train_begin(self, logs=None):
        self.told.append("begin")

    def on_train_end(self, logs=None):
        self.told.append("end")


def test_a_finished_run_is_returned_and_nobody_is_told(finished):
    (first, given), tell = finished, Tell()
    again = nst_keras.run(CONTENT, STYLE, callbacks=tell, **given)
    assert again.finished and tell.told == []
    np.testing.assert_array_equal(again.image, images.to_uint8(first.image) / np.float32(255))


def test_the_device_is_chosen_without_a_folder_as_well(settings, expected):
    found = nst_keras.run(CONTENT, STYLE, device="cpu", **settings)
    np.testing.assert_array_equal(found.image, expected.image)
    with pytest.raises(InputError, match="^device=gpu: "):
        nst_keras.run(CONTENT, STYLE, device="gpu", **settings)


def test_an_own_extractor_is_part_of_the_run(in_folder, settings, tiny_weights, capsys):
    layers = ("block1_conv1", "block2_conv1")
    model = feature_extractor(tiny_weights, layers)
    first = nst_keras.run(CONTENT, STYLE, extractor=model, callbacks=StopAt(4), **in_folder)
    record = RunFolder(first.folder).read_record()
    assert record.resume_command == "nst_keras.run(...)  # with the same extractor"
    image = keras.Input((None, None, 3))
    other = keras.Model(image, {name: keras.layers.Identity()(image) for name in layers})
    for others in ({"extractor": other}, {}):
        with pytest.raises(InputError, match="^workdir=.*: contains another run"):
            nst_keras.run(CONTENT, STYLE, **in_folder, **others)
    assert command.main([f"--workdir={first.folder}"]) == 2
    assert "its run has an extractor of its own; resume it in Python" in capsys.readouterr().err
    found = nst_keras.run(CONTENT, STYLE, extractor=model, **in_folder)
    assert found.finished
    expected = nst_keras.run(CONTENT, STYLE, extractor=model, **settings)
    np.testing.assert_array_equal(images.to_uint8(found.image), images.to_uint8(expected.image))


def interrupt_at(monkeypatch, step):
    """Have Ctrl-C come while a step is computed."""
    normal = ScaleRun.run

    def run(self, steps):
        losses = normal(self, steps)
        if self.steps == step:
            signal.raise_signal(signal.SIGINT)
        return losses

    monkeypatch.setattr(ScaleRun, "run", run)


@pytest.mark.parametrize("folder", [False, True])
def test_an_interrupt_returns_what_is_there(in_folder, settings, monkeypatch, folder):
    interrupt_at(monkeypatch, 2)
    found = nst_keras.run(CONTENT, STYLE, **(in_folder if folder else settings))
    assert (found.step, found.finished) == (2, False)
    assert 0 <= found.image.min() < found.image.max() <= 1


@pytest.mark.parametrize("folder", [False, True])
def test_an_interrupt_before_there_is_a_picture_is_raised(in_folder, settings, monkeypatch, folder):
    def run(self, steps):
        signal.raise_signal(signal.SIGINT)
        raise StepDropped("tile 1 of 2")

    monkeypatch.setattr(ScaleRun, "run", run)
    with pytest.raises(KeyboardInterrupt):
        nst_keras.run(CONTENT, STYLE, **(in_folder if folder else settings))


def test_masks_and_several_styles_are_taken(in_folder, settings):
    styles, masks = [STYLE, picture(45, 70, seed=8)], [LEFT, "rest"]
    *_, expected = stylize(CONTENT, styles, style_mask=masks, **settings)
    for given in (settings, in_folder):
        found = nst_keras.run(CONTENT, styles, style_mask=masks, **given)
        np.testing.assert_array_equal(found.image, expected.image)


def test_masks_by_their_alpha_are_the_same_in_a_folder(in_folder, settings):
    black = np.zeros((*LEFT.shape, 4), np.uint8)
    black[..., 3] = 255 * LEFT  # painted in black on a transparent ground
    file = io.BytesIO()
    Image.fromarray(black).save(file, "PNG")
    styles = [STYLE, picture(45, 70, seed=8)]
    *_, expected = stylize(CONTENT, styles, style_mask=[LEFT, "rest"], **settings)
    found = nst_keras.run(CONTENT, styles, style_mask=[file, "rest"], **in_folder)
    np.testing.assert_array_equal(found.image, expected.image)


def test_a_config_may_name_the_pictures(settings, picture_paths):
    content, style = map(str, picture_paths)
    *_, expected = stylize(content, style, **settings)
    found = nst_keras.run(config=Config(content=content, style=style), **settings)
    np.testing.assert_array_equal(found.image, expected.image)


def test_an_optimizer_of_keras_keeps_its_settings_and_resumes(in_folder, settings):
    slow, quick = (
        nst_keras.run(CONTENT, STYLE, optimizer=keras.optimizers.SGD(rate), **settings)
        for rate in (1e-9, 1e-2)
    )
    assert np.abs(slow.image - quick.image).max() > 0.01
    given = {**in_folder, "schedule": "constant"}

    def optimizer():
        decay = keras.optimizers.schedules.ExponentialDecay(0.02, 3, 0.5)
        return keras.optimizers.Adam(decay, beta_1=0.5)

    whole = nst_keras.run(CONTENT, STYLE, optimizer=optimizer(), **given, overwrite=True)
    given["workdir"] = whole.folder.parent / "parts"
    first = nst_keras.run(CONTENT, STYLE, optimizer=optimizer(), callbacks=StopAt(4), **given)
    assert not first.finished
    second = nst_keras.run(CONTENT, STYLE, optimizer=optimizer(), **given)
    np.testing.assert_array_equal(second.image, whole.image)
    assert (second.folder / "result.png").read_bytes() == (whole.folder / "result.png").read_bytes()


def test_an_own_term_is_part_of_the_run(in_folder):
    def term(weight):
        return LossTerm("dark", weight, lambda pixels: keras.ops.mean(keras.ops.square(pixels)))

    first = nst_keras.run(CONTENT, STYLE, terms=term(5.0), callbacks=StopAt(4), **in_folder)
    assert first.losses["dark"][0] > 0
    for others in ({"terms": term(6.0)}, {}):
        with pytest.raises(InputError, match="contains another run .*sha256 of term dark"):
            nst_keras.run(CONTENT, STYLE, **others, **in_folder)
    found = nst_keras.run(CONTENT, STYLE, terms=[term(5.0)], **in_folder)
    assert found.finished and len(found.losses["dark"]) == 4


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"mp4": True}, InputError, "^mp4=True: needs workdir, the run's folder"),
        ({"output": "a.png"}, InputError, "^output=a.png: needs workdir"),
        ({"style_weigth": 3}, TypeError, "did you mean style_weight"),
        ({"callbacks": 3}, InputError, "^callbacks: int is no nst_keras.Callback"),
        ({"content": "no.png"}, InputError, "^content=no.png: no such file"),
        ({"content": 3, "workdir": "job"}, InputError, "^content: is of type int"),
        ({"style": [], "workdir": "job"}, InputError, "^style is missing"),
        ({"workdir": "job", "checkpoints": "x"}, InputError, "^checkpoints: workdir has the state"),
        ({"distribute": "multiworker", "workdir": "job"}, InputError, "^distribute=multiworker: "),
        ({"scales": 33}, InputError, "^scales=33: must be a whole number from 1 to 32, or auto"),
    ],
)
def test_bad_input_is_refused_in_the_words_of_python(
    settings, given, error, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    pictures = {"content": CONTENT, "style": STYLE}
    with pytest.raises(error, match=said) as caught:
        nst_keras.run(**{**pictures, **settings, **given})
    assert "--" not in str(caught.value)
    assert not (tmp_path / "job").exists()


def test_another_run_in_the_folder_is_refused_unless_it_is_overwritten(finished, in_folder):
    shutil.copytree(finished[0].folder, in_folder["workdir"])
    with pytest.raises(InputError, match="^workdir=.*: contains another run .*overwrite=True"):
        nst_keras.run(CONTENT, STYLE, **{**in_folder, "seed": 3})
    given, tell = {**in_folder, "seed": 3, "overwrite": True}, Tell()
    other = nst_keras.run(CONTENT, STYLE, callbacks=tell, **given)
    assert other.finished and tell.told == ["begin", "end"]
    assert "--seed=3" in (other.folder / "flags.cfg").read_text()


def test_a_folder_with_pictures_from_memory_can_be_moved(in_folder, expected):
    first = nst_keras.run(CONTENT, STYLE, callbacks=StopAt(2), style_weight=8, **in_folder)
    moved = first.folder.rename(first.folder.with_name("moved"))
    assert command.main([f"--workdir={moved}"]) == 0
    assert RunFolder(moved).read_record().status == "finished" and not first.folder.exists()


def test_files_in_memory_stay_as_they_are(in_folder, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(images.to_uint8(CONTENT)).save(buffer, "JPEG")
    cut = buffer.getvalue()[:-300]
    with pytest.raises(InputError, match="^content: .*truncated=True reads what is there"):
        nst_keras.run(cut, STYLE, **in_folder)
    with open(tmp_path / "s.png", "w+b") as file:
        file.write(images.png_bytes(STYLE))
        found = nst_keras.run(cut, file, truncated=True, **in_folder)
    assert (found.folder / "inputs/given_content.jpeg").read_bytes() == cut
    assert (found.folder / "inputs/given_style_1.png").read_bytes() == images.png_bytes(STYLE)


def test_an_image_of_pillow_keeps_its_profile_and_its_notes(in_folder):
    profile = p3_profile()
    image = Image.fromarray(images.to_uint8(CONTENT))
    image.putalpha(128)
    image.info["icc_profile"] = profile
    found = nst_keras.run(image, STYLE, profile="input", **in_folder)
    notes = found.folder and RunFolder(found.folder).read_record().notes
    assert found.profile == profile and any("transparen" in note for note in notes)
    shown = Image.open(io.BytesIO(found._repr_png_()))
    assert shown.info["icc_profile"] == profile
