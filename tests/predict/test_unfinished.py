"""Blocks on the disk: whole or not there, the same bits as at a stretch, torn ones found."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ushape.errors import OutputError
from ushape.images.source import Page, open_image
from ushape.metrics.trust import ExpectedDice
from ushape.predict import unfinished as unfinished_module
from ushape.predict.tiled import Predictor
from ushape.predict.unfinished import Unfinished
from ushape.predict.where import Where

IMAGE = np.random.default_rng(1).integers(0, 256, (2100, 37)).astype(np.uint8)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    return Page(tmp_path / "a.tif")


@pytest.fixture(scope="module")
def predictor(make_trained) -> Predictor:
    return Predictor(make_trained(), keep_px=512)


def begun(page: Page, predictor: Predictor, *, probability: bool = True) -> Unfinished:
    unfinished = Unfinished(page.path.parent / "u", predictor, page, probability=probability)
    unfinished.begin({"network": "this"})
    return unfinished


def test_blocks_in_any_order_are_the_answer_bit_by_bit(page: Page, predictor: Predictor):
    classes, probability = predictor.whole(open_image(page.path))
    kept = begun(page, predictor)
    assert kept.missing() == [0, 1, 2]
    for number in (2, 0, 1):
        kept.compute(number)
    again = Unfinished(kept.folder, predictor, page, probability=True)  # as another process opens it
    assert again.missing() == [] and again.made_by() == {"network": "this"}
    parts = list(again.parts(pixels=True))
    found = np.concatenate([part.probability for part in parts], axis=1)
    assert (found == probability).all()
    assert (np.concatenate([part.classes for part in parts]) == classes).all()
    assert (np.concatenate([part.pixels for part in parts])[..., 0] == IMAGE).all()
    assert again.expected.dice == pytest.approx(ExpectedDice.of(classes, probability).dice)


def test_classes_alone_take_no_room_for_probabilities_and_know_the_dice_to_be_expected(page, predictor):
    kept = begun(page, predictor, probability=False)
    for number in range(3):
        kept.compute(number)
    parts = list(kept.parts())
    classes, probability = predictor.whole(open_image(page.path))
    assert (np.concatenate([part.classes for part in parts]) == classes).all()
    assert not (kept.folder / "probability").exists() and parts[0].probability.strides == (0, 0, 0)
    assert kept.expected.dice == pytest.approx(ExpectedDice.of(classes, probability).dice)


@pytest.mark.parametrize("how", ["cut", "bit", "gone", "record"])
def test_a_torn_block_is_found_and_forgotten(page: Page, predictor: Predictor, how: str):
    kept = begun(page, predictor)
    for number in range(3):
        kept.compute(number)
    kept.drop_torn()
    assert kept.missing() == []
    chunk = kept.folder / "probability" / "c" / "0" / "1" / "0"
    if how == "cut":
        os.truncate(chunk, chunk.stat().st_size // 2)
    elif how == "bit":
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 1
        chunk.write_bytes(data)
    elif how == "gone":
        chunk.unlink()
    else:
        (kept.folder / "blocks" / "1.json").write_text('{"expected', encoding="utf-8")
    kept.drop_torn()
    assert kept.missing() == [1]


def test_blocks_of_background_alone_are_there_too(page: Page, predictor: Predictor):
    nowhere = Where(np.zeros((21, 1), bool), (2100, 37))
    kept = Unfinished(page.path.parent / "u", predictor, page, probability=True, where=nowhere)
    kept.begin({})
    for number in range(3):
        kept.compute(number)
    kept.drop_torn()
    assert kept.missing() == []
    assert all((part.classes == 0).all() and (part.probability[0] == 1).all() for part in kept.parts())


def test_what_was_begun_otherwise_or_is_none_of_ours_says_so(page: Page, predictor: Predictor, tmp_path: Path):
    assert Unfinished(tmp_path / "nothing", predictor, page, probability=False).made_by() is None
    kept = begun(page, predictor)
    kept.compute(0)
    kept.begin({"network": "another"})
    assert kept.made_by() == {"network": "another"} and kept.missing() == [0, 1, 2]
    kept.discard()
    assert not kept.folder.exists()


def test_a_full_disk_keeps_the_blocks_that_are_there(page: Page, predictor: Predictor, monkeypatch):
    kept = begun(page, predictor)
    kept.compute(0)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(unfinished_module._Chunks, "_write", full)
    with pytest.raises(OutputError, match=r"disk is full: .* 1 of the 3 blocks of .*a\.tif are there.*--resume"):
        kept.compute(1)
    assert kept.missing() == [1, 2]
