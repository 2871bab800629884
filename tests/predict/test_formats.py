"""Files for other programs say what the masks beside them say, and are whole or absent as these are."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
from numpy.typing import NDArray
from PIL import Image

from cine_files import beating, cine_series
from level_network import level_network
from ushape.checkpoint import Trained
from ushape.errors import ImageError, OutputError, RecipeError
from ushape.geometry.tiles import Window
from ushape.images.dicom import slice_name
from ushape.images.source import from_array, open_image, read_mask
from ushape.labels import Labels
from ushape.object_rule import ObjectRule
from ushape.predict.files import Job, MaskWritten
from ushape.predict.formats import ABOUT, Collected, formats_named
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor

MakeTrained = Callable[..., Trained]
THREE = Labels(("background", "axon", "myelin 2"), (0, 255, 128))
OF_OBJECTS = ("geojson", "rois", "coco", "ctc", "isbi2012")


def waves(height: int, width: int) -> NDArray[np.uint8]:
    """Blobs under noise, other ones for each size."""
    y, x = np.ogrid[:height, :width]
    rng = np.random.default_rng(height + width)
    return (120 + 80 * np.sin(y / 3) * np.cos(x / 4) + rng.normal(0, 10, (height, width))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """An image, a stack of two pages, and another image, all of one size."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, image in [("a.png", waves(33, 28)), ("t.png", waves(33, 28)[::-1])]:
        Image.fromarray(image).save(folder / name)
    stack = np.stack([waves(33, 28)[:, ::-1], np.zeros((33, 28), np.uint8)])
    tifffile.imwrite(folder / "s.tif", stack, photometric="minisblack")
    return folder


@pytest.fixture
def cells(make_trained: MakeTrained) -> Predictor:
    """Tells objects apart, some of them with holes."""
    rule = ObjectRule(threshold=0.46, fill_holes=False, smallest_px=4)
    return Predictor(make_trained(object_rule=rule), keep_px=16)


@pytest.fixture
def regions(make_trained: MakeTrained) -> Predictor:
    return Predictor(make_trained(labels=THREE), keep_px=16)


def job(predictor: Predictor, place: Path, out: Path, *formats: str, **options: bool) -> Job:
    return Job(predictor, find_images([str(place)]), out, formats=formats, **options)  # type: ignore[arg-type]


def run(*arguments: Any, **options: bool) -> dict[str, list[str]]:
    """The names of the files told of, by image or stack."""
    events = job(*arguments, **options).events()
    return {e.page.path.stem: [path.name for path in e.paths] for e in events if isinstance(e, MaskWritten)}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def sizes(numbers: NDArray[np.integer]) -> dict[int, int]:
    """Pixels of each number but 0."""
    return {int(k): int(n) for k, n in zip(*np.unique(numbers[numbers > 0], return_counts=True), strict=True)}


def area(geometry: dict[str, Any]) -> float:
    """By the shoelace formula, holes running the other way round."""
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    total = 0.0
    for ring in (np.array(ring) for polygon in polygons for ring in polygon):
        (x, y), (next_x, next_y) = ring[:-1].T, ring[1:].T
        total += float((x * next_y - next_x * y).sum()) / 2
    return total


