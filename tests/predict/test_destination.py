"""Names that clash and folders that take nothing are found before anything is computed."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from ushape.errors import OutputError
from ushape.predict.destination import check_folder, check_names


def made_of(out: Path, *images: Path, suffix: str = ".png") -> dict[Path, list[Path]]:
    """A mask for each image, under its stem."""
    return {image: [out / f"{image.stem}{suffix}"] for image in images}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.tif").write_text("an image")
    return tmp_path / "images" / "c.tif"


def message(*arguments: object, **options: bool) -> str:
    with pytest.raises(OutputError) as refused:
        check_folder(*arguments, **options)  # type: ignore[arg-type]
    return str(refused.value)


# Names


def test_files_of_names_of_their_own_are_no_clash(tmp_path: Path):
    made = {Path("a.png"): [tmp_path / "a.png", tmp_path / "a_overlay.png"], Path("b.png"): [tmp_path / "b.png"]}
    check_names(made, [tmp_path / "coco.json"], tmp_path)
    check_names({}, [], tmp_path)


def test_every_clash_is_named_once(tmp_path: Path):
    images = [Path("x", name) for name in ("a.png", "a.tif", "b.png", "c.png")] + [Path("y", "b.png")]
    with pytest.raises(OutputError, match="would make files of the same name in") as refused:
        check_names(made_of(tmp_path, *images), [], tmp_path)
    assert f"{tmp_path}: x/a.png and x/a.tif; x/b.png and y/b.png. Rename some, or predict them into folders" in str(
        refused.value
    )


def test_stems_clash_even_where_suffixes_keep_the_files_apart(tmp_path: Path):
    made = made_of(tmp_path, Path("a.png")) | made_of(tmp_path, Path("a.tif"), suffix=".tif")
    with pytest.raises(OutputError, match=r"a\.png and a\.tif"):
        check_names(made, [], tmp_path)


def test_names_that_meet_only_in_what_is_made_are_a_clash(tmp_path: Path):
    made = {
        Path("a.png"): [tmp_path / "a.png", tmp_path / "a_overlay.png"],
        Path("a_overlay.png"): [tmp_path / "a_overlay.png"],
    }
    with pytest.raises(OutputError, match=r"a\.png and a_overlay\.png"):
        check_names(made, [], tmp_path)


def test_an_image_that_would_take_the_name_of_the_file_of_all_images_is_named(tmp_path: Path):
    made = made_of(tmp_path / "m", Path("x", "isbi2012.tif"), suffix=".tif")
    check_names(made, [], tmp_path / "m")
    with pytest.raises(
        OutputError,
        match=r"m/isbi2012\.tif would be made of x/isbi2012\.tif, and of all images together\. Rename that image, or",
    ):
        check_names(made, [tmp_path / "m" / "isbi2012.tif"], tmp_path / "m")


# The folder


def test_a_folder_is_made_and_left_empty(image: Path, tmp_path: Path):
    out = tmp_path / "deep" / "masks"
    check_folder(out, made_of(out, image), [out / "coco.json"], overwrite=False)
    assert out.is_dir() and not list(out.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_results_that_exist_are_named_those_of_all_images_too(image: Path, tmp_path: Path, kind: str):
    out = tmp_path / "m"
    (out / "ctc").mkdir(parents=True)
    (out / "other.png").touch()
    together = [out / "coco.json", out / "ctc"]
    if kind == "file":
        (out / "ctc").rmdir()
        (out / "coco.json").touch()
    found = message(out, made_of(out, image), together, overwrite=False)
    wanted = "coco.json" if kind == "file" else "ctc"
    assert found == (
        f"{out} already holds 1 of these results ({wanted}). Replace them with --overwrite, or choose another folder."
    )
    check_folder(out, made_of(out, image), together, overwrite=True)


def test_of_many_results_that_exist_five_are_named(image: Path, tmp_path: Path):
    made = {image: [tmp_path / f"{number}.png" for number in range(7)]}
    for path in made[image]:
        path.touch()
    assert "already holds 7 of these results (0.png, 1.png, 2.png, 3.png, 4.png, …). Replace" in message(
        tmp_path, made, [], overwrite=False
    )


@pytest.mark.parametrize("way", ["itself", "a link to the folder", "a hard link", "of all images"])
def test_results_never_take_the_place_of_the_images(image: Path, tmp_path: Path, way: str):
    out, images, together = image.parent, image, []
    if way == "a link to the folder":
        out = tmp_path / "linked"
        out.symlink_to(image.parent)
    if way == "a hard link":
        out, images = tmp_path, tmp_path / "c.tif"
        os.link(image, images)
    made = made_of(out, images, suffix=".tif")
    if way == "of all images":
        made, together = {image: [out / "c.png"]}, [out / "c.tif"]
    found = message(out, made, together, overwrite=True)
    assert found == f"The masks would take the place of the images in {out}. Choose another folder."
    assert image.read_text() == "an image"


def test_a_file_in_place_of_the_folder_is_named(image: Path, tmp_path: Path):
    (tmp_path / "m").write_text("a file")
    for out, words in [
        (tmp_path / "m", "m cannot be written: File exists. Choose another place"),
        (tmp_path / "m" / "deeper", "cannot be written: Not a directory"),
    ]:
        assert words in message(out, made_of(out, image), [], overwrite=False)
    assert (tmp_path / "m").read_text() == "a file"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written_is_named(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write anywhere, so chmod shows nothing
    out = tmp_path / "m"
    found = message(out, made_of(out, image), [], overwrite=False)
    assert f"m/c.png cannot be written: no permission in {out}. Choose another folder" in found


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(image: Path, tmp_path: Path):
    (tmp_path / "m").mkdir(mode=0o500)
    assert "no permission in" in message(tmp_path / "m", made_of(tmp_path / "m", image), [], overwrite=False)
