"""Object map → touching objects drawn apart, and the weight of each pixel that makes a network keep them apart.

Both are for the object map of a patch after its deformation, `border_weights(separated(objects), form=…)`: what the
network sees is weighed by distances in what it sees. A map computed once per image and warped along would be wrong
wherever the deformation stretches or shrinks, and gaps one pixel wide would close in it or open.

Borders of U-Net 2015 (Section 3, eq. 2): w(x) = w_c(x) + w_0 exp(-(d_1 + d_2)² / 2σ²), d_1 and d_2 being the distances
to the border of the nearest cell and of the second nearest. We read them as exact Euclidean distances, in pixels, to
the nearest pixel of each object, and add the term on the background only: it is there to teach the separating border,
which is background, and the plugin by the same authors weighs all object pixels 1. Inside a cell d_1 would be the
distance to its own border, which would favour the cell's rim over its middle for no reason that the paper gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ushape.data.nearest import Bell, add_bells
from ushape.errors import DataError, ImageError, RecipeError, SizeError

BorderForm = Literal["unet-2015", "unet-2019"]

_NEGLIGIBLE = 5e-7  # half of the 1e-6 that two terms together may be off by


def _bell(height: float, sigma_px: float) -> Bell:
    return Bell(height, sigma_px, sigma_px * math.sqrt(2 * math.log(height / _NEGLIGIBLE)))


@dataclass(frozen=True)
class _Terms:
    """Of a background pixel: separation at d_1 + d_2, and balance at d_1, on top of its class weight.

    class_weights: (background, object); None where the caller hands them in.
    """

    separation: Bell
    balance: Bell
    class_weights: tuple[float, float] | None


_TERMS: dict[BorderForm, _Terms] = {
    "unet-2015": _Terms(_bell(10.0, 5.0), Bell(0.0, 1.0, 0.0), None),
    # λ = 50, σ_sep = 6, v_bal = 0.1, σ_bal = 10: the defaults of the Fiji plugin of Falk et al. 2019
    "unet-2019": _Terms(_bell(50.0, 6.0), _bell(1 - 0.1, 10.0), (0.1, 1.0)),
}


def border_weights(
    objects: NDArray[np.integer],
    *,
    form: BorderForm,
    class_weights: tuple[float, float] = (1.0, 1.0),
    ignored: NDArray[np.bool_] | None = None,
    rim_px: int = 0,
) -> NDArray[np.float32]:
    """(H, W) object map, or (N, H, W) of them → float32 weights of that shape, within 1e-5 of the formula.

    form: unet-2015 is the formula above with w_0 = 10, σ = 5 px. unet-2019 is that of the Fiji plugin: objects weigh 1,
        background 0.1 + 50 exp(-(d_1 + d_2)² / 2·6²) + 0.9 exp(-d_1² / 2·10²).
    class_weights: w_c of (background, object), such as `class_balance` makes; of unet-2015 only.
    ignored: pixels that weigh 0. An object that is drawn there is an object all the same, and has its distances.
    rim_px: at each side, of context: its objects count, its pixels are not weighed, and the result is smaller by it.

    Pieces of one number are one object. With fewer than two objects there is no d_2, and no border term. Objects that
    touch have no background between them to weigh: hand in `separated(objects)`, and make the classes of it too.

    ImageError for what is no object map or no mask; SizeError for other shapes, or a rim that leaves nothing;
    RecipeError for impossible weights.

    >>> [f"{weight:.2f}" for weight in border_weights(np.array([[1, 0, 2]]), form="unet-2015")[0]]
    ['1.00', '10.23', '1.00']
    """
    _check_objects(objects)
    if ignored is not None:
        _check_ignored(ignored, objects)
    inner = _within(rim_px, objects)
    background, foreground = _class_weights(form, class_weights)
    weights = np.full(objects[inner].shape, background, dtype=np.float32)
    weights[objects[inner] > 0] = foreground
    terms = _TERMS[form]
    for plane, its_weights in zip(_planes(objects), _planes(weights), strict=True):
        if plane.any():
            add_bells(its_weights, _numbered(plane), terms.separation, terms.balance, rim_px)
    if ignored is not None:
        weights[ignored[inner]] = 0
    return weights


def reach_px(form: BorderForm) -> int:
    """How far away, in whole pixels, an object can matter: those further off change no weight by more than 1e-6.

    So the weights of a patch are those of the whole image if it is cut out with this much context on each side (and
    separated before: which of two objects yields depends on all of each).

    >>> reach_px("unet-2015"), reach_px("unet-2019")
    (28, 54)
    """
    terms = _TERMS[form]
    return math.ceil(max(terms.separation.reach_px - 1, terms.balance.reach_px))  # d_1 is 1 px at least


def class_balance(counts: Sequence[int]) -> tuple[float, ...]:
    """Pixels of each class → its weight: all classes weigh the same in total, and the mean pixel weighs 1.

    A class without pixels weighs 1. DataError where there is none with pixels, or a negative count.

    >>> class_balance([30, 10])
    (0.6666666666666666, 2.0)
    """
    if min(counts, default=0) < 0 or not any(counts):
        raise DataError(
            f"Classes cannot be balanced by {list(counts)} pixels; give how many counted pixels each class has, "
            "at least one in all."
        )
    share = sum(counts) / sum(count > 0 for count in counts)
    return tuple(share / count if count else 1.0 for count in counts)


def separated(objects: NDArray[np.integer]) -> NDArray[np.integer]:
    """(H, W) object map, or (N, H, W) → a new one where no pixels of different objects touch, not even by a corner.

    The rule: a pixel becomes background where it touches, among its 8 neighbours, a pixel that stays of an object that
    goes before its own. Smaller objects go before larger ones, the lower number first of equals. So of two objects that
    touch, the larger gives the gap, which is one pixel wide along rows and columns and two on diagonals, where one
    would leave corners touching; and no pixel is taken that could have stayed.

    Objects all of whose pixels touch another, such as a line between two others, could vanish so. They go before those
    that have a pixel to themselves; and before all that, each of them in turn is promised its first pixel, row by row,
    that touches no pixel promised before. So an object with a pixel to itself never vanishes, and one without vanishes
    only where each of its pixels touches one that is promised to another such object, which is no larger. One of a
    single pixel vanishes only beside another of a single pixel: no rule could keep all four that meet in a corner.

    ImageError for what is no object map; SizeError unless it has two or three axes.

    >>> separated(np.array([[1, 1, 2, 2, 2]])).tolist()
    [[1, 1, 0, 2, 2]]
    """
    _check_objects(objects)
    apart = objects.copy()
    for plane in _planes(apart):
        plane[_staying(np.pad(_numbered(plane), 1))[1:-1, 1:-1] == 0] = 0
    return apart


def _staying(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """(H, W) numbers within a frame of 0 → the same without the pixels that become background."""
    pixels, width = numbers.ravel(), numbers.shape[1]
    places = np.flatnonzero(pixels)
    places = places[_touching(pixels, places, width)]
    kept = pixels.copy()
    kept[places] = 0
    area = np.bincount(pixels)
    to_itself = np.bincount(kept, minlength=len(area)) > 0
    rank = np.empty(len(area), dtype=np.int64)
    rank[np.lexsort((area, to_itself))] = np.arange(len(area))
    places = places[np.argsort(rank[pixels[places]], kind="stable")]
    _keep(pixels, kept, places[~to_itself[pixels[places]]], width, True)
    _keep(pixels, kept, places, width, False)
    return kept.reshape(numbers.shape)


@njit(cache=True, nogil=True)
def _touching(numbers: NDArray[np.int32], places: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    """Of an unrolled map within a frame of 0, whether each place touches an object other than its own."""
    touching = np.empty(len(places), dtype=np.bool_)
    for i, place in enumerate(places):
        touching[i] = _meets_other(numbers, numbers, place, width)
    return touching


@njit(cache=True, nogil=True)
def _keep(
    numbers: NDArray[np.int32], kept: NDArray[np.int32], places: NDArray[np.int64], width: int, one_each: bool
) -> None:
    """Copies each place to `kept`, in turn, that touches no other object there; one of each object, or all."""
    served = 0
    for place in places:
        if not (one_each and numbers[place] == served) and not _meets_other(numbers, kept, place, width):
            kept[place] = served = numbers[place]


@njit(cache=True, nogil=True)
def _meets_other(numbers: NDArray[np.int32], among: NDArray[np.int32], place: int, width: int) -> bool:
    for line in (place - width, place, place + width):
        for other in range(line - 1, line + 2):
            if among[other] > 0 and among[other] != numbers[place]:
                return True
    return False


def _numbered(objects: NDArray[np.integer]) -> NDArray[np.int32]:
    """(H, W) object map → the same with numbers 1 … n, in the order of its own. It sorts runs, not pixels."""
    pixels = objects.ravel()
    starts = np.flatnonzero(np.concatenate([[True], pixels[1:] != pixels[:-1]]))[: pixels.size]
    _, numbers = np.unique(np.append(pixels[starts], pixels.dtype.type(0)), return_inverse=True)
    lengths = np.diff(np.append(starts, pixels.size))
    return np.repeat(numbers[:-1].astype(np.int32), lengths).reshape(objects.shape)


def _planes(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W) or (N, H, W) → a (N, H, W) view."""
    return array if array.ndim == 3 else array[None]


