"""The row of houses along the quay of the harbor."""

import dataclasses

import numpy as np

from .harbor_scene import (
    COOL,
    EYE,
    EYE_LINE,
    FRONTS,
    METER,
    REACH,
    ROOFS,
    VANISH,
    WARM,
    lit_wall,
    roof_tiles,
    scale_at,
    spot,
    window_glow,
)
from .tools import mix, palette, rgb


@dataclasses.dataclass
class House:
    """A house on the quay; lengths in meters, `near` and `end` are its ends along the quay."""

    near: float
    end: float
    eaves: float
    ridge: float
    kind: str
    front: np.ndarray
    roof: np.ndarray

    @property
    def far(self):
        """How much of the house is lost in the haze."""
        return 0.05 + 0.5 * (1 - scale_at(self.near)) ** 2

    def quad(self, u0, u1, low, high):
        """A rectangle on the front, in fractions of its width and in meters of height."""
        a, b = (self.near + (self.end - self.near) * u for u in (u0, u1))
        return [spot(a, low), spot(b, low), spot(b, high), spot(a, high)]


def gable_outline(house):
    """The front of a house as (fraction of width, meters up): its gable makes the skyline."""
    low, high = house.eaves, house.ridge
    if house.kind == "step":
        treads = [low + (high - low) * i / 4.4 for i in range(1, 6)]
        left = [(0.1 * (i // 2), h) for i, h in enumerate(np.repeat([low, *treads], 2)[1:10])]
        return [(0, 0), *left, *((1 - u, h) for u, h in left[::-1]), (1, 0)]
    if house.kind == "bell":
        left = [
            (0.42 - 0.42 * np.cos(t) ** 1.6, low + (high - low) * t / 1.57)
            for t in np.linspace(0, 1.57, 12)
        ]
        return [(0, 0), *left, (0.5, high + 0.5), *((1 - u, h) for u, h in left[::-1]), (1, 0)]
    if house.kind == "eaves":
        return [(0, 0), (0, low), (1, low), (1, 0)]
    return [(0, 0), (0, low), (0.5, high), (1, low), (1, 0)]


def build_house(rng, scene, house):
    """One house: its side and roof running back from the quay, then the front on top."""
    width = house.end - house.near
    middle = (house.near + house.end) / 2
    depth, far = 9.0, house.far
    pitch = max(1.6, 0.5 * METER * scale_at(house.near))
    side = [
        spot(house.near, 0),
        spot(house.near, house.eaves),
        spot(house.near, house.eaves, depth),
        spot(house.near, 0, depth),
    ]
    scene.fill(side, house.front * COOL * 0.42, far)
    tiles = roof_tiles(house.roof * 0.9, pitch)
    if house.kind == "eaves":
        back = spot(house.near, house.ridge, depth / 2), spot(house.end, house.ridge, depth / 2)
        scene.fill([side[1], back[0], side[2]], house.front * COOL * 0.45, far)
        slope = [
            spot(house.near - 0.2, house.eaves - 0.1, -0.3),
            spot(house.end + 0.2, house.eaves - 0.1, -0.3),
            back[1],
            back[0],
        ]
        scene.fill(slope, roof_tiles(house.roof * 1.15, pitch), far)
    else:
        top = spot(middle, house.ridge - 0.4), spot(middle, house.ridge - 0.4, depth)
        scene.fill([side[1], top[0], top[1], side[2]], tiles, far)
    build_chimney(rng, scene, house, middle)
    outline = [spot(house.near + width * u, h) for u, h in gable_outline(house)]
    sun = rng.uniform(0.35, 0.75)
    wall = lit_wall(
        house.front,
        lambda x: EYE_LINE + EYE * METER * (VANISH - x) / REACH,
        lambda x: house.ridge * METER * (VANISH - x) / REACH,
        sun,
    )
    scene.fill(outline, wall, far)
    if house.kind != "eaves":
        scene.line(
            outline[1:-1], 1.6 * scale_at(middle) + 0.5, mix(house.front, WARM, 0.4) * 0.95, far
        )
    scene.fill(house.quad(0, 0.05, 0, house.eaves), house.front * 0.2, far, 0.45)
    furnish_front(rng, scene, house)


def build_chimney(rng, scene, house, middle):
    """A chimney stack on the ridge, with a lighter pot."""
    place_along, high = middle + rng.uniform(-1, 1), house.ridge + 1.2
    for up0, up1, half, color in (
        (house.ridge - 1.5, high, 0.5, "#5a3c38"),
        (high, high + 0.35, 0.62, "#77534a"),
    ):
        box = [
            spot(place_along - half, up0, 3),
            spot(place_along + half, up0, 3),
            spot(place_along + half, up1, 3),
            spot(place_along - half, up1, 3),
        ]
        scene.fill(box, rgb(color), house.far)


def furnish_front(rng, scene, house):
    """Cornices, windows story by story, a door, and sometimes a shop with an awning."""
    far, scale = house.far, scale_at(house.near)
    stories = max(2, int(house.eaves / 3.1))
    rise = house.eaves / stories
    columns = max(2, round((house.end - house.near) / 2.3))
    for story in range(1, stories + (house.kind == "eaves")):
        level = story * rise
        scene.fill(house.quad(0, 1, level - 0.12, level + 0.10), house.front * 0.78, far, 0.8)
        scene.fill(house.quad(0, 1, level - 0.32, level - 0.12), house.front * 0.25, far, 0.45)
    for story in range(1, stories):
        for column in range(columns):
            u = (column + 0.5) / columns
            build_window(
                rng, scene, house, u, 0.42 / columns, story * rise + 0.75, 0.56 * rise, 0.42
            )
    if house.kind != "eaves" and house.ridge - house.eaves > 2.5:
        build_window(rng, scene, house, 0.5, 0.10, house.eaves + 0.3, 1.5, 0.3)
    door = rng.choice([0.2, 0.8])
    scene.fill(house.quad(door - 0.09, door + 0.09, 0, 2.5), house.front * 0.45, far)
    scene.fill(house.quad(door - 0.07, door + 0.07, 0, 2.2), rgb("#22302f"), far)
    shop = 0.62 if door < 0.5 else 0.38
    build_window(rng, scene, house, shop, 0.44, 0.7, 1.8, 0.75)
    if scale > 0.3 and rng.random() < 0.6:
        awning = palette("#8f2f2a", "#2f4f5f", "#7d6a35")[rng.integers(3)]
        left, right = (house.near + (house.end - house.near) * (shop + d) for d in (-0.25, 0.25))
        scene.fill(
            [spot(left, 2.9), spot(right, 2.9), spot(right, 2.3, -1.3), spot(left, 2.3, -1.3)],
            awning * 0.9,
            far,
        )


def build_window(rng, scene, house, u, breadth, low, height, chance):
    """A framed window with a sill and glazing bars: lit from within, or mirroring the sky."""
    far, half = house.far, breadth / 2
    scene.fill(
        house.quad(u - 1.22 * half, u + 1.22 * half, low - 0.12, low + height + 0.12),
        mix(house.front, rgb("#fff4e0"), 0.35) * 0.62,
        far,
    )
    lit = rng.random() < chance
    pane = window_glow(rng) if lit else mix(rgb("#1e2740"), rgb("#8a7f9c"), 0.45 * rng.random())
    scene.fill(house.quad(u - half, u + half, low, low + height), pane, 0.6 * far)
    if scale_at(house.near) > 0.24:
        bar = house.front * (0.55 if lit else 0.7)
        scene.fill(house.quad(u - 0.07 * half, u + 0.07 * half, low, low + height), bar, far)
        for level in (0.36, 0.70):
            y = low + level * height
            scene.fill(house.quad(u - half, u + half, y - 0.035, y + 0.035), bar, far)
    scene.fill(
        house.quad(u - 1.3 * half, u + 1.3 * half, low - 0.26, low - 0.10),
        mix(house.front, WARM, 0.5) * 0.85,
        far,
    )


def build_row(rng, scene):
    """The houses along the quay, drawn from far to near."""
    houses, along = [], -9.0
    while along < 190:
        width = rng.uniform(5.5, 9.0)
        eaves = rng.uniform(8.5, 12.5)
        kind = rng.choice(["gable", "step", "eaves", "bell"], p=[0.35, 0.25, 0.25, 0.15])
        house = House(
            along,
            along + width,
            eaves,
            eaves + rng.uniform(3.2, 4.8),
            kind,
            FRONTS[rng.integers(len(FRONTS))],
            ROOFS[rng.integers(len(ROOFS))],
        )
        houses.append(house)
        along += width + (rng.random() < 0.12) * 1.5
    for house in houses[::-1]:
        build_house(rng, scene, house)
