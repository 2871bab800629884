"""What is said of figures: as much as they carry, and nothing where images and seeds do not agree."""

from __future__ import annotations

import re

from ushape.study.cuts import Place
from ushape.study.findings import (
    WHERE,
    WORTH,
    findings,
    of_convergence,
    of_cuts,
    of_gradients,
    of_residual,
    of_worth,
    to_dict,
)


def one(sentences: list[str], words: str) -> str:
    (found,) = [sentence for sentence in sentences if re.search(words, sentence)]
    return found


def test_a_difference_is_told_with_its_interval_and_each_seed(made_results):
    said = one(of_worth(made_results(scores={"none": (0.5, 0.7)})), "than none:")
    assert said.startswith("copy scores higher than none: 0.804 against 0.604 (Dice; 4,000 and 4,000 parameters)")
    assert "with each seed +0.300, +0.100" in said


def test_seeds_that_disagree_tell_nothing(made_results):
    said = one(of_worth(made_results(scores={"none": (0.5, 0.9)})), "than none")
    assert said.startswith("Whether copy scores higher or lower than none cannot be told: 0.804 against 0.704")
    assert "with each seed +0.300, −0.100" in said


def test_where_no_width_evens_parameters_out_it_is_said(made_results):
    assert one(of_worth(made_results()), "No whole width").endswith("A larger --width can.")


def test_wider_networks_are_compared_too(made_results):
    results = made_results(width=16, scores={"none-wider": (0.6, 0.6)})
    assert one(of_worth(results), "copy scores higher than none-wider: 0.804 against 0.604 .Dice; 16,000 and 17,000")
    assert not any("No whole width" in sentence for sentence in of_worth(results))
    assert any("residual-none-wider" in sentence for sentence in of_residual(results))


def test_bands_that_differ_are_named_with_their_difference(made_results):
    said = findings(made_results(errors={"none": [300, 50, 50, 50, 50, 20]}))[WHERE]
    assert said == [
        "Of none, beside copy, wrong pixels are more 0–1 px outside (+25.0 points) and 0–1 px inside (+25.0 points); "
        "fewer over 16 px outside (−3.0 points) and over 16 px inside (−3.0 points); in the other 8 bands no "
        "difference can be told.",
        "In no band can add, residual-copy or residual-none be told from copy on these images.",
    ]


def test_a_gradient_has_a_direction_only_where_the_seeds_agree(made_results):
    results = made_results(gradients={"copy": (4.0, 6.0), "none": (2.0, 2.0), "residual-none": (1.0, 4.0)})
    said = of_gradients(results)
    assert "of copy is 2 and 3 times as strong as in none before the training, and 1 and 1 times after it." in said[0]
    assert "of residual-none is 0.5 and 2 times (on which the seeds disagree) as strong as in none before" in said[1]


def test_who_never_reaches_the_milestone_is_said_to(made_results):
    (said,) = of_convergence(made_results(last={"none": 0.5, "add": 0.5}), "step")
    assert said.startswith("A score of 0.760 in validation was reached by copy at step 20 (20, 20); residual-copy at")
    assert said.endswith("residual-none at step 20 (20, 20), and by no training of add or none.")
    (said,) = of_convergence(made_results(), "seconds")
    assert "copy after 4 s (4, 4); " in said


def test_skips_are_named_by_what_they_cost_the_dearest_first(made_results):
    results = made_results(drops={"copy": {Place("long", 0): 0.1, Place("long", 2): 0.3}})
    lost, silent = of_cuts(results, ("long",))
    assert lost == (
        "copy loses Dice without the long skip at level 3, 0.300 (0.300 to 0.300) and the long skip at level 1, "
        "0.100 (0.100 to 0.100); of 2 other skips no loss can be told."
    )
    assert silent == "In add or residual-copy no single one can be told to matter on these images."


def test_where_every_network_leans_on_a_skip_no_other_is_spoken_of(made_results):
    deep = {Place("long", 3): 0.1}
    said = of_cuts(made_results(drops={"copy": deep, "add": deep, "residual-copy": deep}), ("long",))
    assert [sentence.split()[0] for sentence in said] == ["copy", "add", "residual-copy"]


def test_every_question_has_an_answer(made_results):
    for results in (made_results(), made_results(lost=["none", "residual-none"])):
        assert all(answers and all(answers) for question, answers in findings(results).items() if question != WORTH)
        assert to_dict(results)["findings"] == findings(results)
