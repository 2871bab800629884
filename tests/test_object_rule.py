"""The object rule is plain values: it survives JSON, and refuses what cannot be in words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ushape.errors import RecipeError
from ushape.object_rule import ObjectRule, common_rule


def test_a_rule_survives_json() -> None:
    rule = ObjectRule("watershed", 0.3, "distance", 0.8, 2.5, fill_holes=False, smallest_px=12, grow_px=1)
    assert ObjectRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_what_is_left_out_is_the_default() -> None:
    assert ObjectRule.from_dict({"smallest_px": 4}) == ObjectRule(smallest_px=4)


def test_whole_numbers_serve_where_numbers_do() -> None:
    assert ObjectRule(threshold=1) == ObjectRule(threshold=1.0)


def test_only_the_chosen_way_of_dividing_counts() -> None:
    assert ObjectRule("watershed").by_probability
    assert not ObjectRule("watershed", seeds="distance").by_probability
    assert not ObjectRule("components").by_probability
    ObjectRule("components", threshold=0.95, seed_threshold=0.9)
    ObjectRule("watershed", seeds="distance", threshold=0.95, seed_threshold=0.9)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "threshold"}, "method .* is 'threshold'; it takes 'components' or 'watershed'"),
        ({"seeds": "h-maxima"}, "seeds .* is 'h-maxima'; it takes 'probability' or 'distance'"),
        ({"threshold": 0}, "threshold .* is 0; it takes a number from 0.001 to 1"),
        ({"threshold": 1.5}, "threshold .* is 1.5; it takes a number from 0.001 to 1"),
        ({"threshold": float("nan")}, "threshold .* is nan; it takes a number"),
        ({"threshold": "0.5"}, "threshold .* is '0.5'; it takes a number"),
        ({"threshold": True}, "threshold .* is True; it takes a number"),
        ({"seed_threshold": 1.1}, "seed_threshold .* is 1.1; it takes a number from 0.001 to 1"),
        ({"seed_depth_px": 0}, "seed_depth_px .* is 0; it takes a number from 0.1 to 1,000,000"),
        ({"fill_holes": 1}, "fill_holes .* is 1; it takes true or false"),
        ({"smallest_px": 0}, "smallest_px .* is 0; it takes a whole number from 1"),
        ({"smallest_px": 2.0}, "smallest_px .* is 2.0; it takes a whole number from 1"),
        ({"grow_px": -1}, "grow_px .* is -1; it takes a whole number from 0 to 50"),
        ({"grow_px": True}, "grow_px .* is True; it takes a whole number"),
        (
            {"method": "watershed", "threshold": 0.9, "seed_threshold": 0.8},
            "seeds above 0.8 inside a foreground above 0.9.* Give a seed_threshold above the threshold",
        ),
        ({"treshold": 0.5, "size": 3}, "An object rule has no 'treshold', 'size'; it has method, threshold, "),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        ObjectRule.from_dict(values)


def test_a_rule_says_what_it_does_and_nothing_else() -> None:
    for rule, words in [
        (ObjectRule(seed_threshold=0.95, seed_depth_px=3), "connected regions of p >= 0.5, holes filled"),
        (ObjectRule(fill_holes=False, smallest_px=1), "connected regions of p >= 0.5"),
        (
            ObjectRule("watershed", 0.35, smallest_px=12),
            "connected regions of p >= 0.35, divided between seeds of p >= 0.9, holes filled, from 12 px up",
        ),
        (
            ObjectRule("watershed", 0.5, "distance", seed_depth_px=1.5, fill_holes=False, grow_px=2),
            "connected regions of p >= 0.5, divided between places 1.5 px deeper than what lies between them, "
            "grown by 2 px",
        ),
    ]:
        assert rule.in_words() == words


def test_the_common_rule_is_the_way_of_most_with_its_median_numbers() -> None:
    low = ObjectRule("watershed", 0.3, seed_threshold=0.7, smallest_px=9)
    high = ObjectRule("watershed", 0.6, seed_threshold=0.9, smallest_px=4)
    assert common_rule([ObjectRule(threshold=0.9), low, high]) == replace(low, smallest_px=4)
    assert common_rule([low, high, high]) == high
    assert common_rule([ObjectRule(grow_px=3), low]) == ObjectRule(grow_px=3), "the first of equals"
