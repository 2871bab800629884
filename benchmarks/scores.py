"""Time of all scores beside that of the prediction they judge.

    python benchmarks/scores.py                      a slice of 512 x 512, the published network and the planned one
    python benchmarks/scores.py --side 1024 --network planned

The network has random weights, which cost what trained ones do; what is judged is a plausible answer: the truth of a
simulated membrane micrograph, blurred and with noise. Prediction is exact (float32), one pass without flips: with flips
it takes eight times as long. Each family is timed from the maps to its figures of image and folder, after a first call
that compiles. Times are of the processor, on one thread; the best of each is reported. Exit status 1 where all
scores together take more than a tenth of a prediction by the published network.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import get_args

import numpy as np
import torch
from scipy import ndimage

from ushape.checkpoint import Trained
from ushape.images.simulated import membranes
from ushape.images.source import from_array
from ushape.intensity import Intensity
from ushape.labels import Labels, connected_regions
from ushape.metrics.families import FamilyName, family
from ushape.metrics.judged import Judged
from ushape.metrics.pixels import PixelScores, ScoreHistogram, confusion
from ushape.models.unet import UNet
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe

LARGEST_SHARE = 0.1
LABELS = Labels(("membrane", "cell"), (0, 255))
NETWORKS = {
    "published": UNet,
    "planned": lambda: UNet(width=32, padding="same", normalisation="batch"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--network", choices=NETWORKS, nargs="+", default=list(NETWORKS))
    wanted = parser.parse_args()
    torch.set_num_threads(1)

    drawn = membranes(np.random.default_rng(0), (wanted.side, wanted.side))
    source = from_array(drawn.image, "the image")
    image = answer_to((drawn.truth > 0).astype(np.uint8))
    seconds: dict[str, float] = {"pixels": best(lambda: pixels(image), wanted.repeats)}
    for name in get_args(FamilyName):
        seconds[name] = best(lambda name=name: judge(name, image), wanted.repeats)
    print(f"{wanted.side} x {wanted.side} pixels, milliseconds of the processor, best of {wanted.repeats}")
    for name, taken in seconds.items():
        print(f"  {name:12} {1000 * taken:8.1f}")
    total = sum(seconds.values())
    print(f"  {'all scores':12} {1000 * total:8.1f}")

    shares = {}
    for name in wanted.network:
        predictor = untrained(name)
        taken = best(lambda predictor=predictor: predictor.whole(source), max(1, wanted.repeats - 1))
        shares[name] = total / taken
        print(f"prediction, {name:9} {1000 * taken:8.1f}   scores take {100 * shares[name]:.1f} % of it")
    return int(shares.get("published", 0) > LARGEST_SHARE)


def answer_to(truth: np.ndarray) -> Judged:
    """A plausible answer: right but for blur and noise."""
    noise = np.random.default_rng(1).normal(0, 0.25, truth.shape)
    soft = ndimage.gaussian_filter(truth + ndimage.gaussian_filter(noise, 1.5) * 3, 1.2)
    foreground = np.clip(soft, 0, 1).astype(np.float32)
    answer = (foreground > 0.5).astype(np.uint8)
    return Judged(truth, answer, connected_regions(truth), connected_regions(answer), foreground)


def pixels(image: Judged) -> None:
    PixelScores.of(confusion(image.truth, image.answer, 2))
    histogram = ScoreHistogram()
    histogram.add(image.truth == 1, image.foreground)
    histogram.roc_auc(), histogram.average_precision(), histogram.best_f1()


def judge(name: FamilyName, image: Judged) -> None:
    scores = family(name, LABELS.names)
    scores.add(image)
    scores.of_images(), scores.of_folder()


def untrained(name: str) -> Predictor:
    torch.manual_seed(0)
    intensity = Intensity((128.0,), (50.0,), "uint8")
    return Predictor(Trained(NETWORKS[name]().eval(), LABELS, intensity, Recipe()))


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the processor, after a first call."""
    work()
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


if __name__ == "__main__":
    sys.exit(main())
