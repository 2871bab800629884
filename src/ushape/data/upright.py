"""Whether images stand upright, as scans of patients do and micrographs do not: flipping them is then no help."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ushape.data.pair import Pair
from ushape.errors import ImageError
from ushape.images.source import open_image

_MOST_READ = 200  # images, evenly spread over the folder
_MOST_PIXELS = 2**24  # of an image: what is larger is no picture of one thing
_SIDE = 16  # that images are reduced to
_FEWEST_GROUPS = 5
_LEAST_GAIN = 0.02
_LEAST_ERRORS = 3.0


def uprightness(pairs: Sequence[Pair]) -> float:
    """By how much images resemble those of other groups more as they are than flipped or turned; 0 where they do not.

    Images are brought to means on a 16 × 16 grid, of which a fitted quadratic (uneven light) is taken away; how alike
    two are is their correlation, from -1 to 1. For each group of images (a patient), it is the mean over the other
    groups, once as they are and once in that of the seven flips and quarter turns that is likest. The gain counts from
    .02 up, where it is three times its standard error over the groups, of which there must be five.
    """
    thumbnails: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for pair in pairs[:: max(1, math.ceil(len(pairs) / _MOST_READ))]:
        if (thumbnail := _thumbnail(pair)) is not None:
            thumbnails[pair.group].append(thumbnail)
    if len(thumbnails) < _FEWEST_GROUPS:
        return 0.0
    means = np.stack([np.mean(each, axis=0) for each in thumbnails.values()])
    turned = np.stack([np.rot90(grid, k, axes=(1, 2)) for grid in (means, means.mT) for k in range(4)])
    alike = np.einsum("iyx,sjyx->sij", means, turned)
    others = ~np.eye(len(means), dtype=bool)
    of_group = (alike * others).sum(axis=2) / (len(means) - 1)
    likest = 1 + int(of_group[1:].mean(axis=1).argmax())
    gains = of_group[0] - of_group[likest]
    gain, error = float(gains.mean()), float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return gain if gain >= max(_LEAST_GAIN, _LEAST_ERRORS * error) else 0.0


def _thumbnail(pair: Pair) -> NDArray[np.float64] | None:
    """(16, 16) of length 1, uneven light taken away; None of an image without features, or one that is too large."""
    try:
        source = open_image(pair.image.path, pair.image.index)
    except ImageError:
        return None  # the survey has named it
    if math.prod(source.shape) > _MOST_PIXELS:
        return None
    grey = source.read().astype(np.float64).mean(axis=-1)
    grid = F.adaptive_avg_pool2d(torch.from_numpy(grey)[None], _SIDE)[0].numpy().ravel()
    grid = grid - _LIGHT @ (_LIGHT.T @ grid)
    length = float(np.linalg.norm(grid))
    if length <= 1e-9 * float(np.abs(grey).max(initial=0)) * _SIDE:
        return None
    thumbnail: NDArray[np.float64] = grid.reshape(_SIDE, _SIDE) / length
    return thumbnail


def _quadratics() -> NDArray[np.float64]:
    """(256, 6): an orthonormal basis of the polynomials of degree 2 on the grid."""
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j])
    basis: NDArray[np.float64] = np.linalg.qr(np.stack([x**0, x, y, x * x, x * y, y * y], axis=1))[0]
    return basis


_LIGHT = _quadratics()
