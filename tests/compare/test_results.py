"""Outcomes → standings, files, and sentences that the numbers carry."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence

import pytest

from ushape.compare.cost import Cost
from ushape.compare.entrant import Entrant
from ushape.compare.outcome import ImageScores, Outcome, Scores, Validated
from ushape.compare.results import Results
from ushape.recipe import Recipe, TrainingRecipe

SIX = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]


def outcome(
    name: str, seed: int, dice: Sequence[float], *, seconds: float = 60.0, steps: int = 20, failure: str = ""
) -> Outcome:
    images = tuple(ImageScores(f"image {n}", f"group {n}", {"dice": d, "det": d}) for n, d in enumerate(dice))
    scores = None if failure else Scores(images, {"dice": 0.5}, "dice")
    curve = (Validated(10, seconds / 2, 0.4 + seed / 10), Validated(20, seconds, 0.6 + seed / 10))
    return Outcome(name, seed, failure, seconds, steps, 2.0, 1.5, curve, scores)


def results(*outcomes: Outcome, **training: float) -> Results:
    names = list(dict.fromkeys(o.entrant for o in outcomes))
    recipe = Recipe(training=TrainingRecipe(**(training or {"minutes": 1.0})))
    cost = Cost(1000, 1e9, 2**20, (16, 16), 1)
    return Results.of(
        [Entrant(n, {}) for n in names], dict.fromkeys(names, recipe), dict.fromkeys(names, cost), outcomes
    )


def shifted(by: float) -> list[float]:
    return [score + by for score in SIX]


def test_a_winner_is_named_where_images_and_seeds_agree():
    found = results(*(outcome(n, s, shifted(d)) for s in (0, 1) for n, d in (("a", 0), ("b", 0.02), ("c", -0.1))))
    assert [standing.name for standing in found.ranked] == ["b", "a", "c"]
    assert found.findings() == [
        "b scores highest on these 6 test images, by the Dice (0.762), and is distinguishable from every other."
    ]


def test_no_winner_is_named_where_they_do_not():
    mixed = [score + (0.1 if n % 2 else -0.09) for n, score in enumerate(SIX)]
    found = results(*(outcome(n, s, d) for s in (0, 1) for n, d in (("a", SIX), ("b", mixed), ("c", shifted(-0.3)))))
    (sentence,) = found.findings()
    assert sentence.startswith("No winner can be named on these 6 test images, by the Dice: b has the highest mean")
    assert sentence.endswith("not distinguishable from a.")


def test_few_images_and_one_seed_are_said():
    found = results(outcome("a", 0, SIX[:3]), outcome("b", 0, shifted(0.1)[:3]))
    assert "No winner can be named" in found.findings()[0]
    assert "With one seed, nothing here tells how much another training of the same network" in found.findings()[1]
    assert "The test images are of 3 groups, which is too few" in found.findings()[2]


def test_a_missed_budget_is_marked():
    found = results(
        *(outcome("in time", s, SIX, seconds=62) for s in (0, 1)),
        *(outcome("late", s, SIX, seconds=60 + 9 * s) for s in (0, 1)),
    )
    in_time, late = found.standings
    assert in_time.kept_budget and not late.kept_budget
    assert late.deviations == pytest.approx([0, 0.15])
    assert "1 training of late missed the budget, by +15% at most." in found.findings()
    steps = results(outcome("a", 0, SIX, steps=18), steps=20)
    assert steps.standings[0].deviations == pytest.approx([-0.1])


def test_lost_trainings_leave_the_others_of_their_entrant():
    found = results(
        outcome("a", 0, SIX), outcome("b", 0, [], failure="It was lost."), outcome("a", 1, SIX), outcome("b", 1, SIX)
    )
    a, b = found.standings
    assert (b.seeds, len(b.failures)) == ([1], 1)
    assert found.difference(b, a, "dice").seeds == (0.0,), "over the seeds that both have"
    assert "The training of b with seed 0 was lost: It was lost." in found.findings()


def test_where_all_is_lost_nothing_is_compared():
    found = results(outcome("a", 0, [], failure="It was lost."), outcome("b", 0, SIX))
    a, b = found.standings
    assert found.difference(b, a, "dice") is None
    assert [standing.name for standing in found.ranked] == ["b"]
    assert found.to_dict()["entrants"][0]["scores"] == {}


def test_files_hold_every_training_and_image(tmp_path):
    found = results(*(outcome(n, s, [0.5, math.nan]) for s in (0, 1) for n in "ab"))
    found.write_csv(tmp_path / "results.csv")
    found.write_json(tmp_path / "results.json")
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2
    assert rows[0] == {"entrant": "a", "seed": "0", "image": "image 0", "group": "group 0", "dice": "0.5", "det": "0.5"}
    assert rows[1]["dice"] == ""
    about = json.loads((tmp_path / "results.json").read_text("utf-8"), parse_constant=lambda name: pytest.fail(name))
    assert [entrant["name"] for entrant in about["entrants"]] == ["a", "b"]
    assert about["entrants"][0]["scores"]["dice"]["seeds"] == [0.5, 0.5]
    assert about["entrants"][1]["above_the_first"]["dice"]["distinguishable"] is False
    assert about["primary"] == "dice" and about["seeds"] == [0, 1]
