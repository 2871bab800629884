"""Two object maps → their objects, and which of them share how many pixels.

The table is sparse: a pair stands in it only where the two have a pixel in common.

The ignored rule: ignored pixels are taken from both maps, and objects that lie wholly on them are gone. An object that
lies mostly (more than half of its pixels) on them is excused: what is left of it may be the partner of an object of the
other map that is not excused; where it finds none it counts nowhere (the rule for void pixels of Kirillov 2019,
Section 4.2, here for both maps alike).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, SizeError

_LARGEST_ID = 2**32 - 1


@dataclass(frozen=True, eq=False)
class Objects:
    """The n objects of a map, in order of their first pixel: (n,) ids, sizes in pixels that count, whether excused."""

    ids: NDArray[np.int64]
    sizes: NDArray[np.int64]
    excused: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Pairs:
    """The n pairs of objects that overlap, not both excused: (n,) places among the true and the predicted objects, and
    how many pixels they share; in order of their first shared pixel."""

    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    shared: NDArray[np.int64]


def overlaps(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], ignored: NDArray[np.bool_] | None = None
) -> tuple[Objects, Objects, Pairs]:
    """Two (H, W) object maps → true objects, predicted objects, and the pairs that overlap.

    0 is no object; any other id is one object, in however many pieces, and ids may have gaps.
    """
    _check(truth, predicted, ignored)
    seen, unseen = _patches(truth, predicted, ignored)
    true_objects, true_place = _objects(seen.true_ids, seen.pixels, unseen.true_ids, unseen.pixels)
    objects, place = _objects(seen.predicted_ids, seen.pixels, unseen.predicted_ids, unseen.pixels)
    both = (true_place >= 0) & (place >= 0)
    both[both] = ~(true_objects.excused[true_place[both]] & objects.excused[place[both]])
    return true_objects, objects, Pairs(true_place[both], place[both], seen.pixels[both])


@dataclass(frozen=True, eq=False)
class _Patches:
    """Pixels by what covers them: (n,) combinations of a true and a predicted id, in order of their first pixel."""

    true_ids: NDArray[np.int64]
    predicted_ids: NDArray[np.int64]
    pixels: NDArray[np.int64]


def _patches(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], ignored: NDArray[np.bool_] | None
) -> tuple[_Patches, _Patches]:
    """The patches that count, and those that are ignored.

    Ids are looked at only where a run of equal pixels begins, at one pixel in ten or so where objects are cells.
    """
    begins = np.zeros(truth.size, dtype=bool)
    begins[:1] = True
    for image in (truth, predicted, ignored):
        if image is not None:
            begins[1:] |= image.ravel()[1:] != image.ravel()[:-1]
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=truth.size)
    keys = _ids("truth", truth.ravel()[starts]) << np.uint64(32) | _ids("prediction", predicted.ravel()[starts])
    hidden = np.zeros(len(starts), dtype=bool) if ignored is None else ignored.ravel()[starts]
    return _gathered(keys[~hidden], lengths[~hidden]), _gathered(keys[hidden], lengths[hidden])


def _gathered(keys: NDArray[np.uint64], lengths: NDArray[np.intp]) -> _Patches:
    distinct, first, patch = np.unique(keys, return_index=True, return_inverse=True)
    pixels = np.bincount(patch, weights=lengths, minlength=len(distinct)).astype(np.int64)
    order = np.argsort(first)
    distinct = distinct[order]
    return _Patches(
        (distinct >> np.uint64(32)).astype(np.int64),
        (distinct & np.uint64(_LARGEST_ID)).astype(np.int64),
        pixels[order],
    )


def _objects(
    ids: NDArray[np.int64], pixels: NDArray[np.int64], unseen_ids: NDArray[np.int64], unseen: NDArray[np.int64]
) -> tuple[Objects, NDArray[np.intp]]:
    """The objects of one map, and the place among them of the one on each patch that counts; −1 where there is none."""
    by_id, first, number = np.unique(ids[ids > 0], return_index=True, return_inverse=True)
    order = np.argsort(first)
    sizes = np.bincount(number, weights=pixels[ids > 0], minlength=len(by_id)).astype(np.int64)
    partly = np.isin(unseen_ids, by_id)
    ignored = np.bincount(np.searchsorted(by_id, unseen_ids[partly]), weights=unseen[partly], minlength=len(by_id))
    place = np.full(len(ids), -1, dtype=np.intp)
    place[ids > 0] = np.argsort(order)[number]
    return Objects(by_id[order], sizes[order], (ignored > sizes)[order]), place


def _check(truth: NDArray[np.integer], predicted: NDArray[np.integer], ignored: NDArray[np.bool_] | None) -> None:
    for name, image in (("truth", truth), ("prediction", predicted)):
        _object_map(name, image)
    _same_shape("prediction", predicted, truth)
    if ignored is None:
        return
    if ignored.dtype != np.bool_:
        raise ImageError(
            f"The ignored pixels are {ignored.dtype}; we take booleans, True where the truth counts nowhere. "
            "Give `class_map == IGNORED`."
        )
    _same_shape("mask of ignored pixels", ignored, truth)


def _object_map(name: str, image: NDArray[np.integer]) -> None:
    if image.ndim == 3 and image.shape[2] in (3, 4):
        raise SizeError(
            f"The {name} is {image.shape}, a colour image; an object map is (height, width) with one id per object. "
            "Turn each colour into an id first."
        )
    if image.ndim != 2:
        raise SizeError(f"The {name} is {image.shape}; an object map is (height, width). Give one image at a time.")
    if image.dtype == np.bool_:
        raise ImageError(
            f"The {name} is a boolean mask and tells no object from another; number its objects first, "
            "with skimage.measure.label for one per connected piece."
        )
    if not np.issubdtype(image.dtype, np.integer):
        raise ImageError(
            f"The {name} is {image.dtype}; object maps are whole numbers, 0 where there is no object. "
            "Probabilities must be made objects first; ids that were saved as floats can be cast: .astype(np.uint32)."
        )


def _same_shape(name: str, image: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if image.shape == truth.shape:
        return
    hint = "give both on the same pixels, unscaled"
    if image.shape == truth.shape[::-1]:
        hint = "one is the other turned on its side: transpose one of them (.T); shapes are (height, width)"
    raise SizeError(f"The truth is {truth.shape} and the {name} {image.shape}; {hint}.")


def _ids(name: str, values: NDArray[np.integer]) -> NDArray[np.uint64]:
    outside = (values < 0) | (values > _LARGEST_ID)
    if outside.any():
        raise ImageError(
            f"The {name} holds the id {values[outside][0]}; ids are 1 to {_LARGEST_ID}, 0 is no object. "
            "Give pixels that count nowhere as `ignored`, and number larger ids anew."
        )
    return values.astype(np.uint64)
