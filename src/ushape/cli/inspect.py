"""`ushape inspect RUN|MODEL`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.cli.facts import trained_facts, trained_json
from ushape.cli.options import Json
from ushape.cli.tables import say_anatomy
from ushape.cli.text import say, say_facts, say_json
from ushape.errors import RecipeError
from ushape.models import MODELS, outlined
from ushape.models.anatomy import dissect

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
    json: Json = False,
) -> None:
    """Show layers, sizes in → out, margin, receptive field, legal sizes, parameters and operations.

    `ushape inspect unet` shows the network of Fig. 1 in the paper.
    """
    given = {"in_channels": channels, "classes": classes, "width": width, "depth": depth, "padding": padding}
    options = {name: value for name, value in given.items() if value is not None}
    trained = None if network in MODELS else _trained(network, options)
    model = trained.model if trained else outlined(network, **options)
    anatomy = dissect(model, size)
    if json:
        say_json({"network": network, **asdict(anatomy), **(trained_json(trained) if trained else {})})
        return
    say_anatomy(anatomy)
    if trained:
        say()
        say_facts(trained_facts(trained))


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
