"""Time of border weights: one look at all objects, against the usual distance transform for each.

    python benchmarks/border_weights.py                   maps of 512 x 512 with 300 and 1,500 objects
    python benchmarks/border_weights.py --objects 300     one of them
    python benchmarks/border_weights.py --patches DATA    four patches of 256 x 256, as a training draws them from DATA

The usual loop is scipy's distance_transform_edt of every object, of which the two least are kept as it goes: sorting
a stack of them all, as is often done, would take 3 GB for 1,500 objects. Ours is timed from the object map to the
weights, after a first call that compiles; `separated`, which the usual loop does not have, on its own. All run in this
process on one thread, in turn. Times are of the processor, so that others on a busy machine do not count, and
the best of each is reported. Of patches, each batch is told by its best of several, and batches by their mean: what
becomes of the objects after they were drawn and deformed, with the context that the weights need. Exit status 1 where
the two disagree by more than 1e-5, or ours is less than 80 times as fast.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor

from ushape.data.annotation import annotate, read_classes, read_objects
from ushape.data.augment import Augmentation
from ushape.data.borders import border_weights, separated
from ushape.data.folder import survey
from ushape.data.patches import Example, PatchSampler
from ushape.data.targets import Targets
from ushape.geometry.footprint import Footprint

SIDE = 512
LEAST_RATIO = 80
BATCHES = 12
ANY_SIZE = Footprint(margin=0, multiple=1, smallest_input=1, padded=True)
TARGETS: dict[str, dict[str, Any]] = {  # Any: fields of Targets
    "objects set apart": {},
    "unet-2015": {"borders": "unet-2015", "class_weights": (1.0, 1.0)},
    "unet-2019": {"borders": "unet-2019"},
}


@dataclass(frozen=True)
class Measured:
    """Best seconds, and the largest difference between the weights of both."""

    usual: float
    ours: float
    ours_2019: float
    separated: float
    difference: float

    @property
    def ratio(self) -> float:
        return self.usual / self.ours

    @property
    def good(self) -> bool:
        return self.difference <= 1e-5 and self.ratio >= LEAST_RATIO


def main() -> int:
    options = _options()
    torch.set_num_threads(1)
    if options.patches:
        _of_patches(options.patches, options.include)
        return 0
    print(f"{SIDE} x {SIDE} pixels, best of {options.repeats} round(s); milliseconds of the processor")
    print("objects  background  usual loop  unet-2015  ratio  unet-2019  separated  difference", flush=True)
    every_good = True
    for count in options.objects:
        objects = _round_cells(count)
        measured = _measured(objects, options.repeats)
        every_good &= measured.good
        print(
            f"{len(np.unique(objects)) - 1:7,} {(separated(objects) == 0).mean():11.0%} {1e3 * measured.usual:11,.0f} "
            f"{1e3 * measured.ours:10.1f} {measured.ratio:6,.0f} {1e3 * measured.ours_2019:10.1f} "
            f"{1e3 * measured.separated:10.1f} {measured.difference:11.1e}",
            flush=True,
        )
    return 0 if every_good else 1


def _of_patches(data: Path, include: str) -> None:
    examples = _examples(data, include)
    print(f"4 patches of 256 x 256 of {data.name}, mean of {BATCHES} batches; milliseconds of the processor")
    for name, settings in TARGETS.items():
        targets = _Timed(apart=True, **settings)
        sampler = PatchSampler(
            examples,
            ANY_SIZE,
            output_size=256,
            batch=4,
            augmentation=Augmentation(),
            seed=0,
            device=torch.device("cpu"),
            targets=targets,
        )
        for _ in range(BATCHES):
            sampler.draw()
        print(f"  {name:18}{1e3 * np.mean(targets.seconds):7.1f}, longest {1e3 * max(targets.seconds):.1f}", flush=True)


class _Timed(Targets):
    """Targets that note what each batch took, the best of several times."""

    seconds: list[float]

    def of(self, classes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor | None]:
        best = min(_seconds(lambda: super(_Timed, self).of(classes, objects)) for _ in range(5))
        self.__dict__.setdefault("seconds", []).append(best)
        return super().of(classes, objects)


def _examples(data: Path, include: str) -> list[Example]:
    found = survey(data, include=include)
    annotation = annotate(found, task="instances")
    annotation.require()
    examples = []
    for pair in found.pairs:
        classes = torch.from_numpy(read_classes(pair, annotation))
        objects = torch.from_numpy(read_objects(pair, annotation))
        examples.append(Example(pair.name, torch.zeros(1, *classes.shape), classes, objects))
    return examples


def _measured(objects: NDArray[np.int32], repeats: int) -> Measured:
    apart = separated(objects)
    weights = border_weights(apart, form="unet-2015")  # both are compiled now
    seconds: dict[str, list[float]] = {"usual": [], "ours": [], "ours_2019": [], "separated": []}
    difference = 0.0
    for _ in range(repeats):
        for _ in range(20):
            seconds["ours"].append(_seconds(lambda: border_weights(apart, form="unet-2015")))
            seconds["ours_2019"].append(_seconds(lambda: border_weights(apart, form="unet-2019")))
            seconds["separated"].append(_seconds(lambda: separated(objects)))
        begin = time.process_time()
        usual = _usual_loop(apart)
        seconds["usual"].append(time.process_time() - begin)
        difference = max(difference, float(abs(usual - weights).max()))
    return Measured(**{name: min(values) for name, values in seconds.items()}, difference=difference)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _usual_loop(objects: NDArray[np.integer]) -> NDArray[np.float64]:
    """The weights of unet-2015, class weights 1, from a distance transform per object."""
    nearest = np.full(objects.shape, np.inf)
    second = nearest.copy()
    for number in np.unique(objects[objects > 0]):
        distance = ndimage.distance_transform_edt(objects != number)
        np.minimum(second, np.maximum(nearest, distance), out=second)
        np.minimum(nearest, distance, out=nearest)
    return 1 + np.where(objects == 0, 10 * np.exp(-((nearest + second) ** 2) / (2 * 5**2)), 0)


def _round_cells(count: int) -> NDArray[np.int32]:
    """Discs in random places, where they overlap shared out to the nearest centre; over half of the map, many touch."""
    centres = np.random.default_rng(0).uniform(0, SIDE, (count, 2))
    radius_px = np.sqrt(0.9 * SIDE**2 / count / np.pi)
    pixels = np.indices((SIDE, SIDE)).reshape(2, -1).T
    distance, nearest = KDTree(centres).query(pixels, distance_upper_bound=radius_px)
    return np.where(np.isfinite(distance), nearest + 1, 0).reshape(SIDE, SIDE).astype(np.int32)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[300, 1500], help="about how many, per map")
    parser.add_argument("--repeats", type=int, default=1, help="rounds of one usual loop and twenty of ours")
    parser.add_argument("--patches", type=Path, metavar="DATA", help="an annotated folder, to draw patches from")
    parser.add_argument("--include", default="*", help="its images, by their names")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
