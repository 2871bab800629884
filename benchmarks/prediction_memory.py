"""Memory and time of prediction: images of any size take no more than they may.

    python benchmarks/prediction_memory.py                  grey images up to 20,000 x 20,000, in 2 GiB
    python benchmarks/prediction_memory.py --networks       several networks on one image, in 256 MiB each

Every measurement is a process of its own, which loads a network with random weights and then predicts an image that
was written, and is never held whole. Reported is what it takes above its size once the weights are loaded: the peak of
all resident memory (exact, VmHWM), and of the anonymous part alone (RssAnon, polled), which leaves out mapped files.
Exit status 1 where a total is above what was allowed. Linux only, for /proc.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.geometry.tiles import Window
from ushape.images.source import pages
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.predict.files import Job
from ushape.predict.outlook import outlook
from ushape.predict.strategy import Strategy
from ushape.predict.tiled import DEFAULT_MEMORY_BYTES, load
from ushape.recipe import ModelRecipe, PredictionRecipe, Recipe

MIB = 2**20
ALLOCATOR_BYTES = 128 * MIB  # what glibc keeps of freed maps below 32 MiB, and compiled kernels: not the tiles'
SIDES = (2500, 5000, 10_000, 20_000)
SIDE_OF_NETWORKS = 1500
LAYOUTS = {"tiles": (256, 256), "strips": (16, None), "plain": None}
NETWORKS: list[tuple[dict[str, object], int, bool]] = [  # options of U-Net, classes, flips
    ({"width": 4}, 2, False),
    ({"width": 4, "depth": 2}, 2, True),
    ({"width": 4, "padding": "same"}, 2, True),
    ({"width": 4}, 20, False),
    ({"width": 4}, 100, False),
    ({"width": 32}, 2, False),
    ({"width": 32, "padding": "same"}, 2, False),
    ({"width": 32, "padding": "same", "normalisation": "batch"}, 2, True),
    ({"width": 64}, 2, False),
]


@dataclass(frozen=True)
class Measured:
    """Bytes above the size with the weights loaded, and seconds."""

    anonymous: int
    total: int
    seconds: float


def main() -> int:
    options = _options()
    if options.predict:
        _predict(*map(Path, options.predict), options.memory)
        return 0
    print(f"{torch.get_num_threads()} thread(s), {options.memory} MiB for tiles", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        excess = _networks(Path(folder), options) if options.networks else _sides(Path(folder), options)
    return 1 if excess else 0


def _sides(folder: Path, options: argparse.Namespace) -> bool:
    """Whether an image of some size took more than 2 GiB."""
    run = folder / "run.safetensors"
    checkpoint.write(run, _network({"width": options.width, "depth": options.depth}, 2, options.flips))
    print(f"U-Net of width {options.width}, depth {options.depth}; grey image stored as {options.layout}")
    print("    side    Mpx  anonymous MiB  total MiB  seconds   s/Mpx  Mpx/s", flush=True)
    totals = []
    for side in sorted({side for side in SIDES if side < options.side} | {options.side}):
        image = _written(folder / "image.tif", side, options.layout)
        measured = _measured(run, image, options.memory)
        totals.append(measured.total)
        megapixels = side**2 / 1e6
        print(
            f"{side:8,} {megapixels:6.1f} {measured.anonymous / MIB:14.0f} {measured.total / MIB:10.0f} "
            f"{measured.seconds:8.1f} {measured.seconds / megapixels:7.3f} {megapixels / measured.seconds:6.2f}",
            flush=True,
        )
    return max(totals) > 2 << 30


def _networks(folder: Path, options: argparse.Namespace) -> bool:
    """Whether some network took more than it was allowed."""
    excess = False
    print("foreseen MiB  anonymous MiB  total MiB   s/Mpx  network", flush=True)
    for settings, classes, flips in NETWORKS:
        trained = _network(settings, classes, flips)
        checkpoint.write(folder / "run.safetensors", trained)
        image, shape = _written(folder / "image.tif", SIDE_OF_NETWORKS, "tiles"), (SIDE_OF_NETWORKS,) * 2
        foreseen = outlook(trained.model, shape, Strategy(trained.model, options.memory * MIB, by_rows=not flips))
        measured = _measured(folder / "run.safetensors", image, options.memory)
        excess |= measured.total > options.memory * MIB + ALLOCATOR_BYTES
        print(
            f"{foreseen.bytes / MIB:12.0f} {measured.anonymous / MIB:14.0f} {measured.total / MIB:10.0f} "
            f"{measured.seconds / (1e-6 * SIDE_OF_NETWORKS**2):7.2f}  {settings} {classes} classes"
            f"{', flips' if flips else ''}, {foreseen.parts} {'bands' if foreseen.by_rows else 'tiles'}",
            flush=True,
        )
    return excess


def _network(settings: dict[str, object], classes: int, flips: bool) -> Trained:
    torch.manual_seed(0)
    labels = Labels(tuple(map(str, range(classes))), tuple(range(classes)))
    recipe = Recipe(model=ModelRecipe("unet", settings), prediction=PredictionRecipe(flips=flips))
    model = build("unet", in_channels=1, classes=classes, **settings)
    return Trained(model.eval(), labels, Intensity((128.0,), (50.0,), "uint8"), recipe)


def _written(path: Path, side: int, layout: str) -> Path:
    """A grey image of waves and noise, written piece by piece."""
    noise = np.random.default_rng(0).normal(0, 20, (512, 512))

    def part(window: Window) -> NDArray[np.uint8]:
        rows, columns = (np.arange(a, b) for a, b in zip(window.start, window.stop, strict=True))
        waves = 60 * np.outer(np.sin(rows / 37), np.cos(columns / 53))
        return (128 + waves + noise[np.ix_(rows % 512, columns % 512)]).clip(0, 255).astype(np.uint8)

    piece = LAYOUTS[layout]
    if piece is None:
        mapped = tifffile.memmap(path, shape=(side, side), dtype=np.uint8, photometric="minisblack")
        for top in range(0, side, 256):
            bottom = min(top + 256, side)
            mapped[top:bottom] = part(Window((top, 0), (bottom, side)))
        mapped.flush()
        return path
    height, width = piece[0], piece[1] or side

    def pieces() -> Iterator[bytes]:
        for top in range(0, side, height):
            bottom = top + height if layout == "tiles" else min(top + height, side)
            for left in range(0, side, width):
                yield zlib.compress(part(Window((top, left), (bottom, left + width))).tobytes(), 1)

    shape = {"tile": piece} if layout == "tiles" else {"rowsperstrip": height}
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            pieces(), shape=(side, side), dtype=np.uint8, compression="zlib", photometric="minisblack", **shape
        )
    return path


def _measured(run: Path, image: Path, memory_mib: int) -> Measured:
    """Predicts in a process of its own, and looks at it from outside."""
    command = [sys.executable, __file__, "--memory", str(memory_mib), "--predict", str(run), str(image)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()  # the weights are loaded
        before = _status(process.pid)
        begin, anonymous = time.perf_counter(), 0
        process.stdin.write("go\n")
        process.stdin.flush()
        while process.poll() is None:
            anonymous = max(anonymous, _status(process.pid).get("RssAnon", 0) - before["RssAnon"])
            time.sleep(0.01)
        answer = process.stdout.read().split()
    if process.returncode:
        raise SystemExit(f"the prediction failed with exit status {process.returncode}")
    seconds, peak = float(answer[0]), int(answer[1])
    assert time.perf_counter() - begin >= seconds
    return Measured(anonymous, peak - before["VmRSS"], seconds)


def _predict(run: Path, image: Path, memory_mib: int) -> None:
    """In the measured process: says when the weights are loaded; then seconds, and peak of all resident memory."""
    predictor = load(run, memory_bytes=memory_mib * MIB)
    print("loaded", flush=True)
    sys.stdin.readline()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    begin = time.perf_counter()
    for _ in Job(predictor, pages(image), image.parent / "masks", overwrite=True).events():
        pass
    print(time.perf_counter() - begin, _status("self")["VmHWM"])


def _status(pid: int | str) -> dict[str, int]:
    """The sizes, in bytes, that the kernel tells of a process; none of one that is ending."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=SIDES[-1], help="of the largest image, in pixels")
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--flips", action="store_true")
    parser.add_argument("--layout", choices=LAYOUTS, default="tiles", help="how the image is stored")
    parser.add_argument("--memory", type=int, help="MiB for tiles, as of `ushape predict --memory`")
    parser.add_argument("--networks", action="store_true", help="several networks instead of several sizes")
    parser.add_argument("--predict", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory is None:
        options.memory = 256 if options.networks else DEFAULT_MEMORY_BYTES // MIB
    return options


if __name__ == "__main__":
    sys.exit(main())
