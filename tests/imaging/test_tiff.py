"""TIFFs of more than 8 bits, of kinds that Pillow reads wrongly, and of rare kinds."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from nst_keras.imaging.decoding import Decoder
from nst_keras.imaging.tiff import Tiff
from nst_keras.runtime.errors import InputError

SIDE = 16
TOP = {"uint8": 255, "uint16": 65535, "uint32": 2**32 - 1, "float16": 1, "float32": 1}


def ramp(channels, dtype="uint16"):
    """Samples (SIDE, SIDE, channels) of all sizes, and their values in [0, 1]."""
    values = np.random.default_rng(channels).random((SIDE, SIDE, channels))
    samples = (values * TOP[dtype]).astype(dtype)
    return samples, samples.astype(np.float64) / TOP[dtype]


def tiff(samples, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, metadata=None, **options)
    return stream.getvalue()


def decode(data):
    decoder = Decoder(10**6, 1)
    return decoder.floats(data), decoder.notes


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "float16", "float32"])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_color_of_all_depths_keeps_them(dtype, separate, order):
    samples, values = ramp(3, dtype)
    options = {"photometric": "rgb", "byteorder": order}
    if separate:
        data = tiff(np.moveaxis(samples, -1, 0), planarconfig="separate", **options)
    else:
        data = tiff(samples, **options)
    pixels, notes = decode(data)
    np.testing.assert_allclose(pixels, values, atol=1e-6)
    assert pixels.dtype == np.float32 and notes == []


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_composited_over_white(dtype, channels, kind):
    samples, values = ramp(channels + 1, dtype)
    color, alpha = values[..., :-1], values[..., -1:]
    if kind == "assocalpha":
        samples[..., :-1] = np.minimum(samples[..., :-1], samples[..., -1:])
        color = samples[..., :-1] / TOP[dtype]
    photometric = "rgb" if channels == 3 else "minisblack"
    pixels, notes = decode(tiff(samples, photometric=photometric, extrasamples=[kind]))
    expected = (color if kind == "assocalpha" else color * alpha) + 1 - alpha
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), atol=2e-3)
    assert notes == ["transparency was composited over white"]


LEFT_OUT = "channels beyond color and transparency were left out"


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("kinds", "alpha"),
    [
        (["unspecified"], None),
        (["unspecified", "unspecified"], None),
        (["unassalpha", "unspecified"], 3),
        (["unspecified", "unassalpha"], 4),
        ([], None),  # a fourth channel that is not declared at all
    ],
)
def test_channels_that_are_not_declared_as_alpha_are_left_out(dtype, kinds, alpha):
    samples, values = ramp(3 + max(len(kinds), 1), dtype)
    data = tiff(samples, photometric="rgb", extrasamples=kinds or ["unspecified"])
    if not kinds:  # the tag ExtraSamples, of shorts, becomes a private one
        data = data.replace(struct.pack("<HH", 338, 3), struct.pack("<HH", 65000, 3))
    pixels, notes = decode(data)
    opacity = 1 if alpha is None else values[..., alpha : alpha + 1]
    np.testing.assert_allclose(pixels, values[..., :3] * opacity + 1 - opacity, atol=2e-3)
    assert notes[0] == LEFT_OUT and (len(notes) == 2) == (alpha is not None)


@pytest.mark.parametrize(("channels", "is_read"), [(2, True), (3, False), (5, False)])
def test_gray_of_many_channels_is_refused_as_a_kind(channels, is_read):
    samples, values = ramp(channels)
    kinds = ["unspecified"] * (channels - 1)
    data = tiff(samples, photometric="minisblack", extrasamples=kinds, planarconfig="contig")
    if is_read:
        pixels, notes = decode(data)
        np.testing.assert_allclose(pixels[..., 0], values[..., 0], atol=1e-6)
        assert notes == [LEFT_OUT]
    else:
        with pytest.raises(InputError, match=f"kind that is not read .*{channels} x 16 bits"):
            decode(data)


def test_white_is_zero_where_the_file_says_so():
    samples, values = ramp(1)
    pixels, _ = decode(tiff(samples[..., 0], photometric="miniswhite"))
    np.testing.assert_allclose(pixels[..., :1], 1 - values, atol=1e-6)


@pytest.mark.parametrize("largest", [255, 65535])
def test_a_color_map_of_8_or_16_bits(largest):
    index = np.arange(256, dtype=np.uint8).reshape(SIDE, SIDE)
    table = np.random.default_rng(0).integers(0, largest, (3, 256), endpoint=True)
    table[:, 0] = largest
    data = tiff(index, photometric="palette", colormap=table.astype(np.uint16))
    pixels, _ = decode(data)
    # Pillow, which reads the common kind, takes the higher byte.
    np.testing.assert_allclose(pixels, (table / largest).T[index], atol=1 / 255)


def test_cmyk_without_a_profile_at_any_depth():
    for dtype in ("uint8", "uint16"):
        ink, values = ramp(4, dtype)
        pixels, notes = decode(tiff(ink, photometric="separated"))
        expected = (1 - values[..., :3]) * (1 - values[..., 3:])
        np.testing.assert_allclose(pixels, expected, atol=1.6 / 255)
        assert notes[-1].startswith("CMYK without a profile")


def test_lab_of_16_bits():
    # L = 60, a = 20, b = -20 as in `test_color.test_lab`: signed numbers of 256ths.
    one = np.array([60 / 100 * 65535, 20 * 256, 65536 - 20 * 256]).round().astype(np.uint16)
    pixels, _ = decode(tiff(np.broadcast_to(one, (SIDE, SIDE, 3)), photometric="cielab"))
    eight = Image.new("LAB", (SIDE, SIDE), (153, 148, 108))
    stream = io.BytesIO()
    eight.save(stream, "TIFF")
    np.testing.assert_allclose(pixels, decode(stream.getvalue())[0], atol=2 / 255)


def test_floats_out_of_range_are_clipped_in_color_and_stretched_in_gray():
    samples, values = ramp(3, "float32")
    pixels, notes = decode(tiff(samples * 2 - 0.5, photometric="rgb"))
    np.testing.assert_allclose(pixels, np.clip(values * 2 - 0.5, 0, 1), atol=1e-6)
    assert "were clipped to black and white" in notes[0]
    samples[0, 0] = np.nan, np.inf, -np.inf
    assert decode(tiff(samples, photometric="rgb"))[0][0, 0].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (np.zeros((SIDE, SIDE, 3), np.int8), {"photometric": "rgb"}),
        (np.zeros((SIDE, SIDE), np.complex64), {"photometric": "minisblack"}),
        (np.zeros((SIDE, SIDE, 5), np.uint16), {"planarconfig": "contig"}),
        (np.zeros((SIDE, SIDE, 3), np.uint16), {"photometric": 32845}),
        (np.zeros((SIDE, SIDE), np.uint16), {"photometric": "cfa"}),
    ],
)
def test_rare_kinds_are_not_called_damaged(samples, options):
    with pytest.raises(InputError, match="a TIFF of a kind that is not read"):
        decode(tiff(samples, **options))


def test_a_missing_codec_is_named(monkeypatch):
    data = tiff(ramp(4)[0], photometric="rgb", extrasamples=["unassalpha"])

    def fail(page):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    with pytest.raises(InputError, match=r"compressed with NONE need pip install '.\[tiff\]'"):
        decode(data)
    # Color of 16 bits that is not in planes is read by Pillow, with 8 of them.
    samples, values = ramp(3)
    pixels, notes = decode(tiff(samples, photometric="rgb"))
    np.testing.assert_allclose(pixels, values, atol=1.6 / 255)
    (note,) = notes
    assert note.startswith("16-bit color was read with 8 bits")


def test_missing_and_swollen_parts_are_found():
    whole = tiff(ramp(3)[0], photometric="rgb", rowsperstrip=4)
    with pytest.raises(ValueError, match="a part of the pixels is missing"):
        Tiff(whole[:-100]).samples((SIDE, SIDE))
    packed = tiff(ramp(3)[0], photometric="rgb", compression="deflate", rowsperstrip=4)
    found = Tiff(packed)
    found._page.__dict__["chunks"] = (1, SIDE, 3)
    with pytest.raises(ValueError, match="a part of the pixels is too large"):
        found.samples(found.size)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(orientation):
    tag = [(274, "H", 1, orientation, True)]
    deep, _ = ramp(3)
    shallow = (deep >> 8).astype(np.uint8)
    ours, _ = decode(tiff(shallow.astype(np.uint16) * 257, photometric="rgb", extratags=tag))
    pillows, _ = decode(tiff(shallow, photometric="rgb", extratags=tag))
    np.testing.assert_allclose(ours, pillows, atol=1e-6)


def test_only_the_first_frame():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for _ in range(2):
            writer.write(ramp(3)[0], photometric="rgb")
    assert decode(stream.getvalue())[1] == ["only the first frame was read"]


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", None])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_reduced_picture_holds_means(kind, channels):
    height, width = 4 * 100, 4 * 30  # more than a band of rows
    values = np.random.default_rng(0).random((height, width, channels + 1)).astype(np.float32)
    values[..., :-1] *= values[..., -1:]  # multiplied by alpha
    stored = values.copy() if kind else values[..., :-1]
    if kind == "unassalpha":
        stored[..., :-1] /= stored[..., -1:]
    photometric = "rgb" if channels == 3 else "minisblack"
    extra = {"extrasamples": [kind]} if kind else {}
    decoder = Decoder(10**6, 1, enough=100)
    stored = stored[..., 0] if stored.shape[-1] == 1 else stored
    pixels = decoder.floats(tiff(stored, photometric=photometric, **extra))
    means = values.reshape(100, 4, 30, 4, channels + 1).mean((1, 3))
    expected = means[..., :-1] + (1 - means[..., -1:] if kind else 0)
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, (100, 30, 3)), atol=1e-5)
    assert decoder.size == (height, width)


def test_memory_for_a_tiff_is_checked_before_it_is_decoded():
    data = tiff(np.zeros((1000, 1000, 3), np.uint16), photometric="rgb")
    needed = len(data) + 9_000_000 + 48_000_000  # 1.5 times the samples, and 4 copies as floats
    assert Decoder(10**6, 1, max_bytes=needed).floats(data).shape == (1000, 1000, 3)
    with pytest.raises(InputError, match="reading its 1000x1000 px takes about 0.059 GiB"):
        Decoder(10**6, 1, max_bytes=needed - 1).floats(data)


def test_a_kind_that_neither_library_reads_is_named():
    with pytest.raises(InputError, match=r"kind that is not read \(MINISBLACK, 1 x 64 bits signed"):
        decode(tiff(np.zeros((SIDE, SIDE), np.int64)))
