"""From a scanner's folder to pages: what is predicted, what is written, and what never leaves the files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cine_files import VOXEL_ML, beating, cine_series
from dicom_files import IDENTIFIERS
from level_network import level_network
from ushape.errors import DataError, ImageError, OutputError, RecipeError
from ushape.images.source import pages, read_mask
from ushape.object_rule import ObjectRule
from ushape.predict.tiled import Predictor
from ushape.report.heart_course import AgainstManual, Alone, Asked, Destination, course


def leaks(folder: Path) -> list[str]:
    """Where an identifier stands below a folder: in files, compressed or not, and in their names."""
    found = [f"{word} in the name {path}" for path in folder.rglob("*") for word in IDENTIFIERS if word in path.name]
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        content += gzip.decompress(content) if content[:2] == b"\x1f\x8b" else b""
        found += [f"{word} in {path}" for word in IDENTIFIERS if word.encode() in content]
    return found


def annotated(root: Path) -> Path:
    """Two stacks with their masks."""
    for number, classes in enumerate(beating((9.0, 6.0)), start=1):
        for folder, values in (("images", classes * 50 + number), ("masks", classes)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"p1_frame{number}.tif", values.astype(np.uint8), photometric="minisblack")
    return root


def test_a_scanners_series_becomes_masks_volumes_and_pages_without_an_identifier(tmp_path: Path, read) -> None:
    classes = beating()
    folder, out = cine_series(tmp_path / "in" / "heart", classes), tmp_path / "out"
    assert len(leaks(tmp_path / "in")) == 32 * len(IDENTIFIERS)  # what is looked for is there to be found
    found = course(Predictor(level_network()), [folder], Asked(), Destination(out, "ushape report …"))
    assert isinstance(found, Alone)
    shares = [share for share, _ in found.events("RUN")]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    mask = out / "masks" / "heart.nii.gz"
    stored = np.stack([read_mask(page.path, page.index) for page in pages(mask)])
    assert (stored == classes.reshape(stored.shape)).all()
    (patient,) = found.results.patients
    cavity = (classes == 3).sum(axis=(1, 2, 3)) * VOXEL_ML
    assert patient.indices.edv == pytest.approx(cavity[1]) and patient.indices.esv == pytest.approx(cavity[5])
    names = {path.name for path in out.iterdir()}
    assert names == {"index.html", "patient-heart.html", "patients.csv", "volumes.csv", "results.json", "masks"}
    assert found.paths[0] == out / "index.html" and leaks(out) == []

    page = read((out / "patient-heart.html").read_text(encoding="utf-8"))
    assert page.faults == [] and len(page.images()) == 8 and page.tags.count("svg") == 2
    for words in ("No manual masks were given", "The end of diastole is heart, time 2.", "not a medical device"):
        assert words in page.text
    rows = {cells[0]: cells[1:] for cells in page.cells}
    assert rows["ejection fraction"] == [f"{100 * (1 - cavity[5] / cavity[1]):.1f} %"]
    index = read((out / "index.html").read_text(encoding="utf-8"))
    assert index.faults == [] and "nothing names the phases" in index.text and "No manual masks" in index.text
    assert [value for tag, name, value in index.attributes if (tag, name) == ("a", "href")] == ["patient-heart.html"]
    about = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert about["patients"][0]["frames"] == {"ED": "heart, time 2", "ES": "heart, time 6"}

    with pytest.raises(OutputError, match=r"index.html exists already"):
        course(Predictor(level_network()), [folder], Asked(), Destination(out, ""))


def test_two_moments_in_files_of_their_own_are_one_patient(tmp_path: Path) -> None:
    for number, classes in enumerate(beating((9.0, 6.0)), start=1):
        path = tmp_path / "in" / f"p1_{'ED' if number == 1 else 'ES'}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, (classes * 100.0).astype(np.float32), photometric="minisblack")
    asked = Asked(voxel_mm=(8.0, 1.5, 1.5), group_by="^(p1)")
    found = course(Predictor(level_network()), [tmp_path / "in"], asked, Destination(tmp_path / "out", ""))
    assert [words for _, words in found.events("RUN")][-1] == "p1"
    (patient,) = found.results.patients
    assert patient.phases == "the names of the frames"
    assert patient.indices.esv == pytest.approx((beating((9.0, 6.0))[1] == 3).sum() * 8 * 1.5 * 1.5 / 1000)


def test_a_folder_with_masks_is_held_against_them(tmp_path: Path) -> None:
    root, to = annotated(tmp_path / "data"), Destination(tmp_path / "out", "")
    asked = Asked(regions={"endocardium": [3], "epicardium": [2, 3]}, group_by="^(p1)")
    found = course(root / "masks", [root], asked, to)
    assert isinstance(found, AgainstManual)
    assert [share for share, _ in found.events("MASKS")] == [1.0]
    assert found.results.contours("endocardium").dice == 1


def test_what_fits_neither_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    root, to, network = annotated(tmp_path / "data"), Destination(tmp_path / "out", ""), Predictor(level_network())
    with pytest.raises(DataError, match=r"No masks are recognised in .*images to hold those of .*masks against"):
        course(root / "masks", [root / "images"], Asked(), to)
    with pytest.raises(RecipeError, match="has masks, and other places are named beside it"):
        course(network, [root, root / "images"], Asked(), to)
    with pytest.raises(RecipeError, match="--include and --ignore are for annotated folders"):
        course(network, [root / "images"], Asked(include="p*"), to)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"no image there(.|\n)*No masks are recognised there either"):
        course(network, [tmp_path / "empty"], Asked(), to)
    with pytest.raises(ImageError, match=r"p1_frame1.tif.* uint8"):
        course(network, [root / "images"], Asked(group_by="^(p1)"), to)
    objects = Predictor(level_network(("background", "cell"), regions={}, object_rule=ObjectRule()))
    with pytest.raises(RecipeError, match="This network tells objects apart; figures of the heart need"):
        course(objects, [root / "images"], Asked(), to)
    assert not list((tmp_path / "out").rglob("*.html")) and not list((tmp_path / "out").rglob("*.tif"))
