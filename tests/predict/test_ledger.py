"""Predictions that end before their end: what is complete is kept, what is not is gone on with, and never mixed up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ushape.errors import CheckpointError, OutputError
from ushape.object_rule import ObjectRule
from ushape.predict import unfinished as unfinished_module
from ushape.predict.conditions import conditions_of
from ushape.predict.files import Job, MaskWritten
from ushape.predict.ledger import FOLDER, Ledger
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor
from ushape.predict.unfinished import Unfinished

WANTED = {"probability": True, "uncertainty": True, "overlay": True}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    for name, shape in [("a", (40, 30)), ("b", (1500, 24)), ("c", (2, 33, 21)), ("d", (20, 20))]:
        pixels = rng.integers(0, 256, shape).astype(np.uint8)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", pixels, photometric="minisblack")
    return tmp_path / "images"


def job(predictor: Predictor, images: Path, out: Path, *, resume: bool, **wanted: object) -> Job:
    ledger = Ledger(out, conditions_of(predictor, **wanted), resume=resume)
    return Job(predictor, find_images([str(images)]), out, ledger=ledger, **wanted)


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}


@pytest.mark.parametrize(
    ("rule", "wanted"), [(None, {}), (None, WANTED), (ObjectRule(threshold=0.46), {"formats": ("coco", "geojson")})]
)
def test_stopped_after_any_event_and_gone_on_with_the_files_are_the_same(
    make_trained, images: Path, tmp_path: Path, rule, wanted
):
    predictor = Predictor(make_trained(object_rule=rule), keep_px=256)
    steps = sum(1 for _ in job(predictor, images, tmp_path / "whole", resume=False, **wanted).events())
    for number in {1, 3, steps // 2, steps - 2}:
        out = tmp_path / f"{number}"
        events = job(predictor, images, out, resume=False, **wanted).events()
        seen = [next(events) for _ in range(number)]
        events.close()
        complete = [event for event in seen if isinstance(event, MaskWritten)]
        assert all(path.exists() for event in complete for path in event.paths)
        begun = {path.stem.split("_")[0] for path in out.iterdir() if path.is_file()}
        assert len(begun) == len(complete), "nothing unfinished has a final name"
        again = list(job(predictor, images, out, resume=True, **wanted).events())
        told = [event for event in again if isinstance(event, MaskWritten)]
        assert sorted(event.page.name[0] for event in told) == ["a", "b", "c", "d"]
        if not wanted.get("formats"):
            assert [event.page for event in told if event.before] == [event.page for event in complete]
        assert content(out) == content(tmp_path / "whole")
        assert [path.name for path in (out / FOLDER).iterdir()] == ["images.jsonl"]


def test_blocks_that_are_there_are_not_computed_again_and_a_torn_one_is(
    make_trained, images: Path, tmp_path: Path, monkeypatch
):
    predictor, one = Predictor(make_trained(), keep_px=256), images / "b.tif"
    list(job(predictor, one, tmp_path / "whole", resume=False).events())
    events = job(predictor, one, tmp_path / "m", resume=False).events()
    next(events), next(events)
    events.close()
    computed, compute = [], Unfinished.compute
    monkeypatch.setattr(Unfinished, "compute", lambda self, n: (computed.append(n), compute(self, n)))
    (chunk,) = (tmp_path / "m" / FOLDER).rglob("c/1/0")
    chunk.write_bytes(chunk.read_bytes()[:-3])
    list(job(predictor, one, tmp_path / "m", resume=True).events())
    assert computed == [1]
    assert content(tmp_path / "m") == content(tmp_path / "whole")


def test_all_done_is_told_and_nothing_is_done(make_trained, images: Path, tmp_path: Path, monkeypatch):
    predictor = Predictor(make_trained(), keep_px=256)
    first = list(job(predictor, images, tmp_path / "m", resume=True).events())  # the first time there is nothing yet
    monkeypatch.setattr(Predictor, "block", None)
    second = list(job(predictor, images, tmp_path / "m", resume=True).events())
    written = [event for event in first if isinstance(event, MaskWritten)]
    assert [event.to_dict() for event in second] == [event.to_dict() for event in written]
    assert all(event.before for event in second)


def test_another_network_other_settings_and_other_images_are_refused_with_the_difference(
    make_trained, images: Path, tmp_path: Path
):
    predictor, out = Predictor(make_trained(), keep_px=256), tmp_path / "m"
    events = job(predictor, images, out, resume=False).events()
    next(event for event in events if isinstance(event, MaskWritten))
    next(events)
    events.close()
    other = Predictor(make_trained(object_rule=ObjectRule()), keep_px=256)
    with pytest.raises(CheckpointError, match=r"begun otherwise: network was 'unet \w{16}' and is .* \(of a\.tif, b"):
        job(other, images, out, resume=True)
    with pytest.raises(CheckpointError, match="flips was False and is True; tile was 256 and is 64"):
        job(Predictor(make_trained(), keep_px=64, flips=True), images, out, resume=True)
    tifffile.imwrite(images / "a.tif", np.zeros((9, 9), np.uint8))
    with pytest.raises(CheckpointError, match=r"the image itself has changed \(of a\.tif\)"):
        job(predictor, images, out, resume=True)


def test_without_resume_what_was_begun_is_neither_lost_nor_mixed_in(make_trained, images: Path, tmp_path: Path):
    predictor, one, out = Predictor(make_trained(), keep_px=256), images / "b.tif", tmp_path / "m"
    events = job(predictor, one, out, resume=False).events()
    next(events)
    events.close()
    with pytest.raises(OutputError, match=r"predicted so far of b\.tif. Go on with --resume, or begin anew"):
        job(predictor, one, out, resume=False)
    list(job(predictor, images / "a.tif", out, resume=False).events())  # other images may join
    anew = Predictor(make_trained(labels=predictor.trained.labels, width=2), keep_px=256)
    ledger = Ledger(out, conditions_of(anew), resume=False)
    list(Job(anew, find_images([str(one)]), out, ledger=ledger, overwrite=True).events())
    list(job(anew, one, tmp_path / "fresh", resume=False).events())
    assert content(out)["b.tif"] == content(tmp_path / "fresh")["b.tif"]


def test_masks_of_unknown_origin_are_refused_and_lost_ones_made_again(make_trained, images: Path, tmp_path: Path):
    predictor, out = Predictor(make_trained(), keep_px=256), tmp_path / "m"
    out.mkdir()
    (out / "a.tif").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"not noted who made them: .*a\.tif"):
        job(predictor, images, out, resume=True)
    (out / "a.tif").unlink()
    list(job(predictor, images, out, resume=False).events())
    before = content(out)
    (out / "d.tif").unlink()
    told = list(job(predictor, images, out, resume=True).events())
    assert [e.page.name for e in told if isinstance(e, MaskWritten) and not e.before] == ["d"]
    assert content(out) == before


def test_a_line_that_a_crash_cut_short_is_as_if_it_were_not_there(make_trained, images: Path, tmp_path: Path):
    predictor, out = Predictor(make_trained(), keep_px=256), tmp_path / "m"
    list(job(predictor, images, out, resume=False).events())
    before, lines = content(out), out / FOLDER / "images.jsonl"
    lines.write_bytes(lines.read_bytes()[:-40])
    told = list(job(predictor, images, out, resume=True).events())
    assert [e.page.name for e in told if isinstance(e, MaskWritten) and not e.before] == ["d"]
    told = list(job(predictor, images, out, resume=True).events())
    assert all(event.before for event in told) and content(out) == before


def test_without_zarr_images_go_straight_to_their_files(make_trained, images: Path, tmp_path: Path, monkeypatch):
    predictor = Predictor(make_trained(), keep_px=256)
    list(job(predictor, images, tmp_path / "with", resume=False).events())
    monkeypatch.setattr("ushape.predict.files.zarr_is_installed", lambda: False)
    monkeypatch.setattr(unfinished_module, "zarr_library", None)
    list(job(predictor, images, tmp_path / "without", resume=False).events())
    assert content(tmp_path / "with") == content(tmp_path / "without")


def test_what_a_killed_process_was_writing_goes_and_nothing_is_replaced_that_came_up_meanwhile(
    make_trained, images: Path, tmp_path: Path
):
    predictor, one, out = Predictor(make_trained(), keep_px=256), images / "b.tif", tmp_path / "m"
    events = job(predictor, one, out, resume=False).events()
    next(events), next(events)
    (out / "b.tif").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"b\.tif has come up meanwhile.*--resume"):
        list(events)
    assert (out / "b.tif").read_bytes() == b"mine"
    (out / "b.tif").unlink()
    left = out / FOLDER / "unfinished" / "b" / "files" / ".ushape-0.part"
    left.write_bytes(b"half of a file")
    list(job(predictor, one, out, resume=True).events())
    assert content(out).keys() == {"b.tif"} and not left.exists()
