"""The data sets of the contest: which images train and which test, and all as plain files, alike for every method.

    exported(name, folder, out)     → out/train/images, train/masks, test/images, test/masks and out/about.json

A name may end in @N: then only N of the images to train on are kept, as far apart in the order of names as can be.

Images become PNGs of 8 or 16 bits, one channel or three; masks hold class numbers, 255 where a test image counts
nowhere. Where a set numbers its objects, test/objects holds them too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ushape.images.source import open_image, read_mask
from ushape.metrics.families import FamilyName

IGNORED = 255
_LARGEST_8_BITS, _LARGEST_16_BITS = 2**8 - 1, 2**16 - 1
_ACDC_TEST = "patient0(09|29|49|69|89)"  # the third of three patients of each of its five diagnoses


@dataclass(frozen=True)
class DataSet:
    """Where images and masks lie in a set's own folder, what their values mean, and which images test.

    key: of a file's name, what image and mask share. test: what the keys of test images begin with. score: a family of
    scores and one of its figures, beside Dice. foreground: every value above 0 is class 1.
    """

    images: str
    masks: str
    test: str
    split: str
    classes: tuple[str, ...]
    score: tuple[FamilyName, str] | None = None
    key: str = r".+(?=\.)"
    field_of_view: str = ""
    foreground: bool = True
    numbered: bool = False


DATA_SETS = {
    "isbi2012": DataSet(
        images="train/images/*.png",
        masks="train/masks/*.png",
        test="2",
        split="slices 00–19 train, 20–29 test",
        classes=("membrane", "cell"),
        score=("isbi2012", "v_rand_thinned"),
    ),
    "drive": DataSet(
        images="images/*.tif",
        masks="1st_manual/*.gif",
        test="3[6-9]|40",
        split="21–35 train, 36–40 test; scored inside the field of view",
        classes=("background", "vessel"),
        key=r"\d+",
        field_of_view="mask/*.gif",
    ),
    "usiigaci_phc": DataSet(
        images="images/*.tif",
        masks="masks/*.png",
        test="set1[123]",
        split="set1–4 and set10 train, set11–13 test; cells told apart as connected components",
        classes=("background", "cell"),
        score=("objects", "f1_50"),
        numbered=True,
    ),
    "acdc": DataSet(
        images="images/*.npy",
        masks="masks/*.npy",
        test=_ACDC_TEST,
        split="slices of patients 009, 029, 049, 069, 089 (one of each diagnosis) test, of the ten others train",
        classes=("background", "right ventricle", "myocardium", "left ventricle"),
        foreground=False,
    ),
    "dsb2018": DataSet(
        images="images/*.png",
        masks="masks/*.tif*",
        test="[a-f]",
        split="names that begin with a digit train, with a letter test; nuclei told apart as connected components",
        classes=("background", "nucleus"),
        score=("objects", "f1_50"),
        numbered=True,
    ),
    "sunnybrook_lv": DataSet(
        images="images/*.png",
        masks="masks/*.png",
        test="SC-(HF-I-06|HF-NI-04|HF-NI-34|HYP-07|N-02|N-40)",
        split="slices of SC-HF-I-06, SC-HF-NI-04, SC-HF-NI-34, SC-HYP-07, SC-N-02, SC-N-40 test, of 24 others train",
        classes=("background", "cavity"),
    ),
}


def known(name: str) -> DataSet | None:
    """The set of this name, whatever follows an @; None of a folder that is laid out already."""
    return DATA_SETS.get(name.partition("@")[0])


def place_in_tables(name: str) -> tuple[int, int]:
    """What sorts sets as they are listed here, and few images before many."""
    name, _, most = name.partition("@")
    return list(DATA_SETS).index(name) if name in DATA_SETS else len(DATA_SETS), int(most or 10**9)


def exported(name: str, folder: Path, out: Path) -> None:
    """Write the set's plain files, unless they are there; a set of another name must be laid out so already.

    FileNotFoundError or ValueError for what is not there, or fewer images than asked for.
    """
    if (out / "about.json").exists():
        return
    partial = out.with_name(f"{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    data, (_, _, most) = known(name), name.partition("@")
    if data is not None:
        files = list(_files(data, folder))
        if not files:
            raise FileNotFoundError(f"{folder} holds no images of {name} ({data.images}).")
        about = _written(data, files, partial)
    else:
        missing = [part for part in ("train/images", "train/masks", "test/images", "test/masks")
                   if not any((folder / part).glob("*.png"))]  # fmt: skip
        if missing:
            raise FileNotFoundError(
                f"{name} is not one of {', '.join(DATA_SETS)}, and {folder} lacks PNG files in {', '.join(missing)}."
            )
        shutil.copytree(folder, partial)
        about = _described(partial)
    if most:
        about |= _thinned(partial / "train", int(most))
    (partial / "about.json").write_text(json.dumps(about, indent=1))
    partial.rename(out)


def _files(data: DataSet, folder: Path) -> Iterator[tuple[str, Path, Path, Path | None]]:
    """Key, image, mask and field of view of each image; ValueError where an image has no mask."""

    def keyed(pattern: str) -> dict[str, Path]:
        found = {re.search(data.key, path.name): path for path in sorted(folder.glob(pattern))}
        return {match[0]: path for match, path in found.items() if match}

    images, masks, views = keyed(data.images), keyed(data.masks), keyed(data.field_of_view or "*/-")
    if images.keys() != masks.keys():
        raise ValueError(f"Images and masks in {folder} differ: {', '.join(sorted(images.keys() ^ masks.keys()))}.")
    for key, image in images.items():
        yield key, image, masks[key], views.get(key)


def _written(data: DataSet, files: Iterable[tuple[str, Path, Path, Path | None]], out: Path) -> dict[str, object]:
    files = list(files)
    coloured = any(open_image(image).channels == 3 and not _is_grey(_pixels(image)) for _, image, _, _ in files)
    counts = {"train": 0, "test": 0}
    for key, image, mask, view in files:
        part = "test" if re.match(data.test, key) else "train"
        counts[part] += 1
        values = read_mask(mask)
        classes = (values > 0 if data.foreground else values).astype(np.uint8)
        if part == "test" and view is not None:
            classes[read_mask(view) == 0] = IGNORED
        pixels = _pixels(image)
        _save(out / part / "images" / f"{key}.png", pixels if coloured else pixels[..., 0])
        _save(out / part / "masks" / f"{key}.png", classes)
        if part == "test" and data.numbered:
            _save(out / part / "objects" / f"{key}.tif", values.astype(np.uint16))
    return {"classes": data.classes, "channels": 3 if coloured else 1, "split": data.split, **counts}


def _described(folder: Path) -> dict[str, object]:
    """What there is to know of a folder that is laid out already."""
    masks = [read_mask(path) for path in sorted((folder / "train" / "masks").glob("*.png"))]
    classes = 1 + max(int(mask.max()) for mask in masks)
    counts = {part: len(list((folder / part / "images").glob("*.png"))) for part in ("train", "test")}
    images = (folder / "train" / "images").glob("*.png")
    names = ["background", *(f"class {number}" for number in range(1, classes))]
    return {"classes": names, "channels": max(_pixels(i).shape[-1] for i in images), "split": "its own", **counts}


def _thinned(train: Path, most: int) -> dict[str, object]:
    """Leave so many images to train on, evenly chosen, and say how many there are."""
    names = sorted(path.name for path in (train / "images").iterdir())
    if not 1 <= most <= len(names):
        raise ValueError(f"{most} of {len(names)} images to train on cannot be kept.")
    kept = {names[(2 * k + 1) * len(names) // (2 * most)] for k in range(most)}
    for name in set(names) - kept:
        (train / "images" / name).unlink()
        (train / "masks" / name).unlink()
    return {"train": len(kept)}


def _pixels(path: Path) -> NDArray[np.generic]:
    """(H, W, C) of 8 or 16 bits; floats from 0 to 1 become 16 bits."""
    pixels = open_image(path).read()
    if pixels.dtype.kind == "f":
        return (pixels * _LARGEST_16_BITS).round().astype(np.uint16)
    assert pixels.max() <= _LARGEST_16_BITS, path
    return pixels


def _is_grey(pixels: NDArray[np.generic]) -> bool:
    return bool((pixels == pixels[..., :1]).all())


def _save(path: Path, values: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, compression="zlib")
    else:
        Image.fromarray(values).save(path)
