"""What a run reads: each file once, checked, before TensorFlow is needed."""

import builtins
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.network import vgg
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config, parse_config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import read_inputs, sources
from tests.conftest import picture
from tests.transfer.conftest import CONTENT, STYLE


@pytest.fixture
def named(tmp_path, tiny_weights_path):
    """Settings that name a file for everything that can be read."""
    for name, height, width in (("photo", 40, 60), ("first", 50, 50), ("second", 30, 70)):
        images.write_image(tmp_path / f"{name}.png", picture(height, width, seed=height))
    images.write_image(tmp_path / "start.png", picture(64, 64, seed=5))
    return resolve(
        Config(
            content=str(tmp_path / "photo.png"),
            style=(str(tmp_path / "first.png"), str(tmp_path / "second.png")),
            init=str(tmp_path / "start.png"),
            weights=str(tiny_weights_path),
            size=48,
        )
    )


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_everything_that_is_named_is_read_and_hashed(named, tiny_weights):
    found = read_inputs(named)
    assert found.content.shape == (40, 60, 3) and found.init.shape == (64, 64, 3)
    assert [style.shape for style in found.styles] == [(50, 50, 3), (30, 70, 3)]
    assert found.architecture(named) == vgg.architecture("vgg19", tiny_weights.channels)
    assert found.hashes == {
        "content": sha256(named.content),
        "style 1": sha256(named.style[0]),
        "style 2": sha256(named.style[1]),
        "init": sha256(named.init),
        "weights": sha256(named.weights),
    }
    assert found.notes == ()


def test_each_picture_is_opened_once(named, monkeypatch):
    opened, normal = [], builtins.open

    def counted(file, *arguments, **options):
        opened.append(str(file))
        return normal(file, *arguments, **options)

    monkeypatch.setattr(builtins, "open", counted)
    read_inputs(named)
    for path in (named.content, *named.style, named.init):
        assert opened.count(path) == 1, path


def test_hashed_bytes_are_the_used_picture_even_if_the_file_is_replaced(named, monkeypatch):
    before, normal = sha256(named.init), images.read_image

    def replaced(path, *arguments, **options):
        found = normal(path, *arguments, **options)
        if path == named.init:
            images.write_image(path, picture(64, 64, seed=6))
        return found

    monkeypatch.setattr(images, "read_image", replaced)
    found = read_inputs(named)
    assert sha256(named.init) != before == found.hashes["init"]
    np.testing.assert_allclose(found.init, picture(64, 64, seed=5), atol=0.5 / 255 + 1e-6)


def test_sources_are_what_the_settings_name_or_what_is_given_instead(named):
    assert [(source.name, source.flag) for source in sources(named)] == [
        ("content", "--content"),
        ("style 1", "--style"),
        ("style 2", "--style"),
        ("init", "--init"),
        ("weights", "--weights"),
    ]
    plain = dataclasses.replace(named, init="noise", weights="imagenet")
    assert [source.name for source in sources(plain, CONTENT, [STYLE])] == ["content", "style 1"]
    embedded = sources(dataclasses.replace(plain, weights="embedded"))[-1]
    assert embedded.name == "weights" and Path(embedded.origin).exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"content": None}, "--content is missing"),
        ({"content": ""}, "--content is missing"),
        ({"style": ()}, "--style is missing"),
        ({"content": "missing.jpg"}, "--content=missing.jpg: no such file"),
        ({"style": ("missing.jpg",)}, "--style=missing.jpg: no such file"),
        ({"init": "missing.jpg"}, "--init=missing.jpg: no such file"),
        ({"weights": "missing.npz"}, "--weights=missing.npz: no such file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_flag(named, changes, words):
    with pytest.raises(InputError, match=words):
        read_inputs(dataclasses.replace(named, **changes))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros((40, 60, 5), np.uint8), "^content: has shape"),
        (np.full((40, 60, 3), np.nan), "^content: has values that are not finite"),
        (b"", "^content: is empty"),
    ],
)
def test_bad_arrays_are_refused(tiny_weights, content, words):
    with pytest.raises(InputError, match=words):
        read_inputs(resolve(Config()), content, STYLE, tiny_weights)


def test_bytes_and_floats_are_the_same_picture(tiny_weights):
    as_bytes = images.to_uint8(CONTENT)
    found = [
        read_inputs(resolve(Config(size=48)), content, STYLE, tiny_weights).content
        for content in (as_bytes, as_bytes / np.float32(255), as_bytes / np.float64(255))
    ]
    for pixels in found:
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, found[0])


def test_arrays_have_no_hash_and_weights_that_are_given_are_not_read_again(tiny_weights):
    settings = resolve(Config(size=48, weights="missing.npz"))
    found = read_inputs(settings, CONTENT, [STYLE, STYLE], tiny_weights)
    assert found.weights is tiny_weights and len(found.styles) == 2
    assert found.hashes == {"weights": tiny_weights.sha256}


