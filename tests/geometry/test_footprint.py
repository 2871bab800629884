"""The arithmetic of legal sizes, checked against trying every size."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from ushape.errors import SizeError
from ushape.geometry.footprint import Footprint

PUBLISHED = Footprint(margin=92, multiple=16, smallest_input=188)
PADDED = Footprint(margin=96, multiple=16, smallest_input=16, padded=True)
MANY = [
    Footprint(margin, multiple, smallest_input, padded)
    for margin, multiple, smallest_input, padded in product([0, 3, 20], [1, 2, 3, 8], [1, 7, 44], [False, True])
    if padded or smallest_input > 2 * margin
]
MANY += [replace(footprint, sees_edges=True) for footprint in MANY if footprint.padded]


@pytest.mark.parametrize(("input_size", "output"), [(188, 4), (572, 388), (700, 516)])
def test_inputs_and_outputs_of_the_published_network(input_size, output):
    assert PUBLISHED.output(input_size) == PUBLISHED.exact_output(input_size) == output
    assert PUBLISHED.input_for(output) == input_size
    assert PUBLISHED.input_for(output - 3) == input_size
    assert PUBLISHED.input_for(output + 1) == input_size + 16


@pytest.mark.parametrize("footprint", MANY, ids=str)
def test_input_for_is_the_smallest_legal_input_that_covers_the_output(footprint):
    for output in range(1, 120):
        covering = next(n for n in range(1, 400) if footprint.is_legal(n) and footprint.exact_output(n) >= output)
        assert footprint.input_for(output) == covering


@pytest.mark.parametrize("footprint", MANY, ids=str)
def test_nearest_legal_sizes_are_the_neighbours_on_either_side(footprint):
    legal = [n for n in range(1, 400) if footprint.is_legal(n)]
    assert legal[0] == footprint.smallest_input
    for size in range(1, 200):
        below = max([n for n in legal if n <= size], default=legal[0])
        above = min(n for n in legal if n >= size)
        assert footprint.nearest_legal(size) == (below, above)


def test_a_padded_network_returns_its_input_size_but_answers_exactly_within_the_margin():
    assert PADDED.output(256) == 256
    assert PADDED.exact_output(256) == 64
    assert PADDED.exact_output(16) == 0  # smaller than its margins: nothing is free of the padding


def test_an_illegal_size_is_refused_with_the_nearest_legal_ones():
    with pytest.raises(SizeError, match=r"512 pixels.*188 \+ n·16.*508 or 524.*predict.*any size"):
        PUBLISHED.require(512)
    with pytest.raises(SizeError, match="nearest legal size is 188;"):
        PUBLISHED.output(100)
    with pytest.raises(SizeError, match=r"17 pixels.*16 or 32"):
        PADDED.exact_output(17)
    PUBLISHED.require(572)
