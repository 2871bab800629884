"""Small folders, and repetitions of next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ushape.images.simulated import write_folder
from ushape.repetition import Repetition, cross_validation, learning_curve, several_seeds

TABLES = {
    "model": {"name": "unet", "options": {"width": 2, "depth": 1, "padding": "same"}},
    "training": {"steps": 3, "output_size": 16, "batch": 1, "validations": 1, "precision": "float32"},
}
Folded = Callable[..., Repetition]


@pytest.fixture(scope="module", autouse=True)
def _few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ushape.metrics.table.RESAMPLES", 20)
        yield


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six simulated micrographs of 48 pixels a side."""
    root = tmp_path_factory.mktemp("data") / "cells"
    write_folder(root, "cells", count=6, height_width=(48, 48), seed=1)
    return root


@pytest.fixture(scope="session")
def folded(cells: Path) -> Folded:
    """A function from a folder to a cross-validation of three folds that goes into it; group_by: an image a group."""

    def begin(out: Path, *, data: Path = cells, tables: dict[str, Any] | None = None, **options: Any) -> Repetition:
        alone = {"data": {"group_by": ".*"}, **TABLES, **(tables or {})}
        return cross_validation(data, out, alone, device="cpu", **{"number": 3, **options})

    return begin


@pytest.fixture(scope="session")
def seeded(cells: Path) -> Folded:
    """The same of trainings with two seeds."""

    def begin(out: Path, *, data: Path = cells, images: dict[str, Any] | None = None, **options: Any) -> Repetition:
        alone = {**TABLES, "data": {"group_by": ".*", **(images or {})}}
        return several_seeds(data, out, alone, device="cpu", **{"number": 2, **options})

    return begin


@pytest.fixture(scope="session")
def curve(cells: Path) -> Folded:
    """The same of a learning curve; group_by: an image a group."""

    def begin(out: Path, *, data: Path = cells, group_by: str = ".*") -> Repetition:
        return learning_curve(data, out, {**TABLES, "data": {"group_by": group_by}}, device="cpu")

    return begin


@pytest.fixture(scope="session")
def done(folded: Folded, tmp_path_factory: pytest.TempPathFactory) -> Repetition:
    """A cross-validation that is complete, with masks; tests leave it as it is."""
    repetition = folded(tmp_path_factory.mktemp("folded") / "out", masks=True)
    for _ in repetition.events():
        pass
    return repetition
