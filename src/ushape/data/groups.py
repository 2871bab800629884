"""What belongs together, told from names: patients, stacks, sequences. A split must not tear them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ushape.data.names import natural
from ushape.data.pair import Fault, Pair, counted, error, listed
from ushape.images.suffix import stem_of

_SLICE_WORD = r"(?:im|img|image|slice|sl|frame|fr|page|plane|section|time|z|t)"
_BEFORE_SLICE = re.compile(rf"(?P<group>.+?)[\s_\-.]+{_SLICE_WORD}[\s_\-.]*\d+(?:[\s_\-.]+\d+)*", re.IGNORECASE)
_CASE = re.compile(
    r"(?P<group>(?:patient|pat|case|subject|subj|sub|volunteer|donor|animal|mouse|rat|volume|vol|stack|scan|slide)"
    r"[\s_\-]?\d+)[\s_\-.].+",
    re.IGNORECASE,
)
_NUMBER = re.compile(rf"(?:{_SLICE_WORD}[\s_\-.]*)?(?P<number>\d+)", re.IGNORECASE)
_FEWEST_OF_A_SEQUENCE = 3


def grouped(pairs: Sequence[Pair], by_folder: str = "") -> tuple[tuple[Pair, ...], str]:
    """The pairs with their groups, and the rule in words.

    Pairs that have a group keep it (`by_folder` says why, in words); pages of one file belong together; the others are
    told by their names.
    """
    loose = [pair for pair in pairs if not pair.group and pair.image.pages == 1]
    groups, rule = _by_name([pair.name for pair in loose])
    named = dict(zip((pair.name for pair in loose), groups, strict=True))
    stacks = list(dict.fromkeys(stem_of(p.image.path) for p in pairs if not p.group and p.image.pages > 1))
    owners, owned = _by_owner(stacks) or (stacks, "the pages of one file belong together")
    owner = dict(zip(stacks, owners, strict=True))
    done = tuple(
        replace(pair, group=pair.group or named.get(pair.name) or owner[stem_of(pair.image.path)]) for pair in pairs
    )
    number = len({pair.group for pair in done})
    rules = [by_folder] if any(pair.group for pair in pairs) else []
    if stacks:
        rules.append(owned)
    if loose:
        rules.append(rule)
    return done, f"{counted(number, 'group')}: {'; '.join(rules)}" if pairs else "none"


def grouped_by(pairs: Sequence[Pair], expression: str) -> tuple[tuple[Pair, ...], str, list[Fault]]:
    """The pairs grouped by a regular expression, whose first group (or else whole match) names the group."""
    try:
        pattern = re.compile(expression)
    except re.error as reason:
        fault = error(f"The expression {expression!r} to group by is none: {reason}. Try for instance '^([^_]+)_'.")
        return tuple(pairs), "none", [fault]
    found = {pair.name: pattern.search(pair.name) for pair in pairs}
    missed = [pair for pair in pairs if not found[pair.name]]
    faults = []
    if missed:
        faults.append(
            error(
                f"The expression {expression!r} to group by does not match {counted(len(missed), 'name')} of "
                f"{len(pairs)}: {listed(pair.name for pair in missed)}. Widen it so that every image has a group.",
                [pair.image.path for pair in missed],
            )
        )
    done = tuple(replace(pair, group=_first(m) if (m := found[pair.name]) else pair.name) for pair in pairs)
    number = len({pair.group for pair in done})
    return done, f"{counted(number, 'group')}: by the expression {expression!r}", faults


def merged(pairs: Sequence[Pair], same: Sequence[Sequence[str]]) -> tuple[Pair, ...]:
    """The pairs, with the groups of names that must stay together made one."""
    into = {pair.group: pair.group for pair in pairs}
    group_of = {pair.name: pair.group for pair in pairs}
    for names in same:
        groups = {into[group_of[name]] for name in names}
        first = min(groups, key=natural)
        into = {group: first if target in groups else target for group, target in into.items()}
    return tuple(replace(pair, group=into[pair.group]) for pair in pairs)


def _first(found: re.Match[str]) -> str:
    return (found[1] if found.re.groups else None) or found[0]


def _by_owner(names: Sequence[str]) -> tuple[list[str], str] | None:
    """The patient, case or sequence that each name begins with, where several share one."""
    for pattern, words in (
        (_BEFORE_SLICE, "by what stands before the slice or frame in the name"),
        (_CASE, "by the patient or case in the name"),
    ):
        found = [pattern.fullmatch(name) for name in names]
        groups = [m["group"] if m else name for m, name in zip(found, names, strict=True)]
        sizes = Counter(groups)
        if len(names) > len(sizes) and sum(m is not None for m in found) >= len(names) / 2:
            return groups, f"{words}, such as {sizes.most_common(1)[0][0]}"
    return None


def _by_name(names: Sequence[str]) -> tuple[list[str], str]:
    if owned := _by_owner(names):
        return owned
    if _are_consecutive(names):
        ordered = sorted(names, key=natural)
        group = f"{ordered[0]}–{ordered[-1]}"
        return [group] * len(names), f"names count from {ordered[0]} to {ordered[-1]}, an ordered sequence"
    return list(names), "every image stands alone"


def _are_consecutive(names: Sequence[str]) -> bool:
    """Whether names are numbers (or frame 1, frame 2, …) with few gaps; sparse numbers are mere identifiers."""
    found = [_NUMBER.fullmatch(name) for name in names]
    numbers = [int(m["number"]) for m in found if m]
    if len(numbers) < len(found) or len(numbers) < _FEWEST_OF_A_SEQUENCE:
        return False
    return max(numbers) - min(numbers) < 2 * len(numbers)
