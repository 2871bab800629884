"""The figures over all images are those of the evaluation; the spread is of the members' means."""

from __future__ import annotations

import csv
import json
import statistics

import pytest


def test_means_and_their_spread(done):
    results = done.results()
    assert results.shown[0] == results.primary == "dice"
    means = [member.means["dice"] for member in results.members]
    assert results.deviation("dice") == pytest.approx(statistics.stdev(means))
    assert results.figure("dice").mean == pytest.approx(statistics.mean(means)), "folds of two images each"
    assert [member.steps for member in results.members] == [3, 3, 3]
    found = " ".join(results.findings())
    assert "6 images, each by the network that never saw it" in found
    assert f"between {min(means):.3f} and {max(means):.3f}" in found


def test_all_of_it_is_written(done, tmp_path):
    results = done.results()
    results.write(tmp_path)
    values = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert values["kind"] == "cross-validation" and len(values["members"]) == 3
    assert sorted(name for member in values["members"] for name in member["images"]) == sorted(
        row["name"] for row in values["evaluation"]["rows"]
    )
    assert set(values["scores"]["dice"]) == {"mean", "low", "high", "deviation"}
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6
