"""Speed of the augmentation: beside other ways of deforming an image with its labels, and as a share of training.

    python benchmarks/augmentation.py elastic    images/s of elastic deformation alone
    python benchmarks/augmentation.py whole      images/s of all movements and changes of values
    python benchmarks/augmentation.py step       what share of a training step the augmentation takes

Ours is what a training calls, PatchSampler.draw: it also chooses a place in a 512 px image and mirrors what lies beyond
the border, while the others (benchmarks/peers.py) get an image of the patch's size. Times are the processor time of one
thread, so that other processes on the machine count little; methods take turns, and each is told by its best turn.
Exit status 1 where the augmentation takes more than a tenth of a step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from peers import PEERS, Pair, Task
from scipy import ndimage

from ushape.data.augment import Augmentation
from ushape.data.patches import Batch, Example, PatchSampler
from ushape.device import Precision, channels_last
from ushape.geometry.footprint import Footprint
from ushape.models import build
from ushape.recipe import TrainingRecipe
from ushape.train.loop import Trainer

Method = Callable[[], Batch | Pair]

CPU = torch.device("cpu")
IMAGE_PX = 512
SIZES = ((572, 1), (256, 4))  # (size of the patches in pixels, patches): the tile of Fig. 1, and a batch as planned
ANY_SIZE = Footprint(margin=0, multiple=1, smallest_input=1, padded=True)  # as much truth as image
ELASTIC = replace(Augmentation.none(), elastic_px=10)
LARGEST_SHARE = 0.1
TURN_SECONDS = 0.1
NETWORKS: dict[str, tuple[dict[str, object], int, int, Precision]] = {  # options of U-Net, output size, batch
    "planned on a processor": ({"width": 32, "padding": "same", "normalisation": "batch"}, 256, 4, "bfloat16"),
    "as published": ({}, 388, 1, "float32"),
}


def main() -> int:
    options = _options()
    torch.set_num_threads(1)
    if options.part == "step":
        return 1 if max([_share(name, options.rounds) for name in options.networks]) > LARGEST_SHARE else 0
    print(f"{options.part}, image and labels: images/s, and how many times as fast ours is")
    print(f"{'':36}" + "".join(f"{f'{count} × {size}²':>14}{'ours is':>9}" for size, count in SIZES), flush=True)
    tables = [_speeds(size, count, options.part == "whole", options.rounds) for size, count in SIZES]
    for name in tables[0]:
        print(f"{name:36}" + "".join(_cells(table, name) for table in tables))
    return 0


def _speeds(size: int, count: int, whole: bool, rounds: int) -> dict[str, float | None]:
    """Images per second of each method, None where it is not installed."""
    task = Task(*_picture(size), count=count, whole=whole)
    methods: dict[str, Method | None] = {"ushape": _sampler(size, count, whole).draw}
    for name, peer in PEERS.items():
        try:
            methods[name] = peer(task)
        except ImportError:
            methods[name] = None
    ready = {name: method for name, method in methods.items() if method}
    if not whole:
        _must_agree(task, ready)
    seconds = _best(ready, rounds)
    return {name: count / seconds[name] if name in seconds else None for name in methods}


def _best(methods: Mapping[str, Method], rounds: int) -> dict[str, float]:
    """Seconds of one call of each in its fastest turn of so many; the first one is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds + 1):
        for name, method in methods.items():
            seconds[name].append(_turn(method))
    return {name: min(times[1:]) for name, times in seconds.items()}


def _turn(method: Method) -> float:
    """Mean seconds of a few calls: a draw by chance may be cheap, as that of an upright patch is."""
    begin, calls = time.process_time(), 0
    while (seconds := time.process_time() - begin) < TURN_SECONDS:
        method()
        calls += 1
    return seconds / calls


def _must_agree(task: Task, methods: Mapping[str, Method]) -> None:
    """Every method deforms, and labels follow the image: both show where a smooth picture is positive."""
    for name, method in methods.items():
        result = method()
        image, labels = _last(result) if isinstance(result, Batch) else result
        agreement, moved = np.mean((image > 0) == labels), np.mean(labels != task.labels)
        if image.shape != task.image.shape or agreement < 0.98 or moved < 0.01:
            raise SystemExit(f"{name} does not deform image and labels alike: they agree in {agreement:.1%} of pixels.")


def _last(batch: Batch) -> Pair:
    return batch.image[-1, 0].numpy(), batch.classes[-1].numpy()


def _share(name: str, rounds: int) -> float:
    """The share of a training step that the augmentation takes; printed with its seconds."""
    settings, output_size, batch, precision = NETWORKS[name]
    torch.manual_seed(0)
    model = channels_last(build("unet", in_channels=1, classes=2, **settings))
    sampler = _Timed(
        _examples(),
        model.footprint,
        output_size=output_size,
        batch=batch,
        augmentation=Augmentation(),
        seed=0,
        device=CPU,
    )
    trainer = Trainer(model, TrainingRecipe(steps=10_000), sampler, precision=precision)
    steps = []
    for _ in range(rounds + 1):
        begin = time.process_time()
        trainer.advance()
        steps.append(time.process_time() - begin)
    step, drawn = median(steps[1:]), median(sampler.seconds[1:])
    print(
        f"U-Net {name}: a step on {batch} × {sampler.input_size}² in {precision} takes {step:.2f} s, "
        f"its augmentation {1000 * drawn:.1f} ms: {drawn / step:.2%}",
        flush=True,
    )
    return drawn / step


class _Timed(PatchSampler):
    """A sampler that notes what each batch took, within the training."""

    seconds: list[float]

    def draw(self) -> Batch:
        begin = time.process_time()
        batch = super().draw()
        self.__dict__.setdefault("seconds", []).append(time.process_time() - begin)
        return batch


def _sampler(size: int, count: int, whole: bool) -> PatchSampler:
    augmentation = Augmentation() if whole else ELASTIC
    return PatchSampler(
        _examples(), ANY_SIZE, output_size=size, batch=count, augmentation=augmentation, seed=0, device=CPU
    )


def _examples() -> Sequence[Example]:
    image, labels = _picture(IMAGE_PX)
    return [Example(str(n), torch.from_numpy(image)[None], torch.from_numpy(labels)) for n in range(4)]


def _picture(size: int) -> Pair:
    """Smooth blobs of unit variance, and where they are positive."""
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (size, size)), 8, mode="wrap")
    image = (image / image.std()).astype(np.float32)
    return image, (image > 0).astype(np.uint8)


def _cells(table: Mapping[str, float | None], name: str) -> str:
    speed, ours = table[name], table["ushape"]
    if speed is None or ours is None:
        return f"{'not installed':>23}"
    return f"{speed:14.1f}{ours / speed:8.1f}×"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["elastic", "whole", "step"])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each method, or training steps")
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=[next(iter(NETWORKS))], help="for the step")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
