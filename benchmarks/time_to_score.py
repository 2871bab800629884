"""Scores at equal time on one machine: ushape beside nnU-Net v2, segmentation_models.pytorch and MONAI.

    python benchmarks/time_to_score.py DIR --data isbi2012=FOLDER drive=FOLDER --minutes 2 10 --seeds 3 --peer-seeds 1

Each method trains on the same images for the same minutes with the same threads, segments the same test images, and is
scored by the same scorer from its mask files. One training at a time, methods in turn. Peers have their documented
settings (contest/train_*.py say which, and from where) and each an environment of its own, DIR/venvs/NAME, installed
when first needed as pip is set up; where that fails, the others go on. Data sets by name: isbi2012, drive,
usiigaci_phc, acdc, dsb2018, sunnybrook_lv (contest/data_sets.py has the splits); any other name is a folder with train/
and test/, which hold images/ and masks/ of PNG files, masks with class numbers. What few images are worth:

    python benchmarks/time_to_score.py DIR --data isbi2012@1=FOLDER isbi2012@3=FOLDER isbi2012@10=FOLDER --minutes 2

trains on 1, 3 and 10 of them, and tests as ever.

Interrupt it at any time: what is done is in DIR/results.json, and the same command goes on, what failed included; more
data, minutes, methods and seeds may join. After each training DIR/results.md has the table; --show prints it, and
trains nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from contest.cells import CellError, outcome, planned
from contest.data_sets import exported
from contest.methods import METHODS, NotInstalledError, python_of
from contest.table import markdown

from ushape.atomic import write_whole

_INTERRUPTED = 130


def main() -> int:
    options = _options()
    results = _results(options)
    if options.show:
        print(markdown(results))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what is training too, as Ctrl-C does
    try:
        _prepare(options, results)
        _fill(options, results)
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on.")
        return _INTERRUPTED
    print(markdown(results))
    return 1 if results["failed"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--data", nargs="+", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--minutes", nargs="+", type=float, default=[2, 10])
    parser.add_argument("--methods", default="ushape,nnunet,smp,monai", help=f"of {', '.join(METHODS)}; with commas")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--peer-seeds", type=int, help="trainings of each kind by others than ushape, if fewer")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--show", action="store_true", help="what is done so far, without training")
    options = parser.parse_args()
    options.methods = options.methods.split(",")
    if unknown := [name for name in options.methods if name not in METHODS]:
        parser.error(f"no method is called {', '.join(unknown)}; there are {', '.join(METHODS)}")
    if wrong := [each for each in options.data if "=" not in each]:
        parser.error(f"{', '.join(wrong)}: say NAME=FOLDER")
    options.data = dict(each.split("=", 1) for each in options.data)
    options.peer_seeds = options.seeds if options.peer_seeds is None else options.peer_seeds
    return options


def _results(options: argparse.Namespace) -> dict[str, Any]:
    """What is done; begun anew where there is nothing."""
    file = options.out / "results.json"
    if file.exists():
        results: dict[str, Any] = json.loads(file.read_text())
        if not options.show and results["threads"] != options.threads:
            sys.exit(
                f"{options.out} was begun with --threads {results['threads']}; go on with them, or in another folder."
            )
        return results
    options.out.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    return {"machine": machine, "threads": options.threads, "data": {}, "cells": {}, "failed": {}}


def _prepare(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Data sets as plain files, and environments; what cannot be had is said in a line, and left out."""
    for name, folder in list(options.data.items()):
        try:
            results["data"][name] = _exported(name, Path(folder), options.out)
            results["failed"].pop(name, None)
        except (OSError, ValueError, NotInstalledError) as error:
            print(f"{name}: {error}")
            results["failed"][name] = str(error)
            del options.data[name]
    for name in list(options.methods):
        try:
            python_of(METHODS[name].environment, options.out / "venvs")
            results["failed"].pop(name, None)
        except NotInstalledError as error:
            print(error)
            results["failed"][name] = str(error)
            options.methods.remove(name)


def _exported(name: str, folder: Path, out: Path) -> dict[str, Any]:
    """What the data set holds, once it is in DIR/data."""
    place = out / "data" / name
    place.parent.mkdir(exist_ok=True)
    if any((folder / "images").glob("*.nii.gz")) and not place.exists():
        slices = out / "work" / f"slices-{name}"
        script = Path(__file__).parent / "contest" / "nifti_slices.py"
        python = python_of("nibabel", out / "venvs")
        subprocess.run([python, script, folder, slices], check=True)
        folder = slices
    exported(name, folder, place)
    about: dict[str, Any] = json.loads((place / "about.json").read_text())
    return about


def _fill(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Every training that is not done yet."""
    seeds = {name: options.seeds if name == "ushape" else options.peer_seeds for name in options.methods}
    cells = list(planned(list(options.data), options.minutes, seeds)) if seeds else []
    for number, cell in enumerate(cells, start=1):
        if cell.key in results["cells"]:
            continue
        try:
            done = outcome(cell, options.out, options.threads)
        except CellError as error:
            results["failed"][cell.key] = str(error)
            print(f"{number}/{len(cells)} {cell.key}: failed, {error}", flush=True)
        else:
            results["failed"].pop(cell.key, None)
            results["cells"][cell.key] = done
            said = f"Dice {done['dice']:.4f}, {done['steps']} steps in {done['training_s']:.0f} s"
            print(f"{number}/{len(cells)} {cell.key}: {said}", flush=True)
        write_whole(options.out / "results.json", json.dumps(results, indent=1))
        write_whole(options.out / "results.md", markdown(results))


if __name__ == "__main__":
    sys.exit(main())
