"""One draw → one transform of image, classes and weights together (U-Net 2015, Section 3.1).

Shift, rotation, scale, flips and elastic deformation are composed before anything is sampled, so that each pixel is
interpolated once: image and weights bilinear, classes nearest, all three at the same places. Volumes are turned in all
planes, and deformed along all axes, by the size of their voxels; along an axis that is coarse (geometry/anisotropy.py)
they are only mirrored, since slices far apart do not say what lies between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from ushape.data.elastic import GRID, displacement, unfolded
from ushape.errors import RecipeError
from ushape.geometry.anisotropy import coarse_axes


@dataclass(frozen=True)
class Augmentation:
    """How far training patches may stray from the images; 0 (scale: 1, flip: False) turns a part off.

    rotation_degrees: uniform within ± this, of volumes in each plane. scale: magnification, log-uniform between 1/scale
        and scale. flip: each axis mirrored with probability 1/2.
    elastic_px: standard deviation of the vectors of the elastic deformation (10 in the paper); fields that would fold a
        small patch are softened, see `elastic.unfolded`.
    The values, in units of the standardised image, alike in all channels:
    contrast: factor, log-uniform between 1/(1 + contrast) and 1 + contrast. brightness: added, uniform within ± this.
    curve: bends the grey values as gamma does, by a hyperbola whose slope stays within 1 ± curve and which therefore
        never exchanges dark and bright. noise: the largest standard deviation of white noise, drawn per patch.

    RecipeError for a value that cannot be.
    """

    rotation_degrees: float = 180.0
    scale: float = 1.15
    flip: bool = True
    elastic_px: float = 10.0
    contrast: float = 0.25
    brightness: float = 0.25
    curve: float = 0.25
    noise: float = 0.1

    def __post_init__(self) -> None:
        for name, value, least, most in [
            ("rotation_degrees", self.rotation_degrees, 0, 180),
            ("scale", self.scale, 1, 4),
            ("elastic_px", self.elastic_px, 0, 1000),
            ("contrast", self.contrast, 0, 10),
            ("brightness", self.brightness, 0, 10),
            ("curve", self.curve, 0, 0.95),
            ("noise", self.noise, 0, 10),
        ]:
            if not least <= value <= most:
                raise RecipeError(
                    f"Augmentation got {name} = {value}; it takes {least} to {most}, and {least} turns it off."
                )

    @staticmethod
    def none() -> Augmentation:
        """Patches as they are in the image, to the last bit."""
        return Augmentation(
            rotation_degrees=0, scale=1, flip=False, elastic_px=0, contrast=0, brightness=0, curve=0, noise=0
        )

    def draw(self, count: int, generator: torch.Generator, spacing: Sequence[float] = (1.0, 1.0)) -> Transform:
        """One transform for each of `count` patches, from a generator on the CPU.

        spacing: the length of a voxel along each axis, of which there are as many as the patches have. As many numbers
        are drawn whatever is turned off, so that turning one part off leaves the others as they were.
        """
        axes = len(spacing)
        planes = list(combinations(range(axes), 2))
        uniform = 2 * torch.rand(len(planes) + axes + 4, count, generator=generator, dtype=torch.float64) - 1
        turns, (zoom, *mirrored, contrast, brightness, curve) = uniform[: len(planes)], uniform[len(planes) :]
        vectors = torch.randn(count, axes, *(GRID for _ in spacing), generator=generator) * self.elastic_px
        noise = torch.rand(count, generator=generator) * self.noise
        noise_seed = int(torch.randint(2**62, (1,), generator=generator))
        return Transform(
            matrix=_matrix(
                angles=dict(zip(planes, turns * math.radians(self.rotation_degrees), strict=True)),
                magnification=self.scale**zoom,
                mirrored=[side < 0 if self.flip else torch.zeros(count, dtype=torch.bool) for side in mirrored],
                spacing=spacing,
            ),
            vectors=_by_spacing(vectors, spacing),
            gain=((1 + self.contrast) ** contrast).float(),
            shift=(brightness * self.brightness).float(),
            bend=(curve * self.curve).float(),
            noise=noise,
            noise_seed=noise_seed,
        )


@dataclass(frozen=True)
class Transform:
    """What was drawn for N patches, all on the CPU; of volumes, with three axes in place of two.

    matrix: (N, 2, 2) float64, offsets from the patch's centre (y, x) → offsets in the image.
    vectors: (N, 2, 3, 3), of the elastic deformation, in pixels of the patch.
    gain, shift, bend, noise: (N,), what happens to the values. noise_seed: where the noise comes from, on any device.
    """

    matrix: Tensor
    vectors: Tensor
    gain: Tensor
    shift: Tensor
    bend: Tensor
    noise: Tensor
    noise_seed: int

    def warp(self, size: int | Sequence[int], device: torch.device) -> Warp:
        """Where the pixels of N patches come from: matrix · (offset from the centre + displacement).

        size: of their sides, along each axis where these differ.
        """
        axes = self.matrix.shape[-1]
        sizes = [size] * axes if isinstance(size, int) else list(size)
        shares = []  # (N, A, size): of the pixel's row, and of its column, in all coordinates
        for axis, side in enumerate(sizes):
            offset = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
            shares.append(self.matrix[:, :, axis, None] * offset)
        # The centre of an even patch lies half a pixel before its centre pixel, which offsets are counted from.
        shares[0] = shares[0] + torch.tensor([[(side - 1) / 2 - side // 2] for side in sizes], dtype=torch.float64)
        vectors = unfolded(self.vectors, *sizes)
        moved = (self.matrix.float() @ vectors.flatten(2)).view(vectors.shape).to(device)
        spread = [_along(share.float().to(device), axis, axes) for axis, share in enumerate(shares)]
        offsets = reduce(torch.add, spread)
        return Warp(offsets.add_(displacement(moved, *sizes)))

    def values(self, image: Tensor) -> Tensor:
        """(N, C, h, w) → the same with contrast, brightness, curve and noise of each patch."""
        gain, shift, bend, noise = (
            x.view(-1, *(1 for _ in image.shape[1:])).to(image.device)
            for x in (self.gain, self.shift, self.bend, self.noise)
        )
        image = (image * gain).add_(shift)  # in place from here on: fresh memory would cost more than the arithmetic
        if self.bend.any():
            image.add_(image.square().add_(1).sqrt_().sub_(1).mul_(bend))
        if self.noise.any():
            generator = torch.Generator(image.device).manual_seed(self.noise_seed)
            image.add_(torch.randn(image.shape, generator=generator, device=image.device).mul_(noise))
        return image


@dataclass(frozen=True)
class Warp:
    """Where each pixel of N patches comes from: (N, 2, h, w) float32, (y, x) counted from the patch's centre pixel.

    Sampling takes square boxes of the image around that centre pixel, 2·half + 1 pixels wide. `half` is a power of
    two: then the way to grid_sample's coordinates and back is exact, and a pixel that moves by whole pixels keeps its
    value to the last bit. The line beyond `reach` does not count, but must be finite; what lies beyond it is not read.

    Of volumes it is (N, 3, d, h, w), and boxes, square in the plane, have a depth of their own: reaches, halves.
    """

    offsets: Tensor

    @property
    def axes(self) -> int:
        return self.offsets.shape[1]

    @cached_property
    def reaches(self) -> tuple[int, ...]:
        """The smallest whole number that no offset exceeds along each axis; rows and columns have one, the larger."""
        of_plane = _reach(self.offsets[:, -2:])
        return (*(_reach(self.offsets[:, axis]) for axis in range(self.axes - 2)), of_plane, of_plane)

    @property
    def halves(self) -> tuple[int, ...]:
        """Along each axis the smallest power of two from its reach up."""
        return tuple(1 << max(0, reach - 1).bit_length() for reach in self.reaches)

    @property
    def reach(self) -> int:
        """In the plane."""
        return self.reaches[-1]

    @property
    def half(self) -> int:
        """In the plane."""
        return self.halves[-1]

    def inner(self, margin: int | Sequence[int]) -> Warp:
        """The same without a margin at each side, along each axis where margins differ."""
        margins = [margin] * self.axes if isinstance(margin, int) else margin
        if not any(margins):
            return self
        sizes = zip(margins, self.offsets.shape[2:], strict=True)
        return Warp(self.offsets[:, :, *(slice(cut, size - cut) for cut, size in sizes)])

    def bilinear(self, boxes: Tensor) -> Tensor:
        """(N, C, 2·half + 1, 2·half + 1) → (N, C, h, w)."""
        self._must_fit(boxes)
        halves = self.half if len(set(self.halves)) == 1 else self._per_axis(self.halves)
        grid = (self.offsets / halves).movedim(1, -1)
        # grid_sample takes (x, y) within ±1; where the boxes exchange rows and columns, (y, x) is that.
        turned = boxes.permute(0, 1, *range(boxes.ndim - 1, 1, -1))
        return F.grid_sample(turned, grid, mode="bilinear", padding_mode="border", align_corners=True)

    def nearest(self, boxes: Tensor) -> Tensor:
        """(N, 2·half + 1, 2·half + 1) of any type → (N, h, w), with values that the boxes hold and no others."""
        self._must_fit(boxes)
        return boxes.flatten(1).gather(1, self._nearest.flatten(1)).view(self._nearest.shape)

    @cached_property
    def _nearest(self) -> Tensor:
        """(N, h, w) int64: the number of each pixel's nearest one, counted row by row through its box."""
        first, *others = self.offsets.round().int().unbind(1)
        number, centre = first, self.halves[0]
        for place, half in zip(others, self.halves[1:], strict=True):
            side = 2 * half + 1
            number, centre = number.mul_(side).add_(place), centre * side + half
        return number.add_(centre).long()

    def _per_axis(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, device=self.offsets.device).view(-1, *(1 for _ in values))

    def _must_fit(self, boxes: Tensor) -> None:
        assert boxes.shape[-self.axes :] == tuple(2 * half + 1 for half in self.halves), (boxes.shape, self.halves)


