"""The networks that a study of skip connections compares: U-Net, and U-Net with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ushape.compare.entrant import Entrant
from ushape.models import outlined
from ushape.models.unet import Skip

REFERENCE = "copy"
WIDER = "-wider"
"""At the end of the name of a network that is so wide as to come nearest to the reference in parameters."""


@dataclass(frozen=True)
class Variant:
    """A U-Net with one kind of long skip, with or without ResNet's shortcuts in its blocks."""

    name: str
    about: str
    skip: Skip
    residual: bool
    width: int

    @property
    def options(self) -> dict[str, Any]:  # Any: whatever U-Net's constructor takes
        """Padded and normalised, as `ushape train` chooses for a processor. No dropout: it stands at the bottom of the
        U, where it would cost a network more that has no other way up.
        """
        same: dict[str, Any] = {"padding": "same", "normalisation": "batch", "dropout": 0.0}
        return {**same, "width": self.width, "skip": self.skip, "residual": self.residual}

    @property
    def entrant(self) -> Entrant:
        return Entrant(self.name, {"model": {"name": "unet", "options": self.options}}, self.about)


def variants(width: int) -> tuple[Variant, ...]:
    """Five networks of equal width; then those with fewer parameters than the first, as wide as comes nearest to it.

    Where no other width comes nearer, there is nothing to add. RecipeError for a width that cannot be.
    """
    equal = (
        Variant(REFERENCE, "U-Net: each level's map is copied beside what comes up", "copy", False, width),
        Variant("add", "each level's map is added to what comes up", "add", False, width),
        Variant("none", "no long skip: all goes through the bottom", "none", False, width),
        Variant("residual-copy", "U-Net, its blocks with ResNet's shortcuts", "copy", True, width),
        Variant("residual-none", "ResNet's shortcuts alone", "none", True, width),
    )
    target = parameters(equal[0])
    smaller = [variant for variant in equal if parameters(variant) < target]
    wider = [_as_large(variant, target) for variant in smaller]
    return (*equal, *(variant for variant in wider if variant.width != width))


def nearest_width(target: int, count: Callable[[int], int], *, least: int = 1) -> int:
    """The width, from `least` up, at which a network has most nearly so many parameters; of two the narrower.

    >>> nearest_width(51, lambda width: width**2)
    7
    """
    above = least
    while count(above) < target:
        above += 1
    return min(range(max(least, above - 1), above + 1), key=lambda width: abs(count(width) - target))


def parameters(variant: Variant) -> int:
    """How many it has, of images with one channel and two classes; none is drawn."""
    return outlined("unet", **variant.options).parameter_count


def _as_large(variant: Variant, target: int) -> Variant:
    """The same, so wide that it has most nearly so many parameters."""
    width = nearest_width(target, lambda width: parameters(replace(variant, width=width)), least=variant.width)
    about = f"{variant.about}; of all widths nearest to {REFERENCE} in parameters"
    return replace(variant, name=variant.name + WIDER, about=about, width=width)
