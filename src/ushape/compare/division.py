"""Which images a comparison trains on and which it scores on: whole groups on either side, the same for all."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ushape.data.pair import Pair, counted, listed
from ushape.data.split import Split
from ushape.errors import DataError

_FEWEST_TO_TRAIN_ON = 2  # one to learn from, and one to choose the best network by


@dataclass(frozen=True)
class Division:
    """Pairs to train on, some of which choose the best network of each training, and pairs that only score it.

    rule: how they were chosen, in words.
    """

    training: tuple[Pair, ...]
    test: tuple[Pair, ...]
    rule: str

    @property
    def include(self) -> str:
        """The patterns that name the training images and no other: a recipe's [data] include."""
        return patterns(pair.name for pair in self.training)


def divided(pairs: Sequence[Pair], test: str, drawn: Split) -> Division:
    """The division by patterns of names, with commas between; where there are none, by the split that was drawn.

    DataError, naming the images, for a group on both sides, for too few images on a side, and for names that no
    pattern can tell apart. A single ordered sequence may be cut by patterns, as a split cuts it into blocks.
    """
    if test:
        tested = tuple(pair for pair in pairs if _is_meant(pair.name, test))
        division = Division(tuple(p for p in pairs if p not in tested), tested, _rule(pairs, tested, test))
    else:
        division = Division(drawn.training, drawn.validation, drawn.rule.replace("to validate on", "to score on"))
    _check(division, pairs, test)
    return division


def patterns(names: Iterable[str]) -> str:
    """Patterns that match these names, with commas between; a comma in a name matches any letter.

    >>> patterns(["a1", "b[2]"])
    'a1,b[[]2]'
    """
    return ",".join(_pattern(name) for name in names)


def require_told_apart(division: Division) -> None:
    """DataError, with the names, where the patterns of the training images match others too."""
    wanted = division.include
    odd = [pair.name for pair in division.test if _is_meant(pair.name, wanted)]
    if odd:
        raise DataError(f"No pattern tells {listed(odd)} from the training images, since commas part patterns. Rename.")


def _pattern(name: str) -> str:
    """Commas, which part patterns, and the spaces around a name, which are stripped from one, match as any letter."""
    first, last = len(name) - len(name.lstrip()), len(name.rstrip())
    return "".join("?" if c == "," or not first <= i < last else glob.escape(c) for i, c in enumerate(name))


def _is_meant(name: str, test: str) -> bool:
    return any(fnmatchcase(name, pattern.strip()) for pattern in test.split(","))


def _rule(pairs: Sequence[Pair], tested: Sequence[Pair], test: str) -> str:
    sizes = f"{counted(len(pairs) - len(tested), 'image')} to train on, {len(tested)} to score on"
    torn = "; they are of one sequence with the others, since there is no other group"
    return f"{sizes}: those called like {test}{torn if _torn(pairs, tested) else ''}"


def _torn(pairs: Sequence[Pair], tested: Sequence[Pair]) -> list[str]:
    """Groups on both sides."""
    names = {pair.name for pair in tested}
    return sorted({pair.group for pair in tested} & {pair.group for pair in pairs if pair.name not in names})


def _check(division: Division, pairs: Sequence[Pair], test: str) -> None:
    training, tested = division.training, division.test
    if not tested:
        raise DataError(f"No image is called like --test {test!r}; there are {listed(p.name for p in pairs)}.")
    both = {pair.name for pair in training} & {pair.name for pair in tested}
    if len(training) < _FEWEST_TO_TRAIN_ON or both:
        raise DataError(
            f"There are {counted(len(pairs), 'annotated image')}, of which {len(tested)} are to score on. A comparison "
            f"needs at least {_FEWEST_TO_TRAIN_ON} others to train on, and one to score on. Annotate more images, or "
            "name fewer with --test."
        )
    torn = _torn(pairs, tested)
    if torn and len({pair.group for pair in pairs}) > 1:
        raise DataError(
            f"--test {test!r} takes a part of {counted(len(torn), 'group')}: {listed(torn)}. Images that belong "
            "together are alike, and a score on one would flatter who was trained on another. Name whole groups, "
            "or say with --group-by what belongs together."
        )
    require_told_apart(division)
