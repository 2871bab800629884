"""Scores that can be computed by hand, and folders that cannot be scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import tifffile
import torch
import zarr
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ushape.checkpoint import Trained
from ushape.data.folder import survey
from ushape.errors import DataError, RecipeError
from ushape.evaluate import Evaluation, RunEvaluation, Scored, evaluate_masks
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models.segmenter import Segmenter
from ushape.predict.files import Job, MaskWritten
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor
from ushape.recipe import DataRecipe, PredictionRecipe, Recipe

TWO = Labels(("background", "cell"), (0, 255))
THREE = Labels(("background", "value 1", "value 2"), (0, 1, 2))


class Thresholds(Segmenter):
    """Class k between 100·k and 100·(k + 1) grey levels: its logits are k·(x − 50·(k + 1)) / 20."""

    def __init__(self, classes: int, channels: int = 1) -> None:
        super().__init__()
        self.in_channels, self.classes = channels, classes
        self.head = nn.Conv2d(channels, classes, 1)
        for k in range(classes):
            self.head.weight.data[k] = k / 20 / channels
            self.head.bias.data[k] = -k * 50 * (k + 1) / 20

    def along_axis(self, x: Axis) -> Axis:
        return x

    @property
    def footprint(self) -> Footprint:
        return Footprint(margin=0, multiple=1, smallest_input=1)

    def outputs(self, x: Tensor) -> list[Tensor]:
        return [self.head(x)]


def predictor(labels: Labels = TWO, *, channels: int = 1, training: Sequence[str] = (), **data: object) -> Predictor:
    intensity = Intensity((0.0,) * channels, (1.0,) * channels, "uint8")
    model = Thresholds(labels.classes, channels).eval()
    trained = Trained(model, labels, intensity, Recipe(data=DataRecipe(**data)), {"training_digests": list(training)})
    return Predictor(trained, keep_px=7)


def save(path: Path, pixels: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(pixels)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.shape[-1] == 3 else "minisblack")
    else:
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def pair(root: Path, name: str, image: object, mask: object) -> None:
    save(root / "images" / f"{name}.png", image)
    save(root / "masks" / f"{name}.png", mask)


def drawn(seed: int, values: Sequence[int] = (0, 255), shape: tuple[int, int] = (20, 31)) -> NDArray[np.uint8]:
    """Bands, so that the values are no blur."""
    mask = np.zeros(shape, dtype=np.uint8)
    for k, band in enumerate(np.array_split(np.arange(shape[1]), len(values))):
        mask[:, band] = values[(k + seed) % len(values)]
    return mask


def noisy(mask: NDArray[np.uint8], seed: int, values: Sequence[int] = (0, 255)) -> NDArray[np.uint8]:
    """An image whose brightness tells the class in most pixels."""
    numbers = np.searchsorted(values, mask)
    return (50 + 100 * numbers + np.random.default_rng(seed).normal(0, 45, mask.shape)).clip(0, 255).astype(np.uint8)


def scored(course: RunEvaluation) -> Evaluation:
    for _ in course.events():
        pass
    return course.result()


# A network against a folder


def test_figures_computed_by_hand(tmp_path: Path):
    dark, light = 20, 180
    image = np.full((10, 12), dark)
    image[:, 6:] = light
    mask = np.zeros((10, 12))
    mask[:, 4:] = 255  # 80 true pixels, of which the network finds 60
    pair(tmp_path, "a", image, mask)
    image, mask = np.full((8, 10), dark), np.zeros((8, 10))
    image[2:6, 2:8], mask[2:6, 2:5] = light, 255  # 12 true pixels, found with 12 others
    pair(tmp_path, "b", image, mask)

    course = RunEvaluation(predictor(), tmp_path)
    assert list(course.events()) == [Scored("a", 1, 2), Scored("b", 2, 2)]
    result = course.result()

    assert [row.confusion.tolist() for row in result.table.rows] == [[[40, 0], [20, 60]], [[56, 12], [0, 12]]]
    cell = result.table.summary().classes[1]
    assert cell.name == "cell"
    assert cell.dice.mean == pytest.approx((120 / 140 + 24 / 36) / 2)
    assert cell.iou.mean == pytest.approx((60 / 80 + 12 / 24) / 2)
    assert cell.precision.mean == pytest.approx((1 + 0.5) / 2)
    assert cell.recall.mean == pytest.approx((60 / 80 + 1) / 2)
    assert cell.dice.pooled == pytest.approx(2 * 72 / (84 + 92))
    assert result.table.summary().pixel_error.pooled == pytest.approx(32 / 200)
    # 84 pixels light, 72 of them true; 116 dark, 20 of them true, 96 not
    assert result.roc_auc == pytest.approx((72 * 96 + 0.5 * (72 * 12 + 20 * 96)) / (92 * 108))
    assert result.average_precision == pytest.approx(72 / 92 * 72 / 84 + 20 / 92 * 92 / 200)
    assert result.best_f1 == pytest.approx(2 * 72 / (84 + 92))
    assert result.trained_on == ()


@pytest.mark.parametrize("field_of_view", [False, True])
def test_threshold_free_figures_are_those_of_scikit_learn(tmp_path: Path, field_of_view: bool):
    truths, scores = [], []
    for seed in range(4):
        mask = drawn(seed)
        image = noisy(mask, seed)
        if field_of_view:
            mask[:5] = 77
        pair(tmp_path, f"{seed}", image, mask)
        counted = mask != 77
        truths.append(mask[counted] == 255)
        scores.append(1 / (1 + np.exp(-(image[counted].astype(np.float64) - 100) / 20)))
    truth, score = np.concatenate(truths), np.concatenate(scores)

    result = scored(RunEvaluation(predictor(ignored_values=(77,)), tmp_path))

    assert sum(row.confusion.sum() for row in result.table.rows) == truth.size
    assert result.roc_auc == pytest.approx(sklearn.metrics.roc_auc_score(truth, score), abs=1e-6)
    assert result.average_precision == pytest.approx(sklearn.metrics.average_precision_score(truth, score), abs=1e-6)
    precision, recall, thresholds = sklearn.metrics.precision_recall_curve(truth, score)
    f1 = 2 * precision * recall / (precision + recall)
    assert result.best_f1 == pytest.approx(f1.max(), abs=1e-6)
    assert sklearn.metrics.f1_score(truth, score >= result.best_threshold) == pytest.approx(f1.max(), abs=1e-6)
    assert result.best_threshold == pytest.approx(thresholds[f1[:-1].argmax()], rel=2e-3)  # of bins 1/512 wide
    at_half = sklearn.metrics.f1_score(truth, score > 0.5)
    assert result.table.summary().classes[1].dice.pooled == pytest.approx(at_half)


def test_several_classes_have_no_single_threshold(tmp_path: Path):
    for seed in range(3):
        mask = drawn(seed, (0, 1, 2))
        pair(tmp_path, f"{seed}", noisy(mask, seed, (0, 1, 2)), mask)
    result = scored(RunEvaluation(predictor(THREE), tmp_path))
    assert result.roc_auc is result.average_precision is result.best_f1 is result.best_threshold is None
    assert result.table.class_names == THREE.names
    for seed, row in enumerate(result.table.rows):
        mask = drawn(seed, (0, 1, 2))
        expected = np.digitize(noisy(mask, seed, (0, 1, 2)), [100.5, 200.5])
        assert (row.confusion == sklearn.metrics.confusion_matrix(mask.ravel(), expected.ravel())).all()


def test_classes_missing_in_the_folder_keep_their_numbers(tmp_path: Path):
    for seed in range(2):
        mask = drawn(seed, (0, 2))
        pair(tmp_path, f"{seed}", np.where(mask == 2, 250, 20), mask)
    result = scored(RunEvaluation(predictor(THREE), tmp_path))
    for row in result.table.rows:
        assert row.confusion[0, 0] + row.confusion[2, 2] == row.confusion.sum()
    assert np.isnan(result.table.summary().classes[1].dice.mean)


def test_classes_with_a_file_each_are_told_by_their_names(tmp_path: Path):
    """The folder shows myelin only, the network's second class; the values 0 and 1 would make it the first."""
    for name in ("sub-1", "sub-2"):
        mask = drawn(len(name))
        save(tmp_path / name / "micr" / f"{name}_SEM.png", np.where(mask, 250, 20))
        save(tmp_path / "derivatives" / "labels" / name / "micr" / f"{name}_SEM_seg-myelin-manual.png", mask)
    labels = Labels(("background", "axon", "myelin"), (0, 1, 2))
    result = scored(RunEvaluation(predictor(labels), tmp_path))
    for row in result.table.rows:
        assert row.confusion[0, 0] + row.confusion[2, 2] == row.confusion.sum()
    with pytest.raises(DataError, match=r"not trained on: myelin \(1\)\. It knows background \(0\), axon \(1\), nerve"):
        RunEvaluation(predictor(Labels(("background", "axon", "nerve"), (0, 1, 2))), tmp_path)