def _matrix(
    angles: Mapping[tuple[int, int], Tensor],
    magnification: Tensor,
    mirrored: Sequence[Tensor],
    spacing: Sequence[float],
) -> Tensor:
    """(N, A, A): the patch's (y, x) → the image's: flipped, then turned, then shrunk by the magnification.

    angles: of each plane; those that a coarse axis lies in are not turned, nor is what lies along it shrunk.
    """
    coarse = coarse_axes(spacing)
    turns = [_turn(angle, plane, spacing) for plane, angle in angles.items() if not any(coarse[axis] for axis in plane)]
    still = torch.eye(len(spacing), dtype=torch.float64).expand(len(magnification), -1, -1)
    shrunk = [torch.ones_like(magnification) if is_coarse else magnification for is_coarse in coarse]
    flips = torch.stack([1 - 2 * side.double() for side in mirrored], -1)
    turned = reduce(torch.matmul, turns) if turns else still
    return turned / torch.stack(shrunk, -1)[:, None] * flips[:, None]


def _turn(angle: Tensor, plane: tuple[int, int], spacing: Sequence[float]) -> Tensor:
    """(N,) angles → (N, A, A), in a plane of voxels that are longer along one axis."""
    first, second = plane
    ratio = spacing[second] / spacing[first]
    turn = torch.eye(len(spacing), dtype=torch.float64).repeat(len(angle), 1, 1)
    turn[:, first, first] = turn[:, second, second] = angle.cos()
    turn[:, first, second], turn[:, second, first] = angle.sin() * ratio, -angle.sin() / ratio
    return turn


def _by_spacing(vectors: Tensor, spacing: Sequence[float]) -> Tensor:
    """(N, A, 3, …) vectors in lengths of the finest axis → in voxels; none along a coarse axis, where all slices share
    those of the middle.
    """
    for axis, is_coarse in enumerate(coarse_axes(spacing)):
        if is_coarse:
            vectors = vectors.select(2 + axis, GRID // 2).unsqueeze(2 + axis).expand_as(vectors).clone()
            vectors[:, axis] = 0
        elif spacing[axis] != min(spacing):
            vectors[:, axis] /= spacing[axis] / min(spacing)
    return vectors


def _along(share: Tensor, axis: int, axes: int) -> Tensor:
    """(N, A, size) → the same with the axes of a patch, of which this is one."""
    return share.view(*share.shape[:2], *(share.shape[2] if each == axis else 1 for each in range(axes)))


def _reach(offsets: Tensor) -> int:
    least, most = torch.aminmax(offsets)
    return math.ceil(max(-float(least), float(most)))
