"""Cut-outs: the photograph's own pixels with saliency as alpha, of every kind of file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ushape.errors import ImageError, OutputError
from ushape.images.source import ImageSource, open_image, pages
from ushape.predict.cutouts import CutOuts, cut_out
from ushape.predict.sources import find_images


class Brightness:
    """What is bright is salient."""

    network, bytes_per_pixel = "none", 0.0

    def check(self, source: ImageSource) -> None:
        if source.path.stem == "unwanted":
            raise ImageError(f"{source.page} is not wanted.")

    def of(self, source: ImageSource) -> NDArray[np.float32]:
        pixels = source.read()
        return pixels.mean(axis=-1, dtype=np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def colours(height: int = 20, width: int = 30, dtype: str = "uint8") -> NDArray[np.generic]:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, (height, width, 3)).astype(dtype)


def made(folder: Path, out: Path, **options: object) -> dict[str, NDArray[np.generic]]:
    """The pixels of all cut-outs, by their names."""
    job = CutOuts(Brightness(), find_images([str(folder)]), out, **options)
    return {each.path.name: imagecodecs.png_decode(each.path.read_bytes()) for each in job.events()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def test_a_cut_out_has_the_photographs_pixels_and_saliency_as_alpha(folder: Path, tmp_path: Path):
    pixels = colours()
    Image.fromarray(pixels).save(folder / "a.png")
    (cut,) = made(folder, tmp_path / "out").values()
    assert cut.dtype == np.uint8 and (cut[..., :3] == pixels).all()
    assert (cut[..., 3] == np.round(pixels.mean(axis=-1, dtype=np.float32))).all()
    with Image.open(tmp_path / "out" / "a.png") as opened:
        assert opened.mode == "RGBA"


def test_photographs_of_every_kind_keep_their_values(folder: Path, tmp_path: Path):
    deep = colours(dtype="uint16")
    Image.fromarray(colours()[..., 0]).save(folder / "grey.png")
    Image.fromarray(np.dstack([colours(), colours()[..., :1]])).save(folder / "rgba.png")
    (folder / "deep.png").write_bytes(imagecodecs.png_encode(deep))
    Image.fromarray(deep[..., 0]).save(folder / "deep_grey.png")
    Image.fromarray(colours(1, 1)).save(folder / "tiny.bmp")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(colours(20, 30)).save(folder / "turned.jpg", exif=exif)
    cuts = made(folder, tmp_path / "out")
    assert (cuts["grey.png"][..., :3] == colours()[..., :1]).all()
    assert (cuts["rgba.png"][..., :3] == colours()).all()
    assert cuts["deep.png"].dtype == np.uint16 and (cuts["deep.png"][..., :3] == deep).all()
    assert (cuts["deep_grey.png"][..., :3] == deep[..., :1]).all()
    assert cuts["deep_grey.png"][..., 3].max() > 60_000
    assert cuts["tiny.png"].shape == (1, 1, 4)
    assert (cuts["turned.png"][..., :3] == open_image(folder / "turned.jpg").read()).all()
    assert cuts["turned.png"].shape == (30, 20, 4)


def test_the_mask_alone_is_grey_and_of_8_bits(folder: Path, tmp_path: Path):
    (folder / "deep.png").write_bytes(imagecodecs.png_encode(colours(dtype="uint16")))
    (mask,) = made(folder, tmp_path / "out", mask=True).values()
    assert mask.shape == (20, 30) and mask.dtype == np.uint8


def test_every_page_of_a_stack_is_a_photograph(folder: Path, tmp_path: Path):
    np.save(folder / "stack.npy", np.stack([colours(), colours()]))
    assert list(made(folder, tmp_path / "out")) == ["stack_000.png", "stack_001.png"]


def test_nothing_is_overwritten_unasked_and_no_photograph_ever(folder: Path, tmp_path: Path):
    Image.fromarray(colours()).save(folder / "a.png")
    made(folder, tmp_path / "out")
    with pytest.raises(OutputError, match=r"already holds 1 of these results \(a\.png\).*--overwrite"):
        made(folder, tmp_path / "out")
    assert list(made(folder, tmp_path / "out", overwrite=True)) == ["a.png"]
    with pytest.raises(OutputError, match="would take the place of the images"):
        made(folder, folder, overwrite=True)
    Image.fromarray(colours()).save(folder / "a.bmp")
    with pytest.raises(OutputError, match="files of the same name"):
        made(folder, tmp_path / "other")


def test_all_that_cannot_be_cut_out_is_named_before_anything_is_computed(folder: Path, tmp_path: Path):
    Image.fromarray(colours()).save(folder / "good.png")
    Image.fromarray(colours()).save(folder / "unwanted.png")
    Image.fromarray(colours(200, 300)).save(folder / "vast.png")
    np.save(folder / "float.npy", colours().astype(np.float32))
    np.save(folder / "two.npy", colours()[..., :2])
    with pytest.raises(ImageError) as caught:
        made(folder, tmp_path / "out", memory_bytes=500_000)
    words = str(caught.value).splitlines()
    assert len(words) == 4
    assert "float.npy has 3 channels of float32; photographs have 1 (grey) or 3 of 8 or 16 bits" in words[0]
    assert "two.npy has 2 channels of uint8" in words[1]
    assert "unwanted.png is not wanted" in words[2]
    assert "vast.png has 200 x 300 pixels" in words[3]
    assert "Allow more with --memory, or make it smaller." in words[3]
    assert not (tmp_path / "out").exists()


def test_colours_that_are_no_photographs_are_refused_with_what_to_do(folder: Path):
    Image.fromarray(colours()).convert("CMYK").save(folder / "print.jpg")
    with pytest.raises(ImageError, match=r"print\.jpg has colours of mode CMYK.*Convert it to RGB"):
        find_images([str(folder)])


def test_a_photograph_that_breaks_off_leaves_what_is_done_and_no_half(folder: Path, tmp_path: Path):
    for name in ("a.png", "b.png"):
        Image.fromarray(colours(200, 300)).save(folder / name)
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])
    job = CutOuts(Brightness(), find_images([str(folder)]), tmp_path / "out")
    events = job.events()
    assert next(events).path.name == "a.png"
    with pytest.raises(ImageError, match=r"b\.png breaks off or is damaged"):
        next(events)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_what_is_taken_for_the_check_bounds_what_is_held(folder: Path, tmp_path: Path):
    Image.fromarray(colours(100, 100)).save(folder / "a.png")
    photographs = pages(folder / "a.png")
    enough = 100 * 100 * 2 * (3 + 4)  # decoded and copied, made and encoded
    CutOuts(Brightness(), photographs, tmp_path / "out", memory_bytes=enough)
    with pytest.raises(ImageError, match="100 x 100"):
        CutOuts(Brightness(), photographs, tmp_path / "out", memory_bytes=enough - 1)


def test_alpha_is_the_whole_range_of_the_type():
    salient = np.array([[0, 0.5, 1]], dtype=np.float32)
    for dtype, alpha in [(np.uint8, [0, 128, 255]), (np.uint16, [0, 32768, 65535])]:
        assert cut_out(np.zeros((1, 3, 1), dtype), salient)[0, :, 3].tolist() == alpha
