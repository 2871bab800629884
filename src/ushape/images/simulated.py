"""Micrographs drawn from a seed, with exact truth: the embedded demo and the tests' food.

`cells` looks like a culture under a fluorescence microscope, `membranes` like a stained section of neural tissue under
an electron microscope. Both first settle who owns which pixel (`territories.py`) and draw the picture from that: the
truth is known, not estimated. Every random number comes from the generator handed in; the same seed draws the same
bytes. Amounts and contrasts below were set by eye, and by the grey values and power spectrum of the ISBI 2012 sections.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.special import expit

from ushape.errors import OutputError, RecipeError, SizeError
from ushape.images.territories import (
    Field,
    Owners,
    Seeds,
    depth_px,
    largest_pieces,
    sealed,
    smooth_noise,
    territories,
    warped_grid,
    without_specks,
)

SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 32, 4096
MOST_INSTANCES = np.iinfo(np.uint16).max

Kind = Literal["cells", "membranes"]


@dataclass(frozen=True)
class Simulated:
    """A micrograph, (H, W) uint8, and what is truly on it, (H, W) of an unsigned type: see `cells` and `membranes`."""

    image: NDArray[np.uint8]
    truth: NDArray[np.unsignedinteger]


def cells(
    rng: np.random.Generator,
    height_width: tuple[int, int] = (256, 256),
    *,
    diameter_px: float = 34.0,
    cover_fraction: float = 0.5,
    photons: float = 60.0,
) -> Simulated:
    """Fluorescent cells, many of them touching; truth is uint16, 0 between the cells and k = 1, 2, … on cell k.

    diameter_px: of a typical cell. cover_fraction: of the picture, roughly. photons: caught per pixel of a typical
    cell; fewer make a noisier picture. Shapes out of the plane of focus and specks of dirt belong to no cell.
    """
    _require_sides(height_width)
    if not (diameter_px >= 8 and 0 < cover_fraction <= 0.9 and photons > 0):
        raise RecipeError(
            f"Got diameter_px={diameter_px}, cover_fraction={cover_fraction}, photons={photons}; simulated cells need "
            "a diameter of at least 8 pixels, a cover above 0 and up to 0.9, and more than 0 photons."
        )
    waves_px = [(0.9 * diameter_px, 0.15 * diameter_px), (0.3 * diameter_px, 0.035 * diameter_px)]
    y, x = warped_grid(rng, height_width, waves_px)
    seeds = _sow_cells(rng, y, x, diameter_px, cover_fraction)
    owner, _ = territories(seeds, y, x, reach=1.0)
    truth = largest_pieces(owner, smallest_area_px=0.06 * min(diameter_px, *height_width) ** 2)
    glow = _glow(rng, seeds, np.where(truth > 0, owner, -1), y, x, diameter_px)
    return Simulated(_fluorescence_camera(rng, glow, diameter_px, photons), truth)


def membranes(rng: np.random.Generator, height_width: tuple[int, int] = (256, 256)) -> Simulated:
    """A section of neural tissue, about 4 nm per pixel; truth is uint8, 255 inside a neurite and 0 on a membrane.

    Mitochondria, vesicles and tubules are dark too, but lie inside neurites: truth there is 255.
    """
    _require_sides(height_width)
    y, x = warped_grid(rng, height_width, [(40, 6.0), (15, 2.6), (5, 0.8)])
    seeds = _sow_neurites(rng, y, x)
    owner, _ = territories(seeds, y, x, reach=3.0)
    depth = depth_px(owner)
    oblique = np.clip(smooth_noise(rng, height_width, 16) - 0.7, 0, 1.3)
    half_width_px = np.maximum(2.3 + 0.35 * smooth_noise(rng, height_width, 20) + 1.6 * oblique, 1.5)
    inside = without_specks(sealed(depth > half_width_px), smallest_area_px=10)
    stain = _cytoplasm(rng, owner, seeds.count) * _organelles(rng, depth)
    stain *= _membrane_stain(rng, depth, half_width_px, oblique)
    return Simulated(_electron_camera(rng, stain), np.where(inside, 255, 0).astype(np.uint8))


def write_folder(
    root: Path,
    kind: Kind,
    *,
    count: int,
    height_width: tuple[int, int] = (256, 256),
    seed: int,
    instances: bool = False,
) -> list[Path]:
    """Writes images/NAME.png and masks/NAME.png under a new or empty root; returns the paths of the images.

    Masks are 0 and 255, touching cells told apart by a line of one pixel; or, with `instances`, 0 and k = 1, 2, ….
    Image n depends on the seed and on n, not on how many are drawn.
    """
    if kind not in ("cells", "membranes") or count < 1 or seed < 0:
        raise RecipeError(
            f"Got kind={kind!r}, count={count}, seed={seed}; the kind is 'cells' or 'membranes', the count at least 1, "
            "and the seed 0 or more."
        )
    _require_sides(height_width)
    _make_folders(root)
    written = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        drawn = cells(rng, height_width) if kind == "cells" else membranes(rng, height_width)
        path = root / "images" / f"{kind}_{number:03d}.png"
        Image.fromarray(drawn.image).save(path)
        Image.fromarray(_mask(drawn.truth, kind, instances)).save(root / "masks" / path.name)
        written.append(path)
    return written


def separated(instances: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(H, W) instances → 255 on them and 0 elsewhere, with a line of 0 where two touch, if only by a corner.

    >>> separated(np.array([[1, 1, 2, 2, 0]])).tolist()
    [[255, 255, 0, 255, 0]]
    """
    lowest_near = ndimage.minimum_filter(np.where(instances > 0, instances, instances.max()), size=3)
    return np.where((instances > 0) & (instances <= lowest_near), 255, 0).astype(np.uint8)


