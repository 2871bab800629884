"""Several entrants on one annotated folder under one set of terms → cells, each a training and its scores."""

from ushape.compare.comparison import CellBegun, CellEnded, Comparison, ComparisonEvent, InCell
from ushape.compare.entrant import Entrant, entrants_by_own_recipes, entrants_named
from ushape.compare.results import Results
from ushape.compare.terms import Terms

__all__ = [
    "CellBegun",
    "CellEnded",
    "Comparison",
    "ComparisonEvent",
    "Entrant",
    "InCell",
    "Results",
    "Terms",
    "entrants_by_own_recipes",
    "entrants_named",
]
