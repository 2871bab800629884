"""Our maps of photographs beside those that U²-Net's authors published, of the same network and of the full one.

    python benchmarks/saliency_maps.py PHOTOS --weights u2netp.pth --published u2netp_results u2net_results

A line per photograph, then the smallest, the median and the largest: correlation, and mean absolute difference of 1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ushape.images.source import open_image
from ushape.predict.saliency import saliency_from
from ushape.predict.sources import find_images


def published(folder: Path, name: str) -> NDArray[np.float64]:
    """(H, W) from 0 to 1."""
    return open_image(folder / f"{name}.png").read()[..., 0] / 255


def agreement(ours: NDArray[np.float32], theirs: NDArray[np.float64]) -> tuple[float, float]:
    """Correlation, and mean absolute difference."""
    return float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]), float(np.abs(ours - theirs).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--published", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    saliency = saliency_from(arguments.weights, device="cpu")
    print(f"{saliency.network}; correlation and mean difference with {', '.join(f.name for f in arguments.published)}")
    found, seconds = [], []
    for page in find_images([arguments.photos]):
        begin = time.perf_counter()
        ours = saliency.of(open_image(page.path, page.index))
        seconds.append(time.perf_counter() - begin)
        found.append([agreement(ours, published(folder, page.name)) for folder in arguments.published])
        print(f"{page.name:16}", *(f"{r:8.4f} {d:.4f}" for r, d in found[-1]), flush=True)
    for name, of in [("smallest", np.min), ("median", np.median), ("largest", np.max)]:
        print(f"{name:16}", *(f"{r:8.4f} {d:.4f}" for r, d in of(np.array(found), axis=0)))
    print(f"{np.median(seconds):.2f} s a photograph (median), decoding included")


if __name__ == "__main__":
    main()
