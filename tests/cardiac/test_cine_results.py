"""What is kept of hearts drawn by the network alone: the same figures in every file."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from ushape.cardiac.cine_results import CineFigures, CineResults
from ushape.cardiac.indices import Indices


def figures(name: str = "p1", mass: float = 90.0) -> CineFigures:
    return CineFigures(
        patient=name,
        phases="the names of the frames",
        frames={"ED": "a", "ES": "b"},
        voxel_mm=(8.0, 1.5, 1.5),
        indices=Indices(120.0, 50.0, 70.0, 58.333, mass, True),
        course=((1, 120.0), (2, 50.0)),
        oddities=(("time", "Frame 1 …"), ("ED", "No cavity in slice 2, …")),
        septum=None,
        from_base=True,
        wall=[math.nan] * 17,
    )


def test_every_file_has_the_figures(tmp_path: Path) -> None:
    results = CineResults((figures(), figures("p2", math.nan)), ("p3",))
    paths = results.write(tmp_path)
    assert [path.name for path in paths] == ["patients.csv", "volumes.csv", "results.json"]
    rows = list(csv.DictReader(paths[0].read_text(encoding="utf-8").splitlines()))
    assert [(row["patient"], row["unit"], row["edv"], row["mass"]) for row in rows] == [
        ("p1", "mL", "120.0", "90.0"), ("p2", "mL", "120.0", ""),
    ]  # fmt: skip
    volumes = list(csv.DictReader(paths[1].read_text(encoding="utf-8").splitlines()))
    assert volumes[1] == {"patient": "p1", "frame": "2", "cavity": "50.0", "unit": "mL"} and len(volumes) == 4
    about = json.loads(paths[2].read_text(encoding="utf-8"))
    assert about["patients"][1]["indices"]["mass"] is None and about["patients"][0]["wall"][0] is None
    assert about["patients"][0]["course"][0] == {"frame": 1, "cavity": 120.0, "unit": "mL"}
    assert about["patients"][0]["oddities"][1] == {"where": "ED", "what": "No cavity in slice 2, …"}
    assert about["without_cavity"] == ["p3"] and "network's alone" in about["manual"]


def test_a_study_without_hearts_has_empty_tables(tmp_path: Path) -> None:
    paths = CineResults((), ("p1",)).write(tmp_path)
    assert all(path.is_file() for path in paths)
