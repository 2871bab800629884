"""A left ventricle in a stack of short-axis slices, at one moment, as one reader drew it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import RecipeError
from ushape.labels import Labels
from ushape.regions import Declared, Region, regions_of

DENSITY_G_PER_ML = 1.05
"""Of myocardium, by which volumes become masses (Schulz-Menger et al. 2013, JCMR 15:35)."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Anatomy:
    """Which regions are the heart's: the cavity, that with its wall, and what says where the septum is."""

    endocardium: Region
    epicardium: Region | None = None
    right_ventricle: Region | None = None

    @staticmethod
    def of(regions: Sequence[Region]) -> Anatomy:
        """By their names: endocardium, epicardium, right ventricle. RecipeError where these are not a ventricle's."""
        named = {region.name.lower().replace("_", " ").replace("-", " "): region for region in regions}
        if "endocardium" not in named:
            there = ", ".join(region.name for region in regions) or "none"
            raise RecipeError(
                f"The regions are {there}; figures of the heart need one that is called endocardium, the cavity, and "
                "take two more: epicardium, the cavity with its wall, and right ventricle. Declare them in [regions] "
                "of the recipe, or as --region endocardium=3 --region epicardium=2,3 --region 'right ventricle=1'."
            )
        anatomy = Anatomy(named["endocardium"], named.get("epicardium"), named.get("right ventricle"))
        if anatomy.epicardium is not None and not anatomy.epicardium.holds(anatomy.endocardium):
            raise RecipeError(
                "The region epicardium does not hold the region endocardium. It is the wall and the cavity together: "
                "declare it with the classes of both."
            )
        return anatomy

    @staticmethod
    def declared(declared: Declared, labels: Labels) -> Anatomy:
        """Of regions that are declared; where none is, the one foreground class that there is is the cavity."""
        if not declared and labels.classes == 2:
            return Anatomy(Region("endocardium", (1,)))
        return Anatomy.of(regions_of(declared, labels))

    @property
    def regions(self) -> list[Region]:
        """Those that there are."""
        every = (self.endocardium, self.epicardium, self.right_ventricle)
        return [region for region in every if region is not None]


@dataclass(frozen=True, eq=False)
class Ventricle:
    """Where cavity, cavity with wall, and right ventricle are: (S, H, W) each, None where nobody drew it.

    voxel_mm: from slice to slice (gap included), along y and along x; None where files do not say.
    """

    endocardium: Mask
    epicardium: Mask | None = None
    right_ventricle: Mask | None = None
    voxel_mm: tuple[float, float, float] | None = None

    @staticmethod
    def of(classes: NDArray[np.uint8], anatomy: Anatomy, voxel_mm: tuple[float, float, float] | None) -> Ventricle:
        """From (S, H, W) class numbers."""
        endo, epi, right = (
            None if region is None else region.of(classes)
            for region in (anatomy.endocardium, anatomy.epicardium, anatomy.right_ventricle)
        )
        assert endo is not None
        return Ventricle(endo, epi, right, voxel_mm)

    @property
    def outer(self) -> Mask:
        """The epicardium, or the cavity where there is no wall."""
        return self.endocardium if self.epicardium is None else self.epicardium

    @property
    def pixel_mm(self) -> tuple[float, float] | None:
        """Along y and x."""
        return self.voxel_mm[1:] if self.voxel_mm else None

    @property
    def present(self) -> Mask:
        """(S,) which slices show any of it."""
        return np.asarray(self.outer.any(axis=(1, 2)))

    @property
    def cavity(self) -> float:
        """Its volume by summation of slices: mL, or voxels where their size is not known."""
        return self._volume(self.endocardium)

    @property
    def wall(self) -> float:
        """The volume of the myocardium, likewise; NaN where no epicardium was drawn."""
        if self.epicardium is None:
            return np.nan
        return self._volume(self.epicardium & ~self.endocardium)

    def regions(self) -> dict[str, Mask]:
        """The regions whose contours are scored."""
        every = {"endocardium": self.endocardium, "epicardium": self.epicardium}
        return {name: mask for name, mask in every.items() if mask is not None}

    def upside_down(self) -> Ventricle:
        """With the slices in reverse order."""
        epi, right = (None if mask is None else mask[::-1] for mask in (self.epicardium, self.right_ventricle))
        return Ventricle(self.endocardium[::-1], epi, right, self.voxel_mm)

    def _volume(self, mask: Mask) -> float:
        """1 mL is 1000 mm³."""
        voxels = int(mask.sum())
        return float(voxels if self.voxel_mm is None else voxels * np.prod(self.voxel_mm) / 1000)
