"""What border weights and elastic deformation are worth: the ablation that the paper of 2015 does not have.

    python benchmarks/ablation.py DATA --out DIR --train '[0-9]*' --test '[a-b]*' --steps 150

DATA holds numbered objects, or masks whose connected regions are the objects. With and without border weights, with and
without elastic deformation, on 3, 10 and all images, three seeds each: 36 short trainings of equally many steps, all
else alike, and scored on the same test images. A seed draws the images, the weights and the patches, alike for all four
ways. The images are what somebody annotated: a fifth, one at least, is held back to choose network and objects by.

Interrupt it at any time: what is done is in DIR/results.json, and the same command goes on. At the end (or with --show,
at once) it prints a table, means over the seeds with the lowest and highest, and draws DIR/ablation.svg.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import ushape
from ushape.atomic import write_whole
from ushape.data.folder import survey
from ushape.evaluate import RunEvaluation

WAYS = {
    "plain": {"border_weights": "none", "elastic_px": 0.0},
    "elastic": {"border_weights": "none", "elastic_px": 10.0},
    "borders": {"border_weights": "unet-2015", "elastic_px": 0.0},
    "both": {"border_weights": "unet-2015", "elastic_px": 10.0},
}
SCORES = {"f1_50": "F1 at IoU .5", "ap_50_95": "average precision, IoU .5 … .95", "seg": "SEG"}
COLOURS = {"plain": "#777777", "elastic": "#0072b2", "borders": "#d55e00", "both": "#009e73"}


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.json"
    done = json.loads(results.read_text()) if results.exists() else {}
    names = sorted(pair.name for pair in survey(options.data, include=options.train).pairs)
    planned = list(_planned(names, options.sizes, options.seeds))
    for number, (key, way, images, seed) in enumerate(planned, start=1):
        if key in done or options.show:
            continue
        begin = time.perf_counter()
        done[key] = _trained_and_scored(options, way, images, seed)
        write_whole(results, json.dumps(done, indent=1))
        print(f"{number}/{len(planned)} {key} {time.perf_counter() - begin:.0f} s", done[key], flush=True)
    if not done:
        print("Nothing is done yet.")
        return 1
    print(_table(done, options.sizes))
    write_whole(options.out / "ablation.svg", _figure(done, options.sizes, "ap_50_95"))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", default="*", help="patterns of the images to train on")
    parser.add_argument("--test", required=True, help="patterns of the images to score on")
    parser.add_argument("--sizes", nargs="+", default=["3", "10", "all"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--show", action="store_true", help="what is done so far, without training")
    return parser.parse_args()


def _planned(names: Sequence[str], sizes: Sequence[str], seeds: int) -> Iterator[tuple[str, str, list[str], int]]:
    """Key, way, images and seed; seed by seed, so that an early end leaves a whole comparison."""
    for seed in range(seeds):
        shuffled = np.random.default_rng(seed).permutation(len(names))
        for size in sizes:
            images = [names[i] for i in (shuffled if size == "all" else shuffled[: int(size)])]
            for way in WAYS:
                yield f"{way} {size} {seed}", way, images, seed


def _trained_and_scored(options: argparse.Namespace, way: str, images: Sequence[str], seed: int) -> dict[str, float]:
    run = options.out / "run"
    shutil.rmtree(run, ignore_errors=True)
    recipe = {
        "seed": seed,
        "data": {"include": ",".join(images), "task": "instances"},
        "model": {"options": {"width": options.width, "padding": "same", "normalisation": "batch"}},
        "augmentation": {"elastic_px": WAYS[way]["elastic_px"]},
        "training": {"border_weights": WAYS[way]["border_weights"], "validations": 3},
    }
    predictor = ushape.train(options.data, run, steps=options.steps, recipe=recipe)
    course = RunEvaluation(predictor, options.data, include=options.test)
    for _ in course.events():
        pass
    figures = course.result().measures[0].figures()
    return {name: round(figures[name].mean, 4) for name in SCORES}


def _spread(done: dict[str, dict[str, float]], way: str, size: str, score: str) -> list[float]:
    return [scores[score] for key, scores in done.items() if key.split()[:2] == [way, size]]


def _table(done: dict[str, dict[str, float]], sizes: Sequence[str]) -> str:
    """Markdown: a row per number of images and way, mean (lowest–highest) over seeds of each score."""
    lines = ["| images | way | seeds | " + " | ".join(SCORES.values()) + " |", "|---|---|---|" + "---|" * len(SCORES)]
    for size in sizes:
        for way in WAYS:
            cells = [_spread(done, way, size, score) for score in SCORES]
            if cells[0]:
                shown = [f"{np.mean(c):.3f} ({min(c):.3f}–{max(c):.3f})" for c in cells]
                lines.append(f"| {size} | {way} | {len(cells[0])} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _figure(done: dict[str, dict[str, float]], sizes: Sequence[str], score: str) -> str:
    """SVG: side by side for each number of images, a dot per seed and a bar at the mean of each way."""
    every = [value[score] for value in done.values()]
    low, high = np.floor(min(every) * 10) / 10, np.ceil(max(every) * 10) / 10
    width, height, left, top, bottom = 640, 320, 60, 40, 270

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    title = f"{SCORES[score]}, on images not trained on; a dot per seed, a bar at the mean"
    parts = [f'<text x="{left}" y="20">{title}</text>']
    for tick in np.arange(low, high + 0.01, 0.1):
        parts.append(f'<path d="M{left} {y(tick):.1f}H{width - 20}" stroke="#ccc"/>')
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
    group = (width - 20 - left) / len(sizes)
    for i, size in enumerate(sizes):
        centre = left + group * (i + 0.5)
        parts.append(f'<text x="{centre:.0f}" y="{bottom + 20}" text-anchor="middle">{size} images</text>')
        for j, way in enumerate(WAYS):
            x, values = centre + (j - 1.5) * group / 5, _spread(done, way, size, score)
            parts += [f'<circle cx="{x:.1f}" cy="{y(v):.1f}" r="3.5" fill="{COLOURS[way]}"/>' for v in values]
            if values:
                bar = f"M{x - 11:.1f} {y(float(np.mean(values))):.1f}h22"
                parts.append(f'<path d="{bar}" stroke="{COLOURS[way]}" stroke-width="2.5"/>')
    for j, way in enumerate(WAYS):
        parts.append(f'<circle cx="{left + 130 * j + 6}" cy="{height - 14}" r="4" fill="{COLOURS[way]}"/>')
        parts.append(f'<text x="{left + 130 * j + 16}" y="{height - 10}">{way}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    sys.exit(main())