def _sow_cells(rng: np.random.Generator, y: Field, x: Field, diameter_px: float, cover: float) -> Seeds:
    """Cells in crowds with free ground between them."""
    wanted_area_px = 1.2 * cover * y.size  # where cells touch, they overlap
    tries = 20 + int(12 * wanted_area_px / (np.pi * diameter_px**2 / 4))
    row, column = (rng.integers(0, n, tries) for n in y.shape)
    radius_px = diameter_px / 2 * np.exp(rng.normal(0, 0.2, tries))
    seeds = Seeds(y[row, column], x[row, column], radius_px, rng.uniform(1, 2, tries), rng.uniform(0, np.pi, tries))
    crowding = smooth_noise(rng, y.shape, 2 * diameter_px)[row, column]
    settled = crowding + rng.normal(0, 0.3, tries) > 0.9 - 2 * cover
    settled[crowding.argmax()] = True  # at least one
    seeds = seeds.chosen(settled).apart(0.72)
    enough = 1 + int(np.searchsorted(np.cumsum(np.pi * seeds.radius_px**2), wanted_area_px))
    return seeds.chosen(slice(min(enough, MOST_INSTANCES)))


def _sow_neurites(rng: np.random.Generator, y: Field, x: Field) -> Seeds:
    """Many thin processes between a few thick ones; in places they run side by side and are cut lengthwise.

    Small pictures show thin ones only, so that there is a membrane in each.
    """
    height_width = y.shape
    tries = 200 + y.size // 50
    row, column = (rng.integers(0, n, tries) for n in height_width)
    radius_px = np.clip(11.5 * np.exp(rng.normal(0, 0.55, tries)), 8, min(42, 0.3 * min(height_width)))
    bundled = np.clip(0.5 + smooth_noise(rng, height_width, 70)[row, column], 0, 1.6)
    slenderness = 1 + bundled * rng.uniform(0.4, 1.4, tries)
    angle = np.pi * smooth_noise(rng, height_width, 110)[row, column] + rng.normal(0, 0.25, tries)
    seeds = Seeds(y[row, column], x[row, column], radius_px, slenderness, angle)
    return seeds.chosen(np.argsort(-radius_px, kind="stable")).apart(0.8)


