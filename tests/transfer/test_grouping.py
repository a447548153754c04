"""Which runs can be one batch."""

import dataclasses

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import grouping

BASE = resolve(Config(content="photo.jpg", style=("painting.jpg",)))


def settings_of(**changes):
    return dataclasses.replace(BASE, **changes)


def group(most, *wanted):
    """Indices that go together, of (settings, size)."""
    names = {str(number): one for number, one in enumerate(wanted)}
    return [[int(name) for name in names] for names in grouping.group(names, most)]


def test_groups_are_full_before_the_next_one_begins():
    wanted = [(settings_of(seed=seed), (30, 40)) for seed in range(5)]
    assert group(2, *wanted) == [[0, 1], [2, 3], [4]]
    assert group(8, *wanted) == [[0, 1, 2, 3, 4]]


def test_kinds_are_kept_apart():
    small, large = settings_of(size=256), settings_of(size=512)
    wanted = [(small, (30, 40)), (large, (30, 40)), (small, (30, 40)), (large, (30, 40))]
    assert group(2, *wanted) == [[0, 2], [1, 3]]


def test_contents_of_one_size_in_the_plan_go_together():
    one, other, tall = (BASE, (300, 400)), (BASE, (600, 800)), (BASE, (400, 300))
    assert group(9, one, other, tall) == [[0, 1], [2]]
    square = settings_of(fit="crop")
    assert group(9, (square, (300, 400)), (square, (500, 300))) == [[0, 1]]


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"optimizer": "lbfgs"}, "--optimizer=lbfgs"),
        ({"distribute": "mirrored"}, "--distribute=mirrored"),
        ({"tile_size": 512}, "--tile_size=512"),
        ({"tolerance": 0.01}, "--tolerance=0.01"),
        ({"time_limit": 60.0}, "--time_limit"),
    ],
)
def test_some_settings_cannot_be_part_of_a_batch(settings, said):
    alone = settings_of(**settings)
    assert group(2, (alone, (30, 40)), (alone, (30, 40))) == [[0], [1]]
    with pytest.raises(InputError, match=f"^--batch: {said}.* cannot be used in a batch"):
        grouping.check([alone])


def test_the_setting_that_differs_is_named():
    with pytest.raises(InputError, match="the runs differ in --iterations"):
        grouping.check([BASE, settings_of(iterations=7)])


def test_all_have_the_same_terms():
    plain = settings_of(laplacian_weight=0.0)
    with pytest.raises(InputError, match="^--batch: only some of the runs have the term laplacian"):
        grouping.check([BASE, plain])
    assert group(2, (BASE, (30, 40)), (plain, (30, 40))) == [[0], [1]]


def test_pictures_may_differ_in_settings_of_their_own():
    grouping.check(
        [BASE, settings_of(content="b.jpg", style_weight=3.0, style_scale=2.0, seed=4, workdir="x")]
    )


@pytest.mark.parametrize(
    ("memory", "side", "count"),
    [
        (0, 512, 1),  # no GPU
        (80 << 30, 512, 8),  # 12 of these would make up 3 * 2^20 pixels, above the most
        (80 << 30, 1024, 3),
        (80 << 30, 4096, 1),
        (5000 << 20, 512, 4),  # 2^20 pixels fit
    ],
)
def test_as_many_pictures_as_fill_the_gpu(monkeypatch, memory, side, count):
    monkeypatch.setattr(grouping, "smallest_gpu_bytes", lambda: memory)
    assert grouping.filling_count(side * side) == count
    wanted = {str(number): (resolve(Config(size=side)), (side, side)) for number in range(9)}
    assert len(grouping.group(wanted, "auto")[0]) == count
