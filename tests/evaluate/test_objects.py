"""A network, or masks, scored object by object: what is scored where nothing is asked for, and where it goes."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from ushape.checkpoint import Trained
from ushape.errors import DataError, RecipeError
from ushape.evaluate import Evaluation, RunEvaluation, evaluate_masks
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.images.simulated import write_folder
from ushape.images.source import from_array
from ushape.intensity import Intensity
from ushape.labels import Labels, connected_regions
from ushape.metrics.families import FamilyName
from ushape.metrics.pixels import confusion
from ushape.models.segmenter import Segmenter
from ushape.object_rule import ObjectRule
from ushape.predict.files import Job
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor
from ushape.recipe import DataRecipe, Recipe

OBJECTS = Labels(("background", "object"), (0, 255))
RULE = ObjectRule(smallest_px=3)
DARK, LIGHT = 40, 160


class Bright(Segmenter):
    """Class k is the more likely the brighter: its logits are k·(x − 100) / 20. So a half is at 100 grey levels."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.in_channels, self.classes = 1, classes
        self.head = nn.Conv2d(1, classes, 1)
        for k in range(classes):
            self.head.weight.data[k], self.head.bias.data[k] = k / 20, -5 * k

    def along_axis(self, x: Axis) -> Axis:
        return x

    @property
    def footprint(self) -> Footprint:
        return Footprint(margin=0, multiple=1, smallest_input=1)

    def outputs(self, x: Tensor) -> list[Tensor]:
        return [self.head(x)]


def predictor(rule: ObjectRule | None = None, labels: Labels = OBJECTS, **data: object) -> Predictor:
    model, recipe = Bright(labels.classes).eval(), Recipe(data=DataRecipe(**data))
    return Predictor(Trained(model, labels, Intensity((0.0,), (1.0,), "uint8"), recipe, {}, rule), keep_px=9)


