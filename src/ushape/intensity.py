"""Raw pixel values → what the network saw in training. Fitted once, on training images; then frozen.

The only place that touches value ranges, and the only place where (H, W, C) arrays become (C, H, W) tensors. Those of
volumes have D before H, and all that is said of images holds for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ushape.errors import ImageError


@dataclass(frozen=True)
class Intensity:
    """Mean and standard deviation per channel of the training images, and the type of their pixels.

    dtype: name of the NumPy type of the training images ("uint8", "uint16", …); other types are refused at prediction,
    since their values mean something else.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    dtype: str

    @property
    def channels(self) -> int:
        return len(self.mean)

    @staticmethod
    def fit(images: Sequence[NDArray[np.generic]]) -> Intensity:
        """From the (H, W, C) training images; grey where every image is grey, else of the most channels.

        Raises ImageError where the images differ in dtype, or in channels other than 1.
        """
        arrays = [_without_copies(image) for image in images]
        channels = max(a.shape[-1] for a in arrays)
        found = sorted({a.shape[-1] for a in arrays} - {1}), sorted({a.dtype.name for a in arrays})
        if max(map(len, found)) > 1:
            raise ImageError(
                f"The training images have {found[0] or [1]} channels and {', '.join(found[1])} pixels; all must have "
                "the same (grey among colour images aside). Convert the ones that differ."
            )
        moments = [_moments(a, channels) for a in arrays]
        sizes = np.array([[math.prod(a.shape[:-1])] for a in arrays], dtype=np.float64)
        sizes /= sizes.sum()
        means, variances = (np.array(m) for m in zip(*moments, strict=True))
        mean = (sizes * means).sum(axis=0)
        deviation = np.sqrt((sizes * (variances + (means - mean) ** 2)).sum(axis=0))
        lowest = np.min([a.min(axis=_space(a)) * np.ones(channels) for a in arrays], axis=0)
        highest = np.max([a.max(axis=_space(a)) * np.ones(channels) for a in arrays], axis=0)
        deviation[lowest == highest] = 1.0  # a constant channel carries nothing, and must not divide by zero
        return Intensity(tuple(mean.tolist()), tuple(deviation.tolist()), arrays[0].dtype.name)

    def tensor(self, pixels: NDArray[np.generic], name: str) -> Tensor:
        """(H, W, C) pixels → (C, H, W) float32, mean 0 and deviation 1 over the training images.

        Grey images fill all channels of a colour network; colour images whose channels are equal enter a grey one.
        `name` stands in the ImageError for any other number of channels, or another type of pixel.
        """
        if pixels.dtype.name != self.dtype:
            raise ImageError(
                f"{name} has {pixels.dtype} pixels, but the network was trained on {self.dtype}; the same number means "
                f"another brightness. Convert the image to {self.dtype} as the training images were."
            )
        adapted = self._adapted(pixels, name)
        mean = np.array(self.mean, dtype=np.float32)
        deviation = np.array(self.deviation, dtype=np.float32)
        scaled = (adapted.astype(np.float32) - mean) / deviation
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(scaled, -1, 0)))

    def _adapted(self, pixels: NDArray[np.generic], name: str) -> NDArray[np.generic]:
        found = pixels.shape[-1]
        if found == self.channels:
            return pixels
        if found == 1:
            return np.repeat(pixels, self.channels, axis=-1)
        plain = _without_copies(pixels)
        if plain.shape[-1] == self.channels:
            return plain
        raise ImageError(
            f"{name} has {found} channels, but the network was trained on {self.channels}. "
            f"Save it with {self.channels} channel{'s' if self.channels > 1 else ' (grey)'}, or train on such images."
        )


def _without_copies(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """One channel instead of several equal ones: what many programs make of a grey image on export."""
    if pixels.shape[-1] > 1 and bool((pixels == pixels[..., :1]).all()):
        return pixels[..., :1]
    return pixels


def _moments(pixels: NDArray[np.generic], channels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance per channel, of one image at a time so that little memory is needed."""
    values = pixels.astype(np.float64)
    mean, variance = values.mean(axis=_space(values)), values.var(axis=_space(values))
    return mean * np.ones(channels), variance * np.ones(channels)


def _space(pixels: NDArray[np.generic]) -> tuple[int, ...]:
    """The axes that are no channels."""
    return tuple(range(pixels.ndim - 1))
