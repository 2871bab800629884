"""`ushape inspect RUN|MODEL`"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.cli.facts import trained_facts, trained_json
from ushape.cli.options import Json, Memory
from ushape.cli.settings import bytes_of
from ushape.cli.tables import say_anatomy, say_outlook
from ushape.cli.text import say, say_facts, say_json
from ushape.errors import RecipeError
from ushape.models import MODELS, build, outlined
from ushape.models.anatomy import dissect
from ushape.models.segmenter import Segmenter
from ushape.predict.outlook import outlook, pace
from ushape.predict.strategy import Strategy
from ushape.predict.tiled import DEFAULT_MEMORY_BYTES

_SIZE_OF_FIGURE_1 = 572


def inspect(
    network: Annotated[
        str, typer.Argument(metavar="RUN|MODEL", help="A run's folder, a checkpoint, or a model's name.")
    ],
    size: Annotated[
        int, typer.Option(min=1, help="Wanted side of a square input; the legal one from it up is shown.")
    ] = _SIZE_OF_FIGURE_1,
    channels: Annotated[int | None, typer.Option(min=1, help="Of the image, for a model by name.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="For a model by name.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="For a model by name.")] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="For a model by name.")] = None,
    padding: Annotated[str | None, typer.Option(help="valid or same, for a model by name.")] = None,
    tiles: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="How an image of this size is predicted, at what cost: 8192, 5000x7000."),
    ] = None,
    memory: Memory = None,
    json: Json = False,
) -> None:
    """Show layers, sizes in → out, margin, receptive field, legal sizes, parameters and operations.

    `ushape inspect unet` shows the network of Fig. 1 in the paper. With --tiles, how an image is divided: the parts,
    what is computed twice, memory and time.
    """
    given = {"in_channels": channels, "classes": classes, "width": width, "depth": depth, "padding": padding}
    options = {name: value for name, value in given.items() if value is not None}
    trained = None if network in MODELS else _trained(network, options)
    if tiles:
        _say_outlook(trained.model if trained else build(network, **options), tiles, memory, trained, json=json)
        return
    if memory:
        raise RecipeError("--memory is for --tiles SIZE: how an image is divided. Give both, or neither.")
    model = trained.model if trained else outlined(network, **options)
    anatomy = dissect(model, size)
    if json:
        say_json({"network": network, **asdict(anatomy), **(trained_json(trained) if trained else {})})
        return
    say_anatomy(anatomy)
    if trained:
        say()
        say_facts(trained_facts(trained))


def _say_outlook(model: Segmenter, size: str, memory: str | None, trained: Trained | None, *, json: bool) -> None:
    if model.axes != 2:
        raise RecipeError("--tiles tells how an image is divided, and this network takes volumes. Leave it out.")
    flips = trained is not None and trained.recipe.prediction.flips is True
    strategy = Strategy(model, bytes_of(memory) if memory else DEFAULT_MEMORY_BYTES, by_rows=not flips)
    foreseen = outlook(model, _shape(size), strategy)
    seconds = foreseen.multiply_adds * (8 if flips else 1) / pace(model)
    if json:
        say_json({"image": _shape(size), **asdict(foreseen), "flips": flips, "seconds": seconds})
    else:
        say_outlook(foreseen, _shape(size), seconds)


def _shape(size: str) -> tuple[int, int]:
    """The (height, width) that is meant.

    >>> _shape("8192"), _shape("5000x7000")
    ((8192, 8192), (5000, 7000))
    """
    found = re.fullmatch(r"([1-9]\d{0,6})(?:x([1-9]\d{0,6}))?", size)
    if not found:
        raise RecipeError(f"--tiles {size!r} is no size of an image; give a side, 8192, or height x width, 5000x7000.")
    return int(found[1]), int(found[2] or found[1])


def _trained(network: str, options: dict[str, Any]) -> Trained:
    if not Path(network).exists():
        raise RecipeError(
            f"There is no run, checkpoint or model {network!r}. Give the folder that `ushape train --out` wrote, or "
            f"one of the models: {', '.join(MODELS)}."
        )
    if options:
        raise RecipeError(
            f"{network} is a trained network, whose {', '.join(options)} cannot be chosen any more. Leave that out."
        )
    return checkpoint.read(Path(network))