def features(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return found


# Which files there are


def test_every_format_has_its_files_under_the_names_of_the_images(cells: Predictor, images: Path, tmp_path: Path):
    out = tmp_path / "m"
    told = run(cells, images, out, *OF_OBJECTS)
    of_each = {
        "a": ["a.tif", "a.geojson", "a_rois.zip"],
        "s": ["s.tif", "s_000.geojson", "s_001.geojson", "s_rois.zip"],
        "t": ["t.tif", "t.geojson", "t_rois.zip"],
    }
    assert told == of_each
    of_all = ["coco.json", "ctc", "isbi2012.tif", *(f"ctc/mask00{n}.tif" for n in range(4))]
    assert names(out) == sorted([name for each in of_each.values() for name in each] + of_all)
    assert job(cells, images, tmp_path / "other", *OF_OBJECTS).formats.together == {
        "coco": tmp_path / "other" / "coco.json",
        "ctc": tmp_path / "other" / "ctc",
        "isbi2012": tmp_path / "other" / "isbi2012.tif",
    }


@pytest.mark.parametrize(
    ("format", "more"),
    [
        ("geojson", ["a.geojson"]),
        ("rois", ["a_rois.zip"]),
        ("coco", ["coco.json"]),
        ("ctc", ["ctc", "ctc/mask000.tif"]),
        ("isbi2012", ["isbi2012.tif"]),
    ],
)
def test_a_format_alone_has_its_own_files_alone(
    cells: Predictor, images: Path, tmp_path: Path, format: str, more: list[str]
):
    run(cells, images / "a.png", tmp_path / "m", format)
    assert names(tmp_path / "m") == sorted(["a.tif", *more])


# What they say


def test_geojson_has_the_area_and_the_number_of_every_object(cells: Predictor, images: Path, tmp_path: Path):
    run(cells, images, tmp_path / "m", "geojson")
    for name, mask, index in [("a", "a", 0), ("s_000", "s", 0), ("s_001", "s", 1), ("t", "t", 0)]:
        wanted = sizes(read_mask(tmp_path / "m" / f"{mask}.tif", index))
        found = features(tmp_path / "m" / f"{name}.geojson")
        assert {int(f["properties"]["name"]): area(f["geometry"]) for f in found} == wanted
        assert all(f["properties"]["classification"]["name"] == "cell" for f in found)
    assert any(len(f["geometry"]["coordinates"]) > 1 for f in features(tmp_path / "m" / "a.geojson"))  # with a hole


def test_coco_has_all_images_and_the_areas_of_their_objects(cells: Predictor, images: Path, tmp_path: Path):
    run(cells, images, tmp_path / "m", "coco")
    content = json.loads((tmp_path / "m" / "coco.json").read_text(encoding="utf-8"))
    assert [image["file_name"] for image in content["images"]] == ["a.png", "s_000", "s_001", "t.png"]
    assert {(image["height"], image["width"]) for image in content["images"]} == {(33, 28)}
    assert content["categories"] == [{"id": 1, "name": "cell"}]
    for image, (mask, index) in zip(content["images"], [("a", 0), ("s", 0), ("s", 1), ("t", 0)], strict=True):
        found = [a["area"] for a in content["annotations"] if a["image_id"] == image["id"]]
        assert found == [*sizes(read_mask(tmp_path / "m" / f"{mask}.tif", index)).values()]
    assert {a["iscrowd"] for a in content["annotations"]} == {0}


def test_a_zip_of_regions_has_one_for_each_object_bound_to_its_page(cells: Predictor, images: Path, tmp_path: Path):
    run(cells, images, tmp_path / "m", "rois")
    numbers = sizes(read_mask(tmp_path / "m" / "a.tif"))
    found = roifile.roiread(tmp_path / "m" / "a_rois.zip")
    assert [roi.name for roi in found] == [f"{k}-cell" for k in numbers]
    stack = tmp_path / "m" / "s.tif"
    wanted = [(f"{n + 1:04d}-{k}-cell", n + 1) for n in (0, 1) for k in sizes(read_mask(stack, n))]
    assert [(roi.name, roi.position) for roi in roifile.roiread(tmp_path / "m" / "s_rois.zip")] == wanted
    assert {position for _, position in wanted} == {1, 2}


def test_masks_of_the_cell_tracking_challenge_are_the_object_maps(cells: Predictor, images: Path, tmp_path: Path):
    run(cells, images, tmp_path / "m", "ctc")
    for frame, (mask, index) in enumerate([("a", 0), ("s", 0), ("s", 1), ("t", 0)]):
        stored = tmp_path / "m" / "ctc" / f"mask{frame:03d}.tif"
        assert open_image(stored).dtype == np.uint16
        np.testing.assert_array_equal(read_mask(stored), read_mask(tmp_path / "m" / f"{mask}.tif", index))


@pytest.mark.parametrize("flips", [False, True])
def test_the_stack_of_the_em_challenge_is_the_probability(
    make_trained: MakeTrained, images: Path, tmp_path: Path, flips: bool
):
    run(Predictor(make_trained(flips=flips), keep_px=16), images, tmp_path / "m", "isbi2012", probability=True)
    stack = tifffile.imread(tmp_path / "m" / "isbi2012.tif")
    assert (stack.dtype, stack.shape) == (np.float32, (4, 33, 28))
    for found, (mask, index) in zip(stack, [("a", 0), ("s", 0), ("s", 1), ("t", 0)], strict=True):
        probability = open_image(tmp_path / "m" / f"{mask}_probability.tif", index).read()[..., 0]
        np.testing.assert_array_equal(found, probability)


def test_without_objects_all_pixels_of_a_class_are_one_shape(regions: Predictor, images: Path, tmp_path: Path):
    run(regions, images, tmp_path / "m", "geojson", "rois", "coco")
    content = json.loads((tmp_path / "m" / "coco.json").read_text(encoding="utf-8"))
    assert content["categories"] == [{"id": 1, "name": "axon"}, {"id": 2, "name": "myelin 2"}]
    assert {a["iscrowd"] for a in content["annotations"]} == {1}
    for image, (name, mask, index) in enumerate(
        [("a", "a.png", 0), ("s_000", "s.tif", 0), ("s_001", "s.tif", 1), ("t", "t.png", 0)], start=1
    ):
        pixels = sizes(read_mask(tmp_path / "m" / mask, index))
        wanted = {class_name: pixels[value] for class_name, value in [("axon", 255), ("myelin 2", 128)]}
        found = features(tmp_path / "m" / f"{name}.geojson")
        assert {f["properties"]["classification"]["name"]: area(f["geometry"]) for f in found} == wanted
        of_image = [a for a in content["annotations"] if a["image_id"] == image]
        assert [a["area"] for a in of_image] == [*wanted.values()]
    assert [roi.name for roi in roifile.roiread(tmp_path / "m" / "a_rois.zip")] == ["1-axon", "2-myelin-2"]


def test_an_image_without_objects_has_files_without_any(make_trained: MakeTrained, images: Path, tmp_path: Path):
    predictor, out = Predictor(make_trained(object_rule=ObjectRule(threshold=1.0))), tmp_path / "m"
    run(predictor, images / "a.png", out, *OF_OBJECTS)
    assert features(out / "a.geojson") == []
    assert zipfile.ZipFile(out / "a_rois.zip").namelist() == []
    content = json.loads((out / "coco.json").read_text(encoding="utf-8"))
    assert (len(content["images"]), content["annotations"]) == (1, [])
    assert not read_mask(out / "ctc" / "mask000.tif").any()


def test_one_page_of_a_stack_alone_keeps_its_number(cells: Predictor, images: Path, tmp_path: Path):
    page = find_images([str(images / "s.tif")])[1]
    for _ in Job(cells, [page], tmp_path / "m", formats=["geojson", "coco"]).events():
        pass
    assert names(tmp_path / "m") == ["coco.json", "s.tif", "s_001.geojson"]
    assert json.loads((tmp_path / "m" / "coco.json").read_text())["images"][0]["file_name"] == "s_001"


def test_what_is_collected_is_the_whole_answer(regions: Predictor):
    source = from_array(waves(33, 28), "a")
    collected = Collected(source.shape)
    for tile in regions.tiles(source):
        collected.add(tile)
    classes, probability = regions.whole(source)
    np.testing.assert_array_equal(collected.classes, classes)
    np.testing.assert_allclose(collected.foreground, 1 - probability[0], atol=1e-6)
    assert collected.objects is None
    collected.add_objects(Window((0, 4), (2, 6)), np.array([[1, 0], [0, 70_000]], dtype=np.uint32))
    assert collected.objects is not None and collected.objects.shape == (33, 28)
    assert collected.objects.sum() == 70_001 and collected.objects[1, 5] == 70_000


# What is refused before any work


@pytest.fixture
def idle(cells: Predictor, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    monkeypatch.setattr(cells, "tiles", lambda source: pytest.fail("predicted"))
    return cells


def test_formats_are_read_from_text_and_come_in_one_order():
    assert formats_named(" rois,geojson ,, coco") == ("geojson", "rois", "coco")
    assert formats_named("ctc,isbi2012") == ("ctc", "isbi2012")
    assert formats_named("coco,coco") == ("coco",)


@pytest.mark.parametrize(
    ("text", "words"),
    [("qupath, coco, fiji", "There is no format qupath, fiji. There are: "), (" ,", "There is no format without a")],
)
def test_a_format_that_there_is_not_is_told_beside_all_there_are(text: str, words: str):
    with pytest.raises(RecipeError) as refused:
        formats_named(text)
    assert str(refused.value).startswith(words)
    assert all(f"{name} ({about})" in str(refused.value) for name, about in ABOUT.items())


@pytest.mark.parametrize("formats", [["coco", "qupath"], "qupath"])
def test_a_job_takes_no_format_that_there_is_not(idle: Predictor, images: Path, tmp_path: Path, formats: Any):
    with pytest.raises(RecipeError, match=r"There is no format .*\. There are: geojson \(outlines for QuPath\); rois"):
        Job(idle, find_images([str(images)]), tmp_path / "m", formats=formats)
    assert not (tmp_path / "m").exists()


def test_the_cell_tracking_challenge_takes_objects_only(make_trained: MakeTrained, images: Path, tmp_path: Path):
    with pytest.raises(
        RecipeError, match=r"takes numbered objects, and this network was not.*--task instances, or lea"
    ):
        job(Predictor(make_trained()), images, tmp_path / "m", "coco", "ctc")
    assert not (tmp_path / "m").exists()


def test_the_em_challenge_takes_one_class_only(regions: Predictor, images: Path, tmp_path: Path):
    with pytest.raises(
        RecipeError, match=r"one class, the inside of cells; this network has 2: axon, myelin 2\. Leave"
    ):
        job(regions, images, tmp_path / "m", "isbi2012")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("coco.json", "coco"),
        ("ctc", "ctc"),
        ("isbi2012.tif", "isbi2012"),
        ("s_001.geojson", "geojson"),
        ("s_rois.zip", "rois"),
    ],
)
def test_a_single_file_in_the_way_is_enough(idle: Predictor, images: Path, tmp_path: Path, name: str, format: str):
    out = tmp_path / "m"
    out.mkdir()
    if name == "ctc":
        (out / name).mkdir()
    else:
        (out / name).write_text("old")
    with pytest.raises(OutputError, match=rf"already holds 1 of these results \({name}\)\. Replace them with --overw"):
        job(idle, images, out, format)
    assert names(out) == [name]
    others = [other for other in OF_OBJECTS if other != format]
    job(idle, images, out, *others)  # the way of the others is free


