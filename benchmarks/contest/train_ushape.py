"""Ours: what `ushape train DATA --task semantic --minutes M` and `ushape predict RUN IMAGES` do, timed."""

from __future__ import annotations

import shutil

import torch
from assignment import Assignment, Clock

from ushape.predict.files import Job
from ushape.predict.sources import find_images
from ushape.predict.tiled import load
from ushape.train.loop import Stepped
from ushape.train.plan import plan
from ushape.train.prepare import look
from ushape.train.session import wanted_data
from ushape.train.stages import training


def main() -> None:
    assignment = Assignment.from_arguments()
    torch.set_num_threads(assignment.threads)
    train, run, cpu = assignment.data / "train", assignment.masks.with_name("run"), torch.device("cpu")
    tables = {
        "seed": assignment.seed,
        "data": {"task": "semantic"},
        "training": {"minutes": assignment.seconds / 60, "steps": 0},
    }
    found, annotation = look(train, wanted_data(tables))
    recipe = plan(found, annotation, tables, cpu).recipe
    course = training(train, run, recipe, device=cpu, overwrite=True)

    clock, steps = Clock(assignment.seconds), 0
    for event in course.events():
        steps += isinstance(event, Stepped)
    clock.end()

    job = Job(load(run, device="cpu"), find_images([str(assignment.data / "test" / "images")]), assignment.masks)
    for _ in job.events():
        pass
    shutil.rmtree(run)
    width = recipe.model.options.get("width", "")
    patches = recipe.training.batch * (recipe.training.output_size / 256) ** 2
    assignment.report(clock, steps=steps, patches=patches, notes=[f"width {width}"])


if __name__ == "__main__":
    main()
