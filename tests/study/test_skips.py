"""A study under way: looked into as soon as trained, gone on with where it stopped, without result if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.compare import CellBegun, CellEnded, Terms
from ushape.compare.outcome import Outcome
from ushape.errors import TrainingError
from ushape.images.simulated import write_folder
from ushape.study.analysis import Analysis
from ushape.study.skips import Analysing, SkipStudy

LEAST = {"batch": 1, "output_size": 32, "validations": 1, "precision": "float32", "learning_rate": 0.0}


@pytest.fixture
def study(tmp_path: Path) -> SkipStudy:
    """Nothing trained yet, and with a learning rate of 0 nothing will be learned."""
    write_folder(tmp_path / "cells", "cells", count=8, height_width=(32, 32), seed=1)
    terms = Terms(steps=1, seeds=1, test="cells_00[0-5]", tables={"training": LEAST})
    return SkipStudy(tmp_path / "cells", tmp_path / "out", terms, width=1)


def lose(study: SkipStudy, name: str) -> None:
    """As if a training had been lost."""
    (cell,) = [cell for cell in study.comparison.cells if cell.entrant.name == name]
    cell.folder.mkdir(parents=True)
    Outcome(name, 0, "The loss became nan.", 1.0, 1, 1.0, None, (), None).write(cell.folder / "result.json")


def test_a_network_is_looked_into_before_the_next_is_trained(study):
    with_next = study.events()
    before = []
    for event in with_next:
        if isinstance(event, CellBegun) and event.entrant == "add":
            break
        before.append(event)
    with_next.close()
    assert [event.share for event in before if isinstance(event, Analysing)] == pytest.approx(
        [n / 6 for n in range(1, 7)]
    )
    assert isinstance(before[-1], CellEnded)

    found = Analysis.read(study.out / "cells" / "copy-0" / "study.json")
    assert len(found.bands) == len(found.dice) == len(found.judged) == 6
    assert found.gradients_before == found.gradients_after  # of the weights that the seed drew: none was learned

    (study.out / "cells" / "copy-0" / "study.json").unlink()  # as if stopped between training and looking
    assert study.complete_seeds() == []
    first = next(iter(study.events()))
    assert isinstance(first, Analysing)
    assert first.entrant == "copy"


def test_without_a_complete_seed_there_is_nothing_to_show(study):
    with pytest.raises(TrainingError, match="no seed yet with which every variant is trained"):
        study.results()


def test_without_the_unet_itself_there_is_nothing_to_compare_to(study):
    for variant in study.variants:
        lose(study, variant.name)
    assert study.complete_seeds() == [0]
    with pytest.raises(
        TrainingError, match=r"The U-Net that all others are compared to could not be trained: The loss b"
    ):
        study.results()
