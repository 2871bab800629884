from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushape.errors import DataError, OutputError, SizeError
from ushape.metrics.pixels import PixelScores
from ushape.metrics.table import EMPTY_RULE, Row, Table

NAMES = ("background", "cell", "debris")


def row(name: str, confusion: list[list[int]], group: str | None = None) -> Row:
    return Row(name, group or name, np.array(confusion, dtype=np.int64))


def row_of_dice(name: str, hits_of_ten: int, group: str | None = None) -> Row:
    """A two-class image: 10 cell pixels of which some are found and no others named."""
    return row(name, [[90, 0], [10 - hits_of_ten, hits_of_ten]], group)


def cells(*rows: Row, seed: int = 0) -> Table:
    return Table(rows, ("background", "cell"), seed)


@pytest.fixture
def three_images() -> Table:
    """Cells everywhere but in the last image, debris in the second only; the last is all background."""
    return Table(
        [
            row("a", [[8, 0, 0], [0, 2, 0], [0, 0, 0]]),
            row("b", [[4, 0, 0], [2, 2, 0], [1, 0, 1]]),
            row("c", [[9, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ],
        NAMES,
    )


# --- facts by hand


def test_scores_of_part_of_the_pixels_say_so(three_images: Table) -> None:
    assert three_images.scope == "" and three_images.to_dict()["scope"] == ""
    masked = cells(row_of_dice("a", 5), Row("b", "b", np.array([[90, 0], [5, 5]]), ignored=90))
    assert masked.scope == "scored on 69% of the pixels; the others are ignored"
    scribbled = Row("a", "a", np.array([[30, 0], [0, 10]]), ignored=1000)
    blank = [Row(f"b{k}", "b", np.zeros((2, 2), dtype=np.int64), ignored=96) for k in range(10)]
    words = cells(scribbled, *blank).scope
    assert words.startswith("scored on 2.0% of the pixels, those that are annotated; scribbles keep off borders, so")
    assert words.endswith("; nothing is annotated in b0, b1, b2, b3, b4, b5, b6, b7 and 2 more")
    assert cells(scribbled, *blank).to_dict()["rows"][0]["ignored"] == 1000


def test_a_mean_is_over_the_images_in_which_the_class_counts(three_images: Table) -> None:
    summary = three_images.summary()
    background, cell, debris = summary.classes
    assert [figures.name for figures in summary.classes] == list(NAMES)
    assert (background.images, cell.images, debris.images, summary.foreground.images) == (3, 2, 1, 2)
    assert cell.dice.mean == pytest.approx((1 + 4 / 6) / 2)
    assert cell.iou.mean == pytest.approx((1 + 2 / 4) / 2)
    assert cell.recall.mean == pytest.approx((1 + 2 / 4) / 2)
    assert cell.precision.mean == 1
    assert debris.dice.mean == pytest.approx(2 / 3)
    assert summary.foreground.dice.mean == pytest.approx((1 + (4 / 6 + 2 / 3) / 2) / 2)
    assert (summary.images, summary.groups) == (3, 3)


def test_pooled_scores_weigh_pixels_not_images(three_images: Table) -> None:
    summary = three_images.summary()
    assert summary.classes[1].dice.pooled == pytest.approx(2 * 4 / (4 + 6))
    assert summary.classes[2].dice.pooled == pytest.approx(2 * 1 / (1 + 2))
    assert summary.foreground.dice.pooled == pytest.approx((0.8 + 2 / 3) / 2)
    assert summary.pixel_accuracy.pooled == pytest.approx(26 / 29)
    assert summary.pixel_accuracy.mean == pytest.approx((1 + 7 / 10 + 1) / 3)
    assert summary.pixel_error.mean == pytest.approx((0 + 3 / 10 + 0) / 3)


def test_a_class_that_no_image_has_is_undefined_but_stands_in_the_table() -> None:
    debris = Table([row("a", [[8, 0, 0], [0, 2, 0], [0, 0, 0]])], NAMES).summary().classes[2]
    assert (debris.images, debris.groups) == (0, 0)
    assert all(map(math.isnan, (debris.dice.mean, debris.dice.low, debris.dice.high, debris.dice.pooled)))


def test_images_whose_truth_is_all_ignored_are_in_no_mean() -> None:
    summary = cells(row_of_dice("a", 5), row("void", [[0, 0], [0, 0]])).summary()
    assert summary.images == 2
    assert summary.foreground.images == summary.classes[0].images == 1
    assert summary.pixel_accuracy.mean == summary.pixel_accuracy.pooled == 0.95


def test_the_scores_stand_in_the_order_of_the_rows(three_images: Table) -> None:
    assert [scores.pixel_accuracy for scores in three_images.scores] == [1, 0.7, 1]


def test_worst_and_best_rank_by_foreground_dice_and_leave_out_images_without_foreground() -> None:
    table = cells(row_of_dice("mid", 5), row("empty", [[9, 0], [0, 0]]), row_of_dice("good", 9), row_of_dice("bad", 1))
    assert [r.name for r in table.worst(2)] == ["bad", "mid"]
    assert [r.name for r in table.best(2)] == ["good", "mid"]
    assert [r.name for r in table.worst(99)] == ["bad", "mid", "good"]


def test_images_that_rank_equal_keep_their_order() -> None:
    table = cells(*(row_of_dice(name, 5) for name in "zay"))
    assert [r.name for r in table.worst(3)] == [r.name for r in table.best(3)] == ["z", "a", "y"]


# --- the interval


def test_the_interval_of_two_images_spans_them_for_each_is_drawn_twice_a_quarter_of_the_time() -> None:
    recall = cells(row_of_dice("a", 2), row_of_dice("b", 8)).summary().classes[1].recall
    assert (recall.low, recall.mean, recall.high) == pytest.approx((0.2, 0.5, 0.8))


def test_the_interval_is_near_that_of_the_normal_law_for_many_images() -> None:
    hits = np.random.default_rng(0).integers(0, 11, size=200)
    recall = cells(*(row_of_dice(str(i), int(n)) for i, n in enumerate(hits))).summary().classes[1].recall
    half_width = 1.96 * np.std(hits / 10) / math.sqrt(200)
    assert recall.high - recall.mean == pytest.approx(half_width, rel=0.1)
    assert recall.mean - recall.low == pytest.approx(half_width, rel=0.1)


def test_groups_are_resampled_whole() -> None:
    """Ten equal images of each of two patients say no more of the next patient than one of each."""
    rows = [row_of_dice(f"{patient}{i}", hits, patient) for patient, hits in (("p", 2), ("q", 8)) for i in range(10)]
    grouped = cells(*rows).summary().classes[1]
    single = cells(*(Row(r.name, r.name, r.confusion) for r in rows)).summary().classes[1]
    assert (grouped.images, grouped.groups, single.groups) == (20, 2, 20)
    assert (grouped.recall.low, grouped.recall.high) == pytest.approx((0.2, 0.8))
    assert single.recall.high - single.recall.low < 0.3
    assert grouped.recall.mean == single.recall.mean


def test_a_group_weighs_as_many_images_as_it_has() -> None:
    rows = [row_of_dice("p0", 2, "p"), *(row_of_dice(f"q{i}", 8, "q") for i in range(3))]
    recall = cells(*rows).summary().classes[1].recall
    assert recall.mean == pytest.approx((0.2 + 3 * 0.8) / 4)


def test_one_image_has_no_interval() -> None:
    dice = cells(row_of_dice("a", 5)).summary().foreground.dice
    assert math.isnan(dice.low) and math.isnan(dice.high) and not math.isnan(dice.mean)


def test_the_images_of_a_single_group_are_resampled_one_by_one() -> None:
    rows = [row_of_dice("a", 2, "stack"), row_of_dice("b", 8, "stack")]
    apart = [row_of_dice("a", 2), row_of_dice("b", 8)]
    of_stack, of_images = (cells(*r).summary().classes[1].recall for r in (rows, apart))
    assert (of_stack.low, of_stack.high) == (of_images.low, of_images.high) == pytest.approx((0.2, 0.8))


def test_a_seed_gives_one_interval_and_another_seed_another() -> None:
    rows = [row_of_dice(str(i), i) for i in range(11)]
    first, again, other = (cells(*rows, seed=seed).summary().classes[1].dice for seed in (0, 0, 1))
    assert first == again
    assert first.low != other.low and first.low == pytest.approx(other.low, abs=0.05)


@given(
    st.lists(st.tuples(st.integers(0, 10), st.sampled_from("pqrs")), min_size=2, max_size=8),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=15)
def test_the_order_of_images_does_not_matter_and_the_mean_lies_in_its_interval(
    images: list[tuple[int, str]], seed: int
) -> None:
    rows = [row_of_dice(str(i), hits, group) for i, (hits, group) in enumerate(images)]
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    one, other = (cells(*order).summary().classes[1].recall for order in (rows, shuffled))
    assert (one.mean, one.pooled) == pytest.approx((other.mean, other.pooled))
    assert (one.low, one.high) == pytest.approx((other.low, other.high), nan_ok=True)
    assert math.isnan(one.low) or 0 <= one.low <= one.high <= 1


@given(st.lists(st.lists(st.integers(0, 50), min_size=9, max_size=9), min_size=1, max_size=5))
@settings(deadline=None, max_examples=15)
def test_pooled_scores_are_those_of_the_summed_confusions(confusions: list[list[int]]) -> None:
    matrices = [np.array(numbers).reshape(3, 3) for numbers in confusions]
    table = Table([Row(str(i), str(i), matrix) for i, matrix in enumerate(matrices)], NAMES)
    expected = PixelScores.of(sum(matrices[1:], matrices[0]))
    pooled = [figures.dice.pooled for figures in table.summary().classes]
    np.testing.assert_array_equal(pooled, expected.dice)
    np.testing.assert_array_equal(table.summary().foreground.iou.pooled, expected.mean_iou)


# --- files


def test_json_holds_the_rules_the_summary_and_each_image_with_null_for_undefined(
    three_images: Table, tmp_path: Path
) -> None:
    three_images.write_json(tmp_path / "scores.json")
    read = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(three_images.to_dict(), allow_nan=False))
    assert read["rules"]["empty"] == EMPTY_RULE
    assert "95 % percentile bootstrap" in read["rules"]["interval"]
    assert (read["rules"]["seed"], read["rules"]["resamples"]) == (0, 2000)
    assert read["class_names"] == list(NAMES)
    assert read["summary"]["classes"][2]["images"] == 1
    assert read["summary"]["classes"][2]["dice"] == {"mean": 2 / 3, "low": None, "high": None, "pooled": 2 / 3}
    assert read["rows"][2]["dice"] == [1.0, None, None]
    assert read["rows"][2]["mean_dice"] is None
    assert read["rows"][1] | {"name": "b", "group": "b", "pixels": 10, "pixel_accuracy": 0.7} == read["rows"][1]
    assert read["rows"][1]["confusion"] == [[4, 0, 0], [2, 2, 0], [1, 0, 1]]


def test_csv_has_a_line_per_image_and_empty_cells_for_undefined(three_images: Table, tmp_path: Path) -> None:
    three_images.write_csv(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == ["a", "b", "c"]
    assert [line["pixels"] for line in lines] == ["10", "10", "9"]
    assert [line["dice cell"] for line in lines] == ["1.0", str(2 / 3), ""]
    assert [line["mean_dice"] for line in lines] == ["1.0", str(2 / 3), ""]
    assert float(lines[1]["precision background"]) == pytest.approx(4 / 7)
    assert list(lines[0])[:8] == [
        *("name", "group", "pixels", "pixel_accuracy"),
        *("mean_dice", "mean_iou", "mean_precision", "mean_recall"),
    ]
    assert len(lines[0]) == 8 + 4 * len(NAMES)


def test_names_with_commas_quotes_umlauts_and_foreign_bytes_survive(tmp_path: Path) -> None:
    foreign = os.fsdecode(b"caf\xe9")
    names = ['a, "b"', "Zürich", foreign]
    table = cells(*(row_of_dice(name, 5) for name in names))
    table.write_csv(tmp_path / "t.csv")
    table.write_json(tmp_path / "t.json")
    with (tmp_path / "t.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [line[0] for line in csv.reader(file)][1:] == names
    assert [r["name"] for r in json.loads((tmp_path / "t.json").read_text())["rows"]] == names


def test_a_file_that_exists_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("old")
    cells(row_of_dice("a", 5)).write_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().startswith("name,group")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


# --- messages


def test_a_table_without_images_is_refused() -> None:
    with pytest.raises(DataError, match="No image to score; give at least one image that has a mask"):
        cells()


def test_confusions_of_another_number_of_classes_are_all_named() -> None:
    rows = [row_of_dice("good", 5), row("x", [[1]]), row("y", np.eye(3, dtype=int).tolist())]
    with pytest.raises(SizeError, match=r"2 of 3 .* 2 classes background, cell: x \(1, 1\), y \(3, 3\).*classes=2"):
        cells(*rows)


def test_places_that_cannot_be_written_are_named_and_nothing_is_left_there(tmp_path: Path) -> None:
    table = cells(row_of_dice("a", 5))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"missing.*t\.json cannot be written: there is no folder.*Create it first"):
        table.write_json(tmp_path / "missing" / "t.json")
    with pytest.raises(OutputError, match=r"t\.csv cannot be written: Not a directory"):
        table.write_csv(tmp_path / "file" / "t.csv")
    with pytest.raises(OutputError, match="folder cannot be written: Is a directory"):
        table.write_json(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "mine"