def _glow(rng: np.random.Generator, seeds: Seeds, owner: Owners, y: Field, x: Field, diameter_px: float) -> Field:
    """Light from the cells, about 1 inside: dim flat edges, a nucleus, mottled cytoplasm, a few bright grains."""
    shape = owner.shape
    brightness = np.clip(np.exp(rng.normal(-0.1, 0.45, seeds.count)), 0.3, 1.8)[owner]
    nucleus_light = np.clip(rng.choice([0.55, 1.5]) + rng.normal(0, 0.1, seeds.count), 0.4, 1.9)[owner]
    along, across = rng.normal(0, 0.13, (2, seeds.count))
    u, v = seeds.local(owner, y, x)
    in_nucleus = expit((0.46 - np.hypot(u - along[owner], v - across[owner])) / 0.04)
    thickness = 0.25 + 0.75 * (1 - np.exp(-depth_px(owner) / (0.16 * diameter_px)))
    mottled = 1 + _texture(rng, shape, [(0.2 * diameter_px, 0.16), (0.07 * diameter_px, 0.14)])
    grains = _spots(rng, shape, per_pixel=0.012, blur_px=0.8) * (1 - in_nucleus)
    glow = brightness * (thickness * mottled * (1 + (nucleus_light - 1) * in_nucleus) + 0.8 * grains)
    return np.where(owner >= 0, np.maximum(glow, 0), 0.0)


def _fluorescence_camera(
    rng: np.random.Generator, glow: Field, diameter_px: float, photons: float
) -> NDArray[np.uint8]:
    """Uneven light, a tilted focus, haze from above and below, and the noise of photons and of reading them out."""
    shape = glow.shape
    glow = glow + 0.7 * _spots(rng, shape, per_pixel=0.0006, blur_px=1.2)
    out_of_plane = _spots(rng, shape, per_pixel=0.2 / diameter_px**2, blur_px=0.25 * diameter_px)
    haze = 0.07 + 0.3 * ndimage.gaussian_filter(glow, 0.5 * diameter_px) + 0.6 * out_of_plane
    defocus = np.clip(0.2 + 0.35 * smooth_noise(rng, shape, 0.5 * max(shape)), 0, 1)
    sharp, soft = ndimage.gaussian_filter(glow, 0.8), ndimage.gaussian_filter(glow, 2.4)
    light = np.clip(1 + 0.3 * smooth_noise(rng, shape, 0.7 * max(shape)), 0.4, 1.7)
    light *= (1 - defocus) * sharp + defocus * soft + haze
    exposure = 215 / np.percentile(light, 98.5)  # few pixels are overexposed
    return _grey(8 + exposure / photons * rng.poisson(photons * light) + rng.normal(0, 2.5, shape))


def _cytoplasm(rng: np.random.Generator, owner: Owners, count: int) -> Field:
    """Transparency without membranes, about 1; some processes are dark, all are granular."""
    tone = np.where(rng.random(count) < 0.14, rng.uniform(0.68, 0.85, count), rng.normal(1.0, 0.05, count))
    shape = owner.shape
    return tone[owner] * (1 + _texture(rng, shape, [(30, 0.03), (9, 0.035), (4, 0.05), (1.6, 0.1)]))


def _organelles(rng: np.random.Generator, depth: Field) -> Field:
    """Transparency of vesicles, tubules and mitochondria, 1 elsewhere; none of them lies on a membrane."""
    shape = depth.shape
    clustered = np.clip(smooth_noise(rng, shape, 26) + 0.5, 0.08, 1.3)
    vesicles = np.zeros(shape)
    for radius_px, per_pixel in ((0.9, 0.012), (1.5, 0.007), (2.2, 0.003)):
        at = np.where(rng.random(shape) < per_pixel * clustered, 2 * np.pi * radius_px**2, 0.0)
        vesicles += ndimage.gaussian_filter(at, radius_px) - 0.5 * ndimage.gaussian_filter(at, 0.6 * radius_px)
    winding = np.exp(-((smooth_noise(rng, shape, 11) / 0.16) ** 2))
    tubules = winding * np.clip(2 * smooth_noise(rng, shape, 22) - 2.2, 0, 1)
    plain = 1 - np.clip(vesicles + 0.45 * tubules, -0.15, 0.55)
    mitochondria, covered = _mitochondria(rng, depth)
    off_membrane = np.clip((depth - 4) / 2, 0, 1)
    return 1 + off_membrane * (covered * mitochondria + (1 - covered) * plain - 1)


