"""Which mask belongs to which image, told from file and folder names alone."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ushape.images.suffix import stem_of

IMAGE_FOLDERS = frozenset(
    {"image", "images", "img", "imgs", "imagestr", "micrograph", "micrographs", "scan", "scans", "picture", "pictures",
     "photo", "photos", "raw", "input", "inputs", "original", "originals", "train"}
)  # fmt: skip
MASK_FOLDERS = frozenset(
    {"mask", "masks", "label", "labels", "labelstr", "annotation", "annotations", "annotated", "gt", "groundtruth",
     "groundtruths", "truth", "manual", "1stmanual", "seg", "segs", "segmentation", "segmentations", "target",
     "targets"}
)  # fmt: skip
DRAWN_BY_HAND = frozenset({"manual", "1stmanual"})
"""Beside one of these, a folder called mask holds the field of view (DRIVE)."""
REGION_FOLDERS = frozenset({"fov", "fieldofview", "roi"})

_TRAINING = frozenset({"train", "training", "trainset", "stage1"})
_HELD_BACK = frozenset({"test", "testing", "testset", "val", "valid", "validation", "stage2", "heldout"})
_IMAGE_WORD = re.compile(r"(?:image|img|imgs|images|raw|volume|training|original|photo|input)")
_MASK_WORD = re.compile(
    r"(?:masks?|labels?|labelled|lbl|seg|segmentations?|annotations?|annotated|gt|ground|truth|groundtruth|manual|target"
    r"|instances?|cp)\d*"
)
_BREAK = re.compile(r"[\s_\-.()]+")


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts names as people count: 9 before 10.

    >>> sorted(["cell10", "cell9"], key=natural)
    ['cell9', 'cell10']
    """
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def folder_word(name: str) -> str | None:
    """What a folder is called, the word "train" aside; None where it is kept for tests or validation.

    >>> folder_word("Train_Masks"), folder_word("1st_manual"), folder_word("test_images")
    ('masks', '1stmanual', None)
    """
    words = _words(name)
    if _HELD_BACK.intersection(words):
        return None
    return "".join(word for word in words if word not in _TRAINING) or "train"


def is_training(name: str) -> bool:
    """Whether a folder's name says that it is the part to train on."""
    words = set(_words(name))
    return bool(words & _TRAINING) and not words & _HELD_BACK


def is_held_back(name: str) -> bool:
    """Whether a folder's name says that it is kept for validation or tests."""
    return bool(_HELD_BACK.intersection(_words(name)))


def without_mask_words(name: str) -> str:
    """
    >>> without_mask_words("21_training_mask"), without_mask_words("x_manual1"), without_mask_words("label-007")
    ('21_training', 'x', '007')
    """
    return "_".join(word for word in _words(name) if not _MASK_WORD.fullmatch(word))


def names_a_mask(name: str) -> bool:
    """Whether one of the words of a name is mask, label, seg, …"""
    return any(_MASK_WORD.fullmatch(word) for word in _words(name))


@dataclass(frozen=True)
class Matching:
    """How images and masks go together by name.

    rule: in words. several: images of which more than one mask is claimed, with those masks.
    """

    pairs: tuple[tuple[Path, Path], ...]
    rule: str
    images_alone: tuple[Path, ...]
    masks_alone: tuple[Path, ...]
    several: tuple[tuple[Path, ...], ...]


def match(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Matching:
    """Pairs by equal names; then by names without words such as _mask; at last by numbers, where only those differ.

    Keys are names without suffix, with the folder below the images' or masks' folder in front ("patient1/slice2").
    """
    images_left, masks_left = dict(images), dict(masks)
    pairs: list[tuple[Path, Path]] = []
    several: list[tuple[Path, ...]] = []
    rules: list[str] = []
    for words, image_key, mask_key in _RULES:
        claims = _by_key(masks_left, mask_key)
        before = len(pairs)
        for key, candidates in _by_key(images_left, image_key).items():
            if len(candidates) > 1 or key not in claims:
                continue
            image = images_left.pop(candidates[0])
            found = [masks_left.pop(name) for name in claims[key]]
            if len(found) > 1:
                several.append((image, *found))
            else:
                pairs.append((image, found[0]))
        if len(pairs) > before and words not in rules:
            rules.append(words)
    if not pairs and not several and (numbered := _by_number(images, masks)):
        pairs, rules = numbered, ["by number"]
        paired = {path for pair in pairs for path in pair}
        images_left = {name: path for name, path in images.items() if path not in paired}
        masks_left = {name: path for name, path in masks.items() if path not in paired}
    return Matching(
        pairs=tuple(sorted(pairs, key=lambda pair: natural(str(pair[0])))),
        rule=" and ".join(rules),
        images_alone=tuple(images_left.values()),
        masks_alone=tuple(masks_left.values()),
        several=tuple(several),
    )


def named(paths: Iterable[Path], folder: Path) -> tuple[dict[str, Path], list[tuple[Path, ...]]]:
    """Files by name below the folder, without suffix; and those of which there are several (x.png and x.tif).

    An accent may be stored in two ways (macOS prefers the other one); names are made alike. OME-TIFF has two suffixes.
    """
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        name = path.relative_to(folder).with_name(stem_of(path)).as_posix().removesuffix(".ome")
        by_name[unicodedata.normalize("NFC", name)].append(path)
    return {name: found[0] for name, found in by_name.items()}, [tuple(f) for f in by_name.values() if len(f) > 1]


def _words(name: str) -> list[str]:
    return [word for word in _BREAK.split(name.casefold()) if word]


def _same(name: str) -> str:
    return name.casefold()


def _of_image(name: str) -> str:
    folder, _, stem = name.rpartition("/")
    return f"{folder}/{'_'.join(word for word in _words(stem) if not _IMAGE_WORD.fullmatch(word))}".casefold()


def _of_image_plain(name: str) -> str:
    folder, _, stem = name.rpartition("/")
    return f"{folder}/{'_'.join(_words(stem))}".casefold()


def _of_first_channel(name: str) -> str:
    """nnU-Net writes images as case_0000.png and masks as case.png."""
    return name.removesuffix("_0000").casefold()


def _of_mask(name: str) -> str:
    folder, _, stem = name.rpartition("/")
    return f"{folder}/{without_mask_words(stem)}".casefold()


_RULES: tuple[tuple[str, Callable[[str], str], Callable[[str], str]], ...] = (
    ("by equal names", _same, _same),
    ("by names without words such as “mask”", _of_image_plain, _of_mask),
    ("by names without words such as “mask”", _of_image, _of_mask),
    ("by names without words such as “mask”", _of_image, _of_image_plain),
    ("by names without the channel _0000", _of_first_channel, _same),
)


def _by_key(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_key[key(name)].append(name)
    return by_key


def _by_number(images: Mapping[str, Path], masks: Mapping[str, Path]) -> list[tuple[Path, Path]]:
    """Pairs of equal numbers, where names differ in nothing but their numbers on either side; else none."""
    if min(len(images), len(masks)) < 2:  # one of each always "differs in nothing but numbers"
        return []
    sides = []
    for names in (images, masks):
        templates = {re.sub(r"\d+", "#", name) for name in names}
        by_numbers = {tuple(int(n) for n in re.findall(r"\d+", name)): path for name, path in names.items()}
        if len(templates) > 1 or () in by_numbers or len(by_numbers) < len(names):
            return []
        sides.append(by_numbers)
    return [(path, sides[1][numbers]) for numbers, path in sides[0].items() if numbers in sides[1]]