def _within(rim_px: int, objects: NDArray[np.integer]) -> tuple[slice, ...]:
    """All but the rim of each (H, W)."""
    height, width = objects.shape[-2:]
    if rim_px < 0 or (rim_px and 2 * rim_px >= min(height, width)):
        raise SizeError(
            f"A rim of {rim_px} px at each side does not fit an object map of {height} x {width} pixels; give a map "
            "with so much context, or a rim of 0."
        )
    return (*(slice(None),) * (objects.ndim - 2), slice(rim_px, height - rim_px), slice(rim_px, width - rim_px))


def _class_weights(form: BorderForm, class_weights: tuple[float, float]) -> tuple[float, float]:
    if form not in _TERMS:
        raise RecipeError(f"There is no border form {form!r}; choose of {', '.join(_TERMS)}.")
    if len(class_weights) != 2 or not all(0 <= weight < math.inf for weight in class_weights):
        raise RecipeError(f"Got class weights {class_weights}; give two numbers from 0 up, of (background, object).")
    fixed = _TERMS[form].class_weights
    if fixed and tuple(class_weights) != (1.0, 1.0):
        raise RecipeError(f"{form} balances the classes itself and takes no class weights; leave {class_weights} out.")
    return fixed or class_weights


def _check_objects(objects: NDArray[np.integer]) -> None:
    if objects.ndim not in (2, 3):
        raise SizeError(f"The object map is {objects.shape}; give (height, width), or (images, height, width).")
    if not np.issubdtype(objects.dtype, np.integer):
        raise ImageError(
            f"The object map is {objects.dtype}; object maps are whole numbers, 0 where there is no object. "
            "A mask has no objects yet: number its parts, as scipy.ndimage.label does."
        )
    if objects.size and objects.min() < 0:
        raise ImageError(
            f"The object map holds {objects.min()} ({int((objects < 0).sum())} negative pixels); objects have numbers "
            "from 1 up. Set pixels of no object to 0, and hand in those that count nowhere as `ignored`."
        )


def _check_ignored(ignored: NDArray[np.bool_], objects: NDArray[np.integer]) -> None:
    if ignored.dtype != np.bool_:
        raise ImageError(f"The mask of ignored pixels is {ignored.dtype}; give booleans, `class_map == IGNORED`.")
    if ignored.shape != objects.shape:
        raise SizeError(
            f"The mask of ignored pixels is {ignored.shape} and the object map {objects.shape}; give both on the same "
            "pixels, unscaled."
        )
