"""Names → entrants of a comparison: networks, and ways to train them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ushape.errors import RecipeError
from ushape.models import MODELS, axes_of
from ushape.recipe import read, shipped_recipes
from ushape.settings import nearest

Tables = Mapping[str, Any]  # Any: settings of every kind, as `ushape.recipe.read` gives them

_WIDE, _NARROW = 35, 32  # first levels of the wide U-Net and of UNet++ (UNet++ 2018, Table 2)
_STAGES_OF_FCN8S = "fcn-from-scratch"
_OF_AN_ENTRANT = {"model", "stages", "augmentation", "training", "prediction"}
_OF_A_PAPER = re.compile(r".+-\d{4}")  # how recipes that are a paper's are called: unet-2015


@dataclass(frozen=True)
class Entrant:
    """One of those that are compared.

    name: names a folder, too. tables: of a recipe, laid over the settings that all
    have in common: `{"model": {"name": "unet", "options": {"skip": "none"}}}`, or with [[stages]] or [training] of its
    own. about: what it is, in a few words.
    """

    name: str
    tables: Tables
    about: str = ""

    @property
    def folder(self) -> str:
        """Its name as file systems take it."""
        return re.sub(r"[^\w.=-]", "_", self.name)


@dataclass(frozen=True)
class _Variant:
    """A network under another name than its own: with options, or trained otherwise."""

    model: str
    about: str
    options: Tables = field(default_factory=dict)
    width: tuple[int, int] = (1, 1)  # its first level beside that of the others, as a fraction
    stages_of: str = ""  # a recipe of ours, in whose stages it is trained


_VARIANTS = {
    "unet": _Variant("unet", "as published: unpadded"),
    "unet-same": _Variant(
        "unet", "padded, batch normalisation", {"width": 32, "padding": "same", "normalisation": "batch"}
    ),
    "wide-unet": _Variant(
        "unet", "padded, the control of UNet++", {"width": _WIDE, "padding": "same"}, width=(_WIDE, _NARROW)
    ),
    "fcn8s": _Variant("fcn8s", "trained as 32s, 16s, 8s", stages_of=_STAGES_OF_FCN8S),
    "fcn8s-atonce": _Variant("fcn8s", "trained at once", {"at_once": True}),
}


def known() -> dict[str, str]:
    """Every name that there is for an entrant, with what it stands for; networks of volumes are not compared yet."""
    about = dict.fromkeys((name for name, model in MODELS.items() if model.axes == 2), "as published")
    return about | {name: of.about for name, of in _VARIANTS.items() if of.model in MODELS}


def entrants_named(text: str, *, width: int | None = None) -> tuple[Entrant, ...]:
    """Entrants of a text with commas between; options of the network follow a name after colons.

    width: of every network's first level, in place of its own; an option named in the text goes before.
    RecipeError, with the nearest, for each name that does not exist.

    >>> [(e.name, e.tables["model"]) for e in entrants_named("unet:skip=none", width=8)]
    [('unet:skip=none', {'name': 'unet', 'options': {'width': 8, 'skip': 'none'}})]
    """
    asked = _asked(text)
    of_volumes = [name for name in asked if name.split(":")[0] in MODELS.keys() - known().keys()]
    if of_volumes:
        raise RecipeError(
            f"{', '.join(of_volumes)}: networks of volumes cannot be compared yet. Compare those of images."
        )
    unknown = [name for name in asked if name.split(":")[0] not in known()]
    if unknown:
        hints = " ".join(f"There is no entrant {name!r}; {nearest(name.split(':')[0], known())}" for name in unknown)
        raise RecipeError(f"{hints} Known are {', '.join(known())}.")
    return tuple(_named(name, width) for name in asked)


def entrants_by_own_recipes(text: str, *, width: int | None = None) -> tuple[Entrant, ...]:
    """Entrants of a text with commas between, each trained as a recipe says: a model's name stands for the recipe of
    its paper that comes with ushape; other names are those of our recipes, or of TOML files.

    RecipeError, with all there are, for each name without a recipe.
    """
    papers = {read(name)["model"]["name"]: name for name in shipped_recipes() if _OF_A_PAPER.fullmatch(name)}
    asked = _asked(text)
    without = [n for n in asked if n not in papers and n not in shipped_recipes() and not Path(n).is_file()]
    if without:
        raise RecipeError(
            f"There is no recipe of a paper for {', '.join(without)}. There are recipes for {', '.join(papers)}; name "
            f"those, one of {', '.join(shipped_recipes())}, or a TOML file; or leave --own-recipes out."
        )
    entrants = []
    for name in asked:
        tables, stem = read(papers.get(name, name)), Path(name).stem if Path(name).is_file() else name
        if width is not None:
            tables = {**tables, "model": _with_options(tables.get("model", {}), {"width": width})}
        entrants.append(Entrant(stem, tables, f"by the recipe {papers.get(name, name)}"))
    return tuple(entrants)


def check_entrants(entrants: Sequence[Entrant]) -> None:
    """RecipeError for none, for a name that two share, and for settings that only all together can have."""
    if not entrants:
        raise RecipeError(
            "There is nothing to compare. Name at least one entrant, better two: --models unet,unet-same."
        )
    of_volumes = [e.name for e in entrants if axes_of(str(e.tables.get("model", {}).get("name", ""))) != 2]
    if of_volumes:
        raise RecipeError(f"{', '.join(of_volumes)}: networks of volumes cannot be compared yet. Leave them out.")
    folders = [entrant.folder for entrant in entrants]
    twice = sorted({entrant.name for entrant in entrants if folders.count(entrant.folder) > 1})
    if twice:
        raise RecipeError(f"Several entrants are called {', '.join(twice)}; name each once, or differently.")
    for entrant in entrants:
        shared = sorted(set(entrant.tables) - _OF_AN_ENTRANT)
        if shared:
            raise RecipeError(
                f"{entrant.name} has settings of {', '.join(shared)}, but these are the same for all. Leave them out "
                "of its recipe; give them to the whole comparison with --recipe."
            )


def _asked(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _named(text: str, width: int | None) -> Entrant:
    name, *options = text.split(":")
    variant = _VARIANTS.get(name, _Variant(name, "as published"))
    chosen = dict(variant.options)
    if width is not None:
        wider, narrower = variant.width
        chosen["width"] = -(-width * wider // narrower)
    named = dict(_options(text, options))
    chosen |= named
    tables: dict[str, Any] = {"model": {"name": variant.model, "options": chosen}}
    if variant.stages_of:
        tables["stages"] = read(variant.stages_of)["stages"]
    but = ", ".join(f"{key} {value}" for key, value in named.items())
    return Entrant(text, tables, f"{variant.about}, but {but}" if but else variant.about)


def _options(text: str, options: list[str]) -> Iterator[tuple[str, Any]]:
    """Each option=value, a value as TOML has it; text needs no quotes."""
    for option in options:
        key, equals, value = option.partition("=")
        if not (key and equals and value):
            raise RecipeError(f"{option!r} in {text!r} is no option; write NAME:option=value, such as unet:width=16.")
        try:
            yield key, tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            yield key, value


def _with_options(model: Tables, options: Tables) -> dict[str, Any]:
    return {**model, "options": {**model.get("options", {}), **options}}
