"""Trains for a few steps on simulated cells, then segments an array: the Python face of ushape in one page."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import ushape
from ushape.images.simulated import cells, write_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty or new folder for the images and the run")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=8)
    wanted = parser.parse_args()

    data, run = wanted.folder / "data", wanted.folder / "run"
    write_folder(data, "cells", count=8, height_width=(256, 256), seed=1)
    ushape.train(data, run, steps=wanted.steps, recipe={"model": {"options": {"width": wanted.width}}})

    image = cells(np.random.default_rng(2), (300, 200)).image
    mask = ushape.load(run).segment(image)
    print(f"{image.shape} image → {mask.shape} mask with the values {np.unique(mask).tolist()}")


if __name__ == "__main__":
    main()
