"""Everything that can be wrong with a folder is told, all at once; what is included; what belongs together."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from ushape.data.folder import Survey, has_masks, survey
from ushape.errors import DataError
from ushape.images.source import open_image


def errors(found: Survey) -> list[str]:
    return [fault.message for fault in found.faults if fault.severity == "error"]


def warnings(found: Survey) -> list[str]:
    return [fault.message for fault in found.faults if fault.severity == "warning"]


def grey_pixels(path: Path) -> np.ndarray:
    return open_image(path).read()[..., 0]


def test_a_sound_folder_has_no_faults_and_facts_of_every_image(folder) -> None:
    folder.pair("a", "b")
    found = survey(folder.root)
    found.require()
    assert found.faults == ()
    assert {name: (f.shape, f.channels, f.dtype) for name, f in found.images.items()} == {
        "a": ((24, 32), 1, "uint8"),
        "b": ((24, 32), 1, "uint8"),
    }


def test_the_folder_itself_must_be_one(folder) -> None:
    with pytest.raises(DataError, match="does not exist; name the folder that holds images and masks"):
        survey(folder.root / "nowhere")
    folder.image("a.png")
    with pytest.raises(DataError, match="is a file"):
        survey(folder.root / "a.png")


def test_an_empty_folder(folder) -> None:
    assert "holds no images; we read .bmp" in errors(survey(folder.root))[0]


def test_images_without_masks(folder) -> None:
    folder.image("images/a.png", "images/b.png")
    assert "holds 2 images in images/, but no masks for them" in errors(survey(folder.root))[0]


def test_images_whose_masks_lie_beside_the_folder(folder) -> None:
    folder.pair("a", "b")
    (message,) = errors(survey(folder.root / "images"))
    assert f"There are masks in masks/ beside it: name the folder that holds both, {folder.root}." in message


def test_masks_without_images(folder) -> None:
    folder.mask("masks/a.png", "masks/b.png")
    assert "holds 2 masks, but no images" in errors(survey(folder.root))[0]


def test_names_that_do_not_match_at_all(folder) -> None:
    folder.image("images/liver.png", "images/heart.png")
    folder.mask("masks/one.png", "masks/two.png")
    (message,) = errors(survey(folder.root))
    assert "None of the 2 images (heart.png, liver.png) goes with any of the 2 masks (one.png, two.png)" in message
    assert "Give each mask the name of its image" in message


def test_an_image_without_mask_is_left_out_and_said_so(folder) -> None:
    folder.pair("a", "b")
    folder.image("images/c.png")
    found = survey(folder.root)
    assert errors(found) == []
    assert "1 image has no mask and will be left out: c.png" in warnings(found)[0]
    assert [path.name for path in found.unpaired] == ["c.png"]


def test_a_mask_without_image_is_an_error(folder) -> None:
    folder.pair("a", "b")
    folder.mask("masks/c.png")
    assert "1 mask has no image: c.png. Give each the name of its image" in errors(survey(folder.root))[0]


def test_masks_in_the_folder_of_the_images(folder) -> None:
    folder.pair("a", "b")
    folder.mask("images/a_mask.png", "images/b_mask.png")
    (message,) = errors(survey(folder.root))
    assert "holds 2 files that look like masks of its images: a_mask.png, b_mask.png" in message
    assert "belong in masks/" in message


def test_mask_of_another_size(folder) -> None:
    folder.pair("a")
    folder.image("images/b.png", "images/c.png")
    folder.mask("masks/b.png", shape=(20, 32))
    folder.mask("masks/c.png", shape=(32, 24))
    smaller, turned = errors(survey(folder.root))
    assert "b.png is 20 x 32 (height x width), but its image" in smaller and "is 24 x 32" in smaller
    assert "Export the mask again" in smaller
    assert "c.png is 32 x 24" in turned and "They are transposed: rotate one of them" in turned


def test_damaged_images(folder) -> None:
    folder.pair("a", "cut", "empty", "fake")
    cut = folder.root / "images" / "cut.png"
    cut.write_bytes(cut.read_bytes()[:300])
    (folder.root / "images" / "empty.png").write_bytes(b"")
    (folder.root / "images" / "fake.png").write_bytes(b"GARBAGE of some length")
    messages = "\n".join(errors(survey(folder.root)))
    assert "cut.png breaks off or is damaged" in messages
    assert "empty.png is empty (0 bytes)" in messages
    assert "fake.png is no PNG" in messages


def test_damaged_mask_header(folder) -> None:
    folder.pair("a", "b")
    (folder.root / "masks" / "b.png").write_bytes(b"GARBAGE of some length")
    assert "masks/b.png is no PNG" in errors(survey(folder.root))[0]


def test_images_with_nan(folder) -> None:
    folder.mask("masks/a.png", "masks/b.png")
    folder.image("images/a.npy", dtype=np.float32)
    pixels = np.zeros((24, 32), dtype=np.float32)
    pixels[3, 5:8] = np.nan
    folder.write("images/b.npy", pixels)
    (message,) = errors(survey(folder.root))
    assert "b.npy has 3 of 768 values that are NaN or infinite" in message


def test_the_same_image_under_two_names_stays_on_one_side(folder) -> None:
    folder.pair("a", "b", "c")
    folder.write("images/d.tif", grey_pixels(folder.root / "images" / "a.png"))
    folder.mask("masks/d.png")
    found = survey(folder.root)
    assert errors(found) == []
    assert "The same image is there under several names: a = d" in warnings(found)[0]
    assert {pair.name: pair.group for pair in found.pairs} == {"a": "a", "b": "b", "c": "c", "d": "a"}


def test_a_grey_image_saved_as_colour_is_a_copy_too(folder) -> None:
    folder.pair("a", "b")
    grey = grey_pixels(folder.root / "images" / "a.png")
    folder.write("images/c.png", np.repeat(grey[..., np.newaxis], 3, axis=-1))
    folder.mask("masks/c.png")
    assert "under several names: a = c" in warnings(survey(folder.root))[0]


def test_blank_images_are_no_copies_of_each_other(folder) -> None:
    for name in ("a", "b"):
        folder.write(f"images/{name}.png", np.full((24, 32), 7, dtype=np.uint8))
        folder.mask(f"masks/{name}.png")
    assert survey(folder.root).faults == ()


def test_grey_among_colour_is_adapted_with_a_warning(folder) -> None:
    folder.pair("a")
    folder.image("images/b.png", shape=(24, 32, 3))
    folder.mask("masks/b.png")
    found = survey(folder.root)
    assert errors(found) == []
    assert "Images differ in channels (1 with 1, 1 with 3)" in warnings(found)[0]
    assert "1 grey image will be repeated over 3 channels" in warnings(found)[0]


def test_colour_of_equal_channels_among_grey_is_no_fault(folder) -> None:
    folder.pair("a")
    folder.write(
        "images/b.png", np.repeat(np.arange(768, dtype=np.uint16).reshape(24, 32, 1) % 251, 3, -1).astype("u1")
    )
    folder.mask("masks/b.png")
    assert survey(folder.root).faults == ()


def test_channels_that_cannot_be_adapted(folder) -> None:
    folder.image("images/a.npy", "images/b.npy", shape=(24, 32, 3))
    folder.image("images/c.npy", shape=(24, 32, 2))
    folder.mask("masks/a.png", "masks/b.png", "masks/c.png")
    (message,) = errors(survey(folder.root))
    assert "Images differ in channels (1 with 2, 2 with 3), and only grey can be adapted" in message
    assert "c.npy (2)" in message


def test_mixed_types_of_pixels(folder) -> None:
    folder.pair("a", "b")
    folder.image("images/c.tif", dtype=np.uint16)
    folder.mask("masks/c.png")
    (message,) = errors(survey(folder.root))
    assert "different types of pixels (2 of uint8, 1 of uint16)" in message and "c.tif (uint16)" in message


def test_an_image_that_is_there_twice(folder) -> None:
    folder.pair("a", "b")
    folder.image("images/a.tif")
    (message,) = errors(survey(folder.root))
    assert "images/a is there 2 times: a.png, a.tif. Keep one of them" in message


def test_a_mask_that_is_there_twice(folder) -> None:
    folder.pair("a", "b")
    folder.mask("masks/a.tif")
    assert "masks/a is there 2 times: a.png, a.tif" in errors(survey(folder.root))[0]


def test_several_masks_for_one_image(folder) -> None:
    folder.image("images/a.png", "images/b.png")
    folder.mask("masks/a_mask.png", "masks/a_label.png", "masks/b_mask.png")
    (message,) = errors(survey(folder.root))
    assert "a.png could have any of 2 masks: a_label.png, a_mask.png. Keep one of them" in message


def test_two_folders_of_masks_for_the_same_images(folder) -> None:
    folder.pair("a", "b")
    folder.mask("labels/a.png", "labels/b.png")
    (message,) = errors(survey(folder.root))
    assert "can be paired in 2 ways: images/ with labels/, images/ with masks/" in message


def test_a_single_image_is_little(folder) -> None:
    folder.pair("a")
    assert "a is the only annotated image" in warnings(survey(folder.root))[0]


def test_formats_that_are_not_read_are_named(folder) -> None:
    folder.pair("a", "b")
    for name in ("images/c.czi", "masks/c.lif", "d.nd2"):
        (folder.root / name).write_bytes(b"something")
    (message,) = warnings(survey(folder.root))
    assert "1 Nikon ND2 file, 1 Zeiss CZI file, 1 Leica LIF file will be left out" in message


def test_a_zarr_store_is_one_image_and_other_stores_are_named(folder) -> None:
    for name in ("images/a.zarr", "masks/a.zarr"):
        zarr.save_array(folder.root / name, np.zeros((24, 32), dtype=np.uint8))
    folder.image("images/b.n5/0/chunk.png")
    found = survey(folder.root)
    (pair,) = found.pairs
    assert (pair.image.path.parent.name, pair.masks[0].page.path.parent.name) == ("images", "masks")
    assert found.images["a"].shape == (24, 32)
    assert any("1 N5 file will be left out" in warning for warning in warnings(found))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed(folder) -> None:
    folder.pair("a", "b")
    closed = folder.root / "more"
    closed.mkdir(mode=0o000)
    try:
        assert "more cannot be listed" in errors(survey(folder.root))[0]
    finally:
        closed.chmod(0o700)


def test_every_fault_is_told_at_once(folder) -> None:
    folder.pair("a", "b", "c", "d")
    folder.mask("masks/orphan.png")
    folder.mask("masks/b.png", shape=(9, 9))
    (folder.root / "images" / "c.png").write_bytes(b"")
    folder.write("images/d.png", np.zeros((24, 32), dtype=np.uint16))
    found = survey(folder.root)
    with pytest.raises(DataError) as refusal:
        found.require()
    message = str(refusal.value)
    assert message.startswith(f"{folder.root} cannot be used yet: 4 faults.")
    for words in ("orphan.png", "b.png is 9 x 9", "c.png is empty", "different types of pixels"):
        assert words in message
    assert {path.name for fault in found.faults for path in fault.files} >= {"orphan.png", "b.png", "c.png", "d.png"}


def test_include_takes_patterns_of_names(folder) -> None:
    folder.pair("SC-HF-1", "SC-HF-2", "SC-N-1", "SC-HYP-1")
    assert [p.name for p in survey(folder.root, include="SC-HF-*, SC-N-?").pairs] == ["SC-HF-1", "SC-HF-2", "SC-N-1"]


def test_include_that_matches_nothing_names_what_there_is(folder) -> None:
    folder.pair("a", "b")
    (message,) = errors(survey(folder.root, include="zebra*"))
    assert "No image is called like 'zebra*'; there are a, b" in message


def test_include_leaves_faults_of_others_out(folder) -> None:
    folder.pair("a1", "a2", "b")
    folder.image("images/b2.png")
    folder.mask("masks/orphan.png")
    (folder.root / "images" / "b.png").write_bytes(b"")
    assert survey(folder.root, include="a*").faults == ()


def test_group_by_an_expression(folder) -> None:
    folder.pair("monday_1", "monday_2", "friday_1")
    found = survey(folder.root, group_by="^([a-z]+)_")
    assert [pair.group for pair in found.pairs] == ["friday", "monday", "monday"]
    assert found.grouping == "2 groups: by the expression '^([a-z]+)_'"
    assert {pair.group for pair in survey(folder.root, group_by="day").pairs} == {"day"}


def test_group_by_an_expression_that_misses_names(folder) -> None:
    folder.pair("monday_1", "monday_2", "x")
    (fault,) = survey(folder.root, group_by="^([a-z]+)_").faults
    assert fault.severity == "error"
    assert "does not match 1 name of 3: x" in fault.message and [path.name for path in fault.files] == ["x.png"]


def test_group_by_an_expression_that_is_none(folder) -> None:
    folder.pair("a", "b")
    assert "The expression '(' to group by is none" in errors(survey(folder.root, group_by="("))[0]


def test_the_summary_says_what_is_there(folder) -> None:
    folder.pair("a", "b")
    folder.image("images/c.png", shape=(30, 30, 3))
    folder.mask("masks/c.png", shape=(30, 30))
    lines = dict(survey(folder.root).summary())
    assert lines == {
        "layout": "images/ and masks/, paired by equal names",
        "images": "3 annotated",
        "size": "2 sizes: 2 of 24 x 32, 1 of 30 x 30 (height x width)",
        "channels": "2 kinds: 2 of 1 (grey), 1 of 3",
        "pixels": "uint8",
        "groups": "3 groups: every image stands alone",
    }


def test_the_summary_knows_stacks_and_the_size_of_a_pixel(folder) -> None:
    folder.mask("masks/a.tif", shape=(4, 24, 32))
    (folder.root / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (4, 24, 32)).astype(np.uint8)
    tifffile.imwrite(
        folder.root / "images" / "a.tif", noise, imagej=True, resolution=(4, 2), metadata={"unit": "um", "axes": "ZYX"}
    )
    lines = dict(survey(folder.root).summary())
    assert lines["images"] == "4 annotated, pages of 1 file"
    assert lines["pixel size"] == "0.5 x 0.25 µm"


def test_whether_a_folder_has_masks_is_told_from_its_names(folder, tmp_path) -> None:
    assert not has_masks(folder.root / "nowhere")
    folder.image("a.png")
    assert not has_masks(folder.root) and not has_masks(folder.root / "images")
    folder.pair("b")
    assert has_masks(folder.root) and not has_masks(folder.root / "images")
    store = tmp_path / "store.zarr"
    zarr.create_array(store, shape=(8, 8), dtype="u1")
    assert not has_masks(store)