def test_objects_with_a_file_each_are_the_one_class_of_the_network(tmp_path: Path):
    for number in range(2):
        mask, other = np.zeros((20, 30)), np.zeros((20, 30))
        mask[3:9, 4:12] = other[12:18, 15:28] = 255
        image = np.where(mask + other > 0, 180, 20)
        image[0, number] = 21  # no two images are the same
        save(tmp_path / f"{number}" / "images" / f"{number}.png", image)
        save(tmp_path / f"{number}" / "masks" / "one.png", mask)
        save(tmp_path / f"{number}" / "masks" / "two.png", other)
    for labels in (TWO, Labels(("background", "foreground"), (0, 1))):
        result = scored(RunEvaluation(predictor(labels), tmp_path))
        assert result.table.summary().classes[1].dice.mean == 1


def test_colours_and_grey_masks_of_a_coloured_network(tmp_path: Path):
    labels = Labels(("background", "colour #ff0000", "white"), (0, 0xFF0000, 0xFFFFFF), coloured=True)
    grey = drawn(0)
    pair(tmp_path / "grey", "a", np.where(grey, 250, 20), grey)  # black and white alone pass for grey values
    red = drawn(1)[..., np.newaxis] * np.array([1, 0, 0], dtype=np.uint8)
    pair(tmp_path / "red", "a", np.where(red[..., 0], 150, 20), red)
    for folder, number in [("grey", 2), ("red", 1)]:
        (row,) = scored(RunEvaluation(predictor(labels), tmp_path / folder)).table.rows
        assert row.confusion[0, 0] + row.confusion[number, number] == row.confusion.sum()
    with pytest.raises(DataError, match=r"not trained on: .*\(#ff0000\)\. It knows background \(0\), cell \(255\)"):
        RunEvaluation(predictor(), tmp_path / "red")


