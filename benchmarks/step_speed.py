"""Speed of a training step: beside the plain loop that most repositories run, and part by part.

    python benchmarks/step_speed.py [--network planned|published] [--threads 2] [--rounds 5]

A step is forward, loss, backward and optimiser on a batch that lies ready; what augmentation takes is told by
augmentation.py. "plain" is an eager loop in float32, NCHW, with torch.optim.AdamW as it comes; each following line adds
one thing to the one before, and the last is what `ushape train` runs here. Lines take turns, and each is told by its
median; how large a part of the machine's own matrix products in the same precision the last reaches, too.
Exit status 1 where ours is less than 1.5 times (float32) or 3.5 times (bfloat16) as fast as plain.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from ushape.device import Precision, autocast, channels_last, choose_device, faster_precision
from ushape.freed_memory import keeping_freed_memory
from ushape.models.anatomy import dissect
from ushape.models.unet import UNet
from ushape.train.convolution_gradients import fast_gradients
from ushape.train.losses import loss

NETWORKS: dict[str, tuple[dict[str, object], int, int]] = {  # options, side of the input, batch
    "planned": ({"width": 32, "padding": "same", "normalisation": "batch"}, 256, 4),
    "published": ({}, 572, 1),
}
AIMS = {"float32": 1.5, "bfloat16": 3.5}


@dataclass(frozen=True)
class Way:
    """How a step is made."""

    name: str
    channels_last: bool = True
    fast_gradients: bool = True
    kept_memory: bool = True
    precision: Precision = "float32"


def main() -> int:
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    precision = faster_precision(device)
    ways = _ways(precision)
    steps = {way.name: _step(way, options.network, device) for way in ways}
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for turn in range(options.rounds + 1):
        for way in ways:
            taken = _timed(way, steps[way.name])
            if turn:  # the first asks for memory
                seconds[way.name].append(taken)
    return _told(ways, {name: median(times) for name, times in seconds.items()}, options.network, device)


def _ways(precision: Precision) -> list[Way]:
    ways = [
        Way("plain", channels_last=False, fast_gradients=False, kept_memory=False),
        Way("+ memory kept", channels_last=False, fast_gradients=False),
        Way("+ channels-last", fast_gradients=False),
        Way("+ matrix products"),
    ]
    return ways if precision == "float32" else [*ways, Way("+ bfloat16", precision="bfloat16")]


def _step(way: Way, network: str, device: torch.device) -> Callable[[], float]:
    """A function that makes a step and returns the loss, so that it waits for the device."""
    settings, side, batch = NETWORKS[network]
    model = UNet(1, 2, **settings).to(device).train()  # type: ignore[arg-type]
    image = torch.randn(batch, 1, side, side, device=device)
    if way.channels_last:
        model, image = channels_last(model), image.contiguous(memory_format=torch.channels_last)
    answered = model(image[:1]).shape[-1] if network == "published" else side
    classes = torch.randint(0, 2, (batch, answered, answered), dtype=torch.uint8, device=device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> float:
        with autocast(device, way.precision):
            outputs: list[Tensor] = model.outputs(image)
        energy = loss(outputs, classes, name="cross-entropy+dice", class_weights=None, weights=None)
        with ExitStack() as stack:
            if way.fast_gradients:
                stack.enter_context(fast_gradients(device))
            energy.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        return float(energy.detach())

    return step


def _timed(way: Way, step: Callable[[], float]) -> float:
    with ExitStack() as stack:
        if way.kept_memory:
            stack.enter_context(keeping_freed_memory())
            step()  # what is kept is there when the second step asks for it
        begin = time.perf_counter()
        step()
        return time.perf_counter() - begin


def _told(ways: list[Way], seconds: dict[str, float], network: str, device: torch.device) -> int:
    settings, side, batch = NETWORKS[network]
    operations = 3 * 2 * batch * dissect(UNet(1, 2, **settings), side).multiply_adds  # type: ignore[arg-type]
    plain = seconds[ways[0].name]
    print(f"{network} U-Net, {batch} x {side} px, {torch.get_num_threads()} threads, {device}")
    for way in ways:
        taken = seconds[way.name]
        peak = _peak(way.precision, device)
        print(
            f"{way.name:20}{taken:8.3f} s{batch / taken:8.2f} images/s{plain / taken:7.2f} x"
            f"{operations / taken / 1e9:8.0f} GFLOP/s{operations / taken / peak:7.0%} of matrix products"
        )
    return 0 if plain / seconds[ways[-1].name] >= AIMS[ways[-1].precision] else 1


def _peak(precision: Precision, device: torch.device) -> float:
    """Operations a second of a large product of matrices: the best of a few."""
    a = torch.randn(2048, 2048, device=device, dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32)
    best = 0.0
    for _ in range(5):
        begin = time.perf_counter()
        float((a @ a)[0, 0])
        best = max(best, 2 * 2048**3 / (time.perf_counter() - begin))
    return best


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="planned")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default=None)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
