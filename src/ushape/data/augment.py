"""One draw → one transform of image, classes and weights together (U-Net 2015, Section 3.1).

Shift, rotation, scale, flips and elastic deformation are composed before anything is sampled, so that each pixel is
interpolated once: image and weights bilinear, classes nearest, all three at the same places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from ushape.data.elastic import GRID, displacement, unfolded
from ushape.errors import RecipeError


@dataclass(frozen=True)
class Augmentation:
    """How far training patches may stray from the images; 0 (scale: 1, flip: False) turns a part off.

    rotation_degrees: uniform within ± this. scale: magnification, log-uniform between 1/scale and scale.
    flip: each axis mirrored with probability 1/2.
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

    def draw(self, count: int, generator: torch.Generator) -> Transform:
        """One transform for each of `count` patches, from a generator on the CPU.

        As many numbers are drawn whatever is turned off, so that turning one part off leaves the others as they were.
        """
        uniform = 2 * torch.rand(7, count, generator=generator, dtype=torch.float64) - 1
        turn, zoom, top_down, left_right, contrast, brightness, curve = uniform
        vectors = torch.randn(count, 2, GRID, GRID, generator=generator) * self.elastic_px
        noise = torch.rand(count, generator=generator) * self.noise
        noise_seed = int(torch.randint(2**62, (1,), generator=generator))
        return Transform(
            matrix=_matrix(
                angle=turn * math.radians(self.rotation_degrees),
                magnification=self.scale**zoom,
                top_down=top_down < 0 if self.flip else torch.zeros(count, dtype=torch.bool),
                left_right=left_right < 0 if self.flip else torch.zeros(count, dtype=torch.bool),
            ),
            vectors=vectors,
            gain=((1 + self.contrast) ** contrast).float(),
            shift=(brightness * self.brightness).float(),
            bend=(curve * self.curve).float(),
            noise=noise,
            noise_seed=noise_seed,
        )


@dataclass(frozen=True)
class Transform:
    """What was drawn for N patches, all on the CPU.

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

    def warp(self, size: int, device: torch.device) -> Warp:
        """Where the pixels of N square patches come from: matrix · (offset from the centre + displacement)."""
        offset = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
        down = self.matrix[:, :, 0, None] * offset  # (N, 2, size): the share of the pixel's row in both coordinates
        across = self.matrix[:, :, 1, None] * offset
        # The centre of an even patch lies half a pixel before its centre pixel, which offsets are counted from.
        down = down + ((size - 1) / 2 - size // 2)
        vectors = unfolded(self.vectors, size, size)
        moved = torch.einsum("nij,njkl->nikl", self.matrix.float(), vectors).to(device)
        offsets = down.float().to(device)[..., None] + across.float().to(device)[:, :, None]
        return Warp(offsets.add_(displacement(moved, size, size)))

    def values(self, image: Tensor) -> Tensor:
        """(N, C, h, w) → the same with contrast, brightness, curve and noise of each patch."""
        gain, shift, bend, noise = (
            x[:, None, None, None].to(image.device) for x in (self.gain, self.shift, self.bend, self.noise)
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
    """

    offsets: Tensor

    @cached_property
    def reach(self) -> int:
        """The smallest whole number that no offset exceeds."""
        least, most = torch.aminmax(self.offsets)
        return math.ceil(max(-float(least), float(most)))

    @property
    def half(self) -> int:
        """The smallest power of two from `reach` up."""
        return 1 << max(0, self.reach - 1).bit_length()

    def inner(self, margin: int) -> Warp:
        """The same without a margin at each side."""
        if margin == 0:
            return self
        height, width = self.offsets.shape[-2:]
        return Warp(self.offsets[..., margin : height - margin, margin : width - margin])

    def bilinear(self, boxes: Tensor) -> Tensor:
        """(N, C, 2·half + 1, 2·half + 1) → (N, C, h, w)."""
        self._must_fit(boxes)
        grid = (self.offsets / self.half).permute(0, 2, 3, 1)
        # grid_sample takes (x, y) within ±1; where the boxes exchange rows and columns, (y, x) is that.
        return F.grid_sample(boxes.mT, grid, mode="bilinear", padding_mode="border", align_corners=True)

    def nearest(self, boxes: Tensor) -> Tensor:
        """(N, 2·half + 1, 2·half + 1) of any type → (N, h, w), with values that the boxes hold and no others."""
        self._must_fit(boxes)
        return boxes.flatten(1).gather(1, self._nearest.flatten(1)).view(self._nearest.shape)

    @cached_property
    def _nearest(self) -> Tensor:
        """(N, h, w) int64: the number of each pixel's nearest one, counted row by row through its box."""
        row, column = self.offsets.round().int().unbind(1)
        side = 2 * self.half + 1
        return row.mul_(side).add_(column).add_(self.half * (side + 1)).long()

    def _must_fit(self, boxes: Tensor) -> None:
        assert boxes.shape[-2:] == (2 * self.half + 1, 2 * self.half + 1), (boxes.shape, self.half)


def _matrix(angle: Tensor, magnification: Tensor, top_down: Tensor, left_right: Tensor) -> Tensor:
    """(N, 2, 2): the patch's (y, x) → the image's: flipped, then turned, then shrunk by the magnification."""
    cosine, sine = angle.cos() / magnification, angle.sin() / magnification
    rotation = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], -2)
    flips = torch.stack([1 - 2 * top_down.double(), 1 - 2 * left_right.double()], -1)
    return rotation * flips[:, None]