def test_values_the_network_does_not_know_are_all_named(tmp_path: Path):
    mask = drawn(0, (0, 1, 3, 4))
    pair(tmp_path, "a", noisy(mask, 0, (0, 1, 3, 4)), mask)
    with pytest.raises(DataError, match="not trained on") as refused:
        RunEvaluation(predictor(THREE), tmp_path)
    message = str(refused.value)
    assert "value 3 (3), value 4 (4). It knows background (0), value 1 (1), value 2 (2)" in message
    assert "--include" in message


def test_images_that_were_trained_on_are_named_whatever_they_are_called_now(tmp_path: Path):
    for name in ("a", "b", "c"):
        mask = drawn(0)
        pair(tmp_path, name, noisy(mask, ord(name)), mask)
    digests = {name: facts.digest for name, facts in survey(tmp_path).images.items()}
    result = scored(RunEvaluation(predictor(training=[digests["c"], digests["a"], "of another image"]), tmp_path))
    assert result.trained_on == ("a", "c")
    assert result.to_dict()["trained_on"] == ["a", "c"]


def test_some_images_alone(tmp_path: Path):
    for name in ("a1", "a2", "b1"):
        mask = drawn(0)
        pair(tmp_path, name, noisy(mask, ord(name[1])), mask)
    course = RunEvaluation(predictor(), tmp_path, include="a*")
    assert [p.name for p in course.pairs] == ["a1", "a2"]
    assert len(scored(course).table.rows) == 2
    assert len(scored(course).table.rows) == 2  # once more begins anew
    assert course.result().roc_auc == scored(course).roc_auc


