"""Speed and memory of prediction: one network on one image, by ushape and by the sliding windows of others.

    python benchmarks/prediction.py DIR                          U-Net of width 32, 2048 x 2048 px, 3 runs of each
    python benchmarks/prediction.py DIR --width 64 --side 4096

Every run is a process of its own, and the methods take turns. The network is padded and normalised, since the others
know no other, with random weights; they are given it as an exported program whose window is 512 px, in the memory
format that they use by themselves. Seconds are those from the array to the array of class numbers, after a first pass
over a small image; memory is the peak of all resident memory above what it was before. The ideal is one pass that
computes nothing twice at the pace of the fastest of several convolutions measured in the same run. DIR keeps the
environments of the others. Linux only, for /proc.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from contest.methods import NotInstalledError, python_of
from torch.nn import functional as F

from ushape.models import build
from ushape.predict.outlook import multiply_adds

WINDOW = 512
MIB = 2**20
LAYERS = [(32, 32, 512), (64, 64, 256), (128, 128, 128), (256, 256, 64)]  # channels, channels, side
PEERS = {
    "MONAI, overlap 0": ("monai", "overlap=0"),
    "MONAI, overlap .25": ("monai", "overlap=0.25"),
    "MONAI, overlap .25, Gaussian": ("monai", "overlap=0.25,mode=gaussian"),
    "MONAI, overlap .5, Gaussian": ("monai", "overlap=0.5,mode=gaussian"),
    "nnU-Net's predictor": ("nnunet", ""),
}


@dataclass(frozen=True)
class Run:
    seconds: float
    peak_bytes: int


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    if options.run:
        _one(options)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 255, (options.side, options.side), dtype=np.uint8)
    np.save(options.out / "image.npy", image)
    _write_program(options)
    methods: dict[str, Callable[[], Run]] = {
        f"ushape, {memory} MiB": lambda memory=memory: _ours(options, memory) for memory in options.memory
    }
    if options.whole:
        methods["one pass in plain PyTorch"] = lambda: _ours(options, 0)
    for name, (environment, settings) in PEERS.items():
        if not any(wanted in name for wanted in options.peers):
            continue
        try:
            python = python_of(environment, options.out / "environments")
        except NotInstalledError as error:
            print(f"left out: {error}")
            continue
        methods[name] = lambda python=python, e=environment, s=settings: _peer(options, python, e, s)
    _print(_interleaved(methods, options.repeats), options)


def _interleaved(methods: dict[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            runs[name].append(method())
            print(f"  {name}: {runs[name][-1].seconds:.1f} s", flush=True)
    return runs


def _print(runs: dict[str, list[Run]], options: argparse.Namespace) -> None:
    seconds = {name: statistics.median(run.seconds for run in of) for name, of in runs.items()}
    ours = next(iter(seconds.values()))
    model = build("unet", in_channels=1, classes=2, width=options.width, padding="same", normalisation="batch")
    ideal = 2 * multiply_adds(model, options.side, options.side) / (peak := _peak())
    print(f"U-Net of width {options.width}, {options.side} x {options.side} px, {options.threads} thread(s)")
    print(f"convolutions reach {peak / 1e9:.1f} GFLOP/s; an ideal pass takes {ideal:.2f} s")
    print("  seconds   (range)        by ours  of the ideal  peak MiB")
    for name, of in runs.items():
        each = [run.seconds for run in of]
        print(
            f"{seconds[name]:9.2f}   {min(each):.2f}-{max(each):.2f}  {seconds[name] / ours:10.2f} "
            f"{ideal / seconds[name]:12.0%} {max(run.peak_bytes for run in of) / MIB:10.0f}  {name}"
        )


def _peak() -> float:
    """Floating-point operations per second of the fastest 3×3 convolution."""
    best = 0.0
    with torch.inference_mode():
        for inward, outward, side in LAYERS:
            x = torch.ones(1, inward, side, side).contiguous(memory_format=torch.channels_last)
            weight = torch.ones(outward, inward, 3, 3).contiguous(memory_format=torch.channels_last)
            for _ in range(5):
                begin = time.perf_counter()
                answer = F.conv2d(x, weight)
                best = max(best, 2 * 9 * inward * answer.numel() / (time.perf_counter() - begin))
    return best


def _write_program(options: argparse.Namespace) -> None:
    """The network, as it takes one window: code and weights."""
    torch.manual_seed(0)
    model = build("unet", in_channels=1, classes=2, width=options.width, padding="same", normalisation="batch").eval()
    torch.save(model.state_dict(), options.out / "weights.pt")
    torch.export.save(
        torch.export.export(model, (torch.zeros(1, 1, WINDOW, WINDOW),)), str(options.out / "network.pt2")
    )


def _ours(options: argparse.Namespace, memory: int) -> Run:
    command = [sys.executable, __file__, options.out, "--run", "--memory", memory]
    return _measured([*command, "--width", options.width, "--threads", options.threads])


def _peer(options: argparse.Namespace, python: Path, name: str, settings: str) -> Run:
    script = Path(__file__).with_name("sliding_windows.py")
    return _measured([python, script, options.out, name, settings, options.threads])


def _measured(command: list[object]) -> Run:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    seconds, peak = done.stdout.split()[-2:]
    return Run(float(seconds), int(peak))


def _one(options: argparse.Namespace) -> None:
    """In the measured process: ours in so much memory, or one pass in plain PyTorch where it is none."""
    from sliding_windows import measured  # beside the peers, which import nothing of ushape

    from ushape.checkpoint import Trained
    from ushape.images.source import from_array
    from ushape.intensity import Intensity
    from ushape.labels import Labels
    from ushape.predict.tiled import Predictor
    from ushape.recipe import ModelRecipe, Recipe

    settings = {"width": options.width, "padding": "same", "normalisation": "batch"}
    model = build("unet", in_channels=1, classes=2, **settings).eval()
    model.load_state_dict(torch.load(options.out / "weights.pt", weights_only=True))
    (memory,) = options.memory
    if not memory:

        def one_pass(image: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(image.astype(np.float32))[None, None]
            with torch.inference_mode():
                return model((x - 128) / 50)[0].argmax(dim=0).to(torch.uint8).numpy()

        measured(one_pass, options.out)
        return
    intensity = Intensity((128.0,), (50.0,), "uint8")
    recipe = Recipe(model=ModelRecipe("unet", settings))
    trained = Trained(model.placed(torch.device("cpu")), Labels(("0", "1"), (0, 1)), intensity, recipe)
    predictor = Predictor(trained, memory_bytes=memory * MIB, engine="torch")  # as `ushape predict` has it

    def predict(image: np.ndarray) -> np.ndarray:
        classes = np.empty(image.shape, dtype=np.uint8)
        for part in predictor.tiles(from_array(image)):
            classes[part.window.slices] = part.classes
        return classes

    measured(predict, options.out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--memory", type=int, nargs="*", default=[2048, 256], help="MiB, each a method of its own")
    parser.add_argument("--peers", nargs="*", default=[""], help="those whose names hold one of these words")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="also one pass over the whole image, in plain PyTorch")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
