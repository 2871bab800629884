"""A stranger's broken folder, fault by fault, typed at the command line.

Whatever is wrong: exit status 2, no traceback, one message that names the file or option, what was found and what to
do, and nothing half-done left behind. What can be handled is handled, and said.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.cli import app
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.predict import ledger
from ushape.recipe import ModelRecipe, Recipe

NAMES = ("ant", "bee", "fly", "wasp")
SIDE = 32
LEAST = ("--width", "2", "--steps", "1", "--device", "cpu")
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


def said(message: str, wanted: tuple[str, ...]) -> None:
    for words in wanted:
        assert words in message, f"{words!r} is not in: {message}"


def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of one bright square in noise, and its mask of 0 and 255."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4 + number : 16 + number, 6:20] = 255
    noise = np.random.default_rng(number).integers(0, 60, mask.shape)
    return (noise + mask // 2).astype(np.uint8), mask


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels) if path.suffix == ".tif" else Image.fromarray(pixels).save(path)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def masks_in(folder: Path) -> set[str]:
    """The files of results, what a prediction notes of itself aside."""
    return {name for name in tree(folder) if ledger.FOLDER not in Path(name).parts}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four good images with masks, to be spoilt."""
    for number, name in enumerate(NAMES):
        image, mask = drawn(number)
        save(tmp_path / "data" / "images" / f"{name}.png", image)
        save(tmp_path / "data" / "masks" / f"{name}.png", mask)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint of a small untrained network for grey images of 8 bits."""
    return trained(tmp_path_factory.mktemp("grey"), "uint8")


@pytest.fixture(scope="module")
def run_of_floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("floats"), "float32")


def trained(folder: Path, dtype: str) -> Path:
    options = {"width": 2, "depth": 2}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build("unet", in_channels=1, classes=2, **options)
    labels, intensity = Labels(("background", "foreground"), (0, 255)), Intensity((60.0,), (50.0,), dtype)
    recipe = Recipe(model=ModelRecipe("unet", options))
    checkpoint.write(folder / "best.safetensors", Trained(model, labels, intensity, recipe))
    return folder


# The annotated folder: `check` lists the fault, `train` refuses it, and no run folder appears


def repaint(change: Callable[[np.ndarray], np.ndarray], *names: str, folder: str = "masks") -> Plant:
    def plant(data: Path) -> None:
        for name in names or NAMES:
            path = data / folder / f"{name}.png"
            save(path, change(np.asarray(Image.open(path))))

    return plant


def cut(path: str, size: int) -> Plant:
    return lambda data: os.truncate(data / path, size)


def replace(path: str, suffix: str, pixels: np.ndarray, keep: float = 1.0) -> Plant:
    def plant(data: Path) -> None:
        (data / path).unlink()
        other = (data / path).with_suffix(suffix)
        save(other, pixels)
        os.truncate(other, int(other.stat().st_size * keep))

    return plant


def huge_png(data: Path) -> None:
    """A file of less than 1 kB that says it is 100,000 pixels wide and high."""
    body = bytearray(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(500))), (b"IEND", b"")):
        body += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    (data / "images" / "bee.png").write_bytes(body)


def huge_tiff(data: Path) -> None:
    (data / "images" / "bee.png").unlink()
    entries = [(256, 4, 100_000), (257, 4, 100_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
               (278, 4, 100_000), (279, 4, 4_000_000_000)]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    file = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + struct.pack("<I", 0)
    (data / "images" / "bee.tif").write_bytes(file.ljust(1000, b"\0"))


def save_with_two_channels(image: Path) -> None:
    image.unlink()
    np.save(image.with_suffix(".npy"), np.stack([NOISE, NOISE // 2], -1))


def masks_among_images(data: Path) -> None:
    for name in NAMES[:2]:
        shutil.copy(data / "masks" / f"{name}.png", data / "images" / f"{name}_mask.png")


def several_at_once(data: Path) -> None:
    (data / "images" / "ant.png").unlink()
    (data / "images" / "bee.png").write_bytes(b"")
    repaint(lambda mask: mask[:-4], "fly")(data)
    cut("masks/wasp.png", 60)(data)


FLOATS = np.where(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) == 70, np.nan, 1).astype(np.float32)
NOISE = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
FAULTY_FOLDERS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "mask without image": (
        lambda data: (data / "images" / "bee.png").unlink(),
        ("1 mask has no image: bee.png", "Give each the name of its image"),
    ),
    "no mask goes with any image": (
        lambda data: [(data / "masks" / f"{name}.png").rename(data / "masks" / f"{k}-x.png") for k, name in
                      enumerate(NAMES)],
        ("None of the 4 images (ant.png", "goes with any of the 4 masks (0-x.png", "Give each mask the name"),
    ),
    "sizes differ": (
        repaint(lambda mask: mask[:-4], "bee"),
        ("masks/bee.png is 28 x 32 (height x width)", "images/bee.png is 32 x 32", "Export the mask again"),
    ),
    "transposed": (
        lambda data: [repaint(lambda image: image[:20], "fly", folder="images")(data),
                      repaint(lambda mask: mask[:20].T, "fly")(data)],
        ("masks/fly.png is 32 x 20", "images/fly.png is 20 x 32", "They are transposed: rotate one"),
    ),
    "no image at all in a file": (
        lambda data: (data / "images" / "bee.png").write_text("<html>404</html>"),
        ("images/bee.png is no PNG", "begins with b'<html>40'", "export it again"),
    ),
    "truncated PNG": (cut("images/bee.png", 300), ("images/bee.png breaks off or is damaged", "Copy or export it")),
    "truncated mask": (cut("masks/bee.png", 60), ("masks/bee.png breaks off or is damaged", "Copy or export it")),
    "truncated TIFF": (
        replace("images/bee.png", ".tif", NOISE, keep=0.6), ("images/bee.tif", "Copy", "again"),
    ),
    "zero-byte image": (cut("images/bee.png", 0), ("images/bee.png is empty (0 bytes)", "Copy it again")),
    "zero-byte mask": (cut("masks/bee.png", 0), ("masks/bee.png is empty (0 bytes)", "Copy it again")),
    "all images are background": (
        repaint(lambda mask: 0 * mask), ("All 4 masks hold the one value 0", "such as 255 on 0"),
    ),
    "one class only": (
        repaint(lambda mask: 0 * mask + 255), ("All 4 masks hold the one value 255", "Draw what you look for"),
    ),
    "0/1 and 0/255 mixed": (
        repaint(lambda mask: mask // 255, "wasp"),
        ("Masks use two scales: 0 to 1 in 1 of them, 0 to 255 in 3", "Convert", "wasp.png"),
    ),
    "photographs as masks": (
        repaint(lambda mask: np.random.default_rng(3).integers(0, 255, mask.shape, dtype=np.uint8)),
        ("different values", "That is too many for classes (at most 32)", "Save masks as PNG or TIFF"),
    ),
    "no masks": (lambda data: shutil.rmtree(data / "masks"), ("holds 4 images", "no masks", "into masks/")),
    "no images": (lambda data: shutil.rmtree(data / "images"), ("holds 4 masks, but no images", "into images/")),
    "an empty folder": (
        lambda data: [shutil.rmtree(data / name) for name in ("images", "masks")],
        ("data holds no images; we read .bmp", "Put images into images/"),
    ),
    "masks in the images' folder": (
        masks_among_images,
        ("images holds 2 files that look like masks", "ant_mask.png, bee_mask.png", "Move them out"),
    ),
    "NaN": (
        replace("images/bee.png", ".tif", FLOATS),
        ("images/bee.tif has 1 of 1024 values that are NaN or infinite, the first at row 2, column 6", "replace them"),
    ),
    "types of pixels": (
        replace("images/bee.png", ".tif", NOISE.astype(np.uint16)),
        ("3 of uint8, 1 of uint16", "Convert these", "bee.tif (uint16)"),
    ),
    "channels": (
        lambda data: [save_with_two_channels(data / "images" / "bee.png"),
                      repaint(lambda image: np.stack([image, image // 2, image], -1), "ant", folder="images")(data)],
        ("Images differ in channels (2 with 1, 1 with 2, 1 with 3)", "Save them all with the same channels"),
    ),
    "100,000 pixels a side in a PNG of 1 kB": (
        huge_png, ("images/bee.png claims 100000 x 100000 pixels", "bytes cannot hold", "export it again"),
    ),
    "100,000 pixels a side in a TIFF of 1 kB": (huge_tiff, ("images/bee.tif", "100000", "again")),
    "several at once": (
        several_at_once,
        ("1 mask has no image: ant.png", "bee.png is empty", "masks/fly.png is 28 x 32", "masks/wasp.png breaks off"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY_FOLDERS)
def test_a_faulty_folder_is_explained_and_not_trained_on(data, tmp_path, fault):
    plant, words = FAULTY_FOLDERS[fault]
    plant(data)
    before = tree(data)
    said(refused("train", data, "--out", tmp_path / "run", *LEAST), words)
    checked = typed("check", data, "--device", "cpu")
    assert checked.exit_code == 2
    said(" ".join(checked.stdout.split()), words)
    assert not (tmp_path / "run").exists()
    assert tree(data) == before


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere", ("nowhere does not exist", "name the folder that holds images and masks")),
        ("data/images/ant.png", ("images/ant.png", "folder")),
    ],
)
def test_data_that_is_no_folder(data, tmp_path, place, words):
    said(refused("train", data.parent / place, "--out", tmp_path / "run", *LEAST), words)
    said(refused("check", data.parent / place), words)
    assert not (tmp_path / "run").exists()


HANDLED: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "image without mask": (
        lambda data: (data / "masks" / "bee.png").unlink(), ("1 image has no mask and will be left out: bee.png",),
    ),
    "antialiased": (
        repaint(lambda mask: np.asarray(Image.fromarray(mask).resize((23, 23)).resize((SIDE, SIDE)))),
        ("pixels in 4 masks (ant.png, bee.png, fly.png, wasp.png) have values beside the main 0, 255: ", "as blurred",
         "Each counts as the nearest main value", "class 1 foreground (mask value 255)"),
    ),
    "colours": (
        repaint(lambda mask: np.stack([mask, mask // 5, 0 * mask], -1)),
        ("mask colour #000000", "mask colour #ff3300"),
    ),
    "some images without anything": (
        repaint(lambda mask: 0 * mask, "bee"), ("1 mask of 4 shows nothing but background: bee", "leave the image out"),
    ),
    "copies": (
        lambda data: shutil.copy(data / "images" / "ant.png", data / "images" / "wasp.png"),
        ("The same image is there under several names: ant = wasp", "kept on one side of the split"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("oddity", HANDLED)
def test_what_can_be_handled_is_handled_and_said(data, tmp_path, oddity):
    plant, words = HANDLED[oddity]
    plant(data)
    result = typed("train", data, "--out", tmp_path / "run", *LEAST)
    assert result.exit_code == 0, result.stderr
    said(" ".join(result.stderr.split()), words)


def test_copies_never_lie_on_both_sides_of_the_split(data):
    shutil.copy(data / "images" / "ant.png", data / "images" / "wasp.png")
    for seed in range(6):
        about = json.loads(typed("check", data, "--seed", seed, "--json", "--device", "cpu").stdout)
        assert len({"ant", "wasp"} & set(about["training"])) in (0, 2)


def test_the_only_image_with_something_on_it_is_trained_on(data):
    repaint(lambda mask: 0 * mask, "ant", "fly", "wasp")(data)
    seed = 12  # whose first draw would hold this image back
    about = json.loads(typed("check", data, "--seed", seed, "--json", "--device", "cpu").stdout)
    assert "bee" in about["training"]


def test_images_folder_in_place_of_the_data_folder(data, tmp_path):
    message = refused("train", data / "images", "--out", tmp_path / "run", *LEAST)
    said(message, ("no masks for them", "There are masks in masks/ beside it: name the folder that holds both"))


def test_ignored_values_count_nowhere(data, tmp_path):
    repaint(lambda mask: np.vstack([np.full_like(mask[:4], 128), mask[4:]]))(data)
    (tmp_path / "recipe.toml").write_text("[data]\nignored_values = [128]\n", encoding="utf-8")
    result = typed("train", data, "--out", tmp_path / "run", "--recipe", tmp_path / "recipe.toml", *LEAST, "--json")
    assert result.exit_code == 0, result.stderr
    said(" ".join(result.stderr.split()), ("ignored 12.5% of pixels", "class 1 foreground (mask value 255)"))
    about = json.loads(result.stdout)["scores"]
    assert [sum(map(sum, row["confusion"])) for row in about["rows"]] == [SIDE * (SIDE - 4)]


# Images that a trained network is given


@pytest.mark.parametrize(
    ("name", "pixels", "words"),
    [
        (
            "colour.tif",
            np.stack([NOISE, NOISE // 2, NOISE // 3], -1),
            ("colour.tif has 3 channels", "1 channel (grey)"),
        ),
        ("deep.tif", NOISE.astype(np.uint16), ("deep.tif has uint16 pixels", "trained on uint8", "Convert the image")),
        ("text.png", None, ("text.png is no PNG", "export it again")),
        ("empty.tif", None, ("empty.tif is empty (0 bytes)", "Copy it again")),
        ("note.txt", None, ("'.txt'; we read .bmp", "Convert it")),
    ],
)
def test_an_image_that_the_network_cannot_take_stops_all_before_any_work(run, tmp_path, name, pixels, words):
    save(tmp_path / "in" / "good.png", NOISE)
    odd = tmp_path / "in" / name
    odd.write_bytes(b"" if name.startswith("empty") else b"hello") if pixels is None else save(odd, pixels)
    said(refused("predict", run, tmp_path / "in" / "good.png", odd, "--out", tmp_path / "masks"), words)
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("stack", [False, True])
def test_nan_in_an_image_to_predict(run_of_floats, tmp_path, stack):
    save(tmp_path / "in" / "x.tif", np.stack([np.ones_like(FLOATS), FLOATS]) if stack else FLOATS)
    message = refused("predict", run_of_floats, tmp_path / "in", "--out", tmp_path / "masks", "--probability")
    said(message, ("in/x.tif", "1 of 1024 values that are NaN or infinite, the first at row 2", "replace them"))
    assert not masks_in(tmp_path / "masks")


def test_a_truncated_image_among_good_ones_to_predict(run, tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / "in" / name, NOISE)
    os.truncate(tmp_path / "in" / "b.png", 500)
    message = refused("predict", run, tmp_path / "in", "--out", tmp_path / "masks")
    said(message, ("b.png breaks off", "export it again", "masks holds the masks of 1 of 2 files, complete"))
    assert masks_in(tmp_path / "masks") == {"a.png"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3)])
def test_an_image_smaller_than_the_margin_is_segmented(run, tmp_path, shape):
    save(tmp_path / "in" / "small.png", NOISE[: shape[0], : shape[1]])
    result = typed("predict", run, tmp_path / "in", "--out", tmp_path / "masks", "--overlay", "--probability")
    assert result.exit_code == 0, result.stderr
    assert np.asarray(Image.open(tmp_path / "masks" / "small.png")).shape == shape


def test_no_image_where_one_was_promised(run, tmp_path):
    said(refused("predict", run, tmp_path / "*.png", "--out", tmp_path / "m"), ("*.png: no image there", "Check the"))
    assert not (tmp_path / "m").exists()


# Checkpoints


def other_checkpoint(folder: Path, run: Path, kind: str) -> Path:
    path = folder / f"{kind}.safetensors"
    whole = (run / "best.safetensors").read_bytes()
    if kind == "pickle":
        path = folder / "model.pth"
        path.write_bytes(pickle.dumps({"weights": [1.0]}))
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    elif kind == "newer":
        save_file({"weight": torch.zeros(3)}, path, {"format": "ushape checkpoint 99"})
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "damaged": b"\xff" * 64 + whole[64:]}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut", ("cut.safetensors is not a readable checkpoint", "cut short", "take another copy, or train again")),
        ("empty", ("empty.safetensors is not a readable checkpoint", "take another copy")),
        ("damaged", ("damaged.safetensors is not a readable checkpoint", "take another copy")),
        ("pickle", ("model.pth is not a readable checkpoint", "pickles such as .pth are never opened")),
        ("foreign", ("foreign.safetensors is a safetensors file, but not a checkpoint of ushape", "Give the folder")),
        ("newer", ("newer.safetensors is an ushape checkpoint 99; this version", "Install the newest")),
    ],
)
def test_a_checkpoint_that_is_none(run, data, tmp_path, kind, words):
    path = other_checkpoint(tmp_path, run, kind)
    said(refused("predict", path, data / "images", "--out", tmp_path / "masks"), words)
    said(refused("evaluate", path, data, "--json", tmp_path / "scores.json"), words)
    said(refused("inspect", path), words)
    assert not (tmp_path / "masks").exists() and not (tmp_path / "scores.json").exists()


def test_a_run_that_is_not_there(data, tmp_path):
    said(refused("predict", tmp_path / "none", data / "images", "--out", tmp_path / "m"), ("no checkpoint", "train --"))
    said(refused("train", data, "--out", tmp_path / "none", "--resume"), ("no training to go on with", "--resume out"))
    assert not (tmp_path / "m").exists() and not (tmp_path / "none").exists()


# Evaluation


def test_a_class_that_was_never_trained(run, data, tmp_path):
    repaint(lambda mask: np.vstack([np.full_like(mask[:6], 100), mask[6:]]))(data)
    message = refused("evaluate", run, data, "--json", tmp_path / "scores.json")
    said(
        message, ("classes that the network was not trained on", "100", "background (0), foreground (255)", "--include")
    )
    assert not (tmp_path / "scores.json").exists()


def test_masks_that_do_not_fit_the_truth(data, tmp_path):
    shutil.copytree(data / "masks", tmp_path / "mine")
    (tmp_path / "mine" / "ant.png").unlink()
    save(tmp_path / "mine" / "bee.png", NOISE[:9])
    message = refused("evaluate", "--masks", tmp_path / "mine", "--truth", data / "masks", "--csv", tmp_path / "s.csv")
    said(message, ("ant: in", "but not in", "9 x 32", "32 x 32", "equal names and sizes"))
    assert not (tmp_path / "s.csv").exists()


def test_a_faulty_folder_is_not_evaluated(run, data, tmp_path):
    several_at_once(data)
    words = ("cannot be used yet", "no image: ant.png", "bee.png is empty", "masks/fly.png is 28 x 32")
    said(refused("evaluate", run, data, "--json", tmp_path / "scores.json"), words)
    assert not (tmp_path / "scores.json").exists()


# Options and recipes


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--minutes", "1", "--steps", "5"), ("Both minutes = 1 and steps = 5", "choose one")),
        (("--steps", "0"), ("steps = 0 does nothing", "give more than 0")),
        (("--resume", "--width", "4"), ("--resume goes on with", "leave out --width")),
        (("--resume", "--overwrite"), ("--resume goes on with", "leave out --overwrite")),
        (("--model", "unett"), ("unett", "'unet'")),
        (("--include", "zebra*"), ("No image is called like 'zebra*'", "ant, bee, fly, wasp")),
        (("--group-by", "("), ("The expression '(' to group by", "Try for instance")),
        (("--device", "abacus"), ("abacus", "cpu")),
        (("--width", "0", "--steps", "1"), ("width = 0", "from 1 up")),
        (("--width", "99999", "--steps", "1"), ("width = 99999", "at most 8192 are built", "Choose a smaller width")),
    ],
)
def test_flags_that_cannot_be(data, tmp_path, flags, words):
    said(refused("train", data, "--out", tmp_path / "run", *flags), words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[training]\nlearning_rat = 1\n", ("r.toml", "'learning_rat' in [training]", "mean 'learning_rate'?")),
        ("[model]\nwidht = 4\n", ("r.toml", "widht", "'width'")),
        ("[trainig]\nsteps = 1\n[data]\ninclud = 'x'\n", ("'trainig'", "mean 'training'?", "'includ'", "'include'?")),
        ("[training]\nsteps = 'many'\n", ("r.toml", "steps in [training] is 'many'", "a whole number")),
        ("[training\n", ("r.toml is not valid TOML", "docs/formats.md")),
        ("[data]\nignored_values = [0, 255]\n", ("Not one pixel is annotated", "all are ignored")),
        ("[data]\nvalidation_fraction = 1.5\n", ("validation_fraction is 1.5", "it takes 0 to 0.9")),
    ],
)
def test_recipes_that_cannot_be(data, tmp_path, toml, words):
    (tmp_path / "r.toml").write_text(toml, encoding="utf-8")
    said(refused("train", data, "--out", tmp_path / "run", "--recipe", tmp_path / "r.toml"), words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--tile", "64", "--memory", "1GiB"), ("--memory 1GiB", "--tile 64", "give one of the two")),
        (("--memory", "lots"), ("--memory 'lots' is no size", "such as 2GiB")),
        (("--prove", "--precision", "fast"), ("--prove compares exact answers", "leave out --precision fast")),
    ],
)
def test_flags_of_prediction_that_cannot_be(run, data, tmp_path, flags, words):
    said(refused("predict", run, data / "images", "--out", tmp_path / "masks", *flags), words)
    assert not (tmp_path / "masks").exists()


# Places to write to


def test_results_are_replaced_only_when_told(run, data, tmp_path):
    masks, scores = tmp_path / "masks", tmp_path / "scores.json"
    assert typed("predict", run, data / "images", "--out", masks).exit_code == 0
    scores.write_text("{}", encoding="utf-8")
    before = tree(masks), tree(run)
    said(refused("predict", run, data / "images", "--out", masks), ("already holds 4 of these", "--overwrite"))
    said(refused("evaluate", run, data, "--json", scores), ("scores.json exists already", "--overwrite"))
    said(refused("train", data, "--out", run, *LEAST), ("already holds a training", "--resume", "--overwrite"))
    said(refused("predict", run, data / "images", "--out", data / "images", "--overwrite"), ("Choose another folder",))
    assert (tree(masks), tree(run)) == before
    assert scores.read_text(encoding="utf-8") == "{}"


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def no_permission(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_full_disk(run, data, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(os, "fsync", no_space)
    flags = ("--probability", "--overlay")
    message = refused("predict", run, data / "images", "--out", tmp_path / "results" / "masks", *flags)
    said(message, ("results/masks/", "disk is full", "ree some space"))
    message = refused("evaluate", run, data, "--json", tmp_path / "results" / "scores.json")
    said(message, ("The disk is full", "scores.json could not be written; nothing of it is left"))
    message = refused("train", data, "--out", tmp_path / "results" / "run", *LEAST)
    said(message, ("The disk is full", "results/run/", "nothing of it is left"))
    assert not masks_in(tmp_path / "results")


def test_a_disk_that_fills_up_in_training(data, tmp_path, monkeypatch):
    left, fsync = [6], os.fsync

    def filling(file: int) -> None:
        left[0] -= 1
        no_space() if left[0] < 0 else fsync(file)

    monkeypatch.setattr(os, "fsync", filling)
    message = refused("train", data, "--out", tmp_path / "run", *LEAST)
    said(message, ("The disk is full", "run/", "Free some space"))
    assert not list(tmp_path.glob("run/.ushape*"))
    checkpoint.read(tmp_path / "run" / "last.safetensors")


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_nothing_can_be_written_into(run, data, tmp_path, monkeypatch, exists):
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode, **_: mode != os.W_OK)
    monkeypatch.setattr(os, "mkdir", no_permission)
    monkeypatch.setattr(tempfile, "TemporaryFile", no_permission)
    before = set(tmp_path.iterdir())
    said(
        refused("train", data, "--out", out, *LEAST), ("Nothing can be written into", "no permission", "another folder")
    )
    said(refused("predict", run, data / "images", "--out", out), (str(out), "no permission", "Choose another folder"))
    assert set(tmp_path.iterdir()) == before
    assert not list(tmp_path.glob("out/*"))


def test_a_file_where_a_folder_should_be(run, data, tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    said(refused("train", data, "--out", tmp_path / "out", *LEAST), ("out is a file", "give a folder"))
    said(refused("predict", run, data / "images", "--out", tmp_path / "out"), ("out", "cannot be written", "Choose"))
    said(refused("evaluate", run, data, "--json", tmp_path / "none" / "s.json"), ("s.json cannot be written", "Create"))
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "none").exists()
