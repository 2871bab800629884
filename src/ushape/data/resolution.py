"""How finely masks are drawn: what is left of them where a network looks at the means of r × r pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ushape.data.annotation import Annotation, read_classes
from ushape.data.pair import Pair
from ushape.labels import IGNORED

_MOST_READ = 32  # masks, evenly spread over the folder
_MOST_PIXELS = 2**26  # of all masks that are read


def kept(pairs: Sequence[Pair], annotation: Annotation, reductions: Sequence[int]) -> tuple[float, ...]:
    """Of each reduction, the pooled Dice that a network without fault would reach, in its worst foreground class.

    Its answer is the part that each class has of r × r pixels, enlarged linearly: the class with the largest part has
    the pixel. 1 where no mask has a foreground.
    """
    both, either = (np.zeros((len(reductions), annotation.labels.classes), dtype=np.int64) for _ in range(2))
    for classes in _masks(pairs, annotation):
        counted = classes != IGNORED
        truth = np.bincount(classes[counted], minlength=annotation.labels.classes)
        for row, reduction in enumerate(reductions):
            answer = _through(classes, reduction, annotation.labels.classes)[counted]
            either[row] += truth + np.bincount(answer, minlength=len(truth))
            both[row] += 2 * np.bincount(answer[answer == classes[counted]], minlength=len(truth))
    dice = np.divide(both, either, out=np.ones(both.shape), where=either > 0)
    return tuple(float(d) for d in dice[:, list(annotation.labels.foreground)].min(axis=1, initial=1.0))


def _masks(pairs: Sequence[Pair], annotation: Annotation) -> Iterator[NDArray[np.uint8]]:
    pixels = 0
    for pair in pairs[:: -(-len(pairs) // _MOST_READ)] if pairs else ():
        classes = read_classes(pair, annotation)
        yield classes
        pixels += classes.size
        if pixels > _MOST_PIXELS:
            return


def _through(classes: NDArray[np.uint8], reduction: int, count: int) -> NDArray[np.uint8]:
    """(H, W) class numbers as they are seen through means of r × r pixels; ignored ones are seen as background."""
    height, width = classes.shape
    rim = ((0, -height % reduction), (0, -width % reduction))
    known = np.pad(np.where(classes == IGNORED, 0, classes), rim, mode="edge")
    answer, largest = np.zeros(known.shape, dtype=np.uint8), np.full(known.shape, -1, dtype=np.float32)
    for number in range(count):
        part = F.avg_pool2d(torch.from_numpy((known == number).astype(np.float32))[None, None], reduction)
        enlarged = F.interpolate(part, scale_factor=float(reduction), mode="bilinear")[0, 0].numpy()
        answer[enlarged > largest] = number
        np.maximum(largest, enlarged, out=largest)
    return answer[:height, :width]
