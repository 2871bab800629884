"""Seconds of one pass over a 1024 x 1024 image, by each engine that predicts with a network.

    python benchmarks/engines.py                   U-Net of width 32 and of width 64, zero-padded
    python benchmarks/engines.py --width 32 --normalisation batch

The ways take turns, so that a machine that is slower for a while is so for all; reported is the median of each, with
the least, and the share of the convolutions' own rate: that of a 3×3 convolution of 256 to 256 channels, measured in
the same turns. Seconds are of the processor, of this thread: what other processes take is left out, but for the caches
that they share. Give OMP_NUM_THREADS=1, and a core of its own (taskset), for comparable figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ushape.device import channels_last
from ushape.engines.agreement import agreement, noise
from ushape.engines.engine import Network, build
from ushape.errors import MissingExtra
from ushape.freed_memory import keeping_freed_memory
from ushape.models.unet import UNet

Pass = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    for width in options.width:
        torch.manual_seed(0)
        net = UNet(width=width, padding="same", normalisation=options.normalisation).eval()
        _report(net, options.side, options.rounds)


def _report(net: UNet, side: int, rounds: int) -> None:
    x = noise(net, side, side)
    with torch.inference_mode():
        work, rate = _operations(net, x), _peak()
        ways = _ways(net)
        seconds: dict[str, list[float]] = {name: [] for name in (*ways, "peak")}
        expected = net(x)
        for name, way in ways.items():
            agreed = agreement(expected, way(x))
            print(f"{name}: {agreed.in_words()}", flush=True)
        for _ in range(rounds):
            for name, way in ways.items():
                seconds[name].append(_seconds(way, x))
            seconds["peak"].append(rate())
    peak = 1 / median(seconds.pop("peak"))
    print(f"U-Net of width {net.head.in_channels}, {side} x {side}: {work / 1e9:.0f} GFLOP")
    print(f"a convolution of 256 channels computes {peak / 1e9:.1f} GFLOP/s here")
    for name, taken in seconds.items():
        share = work / median(taken) / peak
        print(
            f"  {name:<32} {median(taken):7.3f} s   least {min(taken):7.3f} s   {share:4.0%} of that rate", flush=True
        )


def _ways(net: UNet) -> dict[str, Pass]:
    """The network as PyTorch users have it, then the engines."""
    plain = Network(channels_last(_copy(net)))
    ways: dict[str, Pass] = {"PyTorch as it is": net, "PyTorch, channels last": plain}
    engine = build("torch", channels_last(_copy(net)))

    def kept(x: torch.Tensor) -> torch.Tensor:
        with keeping_freed_memory():
            return engine(x)

    ways["ushape, torch"] = kept
    for name in ("onnxruntime", "openvino"):
        try:
            ways[f"ushape, {name}"] = build(name, net)
        except MissingExtra:
            print(f"{name} is not installed and left out")
    return ways


def _copy(net: UNet) -> UNet:
    copy = UNet(width=net.head.in_channels, padding=net.padding, normalisation=_normalisation(net)).eval()
    copy.load_state_dict(net.state_dict())
    return copy


def _normalisation(net: UNet) -> str:
    return "batch" if any(isinstance(module, nn.BatchNorm2d) for module in net.modules()) else "none"


def _operations(net: nn.Module, x: torch.Tensor) -> int:
    """Multiplications and additions of the convolutions of a pass."""
    with FlopCounterMode(display=False) as counter:
        net(x)
    return counter.get_total_flops()


def _peak() -> Callable[[], float]:
    """Seconds per operation of a convolution whose maps stay in the caches."""
    convolution = channels_last(nn.Conv2d(256, 256, 3, padding=1))
    x = torch.randn(1, 256, 64, 64).contiguous(memory_format=torch.channels_last)
    work = 2 * 256 * 256 * 9 * 64 * 64
    convolution(x)
    return lambda: min(_seconds(convolution, x) for _ in range(3)) / work


def _seconds(way: Pass, x: torch.Tensor) -> float:
    begin = time.process_time()
    way(x)
    return time.process_time() - begin


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--normalisation", choices=["none", "batch"], default="none")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