def test_all_formats_are_replaced_where_that_is_asked_for(cells: Predictor, images: Path, tmp_path: Path):
    out = tmp_path / "m"
    run(cells, images, out, *OF_OBJECTS)
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    for path in before:
        path.write_text("old")
    run(cells, images, out, *OF_OBJECTS, overwrite=True)
    assert {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()} == before


def test_masks_of_other_frames_are_not_mixed_with_these(idle: Predictor, images: Path, tmp_path: Path):
    (tmp_path / "m" / "ctc").mkdir(parents=True)
    (tmp_path / "m" / "ctc" / "mask009.tif").write_text("of another sequence")
    with pytest.raises(OutputError, match=r"results that do not belong to these frames: mask009\.tif"):
        run(idle, images, tmp_path / "m", "ctc", overwrite=True)
    assert names(tmp_path / "m") == ["ctc", "ctc/mask009.tif"]


def test_frames_of_one_name_are_refused(idle: Predictor, images: Path, tmp_path: Path):
    (images / "t.png").rename(images / "s_000.png")
    with pytest.raises(OutputError, match=r"files of the same name in .*s\.tif and .*s_000\.png"):
        run(idle, images, tmp_path / "m", "geojson")
    with pytest.raises(ImageError, match="s_000: several images have this name"):
        run(idle, images, tmp_path / "m", "ctc")
    assert names(tmp_path / "m") == []


