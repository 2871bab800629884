"""What is chosen for volumes: the size of their voxels, the levels at which a network leaves an axis alone, patches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from ushape.data.folder import Survey
from ushape.geometry.anisotropy import COARSE, flat_levels
from ushape.models import outlined
from ushape.models.unet3d import UNet3D

Tables = Mapping[str, Any]  # Any: settings of every kind
Choice = tuple[str, dict[str, dict[str, Any]], str]

_BATCH = 2
_VALIDATIONS = 5
_PATCH_VOXELS = {"cpu": 2**17, "mps": 2**17}  # a step of two of them takes a processor seconds
_PATCH_VOXELS_OF_GPU = 2**20
_SPACING_DIGITS = 6  # of what is written into a recipe

_PADDED = "padding, which is not as published: of an unpadded patch of 132 x 132 x 116 voxels, 1 in 36 is answered for"


def of_volumes(found: Survey, name: str, tables: Tables, device_type: str) -> Iterator[Choice]:
    """The choices for a network of volumes on these, and why."""
    shape = tuple(round(median(facts.shape[axis] for facts in found.images.values())) for axis in range(3))
    spacing, why = _spacing(found, shape)
    if tables.get("data", {}).get("spacing"):
        spacing = tuple(float(length) for length in tables["data"]["spacing"])
    else:
        yield "voxel", {"data": {"spacing": list(spacing)}}, why
    asked = tables.get("model", {}).get("options", {})
    network = outlined(name, **{key: asked[key] for key in ("depth", "flat_levels") if key in asked})
    assert isinstance(network, UNet3D), name
    depth = network.depth
    levels = list(asked.get("flat_levels", flat_levels(spacing, _alike(shape), depth)))
    options = {"padding": "same", "flat_levels": levels}
    yield "network", {"model": {"name": name, "options": options}}, f"{_PADDED}{_flat_in_words(levels)}"
    multiples = [2 ** (depth - level) for level in levels]
    deep, side = _patch(spacing, shape, multiples, _PATCH_VOXELS.get(device_type, _PATCH_VOXELS_OF_GPU))
    reason = f"{deep} x {side} x {side} voxels, which are about as deep as wide where the volumes are"
    sizes = {"output_depth": deep, "output_size": side, "batch": _BATCH}
    yield "patch", {"training": sizes}, f"{reason}; the median volume has {_times(shape)}"
    reason = f"{_VALIDATIONS}: the context of a volume makes a look at it slow"
    yield "validations", {"training": {"validations": _VALIDATIONS}}, reason


def _spacing(found: Survey, shape: tuple[int, ...]) -> tuple[tuple[float, ...], str]:
    """(z, y, x) lengths of a voxel, in micrometres where the files state them, and where they come from."""
    stated = [facts.spacing for facts in found.images.values() if facts.spacing]
    if stated:
        spacing = tuple(float(f"{median(each[axis] for each in stated):.{_SPACING_DIGITS}g}") for axis in range(3))
        return spacing, f"{_times(spacing)} µm (z, y, x), the median of what {len(stated)} volumes state"
    ratio = round(max(1.0, min(shape[1:]) / shape[0]), 2)
    return (ratio, 1.0, 1.0), (
        f"not stated: slices are taken for {ratio:g} times as far apart as pixels, as if volumes were as deep as wide. "
        "If they are not, set spacing = [z, y, x] in [data] of a recipe"
    )


def _alike(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of like size as the larger of rows and columns, so that a network treats both alike, as turns need it."""
    most = max(shape[1:])
    return tuple(size if 2 * size < most else max(size, most) for size in shape)


def _flat_in_words(levels: list[int]) -> str:
    named = [f"{axis} ({count})" for axis, count in zip("zyx", levels, strict=True) if count]
    if not named:
        return ""
    return (
        f"; kernels of 1 and no pooling along {', '.join(named)} in so many levels from the top: voxels are over "
        f"{COARSE:g} times as long along it there, or too few"
    )


def _patch(spacing: tuple[float, ...], shape: tuple[int, ...], multiples: list[int], voxels: int) -> tuple[int, int]:
    """Slices and side of a patch of at most so many voxels on the pooling grid, as alike in length as volumes allow.

    Rows and columns get as many voxels. It grows where it is shortest, by a step of the grid at a time.
    """
    step_of_plane = max(multiples[1:])
    most = (_whole_steps(shape[0], multiples[0]), _whole_steps(min(shape[1:]), step_of_plane))
    steps = (multiples[0], step_of_plane)
    sides = [multiples[0], step_of_plane]
    lengths = (spacing[0], max(spacing[1:]))
    while True:
        grown = [(sides[0] + steps[0], sides[1]), (sides[0], sides[1] + steps[1])]
        possible = [
            axis
            for axis in (0, 1)
            if grown[axis][axis] <= most[axis] and grown[axis][0] * grown[axis][1] ** 2 <= voxels
        ]
        if not possible:
            return sides[0], sides[1]
        shortest = min(possible, key=lambda axis: sides[axis] * lengths[axis])
        sides = list(grown[shortest])


def _whole_steps(size: int, step: int) -> int:
    return math.ceil(size / step) * step


def _times(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
