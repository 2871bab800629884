"""Flags → the tables of a recipe, and what contradicts what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from ushape import recipe
from ushape.cardiac.frames import Voxel
from ushape.checkpoint import ENSEMBLE, is_checkpoint
from ushape.cli.options import EngineChoice, PiecesInChoice, PrecisionChoice
from ushape.cli.text import say
from ushape.device import choose_device, faster_precision
from ushape.errors import OutputError, RecipeError
from ushape.predict.tiled import Predictor, load
from ushape.regions import declared_in

Flags = Mapping[str, Any]  # Any: numbers, texts and truths, by the flag's name; None where it was not given

_PLACES = {
    "model": ("model", "name"),
    "task": ("data", "task"),
    "include": ("data", "include"),
    "group_by": ("data", "group_by"),
    "ignore": ("data", "ignored_values"),
    "flips": ("prediction", "flips"),
    "until_flat": ("training", "schedule"),
    "all_images": ("data", "validation_fraction"),
}
_MEANS = {"until_flat": "until-flat", "all_images": 0.0}  # of flags that say no more than that they are given
_OPTIONS_OF_MODEL = ("width", "padding")


def tables(file: Path | None, flags: Flags) -> dict[str, Any]:
    """What the recipe's file says, overruled by the flags that were given."""
    said: dict[str, Any] = dict(recipe.read(file)) if file else {}
    for name, value in flags.items():
        value = value.value if isinstance(value, Enum) else value
        if value is None:
            continue
        if name == "seed":
            said["seed"] = value
        elif name in _OPTIONS_OF_MODEL:
            model = said.get("model", {})
            said["model"] = {**model, "options": {**model.get("options", {}), name: value}}
        else:
            table, key = _PLACES[name]
            said[table] = {**said.get(table, {}), key: _value(name, value)}
    return said


def _value(flag: str, value: Any) -> Any:
    """What a flag's value is in a recipe."""
    if flag == "ignore":
        return mask_values(value)
    return _MEANS.get(flag, value)


def mask_values(text: str) -> list[int]:
    """Values of mask files, and colours as #rrggbb, with commas between; none at all for "none".

    >>> mask_values("0, 255"), mask_values("#ff0000"), mask_values("none")
    ([0, 255], [16711680], [])
    """
    if text.strip().lower() == "none":
        return []
    words = [word.strip() for word in text.split(",")]
    odd = [word for word in words if not re.fullmatch(r"\d{1,9}|#[0-9a-fA-F]{6}", word)]
    if odd:
        raise RecipeError(
            f"--ignore {text!r}: {', '.join(map(repr, odd))} is no mask value; it takes whole numbers from 0 up or "
            "colours as '#ff0000', with commas between, or none. NaN and -1 are ignored unasked."
        )
    return [int(word[1:], 16) if word.startswith("#") else int(word) for word in words]


def flags_in_words(flags: Flags) -> list[str]:
    """The flags that were given, as a command line has them.

    >>> flags_in_words({"group_by": "a b", "task": None, "ignore": "0"})
    ['--group-by', 'a b', '--ignore', '0']
    """
    given = {name: value.value if isinstance(value, Enum) else value for name, value in flags.items()}
    return [word for name, value in given.items() if value is not None for word in (_flag(name), str(value))]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def must_stand_alone(flag: str, others: Flags, instead: str) -> None:
    """RecipeError if any other flag was given beside one that leaves it nothing to say."""
    given = [_flag(name) for name, value in others.items() if value not in (None, False)]
    if given:
        raise RecipeError(f"{flag} {instead}; leave out {', '.join(given)}.")


def must_be_free(files: Sequence[Path], *, overwrite: bool) -> None:
    """OutputError if a result is there already or has no folder to go to, before anything is computed.

    RecipeError where two results would be one file.
    """
    twice = sorted({str(path) for path in files if list(files).count(path) > 1})
    if twice:
        raise RecipeError(f"{', '.join(twice)} is named for several results; give each a file of its own.")
    existing = [str(path) for path in files if path.exists()]
    if existing and not overwrite:
        raise OutputError(f"{', '.join(existing)} exists already. Replace it with --overwrite, or choose another name.")
    homeless = [str(path) for path in files if not path.parent.is_dir()]
    if homeless:
        raise OutputError(f"{', '.join(homeless)} cannot be written: there is no such folder. Create it first.")


def predictor_from(
    run: Path,
    *,
    flips: bool | None,
    precision: PrecisionChoice,
    memory: str | None,
    tile: int | None = None,
    device: str | None,
    engine: EngineChoice | None = None,
    regions: Sequence[str] | None = None,
    one_piece: str | None = None,
    pieces_in: PiecesInChoice = PiecesInChoice.slices,
    by_rows: bool = True,
) -> Predictor:
    """A trained network, set as the flags say; fast is bfloat16 only where this machine computes that faster."""
    whole = None if one_piece is None else [name.strip() for name in one_piece.split(",") if name.strip()]
    if memory and tile:
        raise RecipeError(f"--memory {memory} chooses the tiles and --tile {tile} names them; give one of the two.")
    return load(
        run,
        device=device,
        flips=flips,
        precision="float32" if precision is PrecisionChoice.exact else faster_precision(choose_device(device)),
        memory_bytes=bytes_of(memory) if memory else None,
        keep_px=tile,
        by_rows=by_rows,
        engine=engine.value if engine else "torch",
        regions=declared_in(regions or ()),
        one_piece=[] if whole == ["none"] else whole,
        pieces_in=pieces_in.value,
    )


def predictor_told(run: Path, *, precision: PrecisionChoice, **flags: Any) -> Predictor:
    """The same, with a line for what was chosen."""
    predictor = predictor_from(run, precision=precision, **flags)
    if predictor.choice:
        say(f"engine {predictor.choice.in_words()}", err=True)
    if precision is PrecisionChoice.fast and predictor.precision == "float32":
        say("precision float32: bfloat16 is not faster on this machine", err=True)
    return predictor


def is_run(path: Path) -> bool:
    """Whether a trained network lies there: a run, a checkpoint, or several networks as one."""
    return (path / ENSEMBLE).exists() or (path / "best.safetensors").exists() or is_checkpoint(path)


def voxel_of(text: str) -> Voxel:
    """The size of a voxel as people write it.

    >>> voxel_of("10, 1.5,1.5")
    (10.0, 1.5, 1.5)
    """
    words = [word.strip() for word in text.split(",")]
    if len(words) == 3 and all(re.fullmatch(r"\d+(\.\d+)?", word) and float(word) > 0 for word in words):
        z, y, x = map(float, words)
        return z, y, x
    raise RecipeError(
        f"--spacing {text!r} is no size of a voxel; it takes three lengths in millimetres, from slice to slice (gap "
        "included), along y and along x: 10,1.5,1.5."
    )


def bytes_of(text: str) -> int:
    """A size as people write it.

    >>> bytes_of("2GiB"), bytes_of("500 MB")
    (2147483648, 500000000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(i?)B?\s*", text, re.IGNORECASE)
    if not found:
        raise RecipeError(f"--memory {text!r} is no size; it takes a number and its unit, such as 2GiB or 500MiB.")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** ("KMGT".index(unit.upper()) + 1))
