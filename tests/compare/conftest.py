"""A small folder, two small entrants, and a comparison of them that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ushape.compare import Comparison, Entrant, Terms
from ushape.images.simulated import write_folder

TINY = {"output_size": 16, "batch": 1, "validations": 1, "precision": "float32"}

Compared = Callable[..., Comparison]


def tiny(name: str, **options: Any) -> Entrant:
    """A U-Net of next to no parameters."""
    network = {"width": 2, "depth": 1, "padding": "same", **options}
    return Entrant(name, {"model": {"name": "unet", "options": network}})


ENTRANTS = (tiny("copy"), tiny("add", skip="add"))


@pytest.fixture(scope="module", autouse=True)
def _few_resamples() -> Iterator[None]:
    """Every validation has intervals of its own, which take longer than trainings as small as these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ushape.metrics.table.RESAMPLES", 20)
        yield


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten simulated micrographs of 48 pixels a side, in images/ and masks/."""
    root = tmp_path_factory.mktemp("data") / "cells"
    write_folder(root, "cells", count=10, height_width=(48, 48), seed=1)
    return root


@pytest.fixture(scope="session")
def compared(cells: Path) -> Compared:
    """A function from a folder to a comparison of two entrants, three steps each, that goes into it."""

    def begin(out: Path, *, entrants: Any = ENTRANTS, data: Path = cells, overwrite: bool = False, **terms: Any) -> Any:
        said = {"steps": 3, "seeds": 2, "tables": {"training": TINY}, **terms}
        return Comparison(data, out, entrants, Terms(**said), device="cpu", overwrite=overwrite)

    return begin


@pytest.fixture(scope="session")
def done(compared: Compared, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison that is complete, which tests leave as it is."""
    comparison = compared(tmp_path_factory.mktemp("compared") / "out")
    for _ in comparison.events():
        pass
    return comparison
