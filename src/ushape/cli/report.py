"""`ushape report --cardiac RUN_OR_MASKS DATA --out DIR`"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ushape import recipe as recipes
from ushape.cardiac.frames import Voxel
from ushape.cardiac.indices import NAMES
from ushape.cardiac.results import DISCLAIMER, Results
from ushape.cardiac.study import CardiacStudy
from ushape.checkpoint import ENSEMBLE, is_checkpoint
from ushape.cli import COMMAND
from ushape.cli.bar import Bar
from ushape.cli.options import (
    Data,
    Device,
    Flips,
    GroupBy,
    Ignore,
    Include,
    Json,
    Memory,
    OnePiece,
    Overwrite,
    Precision,
    PrecisionChoice,
    RecipeFile,
    RegionChoice,
)
from ushape.cli.settings import mask_values, must_stand_alone, predictor_from
from ushape.cli.tables import say_agreement
from ushape.cli.text import say, say_facts, say_json
from ushape.data.pair import counted
from ushape.errors import RecipeError
from ushape.predict.tiled import Predictor
from ushape.regions import declared_in
from ushape.report.cardiac import CardiacReport


def report(
    ctx: typer.Context,
    answers: Annotated[
        Path, typer.Argument(metavar="RUN_OR_MASKS", help="What `ushape train` wrote, or a folder of masks.")
    ],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pages and tables.")],
    cardiac: Annotated[
        bool, typer.Option("--cardiac", help="Of the left ventricle: volumes, ejection fraction, contours, walls.")
    ] = False,
    region: RegionChoice = None,
    recipe: RecipeFile = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Of each slice, where single images are numbered through: 20 for Sunnybrook."),
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Millimetres from slice to slice and of a pixel, where files do not say."),
    ] = None,
    include: Include = None,
    group_by: GroupBy = None,
    ignore: Ignore = None,
    one_piece: OnePiece = None,
    flips: Flips = None,
    precision: Precision = PrecisionChoice.exact,
    memory: Memory = None,
    device: Device = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """What a physician reads off masks: of each patient a page, of all of them one with the agreement.

    The regions endocardium, epicardium and right ventricle are declared in the recipe, or with --region. Not a medical
    device.
    """
    if not cardiac:
        raise RecipeError(
            "Which report? There is one kind: --cardiac, of the left ventricle. (`ushape train` writes a page of every "
            "training, and `ushape evaluate --report FILE` one of an evaluation.)"
        )
    said: dict[str, Any] = dict(recipes.read(recipe)) if recipe else {}
    regions = {**said.get("regions", {}), **declared_in(region or ())}
    given: Predictor | Path = answers
    wanted = recipes.Recipe().data
    if (answers / ENSEMBLE).exists() or (answers / "best.safetensors").exists() or is_checkpoint(answers):
        given = predictor_from(
            answers,
            flips=flips,
            precision=precision,
            memory=memory,
            device=device,
            regions=region,
            one_piece=one_piece,
        )
        wanted = given.trained.recipe.data
    else:
        others = {"one_piece": one_piece, "flips": flips, "memory": memory, "device": device}
        must_stand_alone(f"{answers}, a folder of masks,", others, "is there already")
    study = CardiacStudy(
        data,
        given,
        regions=regions,
        include=include or "*",
        group_by=group_by if group_by is not None else wanted.group_by,
        ignored_values=mask_values(ignore) if ignore is not None else wanted.ignored_values,
        frames=frames,
        voxel_mm=_voxel(spacing) if spacing else None,
    )
    patients = [patient.name for patient in study.patients]
    pages = CardiacReport(out, patients, ctx.meta[COMMAND], overwrite=overwrite)
    with Bar("reading") as bar:
        for number, (patient, heart) in enumerate(zip(patients, study.hearts(), strict=True), start=1):
            pages.add(patient, heart)
            bar.show(number / len(patients), patient)
    results, paths = pages.finish(_facts(study, answers, data), study.notes())
    if json:
        say_json({"results": results.to_dict(), "files": [str(path) for path in paths]})
        return
    _say(results)
    say_facts([("written", ", ".join(map(str, paths)) + f", and {counted(len(results.patients), 'page')} of patients")])
    say(f"  {DISCLAIMER}")


def _voxel(text: str) -> Voxel:
    """
    >>> _voxel("10, 1.5,1.5")
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


def _facts(study: CardiacStudy, answers: Path, data: Path) -> list[tuple[str, str]]:
    return [
        ("predicted", str(answers)),
        ("manual", str(data)),
        *study.facts(),
    ]


def _say(results: Results) -> None:
    say_agreement({f"{words} ({results.unit(name)})": results.agreement(name) for name, words in NAMES.items()})
    unit = "mm" if results.in_mm else "px"
    for region in results.regions:
        found = results.contours(region)
        good = "" if math.isnan(found.good) else f", {100 * found.good:.1f} % of contours good"
        contours = f"{counted(found.drawn, 'contour')} by hand, {found.missed} missed, {found.added} added"
        say(f"  {region}: Dice {found.dice:.4f}, APD {found.apd:.2f} {unit}{good}; {contours}")
