"""The ventricle at the end of diastole and of systole → volumes, ejection fraction, mass."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ushape.cardiac.ventricle import DENSITY_G_PER_ML, Ventricle

NAMES = {
    "edv": "end-diastolic volume",
    "esv": "end-systolic volume",
    "sv": "stroke volume",
    "ef": "ejection fraction",
    "mass": "myocardial mass",
}


@dataclass(frozen=True)
class Indices:
    """What one reader's masks say of one heart; NaN what cannot be said.

    edv, esv, sv: mL, or voxels where the size of these is not known (`in_ml` is False). ef: per cent, which does not
    depend on that size. mass: grams, of the end-diastolic wall; NaN without a size.
    """

    edv: float
    esv: float
    sv: float
    ef: float
    mass: float
    in_ml: bool

    @staticmethod
    def of(diastole: Ventricle | None, systole: Ventricle | None) -> Indices:
        """Of a heart of which one phase is missing, what the other says."""
        known = diastole or systole
        in_ml = known is not None and known.voxel_mm is not None
        edv, esv = (math.nan if phase is None else phase.cavity for phase in (diastole, systole))
        mass = diastole.wall * DENSITY_G_PER_ML if diastole is not None and in_ml else math.nan
        return Indices(edv, esv, edv - esv, 100 * (edv - esv) / edv if edv else math.nan, mass, in_ml)

    def unit(self, name: str) -> str:
        """Of the index of this name."""
        return {"ef": "%", "mass": "g"}.get(name, "mL" if self.in_ml else "voxels")
