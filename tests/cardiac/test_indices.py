"""Volumes, ejection fraction and mass of ellipsoids against their formulas, and what cannot be said."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ushape.cardiac.indices import Indices
from ushape.cardiac.ventricle import Anatomy, Ventricle
from ushape.errors import RecipeError
from ushape.regions import Region

Phantom = Callable[..., Ventricle]

ENDO, EPI = Region("Endocardium", (3,)), Region("epicardium", (2, 3))


def ellipsoid_ml(radii_mm: tuple[float, float, float]) -> float:
    return 4 / 3 * math.pi * math.prod(radii_mm) / 1000


def test_ellipsoids_have_the_figures_of_their_formulas(heart: Phantom) -> None:
    diastole, systole = heart((40, 24, 24), 8), heart((34, 15, 15), 12)
    found = Indices.of(diastole, systole)
    edv, esv = ellipsoid_ml((40, 24, 24)), ellipsoid_ml((34, 15, 15))
    assert found.in_ml
    assert found.edv == pytest.approx(edv, rel=0.01)
    assert found.esv == pytest.approx(esv, rel=0.01)
    assert found.sv == pytest.approx(edv - esv, rel=0.02)
    assert found.ef == pytest.approx(100 * (1 - esv / edv), abs=0.5)
    assert found.mass == pytest.approx(1.05 * (ellipsoid_ml((48, 32, 32)) - edv), rel=0.01)
    assert found.ef == pytest.approx(67, abs=1)  # of these radii, worked by hand: 1 - 34 * 15 * 15 / (40 * 24 * 24)


def test_the_gap_between_slices_counts(heart: Phantom) -> None:
    thin, thick = heart(voxel_mm=(2, 1, 1)), heart(voxel_mm=(10, 1, 1), shape=(11, 72, 72))
    assert thick.cavity == pytest.approx(thin.cavity, rel=0.03)
    one = Ventricle(np.ones((1, 2, 3), dtype=bool), None, None, (10.0, 1.5, 2.0))
    assert one.cavity == pytest.approx(6 * 10 * 1.5 * 2 / 1000)


def test_without_the_size_of_voxels_the_ejection_fraction_stays(heart: Phantom) -> None:
    known = Indices.of(heart((40, 24, 24)), heart((34, 15, 15)))
    unknown = Indices.of(replace(heart((40, 24, 24)), voxel_mm=None), replace(heart((34, 15, 15)), voxel_mm=None))
    assert unknown.ef == pytest.approx(known.ef)
    assert unknown.edv == heart((40, 24, 24)).endocardium.sum()
    assert math.isnan(unknown.mass) and not unknown.in_ml
    assert (unknown.unit("edv"), unknown.unit("ef"), known.unit("esv"), known.unit("mass")) == (
        "voxels",
        "%",
        "mL",
        "g",
    )


def test_what_a_missing_phase_or_wall_leaves_open_is_not_a_number(heart: Phantom) -> None:
    alone = Indices.of(heart(), None)
    assert alone.edv > 0 and alone.mass > 0
    assert all(math.isnan(value) for value in (alone.esv, alone.sv, alone.ef))
    bare = Indices.of(replace(heart(), epicardium=None), heart((34, 15, 15)))
    assert math.isnan(bare.mass) and bare.ef > 0
    empty = replace(heart(), endocardium=np.zeros_like(heart().endocardium))
    assert math.isnan(Indices.of(empty, empty).ef)


def test_regions_are_the_hearts_by_their_names() -> None:
    right = Region("right_ventricle", (1,))
    assert Anatomy.of([right, EPI, ENDO]) == Anatomy(ENDO, EPI, right)
    classes = np.array([[[0, 1, 2, 3]]], dtype=np.uint8)
    ventricle = Ventricle.of(classes, Anatomy(ENDO, EPI, right), None)
    assert ventricle.endocardium.tolist() == [[[False, False, False, True]]]
    assert ventricle.epicardium is not None and ventricle.epicardium.tolist() == [[[False, False, True, True]]]
    assert ventricle.right_ventricle is not None and ventricle.right_ventricle.sum() == 1
    with pytest.raises(RecipeError, match="The regions are epicardium; figures of the heart need one that is called"):
        Anatomy.of([EPI])
    with pytest.raises(RecipeError, match="epicardium does not hold the region endocardium"):
        Anatomy.of([ENDO, Region("epicardium", (2,))])
