"""Weights files: what is read, and what is refused before TensorFlow is imported."""

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from nst_keras.network import vgg, weights
from nst_keras.runtime.errors import InputError

LAYER = "block3_conv2"


@pytest.fixture(scope="module")
def keras_vgg19():
    return keras.applications.VGG19(weights=None, include_top=False)


def same_arrays(ours, theirs):
    """Whether two mappings hold the same float32 arrays."""
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == np.float32 and np.array_equal(ours[name], theirs[name])
        for name in theirs
    )


def arrays_of(one):
    """What an `.npz` of these weights holds, without its header."""
    named = {f"{name}/kernel": kernel for name, kernel in one.kernels.items()}
    return named | {f"{name}/bias": bias for name, bias in one.biases.items()}


def save(path, one, fields=None, **changes):
    """Write an `.npz` by NumPy alone, some header fields or arrays changed; None leaves one out."""
    header = {"format": 1, "backbone": "vgg19", "channels": one.channels}
    header |= {"channel_order": "bgr", "mean": [103.939, 116.779, 123.68], "std": [1, 1, 1]}
    text = json.dumps({**header, **(fields or {})})
    arrays = {**arrays_of(one), "header": np.frombuffer(text.encode(), np.uint8), **changes}
    with open(path, "wb") as file:
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return path


def refusal(path, backbone="vgg19"):
    """The message with which a file is refused; it is one line that names flag and file."""
    with pytest.raises(InputError) as caught:
        weights.read_weights(path, backbone)
    message = str(caught.value)
    assert message.startswith(f"--weights={path}: ") and "\n" not in message
    return message.removeprefix(f"--weights={path}: ")


def test_npz_round_trip(tmp_path, tiny_weights):
    given = dataclasses.replace(
        tiny_weights, channel_order="rgb", mean=(1.5, 2.5, 3.5), std=(58.0, 57.0, 57.5)
    )
    weights.write_weights(tmp_path / "a.npz", given)
    read = weights.read_weights(tmp_path / "a.npz", "vgg19")
    assert same_arrays(read.kernels, given.kernels) and same_arrays(read.biases, given.biases)
    for name in ("backbone", "channels", "channel_order", "mean", "std"):
        assert getattr(read, name) == getattr(given, name), name


def test_the_hash_is_that_of_the_file(tmp_path, tiny_weights_path, tiny_weights):
    first = weights.read_weights(tiny_weights_path, "vgg19").sha256
    assert first == hashlib.sha256(tiny_weights_path.read_bytes()).hexdigest()
    other = {**tiny_weights.biases, LAYER: tiny_weights.biases[LAYER] + 1}
    weights.write_weights(tmp_path / "b.npz", dataclasses.replace(tiny_weights, biases=other))
    assert len(first) == 64
    assert weights.read_weights(tmp_path / "b.npz", "vgg19").sha256 != first


