"""What the image files really hold, read once: sizes, channels, types, damage, copies."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.data.pair import Fault, Pair, counted, error, listed, warning
from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource, Page, source_of

SIDES = {2: "height x width", 3: "depth x height x width"}
"""The sides of an image, and of a volume, in their order."""

_PIXELS_AT_ONCE = 1 << 24
"""Larger images are read in strips of this many pixels."""


@dataclass(frozen=True)
class ImageFacts:
    """One image: shape is (height, width); grey where all channels are equal; spacing in micrometres (y, x), if known.
    Of a volume, both have z before them.

    digest: equal for images of equal pixels; empty for an image of one single value, which resembles any other.
    """

    shape: tuple[int, ...]
    channels: int
    grey: bool
    dtype: str
    spacing: tuple[float, ...] | None
    digest: str

    @property
    def colours(self) -> int:
        """Channels that tell something: 1 where all are equal."""
        return 1 if self.grey else self.channels


def inspected(pairs: Sequence[Pair]) -> tuple[dict[str, ImageFacts], list[Fault]]:
    """Facts by pair name, of images that can be read; and everything wrong with images and sizes."""
    facts: dict[str, ImageFacts] = {}
    faults: list[Fault] = []
    for pair in pairs:
        try:
            facts[pair.name] = _facts(source_of(pair.image))
        except ImageError as damage:
            faults.append(error(str(damage), [pair.image.path]))
    readable = [pair for pair in pairs if pair.name in facts]
    faults += [fault for pair in readable for fault in _size_faults(pair, facts[pair.name].shape)]
    faults += _type_faults(readable, facts)
    faults += _channel_faults(readable, facts)
    faults += _copy_faults(copies(pairs, facts), pairs)
    return facts, faults


def times(sizes: Iterable[int]) -> str:
    """
    >>> times((10, 256, 256))
    '10 x 256 x 256'
    """
    return " x ".join(map(str, sizes))


def copies(pairs: Sequence[Pair], facts: Mapping[str, ImageFacts]) -> list[list[str]]:
    """Names of images with the same pixels, together."""
    same = defaultdict(list)
    for pair in pairs:
        if pair.name in facts and facts[pair.name].digest:
            same[facts[pair.name].digest].append(pair.name)
    return [names for names in same.values() if len(names) > 1]


def _facts(source: ImageSource) -> ImageFacts:
    digest = hashlib.blake2b(repr(source.shape).encode(), digest_size=16)
    grey, lowest, highest = True, set(), set()
    for pixels in _strips(source):
        grey = grey and bool((pixels == pixels[..., :1]).all())
        lowest.add(pixels.min().item())
        highest.add(pixels.max().item())
        # an RGB copy of a grey image is a copy too; strips have equal bounds in images of equal shape
        digest.update(np.ascontiguousarray(pixels[..., :1] if grey else pixels).tobytes())
    constant = min(lowest) == max(highest)
    return ImageFacts(
        shape=source.shape,
        channels=source.channels,
        grey=grey,
        dtype=str(source.dtype),
        spacing=source.spacing,
        digest="" if constant else digest.hexdigest(),
    )


def _strips(source: ImageSource) -> Iterator[NDArray[np.generic]]:
    height, *others = source.shape
    rows = max(1, _PIXELS_AT_ONCE // math.prod(others))
    for top in range(0, height, rows):
        yield source.read(Window((top, *(0 for _ in others)), (min(top + rows, height), *others)))


def _size_faults(pair: Pair, shape: tuple[int, ...]) -> list[Fault]:
    faults = []
    pages = [mask.page for mask in pair.masks] + ([pair.valid] if pair.valid else [])
    for page in pages:
        try:
            found = source_of(page).shape
        except ImageError as damage:
            faults.append(error(str(damage), [page.path]))
            continue
        if found != shape:
            faults.append(error(_size_message(pair.image, shape, page, found), [pair.image.path, page.path]))
    return faults


def _size_message(image: Page, shape: tuple[int, ...], page: Page, found: tuple[int, ...]) -> str:
    turned = found == shape[::-1]
    remedy = "They are transposed: rotate one of them" if turned else "Export the mask again at the image's size"
    return (
        f"{page} is {times(found)} ({SIDES[len(shape)]}), but its image {image} is {times(shape)}. "
        f"{remedy}; every pixel of the image needs its own."
    )


def _type_faults(pairs: Sequence[Pair], facts: Mapping[str, ImageFacts]) -> list[Fault]:
    types = Counter(facts[pair.name].dtype for pair in pairs)
    if len(types) < 2:
        return []
    usual = types.most_common(1)[0][0]
    odd = [pair for pair in pairs if facts[pair.name].dtype != usual]
    kinds = ", ".join(f"{number} of {dtype}" for dtype, number in types.most_common())
    return [
        error(
            f"Images have different types of pixels ({kinds}), so equal numbers do not mean equal brightness. Convert "
            f"these as the others were: {listed(f'{p.image.path.name} ({facts[p.name].dtype})' for p in odd)}.",
            [pair.image.path for pair in odd],
        )
    ]


def _channel_faults(pairs: Sequence[Pair], facts: Mapping[str, ImageFacts]) -> list[Fault]:
    """Grey images may stand among those of one other number of channels: they are repeated over all of these."""
    colours = Counter(facts[pair.name].colours for pair in pairs)
    if len(colours) < 2:
        return []
    kinds = ", ".join(f"{number} with {channels}" for channels, number in sorted(colours.items()))
    most = max(colours)
    if set(colours) == {1, most}:
        grey = [pair for pair in pairs if facts[pair.name].colours == 1]
        return [
            warning(
                f"Images differ in channels ({kinds}). {counted(len(grey), 'grey image')} will be repeated over "
                f"{most} channels. Convert all to one kind if you did not mean to mix them.",
                [pair.image.path for pair in grey],
            )
        ]
    usual = colours.most_common(1)[0][0]
    odd = [pair for pair in pairs if facts[pair.name].colours != usual]
    return [
        error(
            f"Images differ in channels ({kinds}), and only grey can be adapted. Save them all with the same channels: "
            f"{listed(f'{pair.image.path.name} ({facts[pair.name].colours})' for pair in odd)}.",
            [pair.image.path for pair in odd],
        )
    ]


def _copy_faults(same: Sequence[Sequence[str]], pairs: Sequence[Pair]) -> list[Fault]:
    if not same:
        return []
    pages = {pair.name: pair.image for pair in pairs}
    files: list[Path] = [pages[name].path for names in same for name in names]
    sets = listed((" = ".join(names) for names in same), most=5)
    return [
        warning(
            f"The same image is there under several names: {sets}. Copies are kept on one side of the split; "
            "remove them if they are not meant.",
            files,
        )
    ]
