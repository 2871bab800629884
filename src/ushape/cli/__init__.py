"""`ushape COMMAND …`: parse, call, show. One file per command, loaded only when that command is called.

Exit status: 0 done, 2 the user can mend it, 130 interrupted, 1 a defect of ushape.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
import traceback
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ushape import __version__
from ushape.errors import UshapeError

COMMANDS = {
    "demo": "The whole journey on simulated micrographs, in two minutes.",
    "check": "What a folder holds, what is wrong, what would be trained.",
    "train": "Train a network on a folder of images and masks.",
    "predict": "Segment images of any size with a trained network.",
    "cutout": "Cut out what is salient in photographs.",
    "evaluate": "Score a trained network, or masks, against the truth.",
    "report": "What a physician reads off masks of the heart.",
    "crossvalidate": "Score training on a folder: without each part, on that part.",
    "compare": "Several networks on one folder, trained and scored alike.",
    "study": "What a part of the network is good for: skips.",
    "prune": "Cut a UNet++ to a smaller one, and see what each costs.",
    "export": "A trained network as an ONNX or OpenVINO file.",
    "inspect": "Layers, sizes, parameters and operations of a network.",
}


COMMAND = "ushape.command"
"""Where a command finds, in `ctx.meta`, the line that repeats it."""


class Commands(TyperGroup):
    """Lists the commands from the table above, and loads the one that is called."""

    def __init__(self, **settings: Any) -> None:  # Any: Typer's own settings, passed on
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=line) for name, line in COMMANDS.items()}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """--debug counts wherever it stands: one adds it to the end of a command that failed."""
        ctx.meta[COMMAND] = shlex.join(["ushape", *args])
        debug = "--debug" in args
        return super().parse_args(ctx, ["--debug"] * debug + [a for a in args if a != "--debug"])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name in COMMANDS else found, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UshapeError as error:
            raise _mendable(ctx, error, str(error)) from error
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and not any(words in str(error) for words in _OUT_OF_MEMORY):
                raise
            raise _mendable(ctx, error, _LESS_MEMORY) from error
        except KeyboardInterrupt as interruption:
            typer.echo("ushape: stopped.", err=True)
            raise typer.Exit(130) from interruption


def _mendable(ctx: Any, error: Exception, message: str) -> typer.Exit:
    if ctx.params.get("debug"):
        traceback.print_exception(error)
    typer.echo(f"ushape: {message}", err=True)
    return typer.Exit(2)


_OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # as PyTorch says it, of a processor's and a GPU's
_LESS_MEMORY = (
    "The memory is used up. To train with less, lower batch or output_size under [training] in a --recipe, or --width; "
    "to predict or evaluate with less, give --memory."
)


def loaded(name: str) -> Any:
    """The command of this name, from the function of this name in the module of this name."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_CONTEXT)
    single.command(name)(getattr(importlib.import_module(f"ushape.cli.{name}"), name))
    return typer.main.get_command(single)


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    context_settings=_CONTEXT,
    epilog="Begin with: ushape demo",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ushape {__version__}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _of_every_command(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Train U-shaped networks on a few annotated images; segment images of any size with them."""
    if ctx.invoked_subcommand != "train" and "WORLD_SIZE" in os.environ:
        importlib.import_module("ushape.cli.together").require_one_process(f"{ctx.invoked_subcommand} is done by one")


def main() -> None:
    """The command line; never returns."""
    if "--debug" not in sys.argv:
        sys.excepthook = _own_up
    typer.main.get_command(app)(prog_name="ushape")


def _own_up(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """In place of a traceback; Python then exits with status 1."""
    words = f"{kind.__name__}: {error}".splitlines()[0]
    typer.echo(f"ushape: a defect of ushape, not of your files: {words}", err=True)
    typer.echo("Please report it, with the traceback that the same command shows with --debug.", err=True)
