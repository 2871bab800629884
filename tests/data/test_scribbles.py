"""Masks of which little is annotated: what is made of them, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.data.annotation import Annotation, annotate, read_classes, read_objects
from ushape.data.folder import Survey, survey
from ushape.images.source import UNANNOTATED
from ushape.labels import IGNORED

SHAPE = (40, 50)
STROKES = np.zeros(SHAPE, dtype=np.uint8)
STROKES[5, 4:40] = 1
STROKES[20:22, 10:30] = 2


def drawn(folder, *masks: NDArray[np.generic], suffix: str = ".tif") -> Survey:
    for name, mask in zip("abcdef", masks, strict=False):
        folder.image(f"images/{name}.png", shape=SHAPE)
        folder.write(f"masks/{name}{suffix}", mask)
    return survey(folder.root)


def said(annotation: Annotation, severity: str) -> str:
    return "\n".join(fault.message for fault in annotation.faults if fault.severity == severity)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_strokes_on_a_value_that_covers_most_may_be_scribbles(folder, suffix: str) -> None:
    annotation = annotate(drawn(folder, STROKES, STROKES[::-1], suffix=suffix))
    assert annotation.labels.values == (0, 1, 2)
    assert "Value 0 covers 96.2% of the pixels, and 1, 2 are thin strokes." in said(annotation, "warning")
    assert "0 is what nobody annotated, say so with --ignore 0" in said(annotation, "warning")


def test_the_value_that_is_not_annotated_may_be_any(folder) -> None:
    mask = np.array([255, 0, 1], dtype=np.uint8)[STROKES]
    warned = said(annotate(drawn(folder, mask, mask[::-1])), "warning")
    assert "255 covers 96.2%" in warned and "--ignore 255" in warned and "0, 1 are thin" in warned


def test_coloured_strokes_are_advised_on_in_colours(folder) -> None:
    mask = np.array([[0, 0, 0], [0, 255, 0], [255, 0, 0]], dtype=np.uint8)[STROKES]
    found = drawn(folder, mask, mask[::-1], suffix=".png")
    assert "--ignore '#000000'," in said(annotate(found), "warning")
    annotation = annotate(found, ignored_values=[0])
    assert annotation.labels.values == (0xFF0000, 0x00FF00)  # the commonest colour first, as there is no black
    assert "thin strokes" not in said(annotation, "warning")
    assert dict(annotation.summary())["ignored"] == "96.2% of pixels (mask colour #000000)"


@pytest.mark.parametrize("case", ["bodies", "two values", "too little", "ignored"])
def test_other_masks_are_left_in_peace(folder, case: str) -> None:
    mask = STROKES.copy()
    if case == "bodies":
        mask[25:37, 3:15], mask[25:37, 30:42] = 1, 2
    elif case == "two values":
        mask[mask == 2] = 1
    elif case == "too little":
        mask[::4], mask[1::4] = 1, 2
    found = drawn(folder, mask, mask[::-1])
    annotation = annotate(found, ignored_values=[0] if case == "ignored" else [])
    assert "scribbles" not in said(annotation, "warning") + said(annotation, "error")


def test_what_is_ignored_is_no_class_and_counts_nowhere(folder) -> None:
    found = drawn(folder, STROKES, STROKES[::-1])
    annotation = annotate(found, ignored_values=[0])
    assert annotation.faults == ()
    assert annotation.labels.names == ("background", "foreground") and annotation.labels.values == (1, 2)
    assert annotation.pixels == (72, 80) and annotation.share(1) == 80 / 152
    assert annotation.annotated == 152 / 4000
    classes = read_classes(found.pairs[0], annotation)
    assert (classes == IGNORED).sum() == 2000 - 76 and (classes[STROKES == 2] == 1).all()
    summary = dict(annotation.summary())
    assert summary["ignored"] == "96.2% of pixels (mask value 0)"
    assert summary["annotated"].startswith("only 3.8% of the pixels are annotated: patches lie about them")
    assert summary["class 1"] == "foreground (mask value 2), 52.6% of annotated pixels"


def test_nan_counts_nowhere_unasked(folder) -> None:
    mask = np.array([np.nan, 0, 1], dtype=np.float32)[STROKES]
    found = drawn(folder, mask, mask[::-1])
    annotation = annotate(found)
    assert annotation.faults == ()
    assert annotation.labels.values == (0, 1) and annotation.labels.ignored_values == (UNANNOTATED,)
    assert dict(annotation.summary())["ignored"] == "96.2% of pixels"
    assert (read_classes(found.pairs[0], annotation) == IGNORED).sum() == 2000 - 76


def test_no_object_is_where_nothing_is_known(folder) -> None:
    mask = STROKES.astype(np.int16) - 1
    mask[30:36, 5:15], mask[30:36, 30:40] = 2, 3
    found = drawn(folder, mask, mask[::-1])
    annotation = annotate(found, task="instances")
    objects = read_objects(found.pairs[0], annotation)
    assert np.unique(objects).tolist() == [0, 1, 2, 3]
    assert annotation.objects == {"a": 3, "b": 3}
    assert annotation.counts["a"] == (36, 160)


def test_images_without_an_annotated_pixel_are_named_and_no_images_of_background(folder) -> None:
    blank = np.zeros(SHAPE, dtype=np.uint8)
    annotation = annotate(drawn(folder, STROKES, blank, STROKES[::-1], blank), ignored_values=[0])
    assert said(annotation, "warning") == "Not one pixel is annotated in b, d; left out."
    assert annotation.counts["b"] == (0, 0)


@pytest.mark.parametrize("numbered", [False, True])
def test_without_background_there_is_nothing_to_learn(folder, numbered: bool) -> None:
    mask = np.where(STROKES == 1, 0, STROKES)
    if numbered:
        mask[30:36, 5:15], mask[30:36, 30:40] = 7, 9
    found = drawn(folder, mask, mask[::-1])
    annotation = annotate(found, task="instances" if numbered else None, ignored_values=[0])
    words = "no pixel of the background is annotated" if numbered else "all 2 masks hold the one value 2"
    assert words in said(annotation, "error")
    assert "raw some background" in said(annotation, "error")


def test_objects_drawn_in_part_are_warned_of(folder) -> None:
    mask = np.full(SHAPE, 99, dtype=np.uint8)
    mask[STROKES > 0] = STROKES[STROKES > 0] - 1
    mask[30:32, 5:15] = 2
    annotation = annotate(drawn(folder, mask, mask[::-1]), task="instances", ignored_values=[99])
    assert said(annotation, "error") == ""
    assert "only 4.8% of the pixels are annotated" in said(annotation, "warning")
    assert "Draw some objects whole" in said(annotation, "warning")


def test_blurred_values_beside_ignored_ones_are_no_class(folder) -> None:
    mask = np.full(SHAPE, 255, dtype=np.uint8)
    mask[:20], mask[30:38, 5:45] = 0, 77
    mask[19] = np.repeat([90, 110, 130, 150, 170], 10)  # blur between 0 and 255
    found = drawn(folder, mask, mask[::-1])
    annotation = annotate(found, ignored_values=[77])
    assert "100 pixels in 2 masks (a.tif, b.tif) have values beside the main 0, 255: 90, 110" in said(
        annotation, "warning"
    )
    assert "They count nowhere, as what is ignored may be part of them." in said(annotation, "warning")
    classes = read_classes(found.pairs[0], annotation)
    assert (classes[19] == IGNORED).all() and (classes[30:38, 5:45] == IGNORED).all()
    assert annotation.counts["a"] == (19 * 50, 20 * 50 - 320)


@pytest.mark.parametrize("background", [False, True])
def test_files_of_strokes_one_per_class(folder, background: bool) -> None:
    for name in "ab":
        folder.image(f"sub-{name}/micr/sub-{name}_SEM.png", shape=SHAPE)
        for number, class_name in ((1, "background" if background else "myelin"), (2, "axon")):
            stroke = np.where(number == STROKES, 255, 0).astype(np.uint8)
            folder.write(f"derivatives/labels/sub-{name}/micr/sub-{name}_SEM_seg-{class_name}-manual.png", stroke)
    found = survey(folder.root)
    annotation = annotate(found, ignored_values=[0])
    if not background:
        assert "no pixel of the background is annotated" in said(annotation, "error")
        return
    assert annotation.faults == ()
    assert annotation.labels.names == ("background", "axon")
    classes = read_classes(found.pairs[0], annotation)
    assert (classes == np.array([IGNORED, 0, 1])[STROKES]).all()
