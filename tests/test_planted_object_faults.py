"""A stranger's broken folder of objects, fault by fault, typed at the command line.

As in test_planted_faults.py: whatever is wrong ends with status 2, no traceback, one message that names the file or
option and what to do, and nothing half-done left behind. What can be handled is handled, and said.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.cli import app
from ushape.images.source import read_mask
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.recipe import ModelRecipe, Recipe

NAMES = ("ant", "bee", "fly", "wasp")
HEIGHT, WIDTH = 80, 96
LEAST = ("--width", "2", "--steps", "1", "--device", "cpu")
Mask = NDArray[Any]  # Any: of whatever type a fault asks for
Plant = Callable[[Path], Any]


def typed(*words: object) -> Any:
    """What Typer's runner gives of a command: exit_code, stdout, stderr."""
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="ushape")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(*words: object) -> str:
    """The message of a command that must end with status 2, without a traceback and without a result."""
    result = typed(*words)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def done(*words: object) -> str:
    """All that a command says that must succeed."""
    result = typed(*words)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def said(message: str, wanted: tuple[str, ...]) -> None:
    for words in wanted:
        assert words in message, f"{words!r} is not in: {message}"


def drawn(number: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """An image of bright rectangles in noise, and a mask that numbers them."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint16)
    for k in range(count):
        top, left = 4 + 18 * (k // 4), 4 + 22 * (k % 4) + number
        mask[top : top + 14, left : left + 16] = k + 1
    noise = np.random.default_rng(number).integers(0, 60, mask.shape)
    return (noise + 100 * (mask > 0)).astype(np.uint8), mask


def save(path: Path, pixels: Mask) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels) if path.suffix == ".tif" else Image.fromarray(pixels).save(path)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four good images of 9 to 12 objects, to be spoilt."""
    for number, name in enumerate(NAMES):
        image, mask = drawn(number, 12 - number)
        save(tmp_path / "data" / "images" / f"{name}.png", image)
        save(tmp_path / "data" / "masks" / f"{name}.tif", mask)
    return tmp_path / "data"


def trained(folder: Path, rule: ObjectRule | None) -> Path:
    """A folder with the checkpoint of a small untrained network."""
    options = {"width": 2, "depth": 2}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build("unet", in_channels=1, classes=2, **options)
    labels, intensity = Labels(("background", "object"), (0, 255)), Intensity((60.0,), (50.0,), "uint8")
    recipe = Recipe(model=ModelRecipe("unet", options))
    checkpoint.write(folder / "best.safetensors", Trained(model, labels, intensity, recipe, object_rule=rule))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that tells objects apart."""
    return trained(tmp_path_factory.mktemp("objects"), ObjectRule())


@pytest.fixture(scope="module")
def run_of_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("classes"), None)


def repaint(change: Callable[[NDArray[np.uint16]], Mask], *names: str) -> Plant:
    def plant(data: Path) -> None:
        for name in names or NAMES:
            path = data / "masks" / f"{name}.tif"
            save(path, change(tifffile.imread(path)))

    return plant


def beyond(offset: int) -> Callable[[NDArray[np.uint16]], Mask]:
    """Every object's number, raised."""
    return lambda mask: np.where(mask > 0, mask.astype(np.uint32) + np.uint32(offset), 0).astype(np.uint32)


def with_a_dot(mask: NDArray[np.uint16]) -> Mask:
    return np.where((mask == 3) & (np.cumsum(mask == 3).reshape(mask.shape) > 1), 0, mask)


def up_to_the_border(mask: NDArray[np.uint16]) -> Mask:
    """The same objects, cut off by all four sides of the image."""
    return np.pad(mask[8:-16, 10:-10], ((12, 12), (10, 10)), mode="edge")


def blurred(mask: NDArray[np.uint16]) -> Mask:
    """The numbers forgotten, and the mask resized."""
    soft = Image.fromarray((255 * (mask > 0)).astype(np.uint8)).resize((WIDTH // 2, HEIGHT // 2))
    return np.asarray(soft.resize((WIDTH, HEIGHT)))


def photographed(mask: NDArray[np.uint16]) -> Mask:
    return np.random.default_rng(3).integers(0, 255, mask.shape, dtype=np.uint8)


def classes_with_a_file_each(data: Path) -> None:
    shutil.rmtree(data)
    for number, name in enumerate(("sub-1", "sub-2", "sub-3")):
        image, mask = drawn(number, 12)
        save(data / name / "micr" / f"{name}_SEM.png", image)
        for kind, odd in (("axon", 1), ("myelin", 0)):
            where = (mask > 0) & (mask % 2 == odd)
            path = data / "derivatives" / "labels" / name / "micr" / f"{name}_SEM_seg-{kind}-manual.png"
            save(path, (255 * where).astype(np.uint8))


# The annotated folder: what cannot be trained on


FAULTY_FOLDERS: dict[str, tuple[Plant, tuple[str, ...], tuple[str, ...]]] = {
    "numbers beyond 2^31": (
        repaint(beyond(2**31), "bee"), (),
        ("masks/bee.tif has mask values from 0 to 2147483659; we take 0 to 2147483646", "Number objects from 1 up"),
    ),
    "negative numbers": (
        repaint(lambda mask: np.where(mask == 3, -2, mask.astype(np.int32)), "bee"), (),
        ("masks/bee.tif has mask values from -2 to 11", "Number objects from 1 up", "not negative"),
    ),
    "fractions": (
        repaint(lambda mask: mask + np.float32(0.5) * (mask == 3), "bee"), (),
        ("masks/bee.tif has 224 values that are no whole numbers (such as 3.5)", "save integers"),
    ),
    "transposed": (
        repaint(lambda mask: np.ascontiguousarray(mask.T), "bee"), (),
        ("masks/bee.tif is 96 x 80", "images/bee.png is 80 x 96", "They are transposed: rotate one of them"),
    ),
    "photographs as masks": (
        repaint(photographed), (), ("different values", "too many for classes (at most 32)", "as PNG or TIFF"),
    ),
    "objects of several classes": (
        classes_with_a_file_each, ("--task", "instances"),
        ("Objects of one class can be told apart, but there are axon, myelin", "the task 'semantic'"),
    ),
    "nothing anywhere": (
        repaint(lambda mask: 0 * mask), ("--task", "instances"), ("All 4 masks hold the one value 0", "255 on 0"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY_FOLDERS)
def test_a_faulty_folder_is_explained_and_not_trained_on(data, tmp_path, fault):
    plant, task, words = FAULTY_FOLDERS[fault]
    plant(data)
    before = tree(data)
    said(refused("train", data, "--out", tmp_path / "run", *LEAST, *task), words)
    checked = typed("check", data, "--device", "cpu", *task, "--augment", tmp_path / "seen.png")
    assert checked.exit_code == 2
    said(" ".join(checked.stdout.split()), words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert tree(data) == before


# What is handled, and said


HANDLED: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "in several pieces": (
        repaint(lambda mask: np.where(mask == 2, 1, mask), "bee"),
        ("warning: 1 object in several pieces: bee.tif (1).", "number its pieces apart"),
    ),
    "of one pixel": (
        repaint(with_a_dot, "bee", "fly"),
        ("warning: 2 objects of a single pixel: bee.tif (3), fly.tif (3).", "slips of the pen"),
    ),
    "numbers beyond 16 bits": (
        repaint(beyond(2**16)), ("object (mask values 1 to 65548, one per object)", "objects 42 in 4 images"),
    ),
    "numbers up to 2^31": (
        repaint(beyond(2**31 - 14)), ("object (mask values 1 to 2147483646, one per object)", "objects 42 in 4 images"),
    ),
    "NaN where nothing is annotated": (
        repaint(lambda mask: np.where(mask == 3, np.nan, mask).astype(np.float32), "bee"), ("ignored 0.7% of pixels",),
    ),
    "none in some images": (
        repaint(lambda mask: 0 * mask, "bee"),
        ("warning: 1 mask of 4 shows nothing but background: bee", "objects 31 in 4 images, up to 12 in one"),
    ),
    "cut off by the border": (repaint(up_to_the_border), ("objects 42 in 4 images", "per object), 4")),
    "whole numbers as floats": (
        repaint(lambda mask: mask.astype(np.float32)),
        ("object (mask values 1 to 12, one per object)", "objects 42 in 4 images"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("oddity", HANDLED)
def test_what_can_be_handled_is_handled_and_said(data, tmp_path, oddity):
    plant, words = HANDLED[oddity]
    plant(data)
    told = done("train", data, "--out", tmp_path / "run", *LEAST)
    said(told, ("instances: objects told apart", "objects: connected regions of p", *words))
    assert checkpoint.read(tmp_path / "run").object_rule is not None
    told = done("evaluate", tmp_path / "run", data, "--json", tmp_path / "scores.json")
    about = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    (objects,) = about["measures"]
    assert [image["name"] for image in objects["images"]] == list(NAMES)


def test_where_no_validation_image_has_an_object_the_default_finds_them(data, tmp_path):
    repaint(lambda mask: 0 * mask, "bee", "fly", "wasp")(data)
    told = done("train", data, "--out", tmp_path / "run", *LEAST, "--task", "instances")
    said(told, ("3 masks of 4 show nothing but background: bee, fly, wasp",))
    assert "objects: " not in told
    rule = checkpoint.read(tmp_path / "run").object_rule
    assert rule is not None and rule == ObjectRule(smallest_px=rule.smallest_px)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "No validation image has an object to choose by" in page and "chosen on the validation images" not in page


def test_blurred_masks_that_are_said_to_show_objects_show_connected_ones(data, tmp_path):
    repaint(blurred)(data)
    told = done("check", data, "--task", "instances", "--device", "cpu")
    said(told, ("instances: objects told apart", "have values beside the main 0, 255", "Each counts as the nearest"))
    done("train", data, "--out", tmp_path / "run", *LEAST, "--task", "instances")
    done("evaluate", tmp_path / "run", data, "--json", tmp_path / "scores.json")
    assert len(json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["measures"][0]["images"]) == 4


def test_photographs_that_are_said_to_number_objects_are_torn_and_it_is_said(data):
    repaint(photographed)(data)
    told = done("check", data, "--task", "instances", "--device", "cpu")
    said(told, ("objects in several pieces: ant.tif (", "wasp.tif ("))


# Prediction of objects


def test_an_image_without_an_object_has_an_empty_mask_in_every_format(tmp_path):
    image = np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH)).astype(np.uint8)
    save(tmp_path / "in" / "nothing.png", image)
    (tmp_path / "empty").mkdir()
    empty = trained(tmp_path / "empty", ObjectRule(smallest_px=HEIGHT * WIDTH + 1))
    formats = ("--format", "geojson,rois,coco,ctc,isbi2012")
    done("predict", empty, tmp_path / "in", "--out", tmp_path / "out", "--overlay", *formats)
    assert not read_mask(tmp_path / "out" / "nothing.tif").any()
    assert not read_mask(tmp_path / "out" / "ctc" / "mask000.tif").any()
    assert json.loads((tmp_path / "out" / "nothing.geojson").read_text(encoding="utf-8"))["features"] == []
    assert json.loads((tmp_path / "out" / "coco.json").read_text(encoding="utf-8"))["annotations"] == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3)])
def test_objects_in_an_image_smaller_than_the_margin(run, tmp_path, shape):
    save(tmp_path / "in" / "small.png", np.full(shape, 200, np.uint8))
    done("predict", run, tmp_path / "in", "--out", tmp_path / "out", "--overlay", "--format", "geojson,ctc")
    assert read_mask(tmp_path / "out" / "small.tif").shape == shape


@pytest.mark.parametrize(
    ("formats", "words"),
    [
        ("ctc", ("takes numbered objects, and this network was not trained to tell them apart", "--task instances")),
        ("geojson,mat", ("There is no format mat", "coco (one COCO file of all images)")),
        ("", ("There is no format without a name",)),
    ],
)
def test_formats_that_cannot_be(run_of_classes, data, tmp_path, formats, words):
    flags = ("--out", tmp_path / "out", "--format", formats)
    said(refused("predict", run_of_classes, data / "images", *flags), words)
    assert not (tmp_path / "out").exists()


# Evaluation of objects


@pytest.mark.parametrize("fault", ["numbers beyond 2^31", "fractions", "transposed"])
def test_a_faulty_folder_is_not_evaluated(run, data, tmp_path, fault):
    plant, _, words = FAULTY_FOLDERS[fault]
    plant(data)
    files = ("--json", tmp_path / "s.json", "--csv", tmp_path / "s.csv", "--report", tmp_path / "s.html")
    said(refused("evaluate", run, data, *files), ("bee.tif", *words[:1]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


FAULTY_MASKS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "numbers beyond 2^31": (
        repaint(beyond(2**31), "bee"), ("mine/masks/bee.tif has mask values from 0 to 2147483659",),
    ),
    "fractions": (
        repaint(lambda mask: mask + np.float32(0.5) * (mask == 3), "bee"),
        ("mine/masks/bee.tif has 224 values that are no whole numbers", "save integers"),
    ),
    "transposed": (
        repaint(lambda mask: np.ascontiguousarray(mask.T), "bee"),
        ("mine/masks/bee.tif has 96 x 80 pixels, but", "data/masks/bee.tif has 80 x 96", "equal names and sizes"),
    ),
    "blurred": (
        repaint(blurred),
        ("mine/masks hold", "values, of which 0, 255 seem to be meant", "leave them: ant.tif, bee.tif, fly.tif, wasp"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("side", ["--masks", "--truth"])
@pytest.mark.parametrize("fault", FAULTY_MASKS)
def test_faulty_masks_are_not_scored(data, tmp_path, fault, side):
    plant, words = FAULTY_MASKS[fault]
    for name in NAMES:
        save(tmp_path / "mine" / "masks" / f"{name}.tif", tifffile.imread(data / "masks" / f"{name}.tif"))
    plant(tmp_path / "mine")
    other = "--truth" if side == "--masks" else "--masks"
    for task in ((), ("--task", "instances")):
        places = (side, tmp_path / "mine" / "masks", other, data / "masks")
        message = refused("evaluate", *places, "--json", tmp_path / "s.json", *task)
        said(message, words if side == "--masks" or fault != "transposed" else words[2:])
        assert not (tmp_path / "s.json").exists()


@pytest.mark.parametrize("numbering", [lambda mask: 255 * (mask > 0), lambda mask: mask > 0, lambda mask: mask * 2.0])
def test_one_side_may_number_its_objects_as_it_likes_or_not_at_all(data, tmp_path, numbering):
    for name in NAMES:
        mask = numbering(tifffile.imread(data / "masks" / f"{name}.tif"))
        save(tmp_path / "mine" / f"{name}.tif", mask.astype(np.float32 if mask.dtype.kind == "f" else np.uint8))
    words = ("--json", tmp_path / "scores.json")
    for mine, truth in ((tmp_path / "mine", data / "masks"), (data / "masks", tmp_path / "mine")):
        done("evaluate", "--masks", mine, "--truth", truth, *words, "--overwrite")
        about = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
        figures = about["measures"][0]["figures"]
        assert (figures["ap_50_95"]["mean"], figures["det"]["pooled"]) == (1, 1)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--metrics", "objects,f1"), ("There is no family of scores f1", "objects (objects matched one to one")),
        (("--metrics", ""), ("There is no family of scores without a name",)),
        (("--task", "instances"), ("RUN knows what it was trained for; leave out --task",)),
    ],
)
def test_flags_of_an_evaluation_that_cannot_be(run, data, tmp_path, flags, words):
    said(refused("evaluate", run, data, "--json", tmp_path / "scores.json", *flags), words)
    assert not (tmp_path / "scores.json").exists()


# Recipes


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (
            "[training]\nborder_weights = 'unet-2015'\nloss = 'dice'\n",
            ("r.toml", "count in the loss per pixel", 'loss = "dice" has none', '"cross-entropy+dice"'),
        ),
        (
            "[training]\nborder_weights = 'unet-2019'\nclass_weights = 'balanced'\n",
            ("r.toml", "balance the classes themselves", 'class_weights = "balanced" out, or choose "unet-2015"'),
        ),
        (
            "[training]\nborder_weights = 'unet-2016'\n",
            ("r.toml", "border_weights in [training] is 'unet-2016'; it takes one of none, unet-2015, unet-2019"),
        ),
        ("[data]\ntask = 'objects'\n", ("r.toml", "task in [data] is 'objects'", "semantic, instances")),
    ],
)
def test_recipes_that_cannot_be(data, tmp_path, toml, words):
    (tmp_path / "r.toml").write_text(toml, encoding="utf-8")
    said(refused("train", data, "--out", tmp_path / "run", "--recipe", tmp_path / "r.toml"), words)
    said(refused("check", data, "--recipe", tmp_path / "r.toml"), words)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_the_plan_for_objects_contradicts(data, tmp_path):
    """The plan would weigh borders, which the Dice loss cannot: the user's word counts, and the plan yields."""
    (tmp_path / "r.toml").write_text("[training]\nloss = 'dice'\n", encoding="utf-8")
    told = done("check", data, "--recipe", tmp_path / "r.toml", "--device", "cpu")
    assert "border weights" not in told


@pytest.mark.parametrize("name", ["unet-2016", "unet2015.toml"])
def test_a_recipe_that_is_not_there(data, tmp_path, name):
    message = refused("train", data, "--out", tmp_path / "run", "--recipe", name)
    said(
        message,
        (
            f"{name} cannot be read",
            "Give the path of a recipe in TOML, or the name of one of ours: fcn-2015, fcn-from-scratch, unet-2015",
        ),
    )
    assert not (tmp_path / "run").exists()