def squares(*numbers: int, apart_px: int = 2) -> NDArray[np.uint8]:
    """Squares of 5 x 5 pixels in two rows; 0 stands for a place that is left free."""
    step = 5 + apart_px
    mask = np.zeros((2 * step, 12 * step), dtype=np.uint8)
    for k, number in enumerate(numbers):
        y, x = step * (k % 2), step * (k // 2)
        mask[y : y + 5, x : x + 5] = number
    return mask


def save(path: Path, pixels: NDArray[np.generic], spacing_um: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(pixels).save(path)
    elif spacing_um is None:
        tifffile.imwrite(path, pixels)
    else:
        tifffile.imwrite(path, pixels, resolution=(1e4 / spacing_um, 1e4 / spacing_um), resolutionunit="CENTIMETER")
    return path


def pair(root: Path, name: str, truth: NDArray[np.uint8], light: NDArray[np.bool_] | None = None) -> None:
    """An image that is light where the truth has objects, or elsewhere; no two are the same."""
    image = np.where(truth > 0 if light is None else light, LIGHT, DARK).astype(np.uint8)
    image[-1, -1] = ord(name)
    save(root / "images" / f"{name}.png", image)
    save(root / "masks" / f"{name}.png", truth)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of 10 and 12 objects; of the first the network misses two, in the second it finds one that is none."""
    first, second = squares(*range(1, 11)), squares(*range(1, 13))
    pair(tmp_path, "a", first, (first > 0) & (first != 3) & (first != 7))
    pair(tmp_path, "b", second, (second > 0) | (squares(*[0] * 20, 1) > 0))
    return tmp_path


def scored(course: RunEvaluation) -> Evaluation:
    for _ in course.events():
        pass
    return course.result()


def families(result: Evaluation) -> list[str]:
    return [measures.family for measures in result.measures]


# What is scored


def test_a_network_that_tells_objects_apart_is_scored_by_its_objects(data: Path) -> None:
    result = scored(RunEvaluation(predictor(RULE), data))
    (objects,) = result.measures
    assert (objects.family, objects.names, objects.groups) == ("objects", ("a", "b"), ("a", "b"))
    assert [image["f1_50"] for image in objects.images] == pytest.approx([16 / 18, 24 / 25])
    assert [image["ap_50_95"] for image in objects.images] == pytest.approx([8 / 10, 12 / 13])
    assert objects.figures()["f1_50"].pooled == pytest.approx(40 / 43)
    assert objects.figures()["seg"].pooled == pytest.approx(20 / 22)


def test_another_network_has_no_family_unless_asked(data: Path) -> None:
    assert families(scored(RunEvaluation(predictor(), data))) == []
    assert families(scored(RunEvaluation(predictor(RULE), data, families=()))) == []
    asked = scored(RunEvaluation(predictor(), data, families=("boundary", "objects")))
    assert families(asked) == ["boundary", "objects"]
    by_rule = scored(RunEvaluation(predictor(RULE), data))
    assert asked.measures[1].folder == by_rule.measures[0].folder, "connected regions are what this rule finds"


def test_the_rule_of_the_network_decides_what_an_object_is(data: Path) -> None:
    nothing = scored(RunEvaluation(predictor(ObjectRule(smallest_px=26)), data))
    assert nothing.measures[0].figures()["f1_50"].mean == 0
    one_line_larger = scored(RunEvaluation(predictor(ObjectRule(grow_px=1)), data))
    grown = one_line_larger.measures[0].figures()["seg"].pooled
    assert 0.5 < grown < 20 / 22


def test_the_pixels_of_the_objects_found_are_the_foreground(data: Path) -> None:
    by_class, none_large_enough, grown = (
        scored(RunEvaluation(predictor(rule), data, families=()))
        for rule in (None, ObjectRule(smallest_px=26), ObjectRule(grow_px=1))
    )
    for name, row in zip("ab", grown.table.rows, strict=True):
        image, mask = (np.asarray(Image.open(data / place / f"{name}.png")) for place in ("images", "masks"))
        larger = ndimage.binary_dilation(image > 100).astype(np.uint8)
        assert (row.confusion == confusion((mask > 0).astype(np.uint8), larger, 2)).all()
    assert [row.confusion[:, 1].tolist() for row in by_class.table.rows] == [[0, 8 * 25], [25, 12 * 25]]
    assert [row.confusion[:, 1].tolist() for row in none_large_enough.table.rows] == [[0, 0], [0, 0]]
    assert by_class.roc_auc == none_large_enough.roc_auc == grown.roc_auc, "of the probability"


def test_objects_that_the_network_does_not_part_are_one(tmp_path: Path) -> None:
    """Each pair of squares side by side becomes one of twice the area: an IoU of one half, which is not enough."""
    touching = squares(*range(1, 13), apart_px=0)[:5]
    pair(tmp_path, "a", touching)
    result = scored(RunEvaluation(predictor(RULE), tmp_path))
    assert result.table.summary().foreground.dice.mean > 0.98
    assert result.measures[0].images[0]["f1_50"] == 0


def test_to_evaluate_twice_counts_nothing_twice(data: Path) -> None:
    course = RunEvaluation(predictor(RULE), data, families=("objects", "partitions", "boundary"))
    assert scored(course).to_dict() == scored(course).to_dict()


def test_what_is_scored_so_far_has_figures(data: Path) -> None:
    course = RunEvaluation(predictor(RULE), data)
    next(course.events())
    assert [measures.names for measures in course.result().measures] == [("a",)]


def test_scores_that_the_classes_do_not_have_are_refused_before_the_folder_is_read(tmp_path: Path) -> None:
    three = predictor(labels=Labels(("background", "axon", "myelin"), (0, 1, 2)))
    with pytest.raises(RecipeError, match=r"scores of isbi2012 are of one class .* background, axon, myelin\. Leave"):
        RunEvaluation(three, tmp_path / "nowhere", families=("isbi2012",))


# What the truth may look like


@pytest.mark.parametrize("most", [2, 5])
def test_few_numbered_objects_are_objects_to_a_network_that_tells_them_apart(tmp_path: Path, most: int) -> None:
    """1 and 2, or 1 to 5, could be classes in a folder of which nothing is known."""
    pair(tmp_path, "a", squares(*range(1, most + 1)))
    pair(tmp_path, "b", squares(*range(1, most + 1)))
    result = scored(RunEvaluation(predictor(RULE), tmp_path))
    assert result.table.class_names == ("background", "object")
    assert [image["ap_50_95"] for image in result.measures[0].images] == [1, 1]
    with pytest.raises(DataError, match=r"not trained on"):
        RunEvaluation(predictor(), tmp_path)


def test_objects_that_nobody_numbered_are_the_connected_regions_of_the_truth(tmp_path: Path) -> None:
    pair(tmp_path, "a", squares(*[255] * 9))
    objects = scored(RunEvaluation(predictor(RULE), tmp_path)).measures[0]
    assert objects.images[0]["ap_50_95"] == 1


def test_objects_with_a_file_each_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        root, every = tmp_path / name, squares(*[255] * 3)
        image = np.where(every, LIGHT, DARK).astype(np.uint8)
        image[-1, -1] = ord(name)
        save(root / "images" / f"{name}.png", image)
        for k in range(3):
            one = squares(*[0] * k, 255)
            save(root / "masks" / f"{k}.png", one)
    result = scored(RunEvaluation(predictor(RULE), tmp_path))
    assert [image["ap_50_95"] for image in result.measures[0].images] == [1, 1]


def test_ignored_objects_are_neither_missed_nor_false(tmp_path: Path) -> None:
    truth = squares(*range(1, 11), 200, 200)
    pair(tmp_path, "a", truth, (truth > 0) & (truth < 200))
    pair(tmp_path, "b", truth)
    objects = scored(RunEvaluation(predictor(RULE, ignored_values=(200,)), tmp_path)).measures[0]
    assert [image["f1_50"] for image in objects.images] == [1, 1]


# Masks and runs agree


def test_a_run_and_the_masks_it_writes_have_the_same_scores_of_objects(data: Path, tmp_path: Path) -> None:
    of_run = scored(RunEvaluation(predictor(RULE), data))
    for _ in Job(predictor(RULE), find_images([str(data / "images")]), tmp_path / "out").events():
        pass
    of_masks = evaluate_masks(tmp_path / "out", data / "masks")
    assert of_masks.measures[0].images == of_run.measures[0].images
    assert of_masks.measures[0].folder == of_run.measures[0].folder
    assert [row.confusion.tolist() for row in of_masks.table.rows] == [
        row.confusion.tolist() for row in of_run.table.rows
    ]


@pytest.mark.parametrize("wanted", [None, (), ("boundary",)])
def test_a_run_and_its_masks_agree_in_every_pixel_whatever_the_rule(
    tmp_path: Path, wanted: tuple[FamilyName, ...] | None
) -> None:
    """And in those families that judge no probability."""
    write_folder(tmp_path, "cells", count=2, height_width=(96, 80), seed=0, instances=True)
    images = find_images([str(tmp_path / "images")])
    by_class = scored(RunEvaluation(predictor(task="instances"), tmp_path)).table
    for rule in (
        ObjectRule(threshold=0.25, smallest_px=9, grow_px=1),
        ObjectRule(method="watershed", threshold=0.05, seed_threshold=0.5, fill_holes=False),
        ObjectRule(method="watershed", seeds="distance", smallest_px=40, grow_px=3),
    ):
        of_run = scored(RunEvaluation(predictor(rule), tmp_path, families=wanted))
        for _ in Job(predictor(rule), images, tmp_path / "out", overwrite=True).events():
            pass
        of_masks = evaluate_masks(tmp_path / "out", tmp_path / "masks", task="instances", families=wanted)
        assert [measures.images for measures in of_masks.measures] == [measures.images for measures in of_run.measures]
        for mine, theirs, other in zip(of_run.table.rows, of_masks.table.rows, by_class.rows, strict=True):
            np.testing.assert_array_equal(mine.confusion, theirs.confusion)
            assert (mine.confusion != other.confusion).any()


def test_a_run_and_its_masks_agree_to_the_last_bit_of_a_threshold(tmp_path: Path) -> None:
    """Where p and 1 - (1 - p) differ in their last bit, and the threshold is p."""
    light = np.arange(101, 255, dtype=np.uint8)
    background, foreground = predictor().whole(from_array(light[None]))[1][:, 0]
    odd = np.flatnonzero(foreground > 1 - background)
    assert odd.size
    pair(tmp_path, "a", squares(*[255] * 9))
    image = np.where(squares(*[255] * 9), light[odd[0]], DARK).astype(np.uint8)
    save(tmp_path / "images" / "a.png", image)
    exact = predictor(ObjectRule(threshold=float(foreground[odd[0]])))
    for _ in Job(exact, find_images([str(tmp_path / "images")]), tmp_path / "out").events():
        pass
    of_run = scored(RunEvaluation(exact, tmp_path)).measures[0]
    of_masks = evaluate_masks(tmp_path / "out", tmp_path / "masks", task="instances").measures[0]
    assert of_run.images == of_masks.images
    assert of_run.images[0]["ap_50_95"] == 1


def test_a_run_without_a_rule_and_its_masks_have_the_same_scores_of_every_family(tmp_path: Path) -> None:
    """But for those that judge a probability, which masks do not have."""
    for name, truth in (("a", squares(255, 255, 255)), ("b", squares(255, 0, 255, 255))):
        pair(tmp_path, name, truth, np.roll(truth, 1, axis=1) > 0)
    wanted = ("objects", "partitions", "boundary")
    of_run = scored(RunEvaluation(predictor(), tmp_path, families=wanted))
    for _ in Job(predictor(), find_images([str(tmp_path / "images")]), tmp_path / "out").events():
        pass
    of_masks = evaluate_masks(tmp_path / "out", tmp_path / "masks", families=wanted)
    assert [measures.images for measures in of_masks.measures] == [measures.images for measures in of_run.measures]


def test_one_side_that_numbers_its_objects_is_enough(data: Path, tmp_path: Path) -> None:
    """Masks of a network without a rule, 0 and 255, against numbered objects."""
    for _ in Job(predictor(), find_images([str(data / "images")]), tmp_path / "out").events():
        pass
    result = evaluate_masks(tmp_path / "out", data / "masks")
    assert [image["f1_50"] for image in result.measures[0].images] == pytest.approx([16 / 18, 24 / 25])


def test_few_numbers_are_objects_where_the_other_side_surely_numbers_its_own(tmp_path: Path) -> None:
    """1 to 3 could be classes; beside 1 to 12 they are objects, which may touch."""
    truth, found = squares(*range(1, 13), apart_px=0), squares(1, 2, 3, apart_px=0)
    save(tmp_path / "truth" / "a.tif", truth)
    save(tmp_path / "mine" / "a.tif", found)
    for mine, theirs in (("mine", "truth"), ("truth", "mine")):
        (objects,) = evaluate_masks(tmp_path / mine, tmp_path / theirs).measures
        assert objects.images[0]["ap_50_95"] == pytest.approx(3 / 12)


def test_specks_of_a_poor_network_are_objects_where_the_truth_surely_numbers_its_own(tmp_path: Path) -> None:
    specks = np.zeros((14, 84), dtype=np.uint16)
    specks[::3, ::3] = np.arange(1, 141).reshape(5, 28)
    save(tmp_path / "mine" / "a.tif", specks)
    save(tmp_path / "truth" / "a.tif", squares(*range(1, 13)))
    (objects,) = evaluate_masks(tmp_path / "mine", tmp_path / "truth").measures
    assert objects.images[0]["f1_50"] == 0
    with pytest.raises(DataError, match=r"mine hold 141 values, up to 140\. That is too many"):
        evaluate_masks(tmp_path / "mine", tmp_path / "mine")
    assert evaluate_masks(tmp_path / "mine", tmp_path / "mine", task="instances").measures[0].folder["f1_50"] == 1


@pytest.mark.parametrize("blurred", ["mine", "truth"])
def test_blurred_edges_are_no_classes_and_no_objects(tmp_path: Path, blurred: str) -> None:
    for number, name in enumerate("abc"):
        clear = np.zeros((40, 60), dtype=np.uint8)
        clear[10:30, 10 + number : 50] = 255
        soft = np.asarray(Image.fromarray(clear).resize((45, 30)).resize((60, 40)))
        for place in ("mine", "truth"):
            save(tmp_path / place / f"{name}.png", soft if place == blurred and name != "b" else clear)
    words = rf"{blurred} hold \d+ values, of which 0, 255 seem to be meant; .* leave them: a\.png, c\.png\. Save masks"
    with pytest.raises(DataError, match=words):
        evaluate_masks(tmp_path / "mine", tmp_path / "truth")
    numbers = np.zeros((40, 60), dtype=np.uint8)
    numbers[:14], numbers[20:34] = (np.pad(squares(*range(k, k + 12)), ((0, 0), (0, 12)))[:, :60] for k in (1, 13))
    for name in "abc":
        save(tmp_path / ("truth" if blurred == "mine" else "mine") / f"{name}.png", numbers)
    with pytest.raises(DataError, match=words):
        evaluate_masks(tmp_path / "mine", tmp_path / "truth")


def test_one_class_beside_several_numbers_is_another_scale(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "a.png", squares(1, 2, 3))
    save(tmp_path / "truth" / "a.png", squares(255, 255, 255))
    with pytest.raises(DataError, match=r"hold the values 0, 1, 2, 3, but those in .* 0, 255: .*the task 'instances'"):
        evaluate_masks(tmp_path / "mine", tmp_path / "truth")
    (objects,) = evaluate_masks(tmp_path / "mine", tmp_path / "truth", task="instances").measures
    assert objects.images[0]["ap_50_95"] == 1


# Lengths


def test_distances_of_masks_are_in_micrometres_where_the_truth_knows_its_pixels(tmp_path: Path) -> None:
    for folder, shift in (("mine", 2), ("truth", 0)):
        save(tmp_path / folder / "a.tif", np.roll(squares(255), shift, axis=1), spacing_um=0.5)
        save(tmp_path / folder / "b.tif", np.roll(squares(255), shift, axis=1))
    (boundary,) = evaluate_masks(tmp_path / "mine", tmp_path / "truth", families=("boundary",)).measures
    known, unknown = boundary.images
    assert known["hd95_um"] == pytest.approx(1.0) and unknown["hd95_px"] == pytest.approx(2.0)
    assert boundary.figures()["hd95_um"].mean == pytest.approx(1.0), "pixels and micrometres have no common mean"
    assert [image["nsd_2px"] for image in boundary.images] == [1, 1]


def test_distances_of_a_run_are_in_micrometres_where_its_image_knows_its_pixels(tmp_path: Path) -> None:
    truth = squares(255)
    image = np.where(np.roll(truth, 2, axis=1), LIGHT, DARK).astype(np.uint8)
    save(tmp_path / "images" / "a.tif", image, spacing_um=0.25)
    save(tmp_path / "masks" / "a.tif", truth)
    (boundary,) = scored(RunEvaluation(predictor(), tmp_path, families=("boundary",))).measures
    assert boundary.images[0]["hd95_um"] == pytest.approx(0.5)


# Files


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_family_has_its_columns_after_those_of_pixels(data: Path, tmp_path: Path) -> None:
    pair(data, "c", np.zeros((14, 84), dtype=np.uint8))
    result = scored(RunEvaluation(predictor(RULE), data, families=("objects", "boundary")))
    result.write_csv(tmp_path / "scores.csv")
    rows = table_of(tmp_path / "scores.csv")
    own = [name for name in rows[0] if name.startswith(("objects ", "boundary "))]
    assert own == list(rows[0])[-len(own) :]
    assert own[:2] == ["objects f1_50", "objects ap_50"] and own[-1] == "boundary one_sided"
    assert [float(row["objects f1_50"]) for row in rows[:2]] == pytest.approx([16 / 18, 24 / 25])
    assert [rows[2][name] for name in own] == [""] * len(own), "what nothing defines is empty"


def test_json_holds_every_family_without_a_nan(data: Path) -> None:
    pair(data, "c", np.zeros((14, 84), dtype=np.uint8))
    result = scored(RunEvaluation(predictor(RULE), data, families=("objects", "partitions", "boundary", "saliency")))
    about = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [of["family"] for of in about["measures"]] == ["objects", "partitions", "boundary", "saliency"]
    objects = about["measures"][0]
    assert objects["figures"]["f1_50"]["pooled"] == pytest.approx(40 / 43)
    assert objects["images"][2]["name"] == "c" and objects["images"][2]["f1_50"] is None
    assert about["measures"][1]["figures"]["vi_merge_bits"]["pooled"] is None


@pytest.mark.parametrize("wanted", [("objects",), ("boundary", "isbi2012")])
def test_images_without_anything_are_no_trouble(tmp_path: Path, wanted: tuple[FamilyName, ...]) -> None:
    nothing, something = np.zeros((14, 30), dtype=np.uint8), squares(255, 0, 255)[:, :30]
    for place in ("mine", "truth"):
        save(tmp_path / place / "a.png", nothing)
        save(tmp_path / place / "b.png", nothing if place == "mine" else something)
    result = evaluate_masks(tmp_path / "mine", tmp_path / "truth", families=wanted)
    json.dumps(result.to_dict(), allow_nan=False)
    assert all(math.isnan(value) for value in result.measures[0].images[0].values())
    assert any(value == 0 for value in result.measures[0].images[1].values())


# The order of images


def test_images_are_ranked_by_their_objects_where_these_are_scored(tmp_path: Path) -> None:
    whole, gap = squares(1, 2, 3), squares(1, 2, 3)
    gap[0:5, 2] = 0  # a pixel line through the first object: few pixels are wrong, and one object of three
    for name, found in (("parted", gap), ("whole", whole), ("none", 0 * whole)):
        save(tmp_path / "mine" / f"{name}.tif", np.where(found > 0, connected_regions((found > 0).astype(np.uint8)), 0))
        save(tmp_path / "truth" / f"{name}.tif", 0 * whole if name == "none" else whole)
    by_objects = evaluate_masks(tmp_path / "mine", tmp_path / "truth", task="instances")
    assert [row.name for row in by_objects.ranked()] == ["parted", "whole"], "nothing to find is no case"
    by_dice = replace(by_objects, measures=())
    assert [row.name for row in by_dice.ranked()] == [row.name for row in by_dice.table.worst(3)]