def test_bytes_have_the_hash_of_their_file(named, tiny_weights):
    data = Path(named.content).read_bytes()
    found = read_inputs(dataclasses.replace(named, init="content"), data, STYLE, tiny_weights)
    assert found.hashes["content"] == sha256(named.content)
    np.testing.assert_array_equal(found.content, read_inputs(named).content)


def test_notes_about_pictures_in_memory_name_them(tiny_weights):
    faint = np.full((40, 60, 4), 0.5)
    found = read_inputs(resolve(Config(size=48)), CONTENT, [STYLE, faint], tiny_weights)
    assert found.notes == ("style 2: transparency was composited over white",)


def test_without_weights_the_network_has_its_usual_channels():
    settings = resolve(Config(size=48, weights="imagenet"))
    found = read_inputs(settings, CONTENT, STYLE)
    assert found.weights is None and found.hashes == {}
    assert found.architecture(settings) == vgg.architecture("vgg19")


def test_a_content_is_cropped_as_fit_says(tiny_weights):
    settings = resolve(Config(size=32, fit="crop"))
    found = read_inputs(settings, CONTENT, STYLE, tiny_weights)
    np.testing.assert_array_equal(found.content, CONTENT[:, 10:50])


@pytest.mark.parametrize(
    ("changes", "content", "style", "init"),
    [
        ({}, (48, 144), (144, 72), (144, 288)),
        ({"style_scale": 2.0}, (48, 144), (288, 144), (144, 288)),
        ({"fit": "crop"}, (144, 144), (144, 72), (144, 288)),
        ({"size": "original"}, (400, 1200), (2000, 1000), (1000, 2000)),
        ({"size": 201}, (400, 1200), (603, 302), (1000, 2000)),
    ],
)
def test_pictures_are_reduced_to_three_times_what_is_needed(
    named, tmp_path, changes, content, style, init
):
    paths = {}
    for name, size in (("content", (400, 1200)), ("style", (2000, 1000)), ("init", (1000, 2000))):
        paths[name] = str(tmp_path / f"large_{name}.png")
        images.write_image(paths[name], np.full((*size, 3), 0.25, np.float32))
    paths["style"] = (paths["style"],)
    found = read_inputs(dataclasses.replace(named, **paths, **changes))
    shapes = [it.shape[:2] for it in (found.content, *found.styles, found.init)]
    assert shapes == [content, style, init]
    used = (400, 400) if "fit" in changes else (400, 1200)
    assert found.sizes == {"content": used, "style 1": (2000, 1000), "init": (1000, 2000)}
    assert found.held_bytes == sum(12 * height * width for height, width in shapes)
    np.testing.assert_allclose(found.content, 64 / 255, atol=1e-6)


def test_reading_counts_for_the_memory_limit(named, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    words = f"--content={named.content}: reading its 60x40 px takes about .* GiB, but .* available"
    with pytest.raises(InputError, match=words):
        read_inputs(dataclasses.replace(named, memory_limit=1000))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # there, the limit is the GPU's
    assert read_inputs(dataclasses.replace(named, memory_limit=1000)).content.size


def test_a_cut_picture_is_read_if_asked_for(named, tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(Path(named.content).read_bytes()[:-600])
    cut = dataclasses.replace(named, content=str(path))
    words = f"--content={path}: damaged or cut short; --truncated reads what is there"
    with pytest.raises(InputError, match=words):
        read_inputs(cut)
    found = read_inputs(dataclasses.replace(cut, truncated=True))
    assert "cut short" in found.notes[0]
    np.testing.assert_array_equal(found.content[0], read_inputs(named).content[0])


def test_a_style_blend_needs_as_many_styles(tiny_weights):
    settings = resolve(Config(style_blend=(1.0, 2.0)))
    with pytest.raises(
        InputError, match="--style_blend=1.0,2.0: has 2 values, but the number of styles is 1"
    ):
        read_inputs(settings, CONTENT, STYLE, tiny_weights)


@pytest.mark.parametrize(
    ("size", "noted"), [(60, False), (61, True), ("original", False), (48, False)]
)
def test_an_enlarged_content_is_noted(named, size, noted):
    found = read_inputs(dataclasses.replace(named, size=size))
    text = f"--content={named.content}: is 60x40, enlarged to --size={size}"
    assert found.notes == ((text,) if noted else ())


def test_a_comma_in_the_path_of_a_style_has_a_hint(picture_paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, style = picture_paths
    (tmp_path / "one, two.png").write_bytes(style.read_bytes())
    flags = [f"--content={content}", "--style=one, two.png,one, two.png"]
    with pytest.raises(InputError) as caught:
        read_inputs(resolve(parse_config(flags)[0]))
    hint = "write \\, for a comma in a path, and put one with spaces in quotes"
    assert str(caught.value) == f"--style=one: no such file; {hint}"
    assert caught.value.flags == ("style",)
    flags[1] = r"--style=one\, two.png"
    assert len(read_inputs(resolve(parse_config(flags)[0])).styles) == 1
