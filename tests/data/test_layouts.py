"""Every layout that is recognised, drawn small; and the real sets as they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.data.folder import Survey, survey


def pairs_of(found: Survey) -> dict[str, list[str]]:
    """Name → mask files, relative to the folder."""
    return {
        pair.name: [mask.page.path.relative_to(found.root).as_posix() for mask in pair.masks] for pair in found.pairs
    }


def assert_sound(found: Survey, layout: str) -> None:
    assert [fault.message for fault in found.faults] == []
    assert layout in found.layout


def test_images_and_masks_of_equal_names_and_any_formats(folder) -> None:
    folder.image("images/a.png", "images/b.tif", "images/c.PNG")
    folder.mask("masks/a.tif", "masks/b.png", "masks/c.npy")
    found = survey(folder.root)
    assert_sound(found, "images/ and masks/, paired by equal names")
    assert pairs_of(found) == {"a": ["masks/a.tif"], "b": ["masks/b.png"], "c": ["masks/c.npy"]}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("image", "Mask"), ("Imgs", "labels"), ("img", "label"), ("imagesTr", "labelsTr"), ("raw", "annotations"),
        ("train_images", "train_masks"), ("images", "gt"), ("images", "ground_truth"), ("images", "GroundTruth"),
        ("images", "manual"), ("images", "1st_manual"),
    ],
)  # fmt: skip
def test_folders_may_be_called_by_their_usual_names(folder, images: str, masks: str) -> None:
    folder.image(f"{images}/a.png", f"{images}/b.png")
    folder.mask(f"{masks}/a.png", f"{masks}/b.png")
    found = survey(folder.root)
    assert_sound(found, f"{images}/ and {masks}/")
    assert list(pairs_of(found)) == ["a", "b"]


def test_images_may_lie_in_a_folder_of_any_name_or_above_the_masks(folder) -> None:
    folder.image("monday/a.png", "monday/b.png")
    folder.mask("masks/a.png", "masks/b.png")
    assert_sound(survey(folder.root), "monday/ and masks/")
    folder.image("monday/deep/c.png", "monday/deep/d.png")
    folder.mask("monday/deep/masks/c.png", "monday/deep/masks/d.png")
    assert_sound(survey(folder.root / "monday" / "deep"), "deep/ and masks/")


@pytest.mark.parametrize("mask", ["x1_mask", "x1-label", "x1 seg", "mask_x1", "x1_manual1", "x1_gt", "x1.ground_truth"])
def test_mask_names_may_have_a_word_more(folder, mask: str) -> None:
    folder.image("images/x1.png", "images/x2.png")
    folder.mask(f"masks/{mask}.png", f"masks/{mask.replace('x1', 'x2')}.png")
    found = survey(folder.root)
    assert_sound(found, "by names without words such as “mask”")
    assert pairs_of(found)["x1"] == [f"masks/{mask}.png"]


def test_names_that_differ_in_their_words_pair_by_number(folder) -> None:
    folder.image("images/scan 1.png", "images/scan 2.png", "images/scan 10.png")
    folder.mask("masks/drawn010.png", "masks/drawn002.png", "masks/drawn001.png")
    found = survey(folder.root)
    assert_sound(found, "paired by number")
    assert pairs_of(found)["scan 10"] == ["masks/drawn010.png"]


def test_numbers_do_not_pair_names_that_differ_otherwise(folder) -> None:
    folder.image("images/liver1.png", "images/brain2.png")
    folder.mask("masks/drawn1.png", "masks/drawn2.png")
    assert survey(folder.root).pairs == ()


def test_drive_has_a_field_of_view(folder) -> None:
    for number in (21, 22):
        folder.image(f"images/{number}_training.tif")
        folder.mask(f"1st_manual/{number}_manual1.gif", f"mask/{number}_training_mask.gif")
    found = survey(folder.root)
    assert_sound(found, "field of view in mask/ (0 is ignored)")
    assert pairs_of(found) == {
        "21_training": ["1st_manual/21_manual1.gif"],
        "22_training": ["1st_manual/22_manual1.gif"],
    }
    assert [p.valid.path.name for p in found.pairs if p.valid] == ["21_training_mask.gif", "22_training_mask.gif"]


def test_missing_field_of_view_is_an_error(folder) -> None:
    folder.image("images/21_training.tif", "images/22_training.tif")
    folder.mask("1st_manual/21_manual1.gif", "1st_manual/22_manual1.gif", "mask/21_training_mask.gif")
    (fault,) = survey(folder.root).faults
    assert "1 image of 2 have no field of view in mask/: 22_training.tif" in fault.message


def test_masks_beside_the_images(folder) -> None:
    folder.image("x.png", "y.jpg")
    folder.mask("x_mask.png", "y_mask.png")
    found = survey(folder.root)
    assert_sound(found, "masks beside the images (x.png with x_mask.png)")
    assert pairs_of(found) == {"x": ["x_mask.png"], "y": ["y_mask.png"]}


def test_masks_beside_the_images_in_one_folder_per_patient(folder) -> None:
    for patient in ("TCGA_1", "TCGA_2"):
        for k in (1, 2):
            folder.image(f"{patient}/{patient}_{k}.tif")
            folder.mask(f"{patient}/{patient}_{k}_mask.tif")
    found = survey(folder.root)
    assert_sound(found, "a folder per case")
    assert {pair.name: pair.group for pair in found.pairs} == {
        "TCGA_1_1": "TCGA_1", "TCGA_1_2": "TCGA_1", "TCGA_2_1": "TCGA_2", "TCGA_2_2": "TCGA_2",
    }  # fmt: skip
    assert found.grouping == "2 groups: by folder"


def test_images_and_masks_in_one_folder_per_patient_with_names_that_recur(folder) -> None:
    for patient in ("p1", "p2"):
        folder.image(f"{patient}/images/a.png", f"{patient}/images/b.png")
        folder.mask(f"{patient}/masks/a.png", f"{patient}/masks/b.png")
    found = survey(folder.root)
    assert_sound(found, "a folder per case, each with images/ and masks/")
    assert {pair.name: pair.group for pair in found.pairs} == {"p1_a": "p1", "p1_b": "p1", "p2_a": "p2", "p2_b": "p2"}


def test_folders_below_images_and_masks(folder) -> None:
    for patient in ("p1", "p2"):
        folder.image(f"images/{patient}/a.png")
        folder.mask(f"masks/{patient}/a_mask.png")
    found = survey(folder.root)
    assert_sound(found, "images/ and masks/")
    assert pairs_of(found) == {"p1_a": ["masks/p1/a_mask.png"], "p2_a": ["masks/p2/a_mask.png"]}


def test_validation_below_images_and_masks_is_not_trained_on(folder) -> None:
    for part in ("train", "val"):
        folder.image(f"images/{part}/{part}1.png", f"images/{part}/{part}2.png")
        folder.mask(f"labels/{part}/{part}1.png", f"labels/{part}/{part}2.png")
    assert list(pairs_of(survey(folder.root))) == ["train1", "train2"]


def test_train_beside_test_leaves_the_test_alone(folder) -> None:
    folder.image("train/images/a.png", "train/images/b.png", "test/images/c.png")
    folder.mask("train/masks/a.png", "train/masks/b.png")
    found = survey(folder.root)
    assert_sound(found, "train/ with images/ and masks/")
    assert list(pairs_of(found)) == ["a", "b"]
    assert found.notes == ("test/ (1 image) has no masks and is left alone.",)


def test_validation_folder_with_masks_is_left_alone_and_said_so(folder) -> None:
    for part in ("train", "val"):
        folder.image(f"{part}/image/1.png", f"{part}/image/2.png")
        folder.mask(f"{part}/label/1.png", f"{part}/label/2.png")
    found = survey(folder.root)
    assert_sound(found, "train/ with image/ and label/")
    assert "val/ has masks of its own and is left alone" in found.notes[0]


def test_train_and_label_side_by_side(folder) -> None:
    folder.image("train/0.tif", "train/1.tif", "test/0.tif")
    folder.mask("label/0.tif", "label/1.tif")
    found = survey(folder.root)
    assert_sound(found, "train/ and label/")
    assert found.notes == ("test/ (1 image) has no masks and is left alone.",)


def test_a_lone_folder_inside_is_opened(folder) -> None:
    folder.image("unpacked/set/images/a.png", "unpacked/set/images/b.png")
    folder.mask("unpacked/set/masks/a.png", "unpacked/set/masks/b.png")
    assert_sound(survey(folder.root), "unpacked/ with set/ with images/ and masks/")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("train-volume.tif", "train-labels.tif"),
        ("images/stack.tif", "masks/stack.tif"),
        ("volume.npy", "labels.npy"),
        ("images/stack.tif", "masks/stack.npy"),
    ],
)
def test_stacks_pair_page_by_page(folder, image: str, mask: str) -> None:
    folder.image(image, shape=(5, 24, 32))
    folder.mask(mask, shape=(5, 24, 32))
    found = survey(folder.root)
    assert [fault.message for fault in found.faults] == []
    stem = Path(image).stem
    assert [pair.name for pair in found.pairs] == [f"{stem}_{k:03d}" for k in range(5)]
    assert [(pair.image.index, pair.masks[0].page.index) for pair in found.pairs] == [(k, k) for k in range(5)]
    assert {pair.group for pair in found.pairs} == {stem}
    assert "the pages of one file belong together" in found.grouping


def test_a_stack_of_images_for_which_there_are_no_masks_is_left_out(folder) -> None:
    folder.image("train-volume.tif", "test-volume.tif", shape=(3, 24, 32))
    folder.mask("train-labels.tif", shape=(3, 24, 32))
    found = survey(folder.root)
    assert len(found.pairs) == 3
    (fault,) = found.faults
    assert "1 image has no mask and will be left out: test-volume.tif" in fault.message


def test_stacks_of_unequal_length_are_an_error(folder) -> None:
    folder.image("volume.tif", shape=(5, 24, 32))
    folder.mask("labels.tif", shape=(4, 24, 32))
    (fault,) = survey(folder.root).faults
    assert fault.severity == "error"
    assert "labels.tif has 4 pages, but its image" in fault.message and "has 5" in fault.message


@pytest.mark.parametrize(
    "names", [("{i}/images/{i}.png", "{i}/masks/{k}.png"), ("images/{i}.png", "masks/{i}/{k}.png")]
)
def test_one_file_per_object(folder, names: tuple[str, str]) -> None:
    for image in ("0a1f", "b77c", "c0de"):
        folder.image(names[0].format(i=image))
        for drawn in ("ee01", "ff02", "ff03"):
            folder.mask(names[1].format(i=image, k=f"{image}{drawn}"))
    found = survey(folder.root)
    assert_sound(found, "one file per object in ")
    assert [(pair.name, pair.merge, len(pair.masks)) for pair in found.pairs] == [
        ("0a1f", "objects", 3), ("b77c", "objects", 3), ("c0de", "objects", 3),
    ]  # fmt: skip


def bids(folder, subject: str, sample: str, *classes: str) -> None:
    stem = f"{subject}_{sample}_SEM"
    folder.image(f"{subject}/micr/{stem}.png")
    for name in classes:
        folder.mask(f"derivatives/labels/{subject}/micr/{stem}_seg-{name}-manual.png")


def test_bids_derivatives_have_a_file_per_class(folder) -> None:
    bids(folder, "sub-rat1", "data1", "axon", "myelin", "axonmyelin")
    bids(folder, "sub-rat2", "data2", "axon", "myelin", "axonmyelin")
    bids(folder, "sub-rat2", "data3", "axon", "myelin", "axonmyelin")
    found = survey(folder.root)
    assert_sound(found, "BIDS derivatives")
    assert [mask.class_name for mask in found.pairs[0].masks] == ["axon", "myelin"]
    assert [pair.group for pair in found.pairs] == ["sub-rat1", "sub-rat2", "sub-rat2"]
    assert found.grouping == "2 groups: by subject (sub-*)"
    assert found.notes == ("The axonmyelin masks are left alone: they repeat the other classes in one file.",)


def test_bids_image_that_lacks_a_class_is_an_error(folder) -> None:
    bids(folder, "sub-1", "a", "axon", "myelin")
    bids(folder, "sub-2", "b", "axon")
    (fault,) = survey(folder.root).faults
    assert "sub-2_b_SEM.png lacks 1 mask that other images have: myelin" in fault.message


def test_bids_image_with_two_masks_of_a_class_is_an_error(folder) -> None:
    bids(folder, "sub-1", "a", "axon")
    bids(folder, "sub-2", "b", "axon")
    folder.mask("derivatives/second/sub-2/micr/sub-2_b_SEM_seg-axon-manual.png")
    (fault,) = survey(folder.root).faults
    assert "sub-2_b_SEM.png has 2 masks of axon" in fault.message


def test_bids_masks_of_all_classes_at_once(folder) -> None:
    for subject in ("sub-1", "sub-2"):
        folder.image(f"{subject}/micr/{subject}_SEM.png")
        folder.mask(f"derivatives/labels/{subject}/micr/{subject}_SEM_dseg.png")
    found = survey(folder.root)
    assert [(pair.merge, len(pair.masks)) for pair in found.pairs] == [("values", 1), ("values", 1)]


def test_nnunet_names_its_first_channel(folder) -> None:
    folder.image("imagesTr/liver_001_0000.png", "imagesTr/liver_002_0000.png")
    folder.mask("labelsTr/liver_001.png", "labelsTr/liver_002.png")
    assert_sound(survey(folder.root), "by names without the channel _0000")


def test_ome_tiff_has_two_suffixes(folder) -> None:
    folder.image("images/a.ome.tif", "images/b.ome.tif")
    folder.mask("masks/a.png", "masks/b.ome.tif")
    assert_sound(survey(folder.root), "paired by equal names")


def test_accents_may_be_stored_in_two_ways(folder) -> None:
    folder.image("images/caf\u00e9.png", "images/b.png")
    folder.mask("masks/cafe\u0301.png", "masks/b.png")
    assert_sound(survey(folder.root), "paired by equal names")


def test_links_are_followed_but_not_in_circles(folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder.pair("a", "b")
    linked = tmp_path_factory.mktemp("linked")
    (linked / "images").symlink_to(folder.root / "images")
    (linked / "masks").symlink_to(folder.root / "masks")
    (folder.root / "masks" / "again").symlink_to(linked)
    assert_sound(survey(linked), "images/ and masks/")


def test_the_current_folder(folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.image("a.png", "b.png")
    folder.mask("masks/a.png", "masks/b.png")
    monkeypatch.chdir(folder.root)
    assert_sound(survey(Path(".")), "./ and masks/")


def test_hidden_files_and_other_files_are_not_looked_at(folder) -> None:
    folder.pair("a", "b")
    for name in ("images/._a.png", "images/.DS_Store", "masks/notes.txt", ".cache/x.png"):
        path = folder.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"nothing")
    assert_sound(survey(folder.root), "images/ and masks/")


# The real sets: pairs, groups, channels as stored (all equal but in drive), layout, grouping.
REAL = {
    "isbi2012": (30, 1, 1, "train/ with images/ and masks/, paired by equal names", "ordered sequence"),
    "dsb2018": (251, 251, 3, "images/ and masks/, paired by equal names", "every image stands alone"),
    "usiigaci_phc": (8, 8, 1, "images/ and masks/, paired by equal names", "every image stands alone"),
    "sunnybrook_lv": (526, 30, 3, "images/ and masks/, paired by equal names", "before the slice or frame"),
    "drive": (20, 20, 3, "field of view in mask/", "every image stands alone"),
    "axondeepseg_sem": (10, 8, 1, "BIDS derivatives", "by subject"),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_sets_are_recognised_as_they_lie(real_survey, name: str) -> None:
    pairs, groups, channels, layout, grouping = REAL[name]
    found = real_survey(name)
    assert found.faults == ()
    assert len(found.pairs) == pairs == len(found.images)
    assert len({pair.group for pair in found.pairs}) == groups
    assert layout in found.layout
    assert grouping in found.grouping
    assert all(len(pair.masks) == (2 if name == "axondeepseg_sem" else 1) for pair in found.pairs)
    assert {(facts.channels, facts.grey) for facts in found.images.values()} == {(channels, name != "drive")}
    assert all((pair.valid is not None) == (name == "drive") for pair in found.pairs)


@pytest.mark.real_data
def test_isbi_test_images_are_left_alone(real_survey) -> None:
    assert real_survey("isbi2012").notes == ("test/ (30 images) has no masks and is left alone.",)


@pytest.mark.real_data
def test_images_without_any_masks_are_a_clear_error(real_survey) -> None:
    found = real_survey("u2net_testdata")
    (fault,) = found.faults
    assert fault.severity == "error"
    assert "54 images in test_images/, u2net_results/, u2netp_results/, but no masks" in fault.message
    assert "Put images into images/" in fault.message


@pytest.mark.real_data
def test_volumes_are_slices_of_patients(real_survey) -> None:
    found = real_survey("acdc")
    assert (len(found.pairs), len({pair.group for pair in found.pairs})) == (286, 15)
    (fault,) = found.faults
    assert fault.severity == "warning"
    assert "30 volumes do not state the size of a voxel" in fault.message
