"""`ushape cutout PHOTOS --weights FILE --out FOLDER`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ushape.cli.bar import Bar
from ushape.cli.options import Device, Json, Overwrite
from ushape.cli.settings import bytes_of
from ushape.cli.text import say, say_facts, say_json
from ushape.data.pair import counted
from ushape.errors import RecipeError, UshapeError
from ushape.predict.cutouts import CutOut, CutOuts
from ushape.predict.saliency import saliency_from
from ushape.predict.sources import find_images
from ushape.predict.tiled import DEFAULT_MEMORY_BYTES

_LISTED = 20  # results, by name; of more, only how many
_NO_WEIGHTS = (
    "With which weights? ushape ships none. Those of U²-Net's authors do: u2net.pth (176 MB), or u2netp.pth (4.7 MB), "
    "which is nearly as good and much faster. The page of their project on GitHub, xuebinqin/U-2-Net (Apache-2.0), "
    "says where to download them. Give the file, or a run of `ushape train`: --weights FILE."
)


def cutout(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTOS...", help="Folders, files, stacks, or patterns.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For the cut-outs.")],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="U²-Net's, as its authors give them, or a RUN of `ushape train`."),
    ] = None,
    mask: Annotated[bool, typer.Option("--mask", help="The mask alone, in grey, in place of the cut-out.")] = False,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What a photograph may take, held whole: 2GiB, 500MiB.")
    ] = None,
    device: Device = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Cut out what is salient in photographs: PNG files, transparent around it."""
    if weights is None:
        raise RecipeError(_NO_WEIGHTS)
    memory_bytes = bytes_of(memory) if memory else DEFAULT_MEMORY_BYTES
    saliency = saliency_from(weights, device=device, memory_bytes=memory_bytes)
    job = CutOuts(saliency, find_images(photos), out, mask=mask, memory_bytes=memory_bytes, overwrite=overwrite)
    made = _made(job)
    if json:
        files = [{"photo": str(each.page), "file": each.path} for each in made]
        say_json({"weights": weights, "network": saliency.network, "cutouts": files})
        return
    say_facts([(str(each.page), str(each.path)) for each in made[:_LISTED]])
    if len(made) > _LISTED:
        say(f"  … and {len(made) - _LISTED} more in {out}")


def _made(job: CutOuts) -> list[CutOut]:
    """Every cut-out, made while a bar shows how far we are; what is there already is said when one cannot be made."""
    made: list[CutOut] = []
    try:
        with Bar("cutting out") as bar:
            for each in job.events():
                made.append(each)
                bar.show(len(made) / len(job.photographs), each.page.name)
    except (UshapeError, KeyboardInterrupt):
        if made:
            say(f"{job.out} holds {len(made)} of {counted(len(job.photographs), 'cut-out')}, complete.", err=True)
        raise
    return made
