"""Two real worker processes, one killed in mid-run: the files are those of one process, byte for byte."""

from __future__ import annotations

import importlib.metadata
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ushape import checkpoint
from ushape.errors import ClusterError
from ushape.object_rule import ObjectRule
from ushape.predict import cluster
from ushape.predict.cluster import Sharing, local_workers, workers_at
from ushape.predict.conditions import conditions_of
from ushape.predict.files import Job, MaskWritten, TileDone
from ushape.predict.ledger import FOLDER, Ledger
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor, load
from ushape.predict.worker import order_for

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # of Dask, about closing what was killed


@pytest.fixture(scope="module")
def client() -> Iterator[object]:
    with local_workers(2, threads=1) as client:
        yield client


@pytest.fixture(scope="module")
def run(make_trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    checkpoint.write(path, make_trained(object_rule=ObjectRule(threshold=0.46)))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(1)
    for name, shape in [("a", (40, 30)), ("b", (5000, 24)), ("c", (2, 33, 21)), ("d", (20, 20))]:
        pixels = rng.integers(0, 256, shape).astype(np.uint8)
        tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="minisblack")
    return folder


WANTED = {"probability": True, "overlay": True, "formats": ("geojson",)}


def job(predictor: Predictor, images: Path, out: Path, *, resume: bool = False, **wanted: object) -> Job:
    ledger = Ledger(out, conditions_of(predictor, **wanted), resume=resume)
    return Job(predictor, find_images([str(images)]), out, ledger=ledger, **wanted)


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}


def test_a_worker_is_killed_and_the_files_are_those_of_one_process(client, run: Path, images: Path, tmp_path: Path):
    predictor = load(run, keep_px=256, device="cpu")
    alone = [e for e in job(predictor, images, tmp_path / "alone", **WANTED).events() if isinstance(e, MaskWritten)]
    crew = Sharing(client, order_for(predictor, run), WANTED)
    workers, written, killed = client.run(os.getpid), [], False
    for event in job(predictor, images, tmp_path / "shared", **WANTED).events(crew):
        if isinstance(event, MaskWritten):
            written.append(event)
        elif isinstance(event, TileDone) and event.page.name == "b" and not killed:
            os.kill(next(iter(workers.values())), signal.SIGKILL)
            killed = True
    assert killed
    assert content(tmp_path / "shared") == content(tmp_path / "alone")
    assert [path.name for path in (tmp_path / "shared" / FOLDER).iterdir()] == ["images.jsonl"]
    told = {e.page.name: e.to_dict()["expected_dice"] for e in written}
    assert told == {e.page.name: e.to_dict()["expected_dice"] for e in alone}


def test_workers_go_on_where_one_process_stopped_and_one_where_workers_did(client, run, images: Path, tmp_path: Path):
    wanted = {"formats": ("coco",)}
    predictor = load(run, keep_px=256, device="cpu")
    list(job(predictor, images, tmp_path / "whole", **wanted).events())
    events = job(predictor, images, tmp_path / "m", **wanted).events()
    seen = next(event for event in events if event.page.name == "b")
    events.close()
    assert isinstance(seen, TileDone)
    crew = Sharing(client, order_for(predictor, run), wanted)
    events = job(predictor, images, tmp_path / "m", resume=True, **wanted).events(crew)
    next(events), next(events)
    events.close()
    list(job(predictor, images, tmp_path / "m", resume=True, **wanted).events())
    assert content(tmp_path / "m") == content(tmp_path / "whole")


def test_what_a_worker_cannot_do_is_one_clear_error(client, run: Path, images: Path, tmp_path: Path):
    predictor = load(run, keep_px=256, device="cpu")
    order = order_for(predictor, run)
    for changed, message in [
        ({"run": str(tmp_path / "nowhere")}, r"There is no checkpoint .*nowhere.*told by the worker on .*--resume"),
        ({"digest": "0" * 16}, "is another network for a worker"),
        ({"torch": "0.1"}, r"A worker has torch .* in place of 0\.1"),
    ]:
        out = tmp_path / next(iter(changed))
        with pytest.raises(ClusterError, match=message):
            list(job(predictor, images / "a.tif", out).events(Sharing(client, order | changed, {})))
        assert not (out / "a.tif").exists()


def test_workers_of_other_versions_or_without_ushape_are_named(client, monkeypatch: pytest.MonkeyPatch):
    real = importlib.metadata.version
    monkeypatch.setattr(cluster.importlib.metadata, "version", lambda name: "9.9" if name == "torch" else real(name))
    monkeypatch.setattr(type(client), "run", lambda *_, **__: {"tcp://w": "1.0", "tcp://v": ModuleNotFoundError("x")})
    with pytest.raises(ClusterError) as refused:
        cluster._require_same_versions(client)
    assert "tcp://w has torch 1.0, and here is 9.9." in str(refused.value)
    assert "tcp://v: A worker cannot do this work, since something is not installed there (ushape)." in str(
        refused.value
    )


def test_a_scheduler_that_is_not_there_and_one_that_goes_away(run: Path, images: Path, tmp_path: Path):
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        with (
            pytest.raises(ClusterError, match=r"There is no Dask scheduler at tcp://127.0.0.1:1"),
            workers_at("tcp://127.0.0.1:1"),
        ):
            pass
        predictor = load(run, keep_px=256, device="cpu")
        with local_workers(1, threads=1) as client:
            events = job(predictor, images / "b.tif", tmp_path / "m").events(
                Sharing(client, order_for(predictor, run), {})
            )
            next(events)
            client.cluster.close()
            with pytest.raises(
                ClusterError, match=r"scheduler is lost\. What is complete is kept: go on with --resume"
            ):
                list(events)
    list(job(predictor, images / "b.tif", tmp_path / "m", resume=True).events())
    list(job(predictor, images / "b.tif", tmp_path / "whole").events())
    assert content(tmp_path / "m") == content(tmp_path / "whole")