def test_a_file_is_opened_once_so_that_the_hash_is_of_what_was_read(tiny_weights_path, monkeypatch):
    opened, read = [], Path.read_bytes

    def counted(path):
        opened.append(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    monkeypatch.setattr("builtins.open", lambda *given, **_: pytest.fail(f"opened {given}"))
    weights.read_weights(tiny_weights_path, "vgg19")
    assert opened == [tiny_weights_path]


def test_codes_and_a_table_make_a_kernel(tmp_path, tiny_weights):
    shape = tiny_weights.kernels[LAYER].shape
    codes = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    table = np.linspace(-1, 1, 256).astype(np.float16)
    changes = {f"{LAYER}/kernel": None, f"{LAYER}/kernel_codes": codes}
    path = save(tmp_path / "a.npz", tiny_weights, **changes, **{f"{LAYER}/kernel_table": table})
    kernel = weights.read_weights(path, "vgg19").kernels[LAYER]
    assert kernel.dtype == np.float32
    one_by_one = [np.float32(table[code]) for code in codes.ravel()]
    np.testing.assert_array_equal(kernel.ravel(), one_by_one)


def test_arrays_of_float64_are_taken_as_float32(tmp_path, tiny_weights):
    wide = {name: array.astype(np.float64) for name, array in arrays_of(tiny_weights).items()}
    read = weights.read_weights(save(tmp_path / "a.npz", tiny_weights, **wide), "vgg19")
    assert same_arrays(read.kernels, tiny_weights.kernels)
    assert same_arrays(read.biases, tiny_weights.biases)


def test_the_embedded_weights_are_whole_and_not_trivial():
    read = weights.read_weights(weights.embedded_path(), "vgg19")
    assert read.channels == (64, 128, 256, 512, 512)
    assert (read.channel_order, read.mean) == ("bgr", (103.939, 116.779, 123.68))
    assert len(read.kernels) == len(read.biases) == 16
    assert min(kernel.std() for kernel in read.kernels.values()) > 1e-3


def test_keras_3_h5(tmp_path, keras_vgg19):
    check_h5(tmp_path / "a.weights.h5", keras_vgg19, keras_vgg19.save_weights)


def test_legacy_h5(tmp_path, keras_vgg19):
    check_h5(tmp_path / "a.h5", keras_vgg19, lambda path: save_legacy(path, keras_vgg19))


def save_legacy(path, model):
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def check_h5(path, model, write):
    """A file of Keras' VGG19 gives the model's weights as vgg19, and is refused as vgg16."""
    write(path)
    read = weights.read_weights(path, "vgg19")
    convs = {layer.name: layer.get_weights() for layer in model.layers if "conv" in layer.name}
    assert same_arrays(read.kernels, {name: kernel for name, (kernel, _) in convs.items()})
    assert same_arrays(read.biases, {name: bias for name, (_, bias) in convs.items()})
    assert read.channels == vgg.CHANNELS and read.mean == (103.939, 116.779, 123.68)
    assert "vgg16" in refusal(path, "vgg16")
    path.unlink()


def test_an_h5_without_a_layer_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["block1_conv1/block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 64), np.float32)
    assert refusal(tmp_path / "a.h5") == "has no block1_conv1; vgg19 needs it"


def test_an_h5_of_other_things_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dense/kernel"] = np.zeros((4, 4), np.float32)
    assert "has no block1_conv1" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".weights.h5"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 99, b"PK\x03\x04" + bytes(99)])
def test_garbage_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert refusal(path).startswith("cannot be read as weights: ")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_npz_is_refused(tmp_path, tiny_weights_path, share):
    data = tiny_weights_path.read_bytes()
    (tmp_path / "a.npz").write_bytes(data[: int(len(data) * share)])
    assert refusal(tmp_path / "a.npz").startswith("cannot be read as weights: ")


def test_a_changed_byte_is_refused(tmp_path, tiny_weights_path):
    data = bytearray(tiny_weights_path.read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "a.npz").write_bytes(data)
    assert "CRC" in refusal(tmp_path / "a.npz")


def test_a_missing_file_is_refused_with_the_choices(tmp_path):
    assert "embedded" in refusal(tmp_path / "none.npz")
    assert "no such file" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["a.pt", "a.npy", "a"])
def test_another_suffix_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert refusal(tmp_path / name) == "must be the path of a file that ends in .npz or .h5"


@pytest.mark.parametrize("suffix", ["kernel", "bias"])
def test_pickled_objects_are_refused_and_not_loaded(tmp_path, tiny_weights, suffix):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    trap = np.array([Trap()], object)
    path = save(tmp_path / "a.npz", tiny_weights, **{f"{LAYER}/{suffix}": trap})
    assert "allow_pickle" in refusal(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("suffix", "array", "said"),
    [
        ("kernel", np.zeros((3, 3, 8, 7), np.float32), "has shape (3, 3, 8, 7); vgg19 needs"),
        ("bias", np.zeros((9,), np.float32), "has shape (9,); vgg19 needs (8,)"),
        ("bias", np.zeros((), np.float32), "has shape (); vgg19 needs (8,)"),
        ("bias", np.full(8, np.nan, np.float32), "has values that are not finite"),
        ("kernel", np.full((3, 3, 8, 8), -np.inf, np.float32), "has values that are not finite"),
        ("bias", np.array(["a"] * 8), "cannot be read as weights: "),
    ],
)
def test_a_wrong_array_is_refused(tmp_path, tiny_weights, suffix, array, said):
    assert said in refusal(save(tmp_path / "a.npz", tiny_weights, **{f"{LAYER}/{suffix}": array}))


@pytest.mark.parametrize("suffix", ["kernel", "bias"])
def test_a_missing_layer_is_refused_by_name(tmp_path, tiny_weights, suffix):
    path = save(tmp_path / "a.npz", tiny_weights, **{f"{LAYER}/{suffix}": None})
    assert LAYER in refusal(path)


