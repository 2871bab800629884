"""DICOM files open by whatever decoder there is, and tell of damage without quoting what they hold."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLosslessSV1, RLELossless

from dicom_files import IDENTIFIERS, dicom
from ushape.errors import ImageError, MissingExtra
from ushape.geometry.tiles import Window
from ushape.images.source import open_image

RNG = np.random.default_rng(9)
VOLUME = RNG.integers(0, 2000, (6, 9, 8)).astype(np.uint16)


def test_compressed_slices_are_read(tmp_path: Path):
    data = dicom(tmp_path / "a.dcm", VOLUME[0])
    data.compress(RLELossless)
    data.save_as(tmp_path / "b.dcm")
    np.testing.assert_array_equal(open_image(tmp_path / "b.dcm").read()[..., 0], VOLUME[0])


def test_what_is_no_dicom_may_be_encrypted(tmp_path: Path):
    (tmp_path / "a.dcm").write_bytes(RNG.bytes(4000))
    with pytest.raises(ImageError, match=r"a\.dcm is no DICOM file .* may be encrypted or damaged"):
        open_image(tmp_path / "a.dcm")


def test_an_unknown_transfer_syntax_is_named(tmp_path: Path):
    dicom(tmp_path / "a.dcm", VOLUME[0])
    data = pydicom.dcmread(tmp_path / "a.dcm")
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.PixelData = pydicom.encaps.encapsulate([VOLUME[0].tobytes()])
    data["PixelData"].VR = "OB"
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"a\.dcm has pixels in the transfer syntax JPEG Lossless"):
        open_image(tmp_path / "a.dcm").read()


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        (
            "1.2.840.10008.1.2.4.100",
            r"the transfer syntax MPEG2 .* no decoder for Python reads. Export it from the scan",
        ),
        ("1.2.840.113619.5.2", r"a transfer syntax of its maker's own, or an unknown one, which no decoder"),
    ],
)
def test_what_nothing_decodes_is_told_when_a_file_is_opened(tmp_path: Path, syntax: str, words: str):
    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(4):
        dicom(folder / f"{number}.dcm", VOLUME[0], InstanceNumber=number)
        data = pydicom.dcmread(folder / f"{number}.dcm")
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = pydicom.encaps.encapsulate([VOLUME[0].tobytes()])
        data["PixelData"].VR = "OB"
        pydicom.dcmwrite(folder / f"{number}.dcm", data, implicit_vr=False, little_endian=True)
    with pytest.raises(ImageError, match=rf"0\.dcm has pixels in {words}"):
        open_image(folder / "0.dcm")
    with pytest.raises(ImageError, match=r"1\.dcm has pixels in .*\nSo it is with 2 more files in .*series") as told:
        open_image(folder)
    assert len(str(told.value).splitlines()) == 3


def test_a_decoder_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dicom(tmp_path / "a.dcm", VOLUME[0])
    data = pydicom.dcmread(tmp_path / "a.dcm")
    data.compress(RLELossless)
    data.save_as(tmp_path / "a.dcm")
    monkeypatch.setattr(type(pydicom.pixels.get_decoder(RLELossless)), "is_available", False)
    with pytest.raises(
        ImageError, match=r"a\.dcm has pixels in the transfer syntax RLE Lossless.*pip install python-gdcm"
    ):
        open_image(tmp_path / "a.dcm")


def test_pixels_that_break_off_are_told(tmp_path: Path):
    dicom(tmp_path / "a.dcm", VOLUME[0])
    (tmp_path / "a.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-40])
    with pytest.raises(ImageError, match=r"a\.dcm has pixels that cannot be read"):
        open_image(tmp_path / "a.dcm").read()


def message_of(path: Path) -> str:
    """What is said of a file; nothing where it can be read all the same."""
    try:
        open_image(path).read_stored(Window((0, 0), (1, 1)))
    except ImageError as told:
        return str(told)
    return ""


def test_damage_is_told_without_a_word_of_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    dicom(tmp_path / "a.dcm", VOLUME[0])
    content, messages = (tmp_path / "a.dcm").read_bytes(), []
    for number in range(120):
        broken = bytearray(content)
        for place in RNG.integers(0, 900, 3):
            broken[place] = RNG.integers(0, 256)
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(broken)
        messages.append(message_of(path))
    assert sum(map(bool, messages)) > 20
    assert not any(word in message for word in IDENTIFIERS for message in messages)
    assert caplog.text == ""


def test_pydicoms_warnings_which_quote_values_stay_inside(tmp_path: Path):
    with pytest.warns(UserWarning, match="LEAKY"):
        dicom(tmp_path / "a.dcm", VOLUME[0], SeriesInstanceUID="LEAKY SMITH")
    np.testing.assert_array_equal(open_image(tmp_path / "a.dcm").read()[..., 0], VOLUME[0])  # warnings are errors here


def test_pydicom_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dicom(tmp_path / "a.dcm", VOLUME[0])
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ushape\[medical\]'"):
        open_image(tmp_path / "a.dcm")
