"""`ushape report --cardiac RUN_OR_MASKS DATA_OR_IMAGES… --out DIR`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ushape import recipe as recipes
from ushape.cli import COMMAND, options
from ushape.cli.bar import Bar
from ushape.cli.heart_tables import say_hearts
from ushape.cli.settings import is_run, mask_values, must_stand_alone, predictor_from, voxel_of
from ushape.cli.text import say_json
from ushape.errors import RecipeError
from ushape.predict.tiled import Predictor
from ushape.regions import declared_in
from ushape.report.heart_course import Asked, Destination, course


def report(
    ctx: typer.Context,
    answers: options.RunOrMasks,
    data: options.DataOrImages,
    out: options.ReportFolder,
    cardiac: options.Cardiac = False,
    region: options.RegionChoice = None,
    recipe: options.RecipeFile = None,
    frames: options.Frames = None,
    spacing: options.VoxelSize = None,
    include: options.Include = None,
    group_by: options.GroupBy = None,
    ignore: options.Ignore = None,
    one_piece: options.OnePiece = None,
    pieces_in: options.PiecesIn = options.PiecesInChoice.slices,
    flips: options.Flips = None,
    precision: options.Precision = options.PrecisionChoice.exact,
    memory: options.Memory = None,
    device: options.Device = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """What a physician reads off masks: of each patient a page, of all of them one.

    Of an annotated folder, with the agreement of RUN_OR_MASKS with the masks in it. Of images alone, such as a
    scanner's cine series, by the network alone: from DICOM to volumes over time in one command; DIR/masks gets the
    masks. The regions endocardium, epicardium and right ventricle are declared in the recipe, or with --region. Not a
    medical device.
    """
    if not cardiac:
        raise RecipeError(
            "Which report? There is one kind: --cardiac, of the left ventricle. (`ushape train` writes a page of every "
            "training, and `ushape evaluate --report FILE` one of an evaluation.)"
        )
    network: dict[str, Any] = {"one_piece": one_piece, "flips": flips, "memory": memory, "device": device}
    asked = Asked(
        regions={**(dict(recipes.read(recipe)) if recipe else {}).get("regions", {}), **declared_in(region or ())},
        group_by=group_by,
        frames=frames,
        voxel_mm=voxel_of(spacing) if spacing else None,
        include=include,
        ignored_values=mask_values(ignore) if ignore is not None else None,
    )
    given: Predictor | Path = answers
    if is_run(answers):
        given = predictor_from(answers, precision=precision, pieces_in=pieces_in, regions=region, **network)
    else:
        must_stand_alone(f"{answers}, a folder of masks,", network, "is there already")
    found = course(given, data, asked, Destination(out, ctx.meta[COMMAND], overwrite))
    with Bar("reading") as bar:
        for done, words in found.events(str(answers)):
            bar.show(done, words)
    if json:
        say_json({"results": found.results.to_dict(), "files": [str(path) for path in found.paths]})
    else:
        say_hearts(found.results, found.paths)
