"""How a foreground probability becomes objects: plain values, chosen on validation images and kept in the checkpoint.

`predict/objects.py` applies the rule, `predict/object_fit.py` chooses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median_low
from typing import Any, Literal, get_args

from ushape.errors import RecipeError

Method = Literal["components", "watershed"]
Seeds = Literal["probability", "distance"]

_MOST_GROWTH_PX = 50


@dataclass(frozen=True)
class ObjectRule:
    """Foreground is where the probability is at least `threshold`; what connects there is one object, or is divided.

    method: "components" takes each connected part for one object, "watershed" divides it between its seeds. seeds: the
    connected parts that reach `seed_threshold`, flooded down the probability; or the places furthest from the border
    of the part, flooded down the distance to it. seed_depth_px: the way from one such place to another must come nearer
    to the border by more than this, or they are one seed. fill_holes: what an object encloses belongs to it.
    smallest_px: objects of fewer pixels are removed. grow_px: how far objects grow in the end, without merging: a
    network that was taught a line of background between touching objects leaves one, and a high threshold parts more.
    Numbers that the method does not use have no effect.
    """

    method: Method = "components"
    threshold: float = 0.5
    seeds: Seeds = "probability"
    seed_threshold: float = 0.9
    seed_depth_px: float = 1.0
    fill_holes: bool = True
    smallest_px: int = 1
    grow_px: int = 0

    def __post_init__(self) -> None:
        _check_choice("method", self.method, get_args(Method))
        _check_choice("seeds", self.seeds, get_args(Seeds))
        _check_number("threshold", self.threshold, 0.001, 1)
        _check_number("seed_threshold", self.seed_threshold, 0.001, 1)
        _check_number("seed_depth_px", self.seed_depth_px, 0.1, 10**6)
        _check_whole("smallest_px", self.smallest_px, 1, 10**12)
        _check_whole("grow_px", self.grow_px, 0, _MOST_GROWTH_PX)
        if type(self.fill_holes) is not bool:
            raise RecipeError(f"fill_holes of the object rule is {self.fill_holes!r}; it takes true or false.")
        if self.by_probability and self.seed_threshold < self.threshold:
            raise RecipeError(
                f"The object rule looks for seeds above {self.seed_threshold:g} inside a foreground above "
                f"{self.threshold:g}, where all of it would be seed. Give a seed_threshold above the threshold."
            )

    @property
    def by_probability(self) -> bool:
        """Whether regions are divided between the parts of high probability."""
        return self.method == "watershed" and self.seeds == "probability"

    def in_words(self) -> str:
        """How objects are found, in the order of the steps.

        >>> ObjectRule().in_words()
        'connected regions of p >= 0.5, holes filled'
        """
        words = [f"connected regions of p >= {self.threshold:g}"]
        if self.by_probability:
            words.append(f"divided between seeds of p >= {self.seed_threshold:g}")
        elif self.method == "watershed":
            words.append(f"divided between places {self.seed_depth_px:g} px deeper than what lies between them")
        if self.fill_holes:
            words.append("holes filled")
        if self.smallest_px > 1:
            words.append(f"from {self.smallest_px} px up")
        if self.grow_px:
            words.append(f"grown by {self.grow_px} px")
        return ", ".join(words)

    def to_dict(self) -> dict[str, str | float | int | bool]:
        """For JSON; `from_dict` reads it back."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ObjectRule:  # Any: whatever the JSON holds
        """From plain values, defaults where there are none; RecipeError for names or values that cannot be."""
        known = ObjectRule.__dataclass_fields__
        unknown = [name for name in values if name not in known]
        if unknown:
            raise RecipeError(f"An object rule has no {', '.join(map(repr, unknown))}; it has {', '.join(known)}.")
        return ObjectRule(**values)


def common_rule(rules: Sequence[ObjectRule]) -> ObjectRule:
    """One for several networks together: the way that most of them chose, the first of equals, with its median numbers.

    A way is method, seeds and holes; of an even number of values the median is the lower one of the middle.

    >>> common_rule([ObjectRule(threshold=t) for t in (0.3, 0.5, 0.6)]).threshold
    0.5
    """
    ways = [(rule.method, rule.seeds, rule.fill_holes) for rule in rules]
    commonest = Counter(ways).most_common(1)[0][0]
    alike = [rule for rule, way in zip(rules, ways, strict=True) if way == commonest]
    numbers = ("threshold", "seed_threshold", "seed_depth_px", "smallest_px", "grow_px")
    return replace(alike[0], **{name: median_low(getattr(rule, name) for rule in alike) for name in numbers})


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise RecipeError(f"{name} of the object rule is {value!r}; it takes {' or '.join(map(repr, choices))}.")


def _check_number(name: str, value: object, least: float, most: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise RecipeError(f"{name} of the object rule is {value!r}; it takes a number from {least:g} to {most:,}.")


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise RecipeError(f"{name} of the object rule is {value!r}; it takes a whole number from {least} to {most:,}.")
