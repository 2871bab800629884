"""Which images a folder, a file or a pattern stands for, and what is said where there are none."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import tifffile
from PIL import Image

from ushape.errors import ImageError
from ushape.images.source import Page
from ushape.predict.sources import find_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four images in a folder, among other things."""
    folder = tmp_path / "images"
    (folder / "folder.tif").mkdir(parents=True)
    for name, shape in [("a.png", (40, 30)), ("b.jpg", (1, 1)), ("._a.png", (2, 2))]:  # the last as left by macOS
        Image.fromarray(np.zeros(shape, np.uint8)).save(folder / name)
    tifffile.imwrite(folder / "c.tif", np.zeros((9, 50), np.uint8))
    np.save(folder / "d.npy", np.zeros((33, 17), np.uint8))
    (folder / "notes.txt").write_text("no image")
    return folder


def found(*places: object) -> list[str]:
    return [page.path.name for page in find_images(map(str, places))]


def test_a_folder_a_file_and_a_pattern(images: Path):
    everything = [images / name for name in ("a.png", "b.jpg", "c.tif", "d.npy")]
    assert find_images([str(images)]) == [Page(path) for path in everything]
    assert find_images([str(images / "c.tif")]) == [Page(images / "c.tif")]
    assert find_images([str(images / "*.[jp]*g")]) == [Page(path) for path in everything[:2]]
    assert find_images([str(images / "*")]) == [Page(path) for path in everything]


def test_places_come_in_their_own_order_and_images_of_each_in_that_of_their_names(images: Path):
    assert found(images / "d.npy", images / "*.[tp]*", images / "b.jpg") == ["d.npy", "a.png", "c.tif", "b.jpg"]
    assert found() == []


def test_suffixes_may_be_capitals_and_hidden_files_may_be_named(images: Path):
    (images / "a.png").rename(images / "A.PNG")
    assert found(images) == ["A.PNG", "b.jpg", "c.tif", "d.npy"]
    assert found(images / "._a.png") == ["._a.png"]


def test_folders_within_a_folder_are_not_searched(images: Path):
    with pytest.raises(ImageError, match="folders within it are not searched"):
        find_images([str(images.parent)])


def test_a_stack_is_found_page_by_page(tmp_path: Path):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    assert find_images([str(tmp_path)]) == [Page(tmp_path / "s.tif", index, 3) for index in range(3)]
    np.save(tmp_path / "n.npy", np.zeros((4, 8, 9), np.uint8))
    assert len(find_images([str(tmp_path / "n.npy")])) == 4


def test_what_two_places_share_is_found_once(images: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(images.parent)
    assert found("images", images / "a.png", "./images/../images/c.tif", "images/*.npy") == [
        "a.png",
        "b.jpg",
        "c.tif",
        "d.npy",
    ]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path):
    for name in ("a[1].png", "a1.png"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    assert found(tmp_path / "a[1].png") == ["a[1].png"]


def test_every_place_and_file_at_fault_is_named_at_once(images: Path):
    (images / "empty.png").touch()
    (images / "cut.tif").write_bytes((images / "c.tif").read_bytes()[:300])
    (images / "text.jpg").write_text("no JPEG")
    (images.parent / "bare").mkdir()
    places = [images, images.parent / "bare", images.parent / "absent.tif", images / "*.gif", images / "notes.txt"]
    with pytest.raises(ImageError) as refused:
        find_images(map(str, places))
    lines = str(refused.value).splitlines()
    assert len(lines) == 7
    for words in [
        "bare: no image there of a kind we read (.bmp ",
        "folders within it are not searched. Name the folder",
        "absent.tif: no image there, by this name or pattern; we read .bmp",
        "*.gif: no image there, by this name or pattern",
        "cut.tif claims 9 x 50 pixels",
        "empty.png is empty (0 bytes)",
        "text.jpg is no PNG, JPEG, BMP or GIF",
        "notes.txt has the suffix '.txt'; we read",
    ]:
        assert any(words in line for line in lines), words


def test_a_folder_that_may_not_be_listed_is_named(images: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may list anything, so chmod shows nothing
    with pytest.raises(ImageError, match=r"images cannot be looked into: Permission denied\. Check that you may read"):
        find_images([str(images)])