def test_an_image_with_the_name_of_the_stack_of_all_is_refused(idle: Predictor, images: Path, tmp_path: Path):
    (images / "t.png").rename(images / "isbi2012.png")
    with pytest.raises(OutputError, match=r"m/isbi2012\.tif would be made of .*isbi2012\.png, and of all images tog"):
        job(idle, images, tmp_path / "m", "isbi2012")
    job(idle, images, tmp_path / "m", "coco")


# Whole or not at all


def test_a_damaged_page_leaves_nothing_of_its_stack_and_nothing_of_all_images(
    cells: Predictor, images: Path, tmp_path: Path
):
    with tifffile.TiffWriter(images / "s.tif") as writer:
        for _ in range(2):
            writer.write(waves(33, 28), compression="zlib", metadata=None, photometric="minisblack")
    with tifffile.TiffFile(images / "s.tif") as tiff:
        last = tiff.pages[1].dataoffsets[0]
    with (images / "s.tif").open("r+b") as file:
        file.seek(last)
        file.write(b"\xff" * 30)
    with pytest.raises(ImageError, match=r"s\.tif"):
        run(cells, images, tmp_path / "m", *OF_OBJECTS, overlay=True)
    assert names(tmp_path / "m") == ["a.geojson", "a.tif", "a_overlay.png", "a_rois.zip"]


def test_stopping_anywhere_leaves_whole_files_of_whole_images(cells: Predictor, images: Path, tmp_path: Path):
    cells = Predictor(cells.trained, keep_px=28)  # two tiles an image
    whole = {
        name: (tmp_path / "whole" / name).read_bytes()
        for told in run(cells, images, tmp_path / "whole", *OF_OBJECTS).values()
        for name in told
    }
    count = len(list(job(cells, images, tmp_path / "count", *OF_OBJECTS).events()))
    for after in range(1, count + 1):
        out = tmp_path / f"{after}"
        events = job(cells, images, out, *OF_OBJECTS).events()
        finished = [e for e in (next(events) for _ in range(after)) if isinstance(e, MaskWritten)]
        events.close()
        assert names(out) == sorted(path.name for e in finished for path in e.paths)
        assert all((out / name).read_bytes() == whole[name] for name in names(out))


