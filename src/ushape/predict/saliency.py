"""A photograph → how salient each of its pixels is, 0 to 1: what a viewer's eye falls upon first.

Two ways, by what the weights are:

    U²-Net's authors'   the photograph as 320×320 pixels, as their network was trained and is scored; stretched to 0 … 1
    a network of ours   the probability of the foreground, at the photograph's own size, as `ushape predict` finds it
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.transform import resize
from torch import Tensor

from ushape.checkpoint import is_checkpoint
from ushape.device import choose_device
from ushape.errors import CheckpointError
from ushape.images.source import ImageSource
from ushape.labels import Labels
from ushape.models import published
from ushape.models.segmenter import Segmenter
from ushape.models.u2net import recognised
from ushape.models.weights_file import read_state
from ushape.predict.tiled import DEFAULT_MEMORY_BYTES, Predictor, load

SIDE = 320
"""Of what the authors' network sees of any photograph."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's red, green and blue, of 1
_SALIENT = Labels(("background", "salient"), (0, 255))


class Saliency(Protocol):
    """Finds what is salient. bytes_per_pixel: about what it takes for each pixel of a photograph, beside the pixel."""

    network: str
    bytes_per_pixel: float

    def check(self, source: ImageSource) -> None:
        """ImageError where it cannot take this photograph, as far as the header tells."""

    def of(self, source: ImageSource) -> NDArray[np.float32]:
        """(H, W) from 0 to 1."""


class AuthorsSaliency:
    """By U²-Net as its authors use it (their `u2net_test.py`).

    Deviations: brought back to the photograph's size before it is rounded to 256 levels, not after; alpha is dropped
    before the brightest value is looked for; where that is 0, or all of a map is the same, nothing is divided.
    """

    bytes_per_pixel = 8.0  # a channel in float32 and its smoothed copy, before the answer is there

    def __init__(self, model: Segmenter, network: str) -> None:
        self.model, self.network = model, network

    def check(self, source: ImageSource) -> None:
        """Any photograph will do."""

    def of(self, source: ImageSource) -> NDArray[np.float32]:
        x = network_input(source.read())[None].to(self.model.device)
        with torch.inference_mode():
            salient = _SALIENT.probability(self.model(x))[0, 1].cpu().numpy()
        height, width = source.shape
        return np.asarray(Image.fromarray(_stretched(salient)).resize((width, height), Image.Resampling.BILINEAR))


class OwnSaliency:
    """By a network that was trained here: how probable it is that a pixel is not background."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, self.network = predictor, predictor.trained.recipe.model.name
        self.bytes_per_pixel = 4.0 * (predictor.trained.labels.classes + 2)  # each class, the foreground and a copy

    def check(self, source: ImageSource) -> None:
        self._predictor.check(source)

    def of(self, source: ImageSource) -> NDArray[np.float32]:
        foreground: NDArray[np.float32] = 1 - self._predictor.whole(source)[1][0]
        return foreground.clip(0, 1)


def saliency_from(
    weights: Path, *, device: str | None = None, memory_bytes: int = DEFAULT_MEMORY_BYTES
) -> AuthorsSaliency | OwnSaliency:
    """From the file of U²-Net's authors, `u2net` or `u2netp` as it says itself, or from a run or checkpoint of ours.

    memory_bytes: what the tiles of our own networks may take. CheckpointError for weights of any other network.
    """
    if weights.is_dir() or is_checkpoint(weights):
        return OwnSaliency(load(weights, device=device, memory_bytes=memory_bytes))
    state = read_state(weights)
    network = recognised(state)
    if network is None:
        raise CheckpointError(
            f"{weights} holds weights of another network: its {len(state)} tensors begin with {next(iter(state))}. "
            "Give U²-Net's, u2net or u2netp, by their authors' names, or what `ushape train` wrote."
        )
    model = published.load(network, weights)
    if (model.in_channels, model.classes) != (3, 1):
        raise CheckpointError(
            f"{weights} is a {network} that tells {model.classes} classes apart in images of {model.in_channels} "
            "channels; that of the authors has 1 in photographs of 3. Give theirs, or what `ushape train` wrote."
        )
    return AuthorsSaliency(model.placed(choose_device(device)), network)


def network_input(pixels: NDArray[np.generic]) -> Tensor:
    """(H, W, 1 or 3) pixels of any range → (3, 320, 320) float32 as the authors' network saw them in training.

    Made small by scikit-image, black beyond the edges, smoothed first; divided by what is then the brightest value, and
    by ImageNet's mean and deviation. That of red stands for all three of a grey photograph.
    """
    small = np.stack([_small(pixels[..., c]) for c in range(pixels.shape[-1])])
    small = small.clip(pixels.min(), pixels.max())  # as scikit-image does by itself, given all channels at once
    small /= small.max() or 1
    grey = len(small) == 1
    mean, deviation = (_MEAN[:1] * 3, _DEVIATION[:1] * 3) if grey else (_MEAN, _DEVIATION)
    scaled = (small - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
    return torch.from_numpy(scaled.astype(np.float32))


def _small(channel: NDArray[np.generic]) -> NDArray[np.float32]:
    """A channel by itself, in float32: a twelfth of the memory that all of them take in float64."""
    small: NDArray[np.float32] = resize(channel.astype(np.float32), (SIDE, SIDE), mode="constant", clip=False)
    return small


def _stretched(salient: NDArray[np.float32]) -> NDArray[np.float32]:
    """From 0, the least salient, to 1, the most."""
    low, high = salient.min(), salient.max()
    stretched: NDArray[np.float32] = (salient - low) / (high - low if high > low else 1)
    return stretched