def test_what_nothing_defines_is_none_in_json(tmp_path: Path):
    pair(tmp_path, "a", noisy(np.zeros((20, 31), dtype=np.uint8), 0), np.zeros((20, 31)))
    pair(tmp_path, "b", noisy(drawn(0), 1), drawn(0))
    course = RunEvaluation(predictor(), tmp_path)
    next(course.events())  # of the first, where no pixel is true
    about = json.loads(json.dumps(course.result().to_dict(), allow_nan=False))
    assert [about[n] for n in ("roc_auc", "average_precision", "best_f1", "best_threshold")] == [None] * 4


def test_figures_before_the_first_image_are_refused(tmp_path: Path):
    pair(tmp_path, "a", noisy(drawn(0), 1), drawn(0))
    with pytest.raises(DataError, match="No image to score"):
        RunEvaluation(predictor(), tmp_path).result()


def test_every_image_the_network_cannot_take_is_named_before_any_is_predicted(tmp_path: Path):
    for name in ("a", "b", "c"):
        pair(tmp_path, name, noisy(drawn(0), ord(name)), drawn(0))
    for name in ("b", "c"):
        save(tmp_path / "images" / f"{name}.png", np.random.default_rng(ord(name)).integers(0, 255, (20, 31, 3)))
    with pytest.raises(DataError) as refused:
        RunEvaluation(predictor(), tmp_path)
    lines = str(refused.value).splitlines()
    assert [("b.png has 3 channels" in line, "c.png has 3 channels" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]


def test_a_folder_with_faults_is_refused_with_all_of_them(tmp_path: Path):
    pair(tmp_path, "a", noisy(drawn(0), 1), drawn(0))
    pair(tmp_path, "b", noisy(drawn(0), 2), drawn(0, shape=(20, 30)))
    pair(tmp_path, "c", noisy(drawn(0), 3), drawn(0))
    (tmp_path / "masks" / "c.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"(?s)b\.png.*c\.png|c\.png.*b\.png"):
        RunEvaluation(predictor(), tmp_path)


# Masks against the truth


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "m", tmp_path / "t"


def test_figures_of_masks_computed_by_hand(places: tuple[Path, Path]):
    masks, truth = places
    save(masks / "a.png", [[0, 0, 255, 255]])
    save(truth / "a.tif", np.array([[0, 255, 255, 255]], dtype=np.uint16))
    save(masks / "b.png", [[0, 0], [255, 0]])
    save(truth / "b.png", [[0, 0], [0, 0]])
    result = evaluate_masks(masks, truth)
    assert [row.name for row in result.table.rows] == ["a", "b"]
    assert [row.confusion.tolist() for row in result.table.rows] == [[[1, 0], [1, 2]], [[3, 1], [0, 0]]]
    foreground = result.table.summary().classes[1]
    assert foreground.name == "foreground"
    assert foreground.dice.mean == pytest.approx((4 / 5 + 0) / 2)
    assert foreground.iou.pooled == pytest.approx(2 / 4)
    assert result.roc_auc is None


def test_several_classes_of_masks(places: tuple[Path, Path]):
    masks, truth = places
    rng = np.random.default_rng(0)
    a, b = (rng.choice([0, 3, 128], (1500, 4)).astype(np.uint8) for _ in range(2))
    save(masks / "a.png", a)
    save(truth / "a.png", b)
    table = evaluate_masks(masks, truth).table
    assert table.class_names == ("background", "value 3", "value 128")
    assert (table.rows[0].confusion == sklearn.metrics.confusion_matrix(b.ravel(), a.ravel())).all()


def test_a_class_that_only_one_side_has_counts(places: tuple[Path, Path]):
    masks, truth = places
    save(masks / "a.png", [[0, 0, 2]])
    save(truth / "a.png", [[0, 1, 2]])
    assert evaluate_masks(masks, truth).table.rows[0].confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_what_the_truth_ignores_counts_nowhere(places: tuple[Path, Path]):
    masks, truth = places
    save(masks / "a.png", [[0, 255, 255, 0]])
    save(truth / "a.png", [[0, 255, 128, 128]])
    result = evaluate_masks(masks, truth, ignored_values=[128])
    assert result.table.rows[0].confusion.tolist() == [[1, 0], [0, 1]]
    save(truth / "a.png", [[128] * 4])
    with pytest.raises(DataError, match=r"All pixels of the truth in .*t are ignored\. Leave fewer"):
        evaluate_masks(masks, truth, ignored_values=[128])


def test_nan_in_the_truth_counts_nowhere_and_in_a_mask_is_refused(places: tuple[Path, Path]):
    masks, truth = places
    sparse = np.array([[0, 1, np.nan, -1]] * 4, dtype=np.float32)
    save(masks / "a.png", [[0, 1, 1, 0]] * 4)
    truth.mkdir()
    tifffile.imwrite(truth / "a.tif", sparse)
    row = evaluate_masks(masks, truth).table.rows[0]
    assert row.confusion.tolist() == [[4, 0], [0, 4]] and row.ignored == 8
    with pytest.raises(DataError, match=r"a\.tif says nothing of 8 pixels \(NaN or -1\); only the truth may leave"):
        evaluate_masks(truth, masks)


def test_a_grey_mask_saved_as_colours_is_the_same_mask(places: tuple[Path, Path]):
    masks, truth = places
    save(masks / "a.png", np.repeat(drawn(0)[..., np.newaxis], 3, axis=2))
    save(truth / "a.png", drawn(0))
    assert evaluate_masks(masks, truth).table.summary().foreground.dice.mean == 1


def test_coloured_masks_where_some_happen_to_be_grey(places: tuple[Path, Path]):
    masks, truth = places
    red = np.array([[[0, 0, 0], [255, 0, 0], [255, 255, 255]]])
    save(masks / "a.png", red)
    save(truth / "a.png", red)
    save(masks / "b.png", [[0, 255, 255]])
    save(truth / "b.png", np.repeat(np.array([[0, 255, 255]])[..., np.newaxis], 3, axis=2))
    table = evaluate_masks(masks, truth).table
    assert table.class_names == ("background", "colour #ff0000", "colour #ffffff")
    assert all(np.trace(row.confusion) == row.confusion.sum() for row in table.rows)


def test_stacks_are_compared_page_by_page(places: tuple[Path, Path]):
    masks, truth = places
    stack = np.stack([drawn(0), drawn(1)])
    save(masks / "s.tif", stack)
    save(truth / "s.tif", stack)
    assert [row.name for row in evaluate_masks(masks, truth).table.rows] == ["s_000", "s_001"]


def test_two_files_are_compared_whatever_they_are_called(places: tuple[Path, Path]):
    masks, truth = places
    one, other = save(masks / "mine.png", drawn(0)), save(truth / "theirs.png", drawn(1))
    (row,) = evaluate_masks(one, other).table.rows
    assert row.name == "mine" and row.confusion.sum() == 20 * 31
    stacks = save(masks / "s.tif", np.stack([drawn(0)] * 2)), save(truth / "t.tif", np.stack([drawn(1)] * 3))
    with pytest.raises(DataError, match=r"t_002: in .*, but not in") as refused:
        evaluate_masks(*stacks)
    assert str(refused.value).count("but not in") == 1


def test_what_predict_wrote_beside_its_masks_is_left_out(tmp_path: Path):
    for name in ("a", "b"):
        pair(tmp_path, name, noisy(drawn(0), ord(name)), drawn(0))
    save(tmp_path / "images" / "s.tif", np.stack([noisy(drawn(0), n) for n in range(2)]))
    save(tmp_path / "masks" / "s.tif", np.stack([drawn(0)] * 2))
    pages = find_images([str(tmp_path / "images")])
    job = Job(predictor(), pages, tmp_path / "out", probability=True, uncertainty=True, overlay=True)
    assert sum(isinstance(event, MaskWritten) for event in job.events()) == 3
    assert len(list((tmp_path / "out").iterdir())) == 4 + 4 + 5
    result = evaluate_masks(tmp_path / "out", tmp_path / "masks")
    assert [row.name for row in result.table.rows] == ["a", "b", "s_000", "s_001"]
    assert result.table.summary().foreground.dice.mean > 0.7


def test_a_run_and_its_masks_have_the_same_scores(tmp_path: Path):
    for name in ("a", "b", "c"):
        pair(tmp_path / "data", name, noisy(drawn(0), ord(name)), drawn(0))
    course = RunEvaluation(predictor(), tmp_path / "data")
    for _ in Job(predictor(), find_images([str(tmp_path / "data" / "images")]), tmp_path / "out").events():
        pass
    of_run, of_masks = scored(course).table, evaluate_masks(tmp_path / "out", tmp_path / "data" / "masks").table
    assert [row.confusion.tolist() for row in of_run.rows] == [row.confusion.tolist() for row in of_masks.rows]


def test_every_misfit_is_named_at_once(places: tuple[Path, Path]):
    masks, truth = places
    for name in ("fits.png", "only_here.png", "size.png", "twice.png", "twice.tif", "broken.png"):
        save(masks / name, drawn(0))
    for name in ("fits.png", "only_there.png", "twice.png", "broken.png"):
        save(truth / name, drawn(0))
    save(truth / "size.png", drawn(0, shape=(20, 30)))
    (masks / "broken.png").write_bytes((masks / "broken.png").read_bytes()[:60])
    (masks / "empty.tif").touch()
    (masks / ".hidden.png").touch()
    (masks / "folder.png").mkdir()
    with pytest.raises(DataError, match="do not fit together") as refused:
        evaluate_masks(masks, truth)
    message = str(refused.value)
    for words in [
        f"only_here: in {masks}, but not in {truth}",
        f"only_there: in {truth}, but not in {masks}",
        f"{masks / 'size.png'} has 20 x 31 pixels, but {truth / 'size.png'} has 20 x 30",
        f"twice: both {masks / 'twice.png'} and {masks / 'twice.tif'} have this name",
        f"{masks / 'broken.png'} breaks off or is damaged",
        f"{masks / 'empty.tif'} is empty (0 bytes)",
        "Give two folders whose masks have equal names and sizes",
    ]:
        assert words in message
    assert "fits" not in message.replace("do not fit", "") and "hidden" not in message
    assert len(message.splitlines()) == 8


def test_nothing_to_compare(places: tuple[Path, Path]):
    masks, truth = places
    masks.mkdir()
    with pytest.raises(DataError, match=r"There is nothing at .*t\. Give a folder of masks, or one mask"):
        evaluate_masks(masks, truth)
    truth.mkdir()
    with pytest.raises(DataError, match="no mask has a partner"):
        evaluate_masks(masks, truth)


def squares(*numbers: int) -> NDArray[np.int32]:
    """Squares of 5 x 5 pixels on 0, in two rows."""
    mask = np.zeros((14, 7 * 12), dtype=np.int32)
    for k, number in enumerate(numbers):
        mask[7 * (k % 2) : 7 * (k % 2) + 5, 7 * (k // 2) : 7 * (k // 2) + 5] = number
    return mask


def test_masks_that_number_objects_are_compared_object_by_object(places: tuple[Path, Path]):
    masks, truth = places
    found = squares(*range(5, 15))
    found[0:5, 0:5] = 0  # one missed
    found[7:12, 0:2] = 0  # one of which 15 of 25 pixels are found
    for name, wanted in [("a", squares(*range(1, 11))), ("b", squares(*range(1, 13)))]:
        save(truth / f"{name}.tif", wanted)
        save(masks / f"{name}.tif", found)
    result = evaluate_masks(masks, truth)
    (objects,) = result.measures
    assert result.table.class_names == ("background", "object") and objects.family == "objects"
    assert [image["f1_50"] for image in objects.images] == pytest.approx([18 / 19, 18 / 21])
    assert objects.images[0]["ap_50"] == pytest.approx(9 / 10)
    assert objects.images[0]["seg"] == pytest.approx((8 + 0.6) / 10)
    assert objects.figures()["f1_50"].pooled == pytest.approx(36 / 40)
    assert [int(row.confusion.sum()) for row in result.table.rows] == [14 * 84] * 2


@pytest.mark.parametrize("side", ["m", "t"])
def test_objects_that_one_side_does_not_number_are_its_connected_regions(places: tuple[Path, Path], side: str):
    for name, most in [("a", 10), ("b", 12)]:
        for place in places:
            numbers = squares(*range(1, most + 1))
            save(
                place / f"{name}.tif", numbers if place.name == side else (numbers > 0).astype(np.uint8) * np.uint8(255)
            )
    assert evaluate_masks(*places).measures[0].figures()["ap_50_95"].mean == 1


def test_few_values_are_classes_unless_objects_are_asked_for(places: tuple[Path, Path]):
    for place in places:
        save(place / "a.tif", squares(3, 5).astype(np.uint8))
    assert evaluate_masks(*places).measures == ()
    asked = evaluate_masks(*places, task="instances")
    assert asked.measures[0].figures()["f1_50"].mean == 1 and asked.table.class_names == ("background", "object")


def test_any_family_can_be_asked_for(places: tuple[Path, Path]):
    for place in places:
        save(place / "a.tif", squares(255, 255).astype(np.uint8))
    every = evaluate_masks(*places, families=["objects", "partitions", "boundary", "isbi2012", "saliency"])
    figures = {
        f"{each.family} {name}": figure.mean for each in every.measures for name, figure in each.figures().items()
    }
    for name in ("objects seg", "boundary nsd_2px", "isbi2012 v_rand_thinned", "saliency s_measure"):
        assert figures[name] == pytest.approx(1)
    for name in ("partitions adapted_rand_error", "boundary hd95_px", "isbi2012 warping_error", "saliency mae"):
        assert figures[name] == pytest.approx(0)
    assert json.loads(json.dumps(every.to_dict(), allow_nan=False))["measures"][0]["family"] == "objects"


def test_what_the_truth_ignores_is_in_no_family(places: tuple[Path, Path]):
    masks, truth = places
    wanted, found = squares(1, 1, 9).astype(np.uint8), squares(1, 1, 1).astype(np.uint8)
    save(truth / "a.tif", wanted)
    save(masks / "a.tif", found)
    every = evaluate_masks(masks, truth, ignored_values=[9], families=["objects", "boundary"])
    assert every.measures[0].images[0]["f1_50"] == 1 and every.measures[1].images[0]["hd95_px"] == 0


def test_masks_with_blurred_edges_are_refused(places: tuple[Path, Path]):
    masks, truth = places
    save(truth / "a.png", squares(255, 255))
    save(masks / "a.png", np.arange(14 * 84).reshape(14, 84) % 251)
    with pytest.raises(
        DataError, match=r"m hold 251 values, up to 250\. That is too many for classes.*edges are blurred"
    ):
        evaluate_masks(masks, truth)


def test_the_same_classes_under_other_values_are_refused(places: tuple[Path, Path]):
    masks, truth = places
    save(masks / "a.png", drawn(0, (0, 255)))
    save(truth / "a.png", drawn(0, (0, 1)))
    with pytest.raises(DataError, match=r"m hold the values 0, 255, but those in .*t 0, 1: .*Save both with the same"):
        evaluate_masks(masks, truth)


def test_an_empty_mask_is_no_other_value(places: tuple[Path, Path]):
    masks, truth = places
    save(masks / "a.png", np.zeros((20, 31)))
    save(truth / "a.png", drawn(0, (0, 1)))
    assert evaluate_masks(masks, truth).table.summary().foreground.dice.mean == 0
    save(truth / "a.png", np.zeros((20, 31)))
    result = evaluate_masks(masks, truth)
    assert result.table.rows[0].confusion.tolist() == [[20 * 31]]
    json.dumps(result.to_dict(), allow_nan=False)


def test_the_network_of_these_tests_is_what_it_says():
    """So that figures computed by hand are those of the thresholds 100 and 200."""
    x = torch.tensor([[[[0.0, 99, 101, 199, 201, 255]]]])
    assert Thresholds(3)(x).argmax(dim=1).tolist() == [[[0, 0, 1, 1, 2, 2]]]
    assert Thresholds(2)(x).argmax(dim=1).tolist() == [[[0, 0, 1, 1, 1, 1]]]


# Regions

REGIONS = {"inner": ["value 2"], "whole": [1, 2]}


def with_regions(**prediction: object) -> Predictor:
    intensity = Intensity((0.0,), (1.0,), "uint8")
    recipe = Recipe(regions=REGIONS, prediction=PredictionRecipe(**prediction))
    return Predictor(Trained(Thresholds(3).eval(), THREE, intensity, recipe), keep_px=7)


def test_regions_of_a_network_are_scored_unasked(tmp_path: Path) -> None:
    mask = drawn(1, (0, 1, 2))
    pair(tmp_path, "a", 100 * mask + 50, mask)
    pair(tmp_path, "b", 100 * mask + 50, np.where(mask == 2, 1, mask))
    course = RunEvaluation(with_regions(), tmp_path)
    list(course.events())
    (measures,) = course.result().measures
    assert measures.family == "regions"
    assert [image["dice whole"] for image in measures.images] == [1, 1]
    assert [image["dice inner"] for image in measures.images] == [1, 0]


def test_masks_have_the_regions_that_are_declared(tmp_path: Path) -> None:
    truth = drawn(1, (0, 1, 2))
    save(tmp_path / "truth" / "a.png", truth)
    save(tmp_path / "masks" / "a.png", np.where(truth == 2, 1, truth))
    evaluation = evaluate_masks(tmp_path / "masks", tmp_path / "truth", regions=REGIONS)
    (measures,) = evaluation.measures
    assert measures.folder == {"dice inner": 0, "dice whole": 1}
    with pytest.raises(RecipeError, match="takes the class 7, which there is not"):
        evaluate_masks(tmp_path / "masks", tmp_path / "truth", regions={"inner": [7]})


def test_one_piece_is_what_is_predicted_written_and_scored(tmp_path: Path) -> None:
    mask = np.zeros((20, 31), dtype=np.uint8)
    mask[3:12, 3:12], mask[5:9, 5:9] = 1, 2
    spoilt = mask.copy()
    spoilt[15:17, 20:25], spoilt[7, 7] = 2, 0
    pair(tmp_path, "a", 100 * spoilt + 50, mask)
    predictor = with_regions(one_piece=("inner", "whole"))
    course = RunEvaluation(predictor, tmp_path)
    list(course.events())
    assert course.result().table.pooled.mean_dice == 1
    assert (predictor.segment(100 * spoilt + 50) == mask).all()
    assert (with_regions().segment(100 * spoilt + 50) == spoilt).all()
    written = list(Job(predictor, find_images([str(tmp_path / "images")]), tmp_path / "out").events())[-1]
    assert isinstance(written, MaskWritten)
    assert (np.asarray(Image.open(written.paths[0])) == mask).all()


def test_regions_in_one_piece_are_named_by_their_names() -> None:
    with pytest.raises(RecipeError, match=r"There is no region outer\. There are: inner .value 2.; whole"):
        Predictor(with_regions().trained, one_piece=["outer"])


def test_masks_in_zarr_stores_are_scored_in_folders_and_by_name(tmp_path: Path) -> None:
    truth, mask = np.zeros((20, 30), dtype=np.uint8), np.zeros((20, 30), dtype=np.uint8)
    truth[:10], mask[:5] = 1, 1  # half of it is found: Dice 2 · 150 / (150 + 300)
    zarr.save_array(tmp_path / "truth" / "a.zarr", truth)
    zarr.save_array(tmp_path / "masks" / "a.zarr", mask)
    for name in ("", "a.zarr"):
        found = evaluate_masks(tmp_path / "masks" / name, tmp_path / "truth" / name, task="semantic")
        assert found.table.summary().foreground.dice.mean == pytest.approx(2 / 3)
