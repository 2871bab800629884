"""`ushape predict` that ends before its end, looks only somewhere, or shows something first."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from ushape.images.source import open_image, read_mask
from ushape.predict.files import Job, MaskWritten
from ushape.predict.unfinished import Unfinished


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    tifffile.imwrite(path, np.random.default_rng(3).integers(0, 256, (2200, 60)).astype(np.uint8))
    return path


def test_interrupted_it_says_how_it_goes_on_and_does(ushape, run, cells, slide, tmp_path, monkeypatch):
    words = ("predict", run, cells / "images" / "cells_000.png", slide, "--tile", "128", "--out")
    ushape(*words, tmp_path / "whole")
    compute = Unfinished.compute

    def interrupted(self, number):
        if number == 1:
            raise KeyboardInterrupt
        compute(self, number)

    monkeypatch.setattr(Unfinished, "compute", interrupted)
    stopped = ushape(*words, tmp_path / "m")
    assert stopped.exit_code == 130
    assert "holds the masks of 1 of 2 files, complete" in stopped.stderr
    line = next(line for line in stopped.stderr.splitlines() if line.startswith("Go on with: "))
    assert line.startswith("Go on with: ushape predict ") and line.endswith(f"--out {tmp_path / 'm'} --resume")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [".ushape-prediction", "cells_000.png"]
    monkeypatch.setattr(Unfinished, "compute", compute)
    refused = ushape(*words, tmp_path / "m", "--flips", "--resume")
    assert refused.exit_code == 2 and "flips was False and is True (of cells_000.png, slide.tif)" in refused.stderr
    done = ushape(*words, tmp_path / "m", "--resume")
    assert done.exit_code == 0 and "1 file complete before, 1 now" in done.stderr
    for name in ("cells_000.png", "slide.tif"):
        assert (tmp_path / "m" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_batch_systems_signal_ends_it_as_ctrl_c_does(ushape, run, cells, tmp_path, monkeypatch):
    import os
    import signal

    def signalled(self, *_):
        os.kill(os.getpid(), signal.SIGTERM)
        yield from ()

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Job, "events", signalled)
    stopped = ushape("predict", run, cells / "images", "--out", tmp_path)
    assert stopped.exit_code == 130 and "--resume" in stopped.stderr
    assert signal.getsignal(signal.SIGTERM) == before


def test_only_where_a_mask_says(ushape, run, slide, tmp_path):
    tifffile.imwrite(tmp_path / "where.tif", np.repeat([[1], [0], [0], [0]], 1, axis=1).astype(np.uint8))
    words = ("predict", run, slide, "--tile", "64", "--where", tmp_path / "where.tif", "--out")
    result = ushape(*words, tmp_path / "m")
    assert result.exit_code == 0, result.stderr
    skipped = 1 - 9 * 64 / 2200
    assert f"slide.tif: {skipped:.1%} lie outside of --where and were not computed" in result.stdout
    told = json.loads(ushape(*words, tmp_path / "j", "--json").stdout)
    assert told["masks"][0]["skipped"] == pytest.approx(skipped)
    assert not read_mask(tmp_path / "m" / "slide.tif")[550:].any()
    refused = ushape("predict", run, slide, "--where", slide.with_name("none"), "--out", tmp_path / "x")
    assert refused.exit_code == 2 and "There is no file" in refused.stderr


def test_a_preview_is_there_before_the_whole(ushape, run, slide, tmp_path, monkeypatch):
    seen = []
    real = Job.events
    monkeypatch.setattr(Job, "events", lambda *words: (seen.extend(tmp_path.iterdir()), real(*words))[1])
    result = ushape("predict", run, slide, "--out", tmp_path, "--preview")
    assert result.exit_code == 0
    assert sorted(path.name for path in seen) == ["slide_preview.png", "slide_preview.tif"]
    assert f"{tmp_path / 'slide_preview.png'}: slide made 2 times smaller" in result.stderr
    assert open_image(tmp_path / "slide_preview.tif").shape == (1100, 30)
    assert open_image(tmp_path / "slide.tif").shape == (2200, 60)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "--overwrite"), "give one of the two"),
        (("--workers", "2", "--dask", "tcp://127.0.0.1:1"), "give one of the two"),
        (("--dask", "nonsense"), "There is no Dask scheduler at nonsense"),
    ],
)
def test_what_contradicts_itself_or_cannot_be_is_refused(ushape, run, cells, tmp_path, words, message):
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        result = ushape("predict", run, cells / "images", "--out", tmp_path / "m", *words)
    assert result.exit_code == 2 and message in result.stderr


def test_a_crew_is_what_the_flag_says(ushape, run, cells, tmp_path, monkeypatch):
    asked = []

    class Crew:
        def __init__(self, *words):
            asked.append(words)

        def events(self, job, files):
            for file in files:
                job.begin(file)
                yield MaskWritten(file[0], tuple(job.made_of(file)), {})

    class Nothing:
        def __enter__(self):
            return "client"

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("ushape.cli.prediction.Sharing", Crew)
    monkeypatch.setattr("ushape.cli.prediction.local_workers", lambda number: (asked.append(number), Nothing())[1])
    monkeypatch.setattr("ushape.cli.prediction.workers_at", lambda place: (asked.append(place), Nothing())[1])
    for words, value in [(("--workers", "3"), 3), (("--dask", "tcp://a:1"), "tcp://a:1")]:
        asked.clear()
        result = ushape("predict", run, cells / "images", "--out", tmp_path / str(value)[:3], "--overlay", *words)
        assert result.exit_code == 0, result.stderr
        assert asked[0] == value
        client, order, wanted = asked[1]
        assert client == "client" and order["run"] == str(run) and wanted["overlay"] is True
