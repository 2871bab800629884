"""The page of a comparison: what it tells, and what it leaves to the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ushape.compare import Comparison, Entrant, Terms
from ushape.compare.outcome import Outcome
from ushape.images.simulated import write_folder
from ushape.report.comparison import write_comparison
from ushape.report.comparison_gallery import difficult_places

Read = type[Any]  # Any: the page read back, of conftest.py

TINY = {"output_size": 16, "batch": 1, "validations": 2, "precision": "float32"}
FOUL = "<b>add"


@pytest.fixture(scope="module", autouse=True)
def _few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ushape.metrics.table.RESAMPLES", 20)
        yield


def entrant(name: str, **options: Any) -> Entrant:
    network = {"width": 2, "depth": 1, "padding": "same", **options}
    return Entrant(name, {"model": {"name": "unet", "options": network}}, f"about {name}")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two seeds of two entrants on micrographs with numbered cells, four steps each."""
    root = tmp_path_factory.mktemp("compared")
    write_folder(root / "cells", "cells", count=7, height_width=(64, 48), seed=1, instances=True)
    terms = Terms(steps=4, seeds=2, test="cells_00[0-2]", tables={"training": TINY, "data": {"task": "instances"}})
    entrants = (entrant("copy"), entrant(FOUL, skip="add"))
    made = Comparison(root / "cells", root / "out", entrants, terms, device="cpu")
    for _ in made.events():
        pass
    return made


def test_all_is_told_on_one_page(comparison: Comparison, read: Read) -> None:
    results = write_comparison(comparison, "ushape compare cells")
    text = (comparison.out / "report.html").read_text(encoding="utf-8")
    seen = read(text)
    assert seen.faults == [] and not {"script", "link", "b"} & set(seen.tags)
    place = 0
    for words in (
        "2 networks on cells",
        "4 steps",
        *results.findings(),
        "Scores on 3 test images",
        "Differences to copy",
        "What it takes",
        "What was done",
        "the same for all",
        "Validation in training, mean over seeds",
        "Test score and size",
        "entrants differ most",
        "lowest scores",
        "ushape compare cells",
        "One recipe trains all, tuned for none of them",
        "Pictures are of the trainings with seed 0.",
    ):
        assert words in seen.text[place:], words
        place = seen.text.index(words, place)


def test_the_tables_say_what_was_scored_and_measured(comparison: Comparison, read: Read) -> None:
    results = write_comparison(comparison, "")
    seen = read((comparison.out / "report.html").read_text(encoding="utf-8"))
    copy, add = results.standings
    rows = {row[0]: row[1:] for row in seen.cells if row}
    scores = [row for row in seen.cells if row and row[0] == f"{FOUL} about {FOUL}"]
    assert scores[0][1].startswith(f"{results.spread(add, 'ap_50_95').mean:.3f}")
    assert scores[0][2].startswith(f"{results.spread(add, 'dice').mean:.3f}")
    assert scores[1][1] == f"{add.cost.parameters:,}" and scores[1][7] == "100%"
    assert scores[1][9] == f"{add.median('seconds_per_megapixel'):.2f}"
    apart = results.difference(add, copy, "ap_50_95")
    assert rows[FOUL][0] == f"{apart.mean:+.3f}".replace("-", "−")
    assert rows[FOUL][-1] == "not distinguishable"
    strips = [v for _, name, v in seen.attributes if name == "aria-label" and v.startswith("seeds")]
    assert len(strips) == 2 and strips[0].count(",") == 1


def test_every_difficult_place_goes_through_all_networks_beside_the_truth(comparison: Comparison) -> None:
    galleries = difficult_places(comparison, comparison.results())
    assert [title.split(": ")[1] for title, _ in galleries] == ["entrants differ most"] * 2 + ["lowest scores"]
    assert len({title for title, _ in galleries}) == 3, "each image once"
    for _, pictures in galleries:
        assert [picture.caption.split(":")[0] for picture in pictures] == ["image", "truth", "copy", FOUL]
        assert len({picture.pixels.shape for picture in pictures}) == 1
        assert not np.array_equal(pictures[0].pixels, pictures[1].pixels)


def test_figures_and_scores_of_images_stand_in_files(comparison: Comparison) -> None:
    results = write_comparison(comparison, "")
    about = json.loads((comparison.out / "results.json").read_text(encoding="utf-8"))
    assert about["findings"] == results.findings()
    assert len((comparison.out / "results.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * 2 * 3


def test_lost_trainings_and_seeds_that_are_missing_are_told(
    comparison: Comparison, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(path: Path) -> Outcome:
        outcome = read_outcome(path)
        return outcome if outcome.entrant == "copy" else Outcome(FOUL, 0, "It was lost.", 1, 1, 1, None, (), None)

    read_outcome = Outcome.read
    monkeypatch.setattr(Outcome, "read", lost)
    monkeypatch.setattr(Comparison, "complete_seeds", lambda self: [0])
    write_comparison(comparison, "")
    seen = read((comparison.out / "report.html").read_text(encoding="utf-8"))
    for words in (
        "It was lost.",
        "no training was completed",
        "1, 1 lost",
        "Seeds that are not complete yet, and count",
    ):
        assert words in seen.text
    assert "distinguishable" not in {row[-1] for row in seen.cells if row}
