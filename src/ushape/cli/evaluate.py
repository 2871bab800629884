"""`ushape evaluate RUN DATA`, or `ushape evaluate --masks MASKS --truth TRUTH`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ushape.atomic import write_whole
from ushape.cli.bar import Bar
from ushape.cli.options import (
    Device,
    Flips,
    Ignore,
    Include,
    Memory,
    OnePiece,
    Overwrite,
    Precision,
    PrecisionChoice,
    RegionChoice,
    Task,
)
from ushape.cli.settings import mask_values, must_be_free, must_stand_alone, predictor_from
from ushape.cli.tables import say_evaluation
from ushape.cli.text import as_json, say_facts
from ushape.errors import RecipeError
from ushape.evaluate import Evaluation, RunEvaluation, evaluate_masks
from ushape.metrics.families import ABOUT, families_named
from ushape.regions import declared_in
from ushape.report.training import write_evaluation_report


def evaluate(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="Folder that `ushape train` wrote.")] = None,
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="Folder of images and masks.")] = None,
    masks: Annotated[Path | None, typer.Option(metavar="MASKS", help="Masks to score, in place of RUN.")] = None,
    truth: Annotated[Path | None, typer.Option(metavar="TRUTH", help="Masks to score them against.")] = None,
    include: Include = None,
    ignore: Ignore = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help=f"Scores beside those of pixels: {', '.join(ABOUT)}; several with commas."),
    ] = None,
    region: RegionChoice = None,
    one_piece: OnePiece = None,
    task: Task = None,
    flips: Flips = None,
    precision: Precision = PrecisionChoice.exact,
    memory: Memory = None,
    device: Device = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also everything as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also a line per image.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also a page with the best and worst cases.")
    ] = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Of --masks: all slices of a file together, not each alone.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Score a trained network on annotated images, or masks against the truth."""
    files = [(name, path) for name, path in (("json", json), ("csv", csv), ("report", report)) if path]
    must_be_free([path for _, path in files], overwrite=overwrite)
    families = families_named(metrics) if metrics is not None else None
    ignored = mask_values(ignore) if ignore is not None else None
    if run and data and not masks and not truth:
        must_stand_alone("RUN", {"task": task, "volumes": volumes}, "knows what it was trained for")
        predictor = predictor_from(
            run,
            flips=flips,
            precision=precision,
            memory=memory,
            device=device,
            regions=region,
            one_piece=one_piece,
        )
        course = RunEvaluation(predictor, data, include=include or "*", families=families, ignored_values=ignored)
        with Bar("evaluating") as bar:
            for event in course.events():
                bar.show(event.done / event.total, event.name)
        result = course.result()
        if report:
            write_evaluation_report(report, predictor, result, [course.truth(pair) for pair in course.pairs])
    elif masks and truth and not run:
        others = {"include": include, "flips": flips, "memory": memory, "device": device, "report": report}
        others |= {"one_piece": one_piece}
        must_stand_alone("--masks", others, "compares files that are there already")
        result = evaluate_masks(
            masks,
            truth,
            ignored_values=ignored or (),
            families=families,
            task=task.value if task else None,
            regions=declared_in(region or ()),
            axes=3 if volumes else 2,
        )
    else:
        raise RecipeError(
            "What is to be scored? Give a run and a folder, `ushape evaluate RUN DATA`, or two folders of masks, "
            "`ushape evaluate --masks MASKS --truth TRUTH`."
        )
    say_evaluation(result)
    _write(result, json, csv)
    say_facts([(name, str(path)) for name, path in files])


def _write(result: Evaluation, json: Path | None, csv: Path | None) -> None:
    if json:
        write_whole(json, as_json(result.to_dict()) + "\n")
    if csv:
        result.write_csv(csv)