def _mitochondria(rng: np.random.Generator, depth: Field) -> tuple[Field, Field]:
    """Their transparency, and how much of each pixel they cover: a dark rim, a grey matrix, dark folds across it."""
    shape = depth.shape
    y, x = warped_grid(rng, shape, [(22, 2.0)])
    tries = 12 + depth.size // 500
    row, column = (rng.integers(0, n, tries) for n in shape)
    radius_px = rng.uniform(8, 22, tries)
    seeds = Seeds(y[row, column], x[row, column], radius_px, rng.uniform(1, 2.2, tries), rng.uniform(0, np.pi, tries))
    seeds = seeds.chosen(depth[row, column] > 0.7 * radius_px + 3).apart(1.4).chosen(slice(1 + depth.size // 11000))
    folding = smooth_noise(rng, shape, 7)
    if seeds.count == 0:
        return np.ones(shape), np.zeros(shape)
    owner, distance = territories(seeds, y, x, reach=1.5)
    from_rim_px = (1 - distance) * seeds.radius_px[owner]
    along, _ = seeds.local(owner, y, x)
    folds = np.clip(np.sin(along * seeds.radius_px[owner] / 0.8 + 2.6 * folding), -0.4, 1)
    rim = np.exp(-((from_rim_px - 1.2) ** 2) / 1.6)
    return 0.62 - 0.17 * folds * np.clip(from_rim_px / 3, 0, 1) - 0.26 * rim, expit(from_rim_px / 0.5)


def _membrane_stain(rng: np.random.Generator, depth: Field, half_width_px: Field, oblique: Field) -> Field:
    """Transparency of membranes, 1 elsewhere; cut obliquely they are wide and pale, at synapses nearly black."""
    shape = depth.shape
    contrast = np.clip(0.63 + 0.09 * smooth_noise(rng, shape, 25) - 0.2 * oblique, 0.15, 0.8)
    contrast *= 1 + 0.16 * smooth_noise(rng, shape, 2.5)
    membrane = contrast * np.exp(-0.9 * (depth / half_width_px) ** 2)
    synapse = np.clip(smooth_noise(rng, shape, 17) - 1.4, 0, 1) * np.exp(-depth / 6)
    return (1 - membrane) * (1 - np.clip(synapse * (1.1 + 0.35 * smooth_noise(rng, shape, 2.5)), 0, 0.75))


def _electron_camera(rng: np.random.Generator, stain: Field) -> NDArray[np.uint8]:
    shape = stain.shape
    uneven = 1 + 0.05 * smooth_noise(rng, shape, 90)
    grain = ndimage.gaussian_filter(rng.normal(0, 1, shape), 0.7)
    return _grey(175 * uneven * ndimage.gaussian_filter(stain, 0.7) + 24 * grain)


def _texture(rng: np.random.Generator, shape: tuple[int, int], waves_px: list[tuple[float, float]]) -> Field:
    """Mean 0: smooth noise of the given (length, amplitude) pairs, summed."""
    total = np.zeros(shape)
    for length_px, amplitude in waves_px:
        total += amplitude * smooth_noise(rng, shape, length_px)
    return total


def _spots(rng: np.random.Generator, shape: tuple[int, int], *, per_pixel: float, blur_px: float) -> Field:
    """Round spots, each of a peak between 0.2 and 1, at random places."""
    peaks = np.where(rng.random(shape) < per_pixel, rng.uniform(0.2, 1, shape), 0.0)
    spots: Field = ndimage.gaussian_filter(peaks, blur_px) * (2 * np.pi * blur_px**2)
    return spots


def _grey(values: Field) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _mask(truth: NDArray[np.unsignedinteger], kind: Kind, instances: bool) -> NDArray[np.unsignedinteger]:
    if kind == "cells":
        return truth if instances else separated(truth)
    return ndimage.label(truth)[0].astype(np.uint16) if instances else truth


def _require_sides(height_width: tuple[int, int]) -> None:
    if min(height_width) < SMALLEST_SIDE_PX or max(height_width) > LARGEST_SIDE_PX:
        raise SizeError(
            f"A simulated micrograph cannot be {height_width[0]}x{height_width[1]} pixels (height x width); both sides "
            f"must be from {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX}."
        )


def _make_folders(root: Path) -> None:
    if root.is_dir() and any(root.iterdir()):
        raise OutputError(f"{root} is not empty, and nothing in it will be overwritten. Name a new or empty folder.")
    try:
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True)
    except OSError as error:
        reason = error.strerror
        raise OutputError(f"{root} cannot be made a folder ({reason}). Name a place that you can write to.") from error
