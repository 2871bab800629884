"""What scribbles are worth beside whole masks: a few per cent of the pixels annotated, and scored on all of them.

    python benchmarks/sparse_annotation.py DATA --out DIR --train '[0-9]*' --test '[a-b]*' --shares 0.1 0.03

DATA holds numbered objects. For each share of the pixels DIR gets a folder of scribbles as people draw them: a curved
stroke of 1 to 3 px within an object, one at most, and long ones in the background, neither beyond half of the share,
middles of strokes off borders; all else is 0, not annotated. Trainings on whole masks and on scribbles are alike in all
else; those on scribbles are validated on scribbles too. All are scored on the whole masks of the test images.

What is done is left as it is: the same command goes on, and prints the table at its end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

import ushape
from ushape.atomic import write_whole
from ushape.data.annotation import annotate, read_objects
from ushape.data.folder import survey
from ushape.evaluate import RunEvaluation

UNANNOTATED, BACKGROUND, OBJECT = 0, 1, 2
_BENDING = 0.25  # radians a pixel, standard deviation: how much a hand turns
_TURNS = 24  # new directions that are tried where a stroke meets a border


def scribbled(objects: NDArray[np.integer], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(H, W) object map → mask values, at most `share` of them annotated, and none of them wrong."""
    mask = np.full(objects.shape, UNANNOTATED, dtype=np.uint8)
    most = share * objects.size / 2
    numbers = rng.permutation(np.unique(objects[objects > 0]))
    for number in numbers:
        inside = objects == number
        _stroke(mask, inside, OBJECT, length_px=int(np.sqrt(inside.sum())), most=most, rng=rng)
    background = objects == 0
    for _ in range(objects.size // 100):
        if (mask == BACKGROUND).sum() < 0.95 * most:
            _stroke(mask, background, BACKGROUND, length_px=int(rng.integers(30, 120)), most=most, rng=rng)
    return mask


def _stroke(
    mask: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    value: int,
    *,
    length_px: int,
    most: float,
    rng: np.random.Generator,
) -> None:
    """Draws a curve within a region, off its border, unless the value had more than `most` pixels with it."""
    core = ndimage.binary_erosion(inside)
    if not core.any():
        return
    place = rng.choice(np.argwhere(core)).astype(float)
    heading, line = rng.uniform(0, 2 * np.pi), np.zeros(mask.shape, dtype=bool)
    for _ in range(length_px):
        line[tuple(place.round().astype(int))] = True
        heading += rng.normal(0, _BENDING)
        ways = heading + np.concatenate([[0.0], rng.uniform(-np.pi / 2, np.pi / 2, _TURNS)])
        steps = place + np.stack([np.sin(ways), np.cos(ways)], axis=-1)
        rows, columns = np.clip(steps.round().astype(int), 0, np.array(mask.shape) - 1).T
        free = np.flatnonzero(core[rows, columns])
        if not len(free):
            break
        heading, place = ways[free[0]], np.clip(steps[free[0]], 0, np.array(mask.shape) - 1)
    width = rng.integers(1, 4)
    pen = np.ones((width, width), dtype=bool)
    drawn = ndimage.binary_dilation(line, pen) & inside
    if (drawn | (mask == value)).sum() <= most:
        mask[drawn] = value


def _folders(options: argparse.Namespace) -> dict[str, Path]:
    """A folder of whole masks and one of scribbles for each share, by name, made where they are not there yet."""
    folders = {"whole masks": options.out / "whole"}
    folders |= {f"scribbles, {share:.0%} at most": options.out / f"scribbles-{share:g}" for share in options.shares}
    found = survey(options.data)
    annotation = annotate(found, task="instances")
    annotation.require()
    for folder, share in zip(folders.values(), [1.0, *options.shares], strict=True):
        if folder.exists():
            continue
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True)
        for number, pair in enumerate(found.pairs):
            objects = read_objects(pair, annotation)
            whole = np.where(objects > 0, OBJECT, BACKGROUND).astype(np.uint8)
            mask = whole if share == 1 else scribbled(objects, share, np.random.default_rng([options.draw, number]))
            tifffile.imwrite(folder / "masks" / f"{pair.name}.tif", mask, compression="zlib")
            (folder / "images" / pair.image.path.name).symlink_to(pair.image.path.resolve())
    return folders


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    folders = _folders(options)
    results = options.out / "results.json"
    done = json.loads(results.read_text()) if results.exists() else {}
    for seed in range(options.seeds):
        for name, folder in folders.items():
            key = f"{name} {seed}"
            if key not in done:
                begin = time.perf_counter()
                run = options.out / f"run-{folder.name}-{seed}"
                done[key] = _trained_and_scored(options, folder, run, seed) | {"folder": name, "seed": seed}
                write_whole(results, json.dumps(done, indent=1))
                print(f"{key}: {done[key]} {time.perf_counter() - begin:.0f} s", flush=True)
    print(_table(list(done.values()), list(folders)))
    return 0


def _trained_and_scored(options: argparse.Namespace, folder: Path, run: Path, seed: int) -> dict[str, float]:
    recipe = {
        "seed": seed,
        "data": {"include": options.train, "ignored_values": [UNANNOTATED]},
        "model": {"options": {"width": options.width, "padding": "same", "normalisation": "batch"}},
        "training": {"output_size": options.patch, "validations": 4},
    }
    predictor = ushape.train(folder, run, steps=options.steps, recipe=recipe, overwrite=True)
    annotation = annotate(survey(folder, include=options.train), ignored_values=[UNANNOTATED])
    course = RunEvaluation(predictor, options.out / "whole", include=options.test)
    for _ in course.events():
        pass
    table = course.result().table
    foreground = table.summary().foreground
    counted = sum(annotation.pixels) / (sum(annotation.pixels) + annotation.ignored)
    return {
        "annotated": round(counted, 4),
        "dice": round(foreground.dice.mean, 4),
        "pooled_dice": round(foreground.dice.pooled, 4),
        "precision": round(foreground.precision.mean, 4),
        "recall": round(foreground.recall.mean, 4),
    }


def _table(done: Sequence[dict[str, float]], names: Sequence[str]) -> str:
    """Markdown: a row per folder, means over the seeds, and the part of the Dice that whole masks give."""
    lines = ["| training masks | annotated | Dice by seed | mean | of whole masks' |", "|---|---|---|---|---|"]
    whole = np.mean([each["dice"] for each in done if each["folder"] == names[0]])
    for name in names:
        rows = [each for each in done if each["folder"] == name]
        dice = [each["dice"] for each in rows]
        shown = ", ".join(f"{score:.4f}" for score in dice)
        part = f"{np.mean(dice) / whole:.1%}"
        lines.append(f"| {name} | {rows[0]['annotated']:.1%} | {shown} | {np.mean(dice):.4f} | {part} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", default="*", help="patterns of the images to train on")
    parser.add_argument("--test", required=True, help="patterns of the images to score on")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1, 0.03], help="of the pixels, at most")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--draw", type=int, default=0, help="seed of the scribbles")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