def test_codes_beyond_the_table_are_refused(tmp_path, tiny_weights):
    changes = {
        f"{LAYER}/kernel": None,
        f"{LAYER}/kernel_codes": np.full((3, 3, 8, 8), 9, np.uint8),
        f"{LAYER}/kernel_table": np.zeros(9, np.float32),
    }
    path = save(tmp_path / "a.npz", tiny_weights, **changes)
    assert refusal(path).startswith("cannot be read as weights: ")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": 2}, "has format 2; this version reads format 1"),
        ({"backbone": "vgg16"}, "contains vgg16 weights; add --backbone=vgg16"),
        ({"channel_order": "rbg"}, "channel_order='rbg': must be one of"),
        ({"mean": [1, 2]}, "mean and std must be three numbers"),
        ({"mean": [1, 2, float("nan")]}, "mean and std must be three numbers"),
        ({"std": [1, float("inf"), 1]}, "mean and std must be three numbers"),
        ({"mean": "abc"}, "cannot be read as weights: "),
        ({"mean": None}, "cannot be read as weights: "),
        ({"channels": [4, 6, 8, 8]}, "cannot be read as weights: "),
        ({"channels": "many"}, "cannot be read as weights: "),
        ({"channels": [4, 6, 8, 8, 9]}, "has shape (3, 3, 8, 8); vgg19 needs (3, 3, 8, 9)"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path, tiny_weights, fields, said):
    assert said in refusal(save(tmp_path / "a.npz", tiny_weights, fields))


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_header_is_refused(tmp_path, tiny_weights, text):
    path = save(tmp_path / "a.npz", tiny_weights, header=np.frombuffer(text, np.uint8))
    assert refusal(path).startswith("cannot be read as weights: ")


def test_a_file_that_declares_too_much_is_refused_before_inflating(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"x")
        archive.writestr("b.npy", b"x")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    for start in (entry, data.index(b"PK\x01\x02", entry + 1)):
        data[start + 24 : start + 28] = (0xFFFF0000).to_bytes(4, "little")  # the size inflated
    path.write_bytes(data)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("was opened"))
    assert refusal(path) == "is 8191 MiB; the limit is 4096 MiB"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with open(path, "wb") as file:
        file.truncate(5 << 30)  # a hole, which takes no place
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("was read"))
    assert refusal(path) == "is 5120 MiB; the limit is 4096 MiB"


def test_arrays_too_large_for_their_layer_are_refused(tmp_path, tiny_weights):
    wide = {f"{LAYER}/bias": np.zeros(100_000, np.float32)}
    path = save(tmp_path / "a.npz", tiny_weights, **wide)
    assert refusal(path) == f"{LAYER} would have 400128 bytes; too large for the layer"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["block1_conv1/kernel"] = np.zeros((3, 3, 3, 65), np.float32)
    expected = "block1_conv1 has shape (3, 3, 3, 65); must be at most (3, 3, 3, 64)"
    assert refusal(tmp_path / "a.h5") == expected


def test_the_flag_in_messages_can_be_named(tmp_path):
    with pytest.raises(InputError, match=r"^--teacher=.*none\.npz: "):
        weights.read_weights(tmp_path / "none.npz", "vgg19", "--teacher")


@pytest.mark.parametrize(("flag", "offered"), [("--weights", True), ("--initial", False)])
def test_only_what_a_flag_takes_is_offered(flag, offered):
    with pytest.raises(InputError, match=f"^{flag}=missing.npz: no such file") as caught:
        weights.read_weights("missing.npz", "vgg19", flag)
    assert ("imagenet" in str(caught.value)) == offered


def test_weights_are_equal_if_all_their_values_are(tiny_weights):
    def changed(**fields):
        return dataclasses.replace(tiny_weights, **fields)

    def with_one_off(arrays):
        return {**arrays, LAYER: arrays[LAYER] + np.float32(1.0)}

    without = {name: bias for name, bias in tiny_weights.biases.items() if name != LAYER}
    copied = {name: kernel.copy() for name, kernel in tiny_weights.kernels.items()}
    assert tiny_weights.equals(changed(kernels=copied))
    for other in (
        changed(kernels=with_one_off(tiny_weights.kernels)),
        changed(biases=with_one_off(tiny_weights.biases)),
        changed(biases=without),
        changed(channel_order="rgb"),
        changed(mean=(0.0, 0.0, 0.0)),
        changed(sha256="1" * 64),
    ):
        assert not tiny_weights.equals(other)