@pytest.mark.parametrize("name", ["s_000.geojson", "s_rois.zip", "s.tif", "isbi2012.tif", "coco.json"])
def test_a_disk_that_fills_up_at_the_end_is_told_with_the_file_and_the_mask_is_the_last_to_come(
    cells: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    run(cells, images, tmp_path / "whole", *OF_OBJECTS)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=rf"/{name}") as refused:
        run(cells, images, tmp_path / "m", *OF_OBJECTS)
    assert "The disk is full" in str(refused.value)
    files = [path for path in (tmp_path / "m").rglob("*") if path.is_file()]
    assert all(
        path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
        for path in files
        if path.parent == tmp_path / "m"
    )
    left = {path.name for path in files}
    assert name not in left and {"a.tif", "a.geojson", "a_rois.zip"} <= left
    assert ("s.tif" in left) == ("t.tif" in left) == (not name.startswith("s"))


def test_an_outline_that_finds_no_room_is_named_and_keeps_the_mask_back(
    cells: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        OutputError, match=r"The disk is full: .*/a\.geojson could not be written; nothing of it is left"
    ):
        run(cells, images, tmp_path / "m", "geojson", "rois")
    assert names(tmp_path / "m") == []


def test_slices_of_several_sizes_make_no_stack_of_the_em_challenge(cells: Predictor, images: Path, tmp_path: Path):
    Image.fromarray(waves(20, 28)).save(images / "t.png")
    with pytest.raises(ImageError, match=r"^t: its shape is \(20, 28\), that of the first slice \(33, 28\)"):
        run(cells, images, tmp_path / "m", "isbi2012")
    assert names(tmp_path / "m") == ["a.tif", "s.tif", "t.tif"]


def test_contours_of_a_volumes_regions_are_those_of_its_masks(tmp_path: Path) -> None:
    classes = beating((10.2, 7.0))
    folder, out = cine_series(tmp_path / "in" / "heart", classes), tmp_path / "out"
    job = Job(Predictor(level_network()), find_images([str(folder)]), out, formats=("contours", "sunnybrook"))
    written = [event for event in job.events() if isinstance(event, MaskWritten)]
    assert {path.name for path in written[0].paths} == {"heart.nii.gz", "heart_contours.json", "heart_contours"}
    about = json.loads((out / "heart_contours.json").read_text(encoding="utf-8"))
    assert len(about["pages"]) == 8
    for page, mask in zip(about["pages"], classes.reshape(-1, 48, 48), strict=True):
        areas = {one["region"]: one["area_px"] for one in page["contours"]}
        assert areas["endocardium"] == pytest.approx((mask == 3).sum(), rel=0.06)
        assert areas["epicardium"] == pytest.approx((mask >= 2).sum(), rel=0.06)
        assert all("patient_mm" in one["outer"] for one in page["contours"])
    texts = sorted((out / "heart_contours").iterdir())
    assert len(texts) == 16
    (out / "heart_contours").rename(tmp_path / "in" / "contours")
    inner = [tmp_path / "in" / "contours" / f"{slice_name(folder, k)}-icontour-auto.txt" for k in range(8)]
    assert all(
        (read_mask(path) == (mask == 3)).all() for path, mask in zip(inner, classes.reshape(-1, 48, 48), strict=True)
    )
    with pytest.raises(OutputError, match="already holds 2 of these results"):
        Job(Predictor(level_network()), find_images([str(folder)]), out, formats=("contours", "sunnybrook"))


def test_contours_need_regions_of_classes(images: Path, make_trained: MakeTrained, tmp_path: Path) -> None:
    def job(trained: Trained, name: str) -> Job:
        return Job(Predictor(trained), find_images([str(images / "a.png")]), tmp_path / "out", formats=(name,))

    objects = make_trained(object_rule=ObjectRule())
    for name in ("contours", "sunnybrook"):
        with pytest.raises(
            RecipeError, match=f"The format {name} draws regions of classes, and this network tells obj"
        ):
            job(objects, name)
    with pytest.raises(RecipeError, match="takes the regions endocardium and epicardium, and there are axon, myelin 2"):
        job(make_trained(labels=THREE), "sunnybrook")
    list(job(make_trained(), "sunnybrook").events())  # of one class, the cavity
    assert [path.name for path in (tmp_path / "out" / "a_contours").iterdir()] == ["a-icontour-auto.txt"]
