"""`ushape predict RUN IMAGES --out MASKS`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ushape.cli import COMMAND
from ushape.cli.options import (
    Device,
    Engine,
    Flips,
    Json,
    Memory,
    OnePiece,
    Overwrite,
    PiecesIn,
    PiecesInChoice,
    Precision,
    PrecisionChoice,
    RunFolder,
    Tile,
)
from ushape.cli.prediction import follow
from ushape.cli.settings import predictor_from
from ushape.cli.tables import say_mended, say_proof, say_trust
from ushape.cli.text import say, say_facts, say_json
from ushape.errors import RecipeError
from ushape.images.source import source_of
from ushape.predict.conditions import conditions_of
from ushape.predict.files import Job, MaskWritten
from ushape.predict.formats import ABOUT, formats_named
from ushape.predict.ledger import Ledger
from ushape.predict.proof import prove as proving
from ushape.predict.sources import find_images
from ushape.predict.storage import mask_format_named

_LISTED = 20  # results, by name; of more, only how many


def predict(
    ctx: typer.Context,
    run: RunFolder,
    images: Annotated[list[str], typer.Argument(metavar="IMAGES...", help="Folders, files, stacks, or patterns.")],
    out: Annotated[Path | None, typer.Option(metavar="MASKS", help="Folder for the masks.")] = None,
    probability: Annotated[
        bool, typer.Option("--probability", help="Also the probability of each class, as TIFF.")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also where not to trust the mask, 0 to 1, as TIFF.")
    ] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also a PNG of each mask over its image.")] = False,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help=f"Also what others read: {', '.join(ABOUT)}; several with commas."),
    ] = None,
    one_piece: OnePiece = None,
    pieces_in: PiecesIn = PiecesInChoice.slices,
    mask_format: Annotated[
        str, typer.Option(metavar="KIND", help="Files of masks: auto (by the image), tiff, ome-tiff or ome-zarr.")
    ] = "auto",
    flips: Flips = None,
    precision: Precision = PrecisionChoice.exact,
    memory: Memory = None,
    tile: Tile = None,
    device: Device = None,
    engine: Engine = None,
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what an interrupted prediction left.")] = False,
    prove: Annotated[bool, typer.Option("--prove", help="Show that the tile size does not change the answer.")] = False,
    json: Json = False,
) -> None:
    """Segment images of any size. Masks have the values of the training masks, and their images' names.

    A network that tells objects apart numbers them: masks are TIFFs with 0 for the background, 1, 2, … for objects.
    """
    if out is None and not prove:
        raise RecipeError("Where to? Give a folder for the masks: --out MASKS (or --prove, which writes nothing).")
    if prove and precision is PrecisionChoice.fast:
        raise RecipeError("--prove compares exact answers, and bfloat16 rounds; leave out --precision fast.")
    predictor = predictor_from(
        run,
        flips=flips,
        precision=precision,
        memory=memory,
        tile=tile,
        device=device,
        engine=engine,
        one_piece=one_piece,
        pieces_in=pieces_in,
    )
    if predictor.choice:
        say(f"engine {predictor.choice.in_words()}", err=True)
    if precision is PrecisionChoice.fast and predictor.precision == "float32":
        say("precision float32: bfloat16 is not faster on this machine", err=True)
    pages = find_images(images, axes=predictor.axes)
    if prove:
        for page in pages:
            say(str(page), err=json)
            tilings = proving(predictor, source_of(page))
            agree = [say_proof(compared, err=json) for compared in tilings]
            if not all(agree):
                raise typer.Exit(1)
    if out is None:
        return
    if resume and overwrite:
        raise RecipeError("--resume goes on with what is there, and --overwrite begins anew; give one of the two.")
    wanted = {
        "probability": probability,
        "uncertainty": uncertainty,
        "overlay": overlay,
        "formats": formats_named(format) if format is not None else (),
        "mask_format": mask_format_named(mask_format),
    }
    ledger = Ledger(out, conditions_of(predictor, **wanted), resume=resume)
    job = Job(predictor, pages, out, overwrite=overwrite, ledger=ledger, **wanted)
    written, together = (
        follow(job, f"{ctx.meta[COMMAND]} --resume".replace(" --overwrite", "")),
        [*job.formats.together.values()],
    )
    damage = [fault for w in written for fault in w.damage]
    if json:
        say_json({"run": str(run), "masks": [w.to_dict() for w in written], "together": together})
    else:
        _say_written(written, together, out)
    if damage:
        value = "no object" if job.rule else f"the value {predictor.trained.labels.unknown.tolist()}"
        say("\n".join(damage), err=True)
        say(f"Around these places nothing is known; the masks have {value} there, the rest is complete.", err=True)
        raise typer.Exit(1)


def _say_written(written: list[MaskWritten], together: list[Path], out: Path) -> None:
    say_facts([(str(w.page.path), ", ".join(map(str, w.paths))) for w in written[:_LISTED]])
    if len(written) > _LISTED:
        say(f"  … and {len(written) - _LISTED} more in {out}")
    say_facts([("all images", ", ".join(map(str, together)))] if together else [])
    say_trust(written)
    say_mended(written)
