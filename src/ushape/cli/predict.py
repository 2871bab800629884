"""`ushape predict RUN IMAGES --out MASKS`"""

from __future__ import annotations

import typer

from ushape.cli import COMMAND, options
from ushape.cli.prediction import Prediction, prove_on
from ushape.cli.settings import predictor_told
from ushape.errors import RecipeError
from ushape.predict.formats import formats_named
from ushape.predict.sources import find_images
from ushape.predict.storage import mask_format_named


def predict(
    ctx: typer.Context,
    run: options.RunFolder,
    images: options.Images,
    out: options.Masks = None,
    probability: options.Probability = False,
    uncertainty: options.Uncertainty = False,
    overlay: options.Overlay = False,
    format: options.OtherFormats = None,
    where: options.WhereTo = None,
    one_piece: options.OnePiece = None,
    pieces_in: options.PiecesIn = options.PiecesInChoice.slices,
    mask_format: options.MaskFormat = "auto",
    flips: options.Flips = None,
    precision: options.Precision = options.PrecisionChoice.exact,
    memory: options.Memory = None,
    tile: options.Tile = None,
    device: options.Device = None,
    engine: options.Engine = None,
    preview: options.Preview = False,
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    workers: options.Workers = None,
    dask: options.Dask = None,
    prove: options.Prove = False,
    json: options.Json = False,
) -> None:
    """Segment images of any size. Masks have the values of the training masks, and their images' names.

    A network that tells objects apart numbers them: masks are TIFFs with 0 for the background, 1, 2, … for objects.
    """
    if out is None and not prove:
        raise RecipeError("Where to? Give a folder for the masks: --out MASKS (or --prove, which writes nothing).")
    if prove and precision is options.PrecisionChoice.fast:
        raise RecipeError("--prove compares exact answers, and bfloat16 rounds; leave out --precision fast.")
    of_passes = {"flips": flips, "memory": memory, "tile": tile, "device": device, "engine": engine}
    of_passes |= {"one_piece": one_piece, "pieces_in": pieces_in, "by_rows": where is None}
    predictor = predictor_told(run, precision=precision, **of_passes)
    pages = find_images(images)
    if prove:
        prove_on(predictor, pages, json=json)
    if out is None:
        return
    prediction = Prediction(
        predictor,
        run,
        pages,
        out,
        probability=probability,
        uncertainty=uncertainty,
        overlay=overlay,
        formats=formats_named(format) if format is not None else (),
        mask_format=mask_format_named(mask_format),
    )
    prediction.begin(where=where, overwrite=overwrite, resume=resume)
    if preview:
        prediction.preview()
    prediction.follow(ctx.meta[COMMAND], workers=workers, dask=dask)
    prediction.say(json=json)
