"""What mask values mean: classes, objects, colours, blur; and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ushape.data.annotation import Annotation, annotate, read_classes, read_objects
from ushape.data.folder import survey
from ushape.errors import DataError
from ushape.labels import IGNORED

SHAPE = (40, 40)


def understood(folder, **options) -> Annotation:
    return annotate(survey(folder.root), **options)


def errors(annotation: Annotation) -> list[str]:
    return [fault.message for fault in annotation.faults if fault.severity == "error"]


def warnings(annotation: Annotation) -> list[str]:
    return [fault.message for fault in annotation.faults if fault.severity == "warning"]


def draw(folder, *masks: np.ndarray, suffix: str = ".png") -> None:
    """Images a, b, c … with these masks."""
    for name, mask in zip("abcdefghij", masks, strict=False):
        folder.image(f"images/{name}.png", shape=mask.shape[:2])
        folder.write(f"masks/{name}{suffix}", mask)


def squares(*values: int, dtype: type = np.uint8) -> np.ndarray:
    """0 with a square of 6 x 6 pixels for each value."""
    mask = np.zeros(SHAPE, dtype=dtype)
    for k, value in enumerate(values):
        y, x = 8 * (k // 5), 8 * (k % 5)
        mask[y : y + 6, x : x + 6] = value
    return mask


@pytest.mark.parametrize("value", [1, 255])
def test_two_values_are_background_and_foreground(folder, value: int) -> None:
    draw(folder, squares(value), squares(value, value))
    annotation = understood(folder)
    assert annotation.faults == ()
    assert annotation.labels.names == ("background", "foreground")
    assert annotation.labels.values == (0, value)
    assert annotation.task == "semantic"
    assert annotation.counts == {"a": (1564, 36), "b": (1528, 72)}
    assert annotation.values == {0: 3092, value: 108}
    assert annotation.pixels == (3092, 108)
    assert annotation.share(1) == pytest.approx(108 / 3200)


def test_several_values_keep_their_numbers(folder) -> None:
    draw(folder, squares(85, 170), squares(85, 255))
    annotation = understood(folder)
    assert annotation.labels.names == ("background", "value 85", "value 170", "value 255")
    assert annotation.labels.values == (0, 85, 170, 255)
    assert annotation.faults == ()


def test_classes_are_read_as_numbers(folder) -> None:
    draw(folder, squares(85, 170), squares(85, 255))
    found = survey(folder.root)
    classes = read_classes(found.pairs[1], annotate(found))
    assert classes.dtype == np.uint8
    assert classes.shape == SHAPE
    assert (classes[0, 0], classes[0, 8], classes[20, 20]) == (1, 3, 0)


def test_ignored_values_count_nowhere(folder) -> None:
    draw(folder, squares(1, 255), squares(1))
    found = survey(folder.root)
    annotation = annotate(found, ignored_values=[255])
    assert annotation.labels.values == (0, 1)
    assert annotation.labels.ignored_values == (255,)
    assert annotation.counts["a"] == (1528, 36)
    assert annotation.ignored == 36
    assert read_classes(found.pairs[0], annotation)[0, 8] == IGNORED
    assert ("ignored", "1.1% of pixels (mask value 255)") in annotation.summary()
    assert "annotated" not in dict(annotation.summary())


def test_ignored_value_that_no_mask_holds(folder) -> None:
    draw(folder, squares(1), squares(1))
    assert "No mask holds the ignored value 7; there are 0, 1." in warnings(understood(folder, ignored_values=[7]))[0]


def test_masks_without_any_annotated_pixel(folder) -> None:
    draw(folder, squares(), squares())
    assert "Not one pixel is annotated" in errors(understood(folder, ignored_values=[0]))[0]


def test_outside_the_field_of_view_nothing_counts(folder) -> None:
    region = np.zeros(SHAPE, dtype=np.uint8)
    region[:, :20] = 255
    for name in ("21", "22"):
        folder.image(f"images/{name}_training.tif", shape=SHAPE)
        folder.write(f"1st_manual/{name}_manual1.gif", squares(255, 255, 255))
        folder.write(f"mask/{name}_training_mask.gif", region)
    found = survey(folder.root)
    annotation = annotate(found)
    assert annotation.counts["21_training"] == (20 * 40 - 36 - 36 - 24, 36 + 36 + 24)
    classes = read_classes(found.pairs[0], annotation)
    assert (classes[:, 20:] == IGNORED).all() and (classes[:, :20] != IGNORED).all()
    assert annotation.ignored == 2 * 20 * 40


def test_the_field_of_view_may_be_a_jpeg(folder) -> None:
    region = np.full(SHAPE, 3, dtype=np.uint8)
    region[:, :20] = 252
    for name in ("21", "22"):
        folder.image(f"images/{name}.tif", shape=SHAPE)
        folder.write(f"masks/{name}.png", squares(255))
        folder.write(f"fov/{name}.png", region)
    assert understood(folder).ignored == 2 * 20 * 40


def test_object_numbers_are_told_from_classes(folder) -> None:
    draw(folder, squares(*range(1, 13), dtype=np.uint16), squares(*range(1, 22), dtype=np.uint16), suffix=".tif")
    found = survey(folder.root)
    annotation = annotate(found)
    assert annotation.faults == ()
    assert (annotation.task, annotation.numbered) == ("instances", True)
    assert annotation.labels.names == ("background", "object")
    assert annotation.labels.values == (0, 255)
    assert annotation.objects == {"a": 12, "b": 21}
    assert annotation.counts["a"] == (1600 - 12 * 36, 12 * 36)
    assert read_classes(found.pairs[0], annotation).max() == 1
    assert read_objects(found.pairs[1], annotation).max() == 21
    assert ("objects", "33 in 2 images, up to 21 in one") in annotation.summary()
    assert ("class 1", "object (mask values 1 to 21, one per object), 37.1% of pixels") in annotation.summary()


def test_objects_can_be_trained_as_a_class(folder) -> None:
    draw(folder, squares(*range(1, 13)), squares(*range(1, 22)))
    annotation = understood(folder, task="semantic")
    assert (annotation.task, annotation.numbered, annotation.labels.values) == ("semantic", True, (0, 255))


def test_few_objects_are_taken_for_classes_with_a_warning(folder) -> None:
    masks = squares(1, 2), squares(1, 2, 3), squares(1, 2, 3, 4, 5)
    draw(folder, *masks)
    annotation = understood(folder)
    assert annotation.labels.classes == 6
    assert "they could number objects" in warnings(annotation)[0] and "'instances'" in warnings(annotation)[0]
    asked = understood(folder, task="instances")
    assert (asked.numbered, asked.labels.classes, asked.faults) == (True, 2, ())


def test_classes_of_which_images_lack_some_are_no_objects(folder) -> None:
    draw(folder, squares(1, 2, 3), squares(2, 3), squares(1, 3), squares(1, 2))
    annotation = understood(folder)
    assert (annotation.task, annotation.labels.classes, annotation.faults) == ("semantic", 4, ())


def test_binary_masks_can_be_asked_for_as_objects(folder) -> None:
    draw(folder, squares(255, 255), squares(255))
    found = survey(folder.root)
    annotation = annotate(found, task="instances")
    assert (annotation.task, annotation.numbered) == ("instances", False)
    objects = read_objects(found.pairs[0], annotation)
    assert sorted(np.unique(objects).tolist()) == [0, 1, 2]


def test_objects_of_one_class_that_touch_at_a_corner_are_apart(folder) -> None:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[0:5, 0:5] = mask[5:10, 5:10] = 255
    draw(folder, mask, squares(255))
    found = survey(folder.root)
    assert read_objects(found.pairs[0], annotate(found, task="instances")).max() == 2


def test_a_file_per_object_is_merged(folder) -> None:
    for name in ("q", "r"):
        folder.image(f"images/{name}.png", shape=SHAPE)
        for k in range(3):
            folder.write(f"masks/{name}/{k}.png", np.roll(squares(255), 8 * k, axis=1))
    found = survey(folder.root)
    annotation = annotate(found)
    assert (annotation.task, annotation.merge, annotation.labels.names[1]) == ("instances", "objects", "object")
    assert annotation.counts["q"] == (1600 - 108, 108)
    assert annotation.objects == {"q": 3, "r": 3}
    assert annotation.faults == ()
    objects = read_objects(found.pairs[0], annotation)
    assert [objects[0, 0], objects[0, 8], objects[0, 16], objects[20, 20]] == [1, 2, 3, 0]
    assert (read_classes(found.pairs[0], annotation) == (objects > 0)).all()


def bids(folder, subject: str, **masks: np.ndarray) -> None:
    stem = f"{subject}_SEM"
    folder.image(f"{subject}/micr/{stem}.png", shape=SHAPE)
    for name, mask in masks.items():
        folder.write(f"derivatives/labels/{subject}/micr/{stem}_seg-{name}-manual.png", mask)


def test_a_file_per_class_becomes_exclusive_classes(folder) -> None:
    shifted = np.roll(squares(255), (0, 8), axis=(0, 1))
    bids(folder, "sub-1", axon=squares(255), myelin=shifted)
    bids(folder, "sub-2", axon=squares(255), myelin=np.roll(squares(255), 3, axis=1))
    found = survey(folder.root)
    annotation = annotate(found)
    assert annotation.labels.names == ("background", "axon", "myelin")
    assert annotation.labels.values == (0, 1, 2)
    assert annotation.counts == {"sub-1_SEM": (1528, 36, 36), "sub-2_SEM": (1546, 36, 18)}
    (warning,) = warnings(annotation)
    assert "18 pixels of 1 image are drawn as several classes: sub-2_SEM. The first of axon, myelin" in warning
    assert ("class 1", "axon (files of axon), 2.2% of pixels") in annotation.summary()


def test_objects_of_several_classes_cannot_be_told_apart(folder) -> None:
    bids(folder, "sub-1", axon=squares(255), myelin=np.roll(squares(255), 12))
    annotation = understood(folder, task="instances")
    with pytest.raises(DataError, match="Objects of one class can be told apart, but there are axon, myelin"):
        annotation.require()


def test_a_file_per_class_must_have_two_values(folder) -> None:
    bids(folder, "sub-1", axon=squares(255), myelin=squares(100, 255))
    bids(folder, "sub-2", axon=squares(255), myelin=squares(255))
    (message,) = errors(understood(folder))
    assert "Masks that show one class each should have two values" in message
    assert "0, 100, 255: sub-1_SEM_seg-myelin-manual.png" in message


def test_coloured_masks_have_a_class_per_colour(folder) -> None:
    red, grey = (np.zeros((*SHAPE, 3), dtype=np.uint8) for _ in range(2))
    red[:10, :10] = (255, 0, 0)
    red[20:, 20:] = (0, 128, 0)
    grey[:10, :10] = (255, 255, 255)
    draw(folder, red, grey)
    found = survey(folder.root)
    annotation = annotate(found)
    assert annotation.labels.coloured
    assert annotation.labels.values == (0, 0x008000, 0xFF0000, 0xFFFFFF)
    assert annotation.labels.names == ("background", "colour #008000", "colour #ff0000", "colour #ffffff")
    assert annotation.counts["b"] == (1500, 0, 0, 100)
    assert read_classes(found.pairs[1], annotation)[0, 0] == 3
    assert annotation.faults == ()
    decoded = annotation.labels.decode(read_classes(found.pairs[0], annotation))
    assert (decoded == red).all()


def test_without_black_the_commonest_colour_is_the_background(folder) -> None:
    mask = np.full((*SHAPE, 3), (0, 0, 200), dtype=np.uint8)
    mask[:10, :10] = (255, 0, 0)
    mask[20:30, 20:30] = (0, 255, 0)
    draw(folder, mask, mask[::-1])
    assert understood(folder).labels.names[0] == "colour #0000c8"


def test_antialiased_edges_are_snapped_and_counted(folder) -> None:
    large = Image.fromarray(np.kron(squares(255, 255, 255), np.ones((8, 8), dtype=np.uint8)))
    blurred = np.asarray(large.resize((150, 150), Image.Resampling.BILINEAR))
    sharp = np.asarray(large.resize((150, 150), Image.Resampling.NEAREST))
    draw(folder, blurred, sharp)
    found = survey(folder.root)
    annotation = annotate(found)
    assert annotation.labels.values == (0, 255)
    assert annotation.main_values == (0, 255)
    odd = np.count_nonzero((blurred > 0) & (blurred < 255))
    (warning,) = warnings(annotation)
    assert f"{odd} pixels in 1 mask (a.png) have values beside the main 0, 255" in warning
    assert (read_classes(found.pairs[0], annotation) == (blurred > 127)).all()
    assert annotation.counts["a"][1] == np.count_nonzero(blurred > 127)


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_jpeg_masks_are_snapped(folder, quality: int) -> None:
    mask = np.kron(squares(255, 255, 255, 255), np.ones((5, 5), dtype=np.uint8))
    for name in ("a", "b"):
        folder.image(f"images/{name}.png", shape=mask.shape)
        path = folder.root / "masks" / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path, quality=quality)
    found = survey(folder.root)
    annotation = annotate(found)
    assert annotation.labels.values == (0, 255)
    assert errors(annotation) == []
    assert "in 2 masks (a.jpg, b.jpg)" in warnings(annotation)[0]
    assert (read_classes(found.pairs[0], annotation) == mask // 255).mean() > 0.999


def test_single_odd_values_are_slips(folder) -> None:
    slip = squares(255, 255)
    slip[30, 30], slip[31, 37] = 130, 233
    draw(folder, slip, squares(255))
    annotation = understood(folder)
    assert annotation.labels.values == (0, 255)
    assert "2 pixels in 1 mask (a.png)" in warnings(annotation)[0] and ": 130, 233," in warnings(annotation)[0]


def test_small_numbers_are_never_snapped(folder) -> None:
    rare = squares(1, 3, 3)
    rare[30, 30] = 2
    draw(folder, rare, squares(1, 3))
    assert understood(folder).labels.values == (0, 1, 2, 3)


def test_a_class_with_a_body_is_never_snapped(folder) -> None:
    draw(folder, np.kron(squares(255, 255, 255), np.ones((8, 8), dtype=np.uint8)), np.kron(squares(128), np.ones((8, 8), "u1")))  # fmt: skip  # noqa: E501
    assert understood(folder).labels.values == (0, 128, 255)


def test_photographs_among_the_masks(folder) -> None:
    for name in ("a", "b"):
        folder.image(f"images/{name}.png", f"masks/{name}.png")
    annotation = understood(folder)
    (message,) = errors(annotation)
    assert "different values" in message and "too many for classes (at most 32)" in message
    assert "if these are photographs" in message
    with pytest.raises(DataError, match="too many for classes"):
        annotation.require()


def test_too_many_colours(folder) -> None:
    for name in ("a", "b"):
        folder.image(f"images/{name}.png")
        folder.image(f"masks/{name}.png", shape=(24, 32, 3))
    assert "different colours" in errors(understood(folder))[0]


def test_float_masks_of_fractions(folder) -> None:
    draw(folder, squares(1).astype(np.float32), squares(1).astype(np.float32) / 2, suffix=".tif")
    (message,) = errors(understood(folder))
    assert "b.tif has 36 values that are no whole numbers" in message


def test_masks_cut_short(folder) -> None:
    draw(folder, squares(1), squares(1))
    path = folder.root / "masks" / "b.png"
    path.write_bytes(path.read_bytes()[:-30])
    (message,) = errors(understood(folder))
    assert "masks/b.png breaks off or is damaged" in message


@pytest.mark.parametrize("high", [(255,), (127, 255)])
def test_mixed_scales(folder, high: tuple[int, ...]) -> None:
    low = range(1, len(high) + 1)
    draw(folder, squares(*low), squares(*high), squares(*high), squares())
    (message,) = errors(understood(folder))
    assert f"Masks use two scales: 0 to {len(high)} in 1 of them, 0 to 255 in 2" in message
    assert "here the fewer: a.png" in message


def test_one_value_everywhere(folder) -> None:
    draw(folder, squares(), squares())
    assert "All 2 masks hold the one value 0, so there is nothing to tell apart" in errors(understood(folder))[0]


def test_masks_without_foreground_are_told(folder) -> None:
    draw(folder, squares(255), squares(), squares())
    (warning,) = warnings(understood(folder))
    assert "2 masks of 3 show nothing but background: b, c" in warning


def test_faults_of_folder_and_masks_are_told_at_once(folder) -> None:
    draw(folder, squares(1), squares(255), squares(255))
    folder.mask("masks/orphan.png")
    folder.write("masks/c.png", np.zeros((9, 9), dtype=np.uint8))
    with pytest.raises(DataError) as refusal:
        understood(folder).require()
    for words in ("3 faults", "orphan.png", "c.png is 9 x 9", "two scales"):
        assert words in str(refusal.value)


def test_a_folder_without_pairs_has_an_annotation_with_its_faults(folder) -> None:
    annotation = understood(folder)
    assert annotation.faults == survey(folder.root).faults
    assert annotation.summary() == []
    assert annotation.labels.classes == 1


# The real sets: task, names, values, whether anything is to be told.
REAL = {
    "isbi2012": ("semantic", ("background", "foreground"), (0, 255), 0),
    "dsb2018": ("instances", ("background", "object"), (0, 255), 0),
    "usiigaci_phc": ("instances", ("background", "object"), (0, 255), 1),  # cells in several pieces
    "sunnybrook_lv": ("semantic", ("background", "foreground"), (0, 255), 0),
    "drive": ("semantic", ("background", "foreground"), (0, 255), 0),
    "axondeepseg_sem": ("semantic", ("background", "axon", "myelin"), (0, 1, 2), 2),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_masks_are_understood(real_survey, name: str) -> None:
    task, names, values, faults = REAL[name]
    found = real_survey(name)
    annotation = annotate(found)
    assert (annotation.task, annotation.labels.names, annotation.labels.values) == (task, names, values)
    assert len(annotation.faults) == faults and not errors(annotation)
    assert len(annotation.counts) == len(found.pairs)
    for pair in found.pairs[:2]:
        classes = read_classes(pair, annotation)
        assert tuple(np.bincount(classes.ravel(), minlength=256)[: len(names)]) == annotation.counts[pair.name]
        assert (classes == IGNORED).any() == (name == "drive")


@pytest.mark.real_data
def test_real_objects_are_counted(real_survey) -> None:
    annotation = annotate(real_survey("usiigaci_phc"))
    assert sum(annotation.objects.values()) == 544  # unique values of the eight files, less the background
    assert max(annotation.objects.values()) == 104
    assert sum(annotate(real_survey("dsb2018")).objects.values()) == 7358


@pytest.mark.real_data
def test_slips_in_the_axon_masks_are_told(real_survey) -> None:
    annotation = annotate(real_survey("axondeepseg_sem"))
    blurred, twice = warnings(annotation)
    assert "18 pixels in 2 masks" in blurred and ": 130, 233," in blurred
    assert "9 pixels of 1 image are drawn as several classes: sub-rat2_sample-data5_SEM" in twice
    # the union that the authors drew: axon 255, myelin 128, both odd values aside
    assert annotation.counts["sub-rat2_sample-data5_SEM"][1:] == (354544 + 9, 488611)
