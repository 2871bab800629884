"""Saliency: input and answer of the authors' protocol, photographs of every kind, and which weights are whose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.transform import resize

from ushape import checkpoint
from ushape.errors import CheckpointError, ImageError
from ushape.images.source import from_array, open_image
from ushape.models.u2net import U2NetP
from ushape.predict.saliency import SIDE, AuthorsSaliency, OwnSaliency, network_input, saliency_from
from ushape.predict.tiled import Predictor


def photograph(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    low, high = np.iinfo(dtype).max // 5, np.iinfo(dtype).max // 2  # so that black beyond the edges shows
    return np.random.default_rng(height).integers(low, high, (height, width, channels)).astype(dtype)


def narrow() -> AuthorsSaliency:
    """By a small network with random weights."""
    torch.manual_seed(0)
    return AuthorsSaliency(U2NetP(width=4).eval(), "u2netp")


@pytest.fixture(scope="module")
def weights_of_authors(shared_fixtures: Path) -> Path:
    return shared_fixtures / "u2netp_trained" / "u2netp_bnfolded_fp16.safetensors"


# The authors' protocol


def test_the_input_is_that_of_the_authors_and_the_answer_their_picture(shared_fixtures: Path, weights_of_authors: Path):
    place = shared_fixtures / "u2netp_trained"
    horse = open_image(place / "horse.jpg")
    with np.load(place / "horse.npz") as arrays:
        assert np.abs(network_input(horse.read()).numpy() - arrays["input"][0]).max() < 2e-6
    salient = saliency_from(weights_of_authors).of(horse)
    theirs = np.asarray(Image.open(place / "horse_u2netp_pred.png"))[..., 0].astype(float)
    levels = np.abs(np.round(255 * salient) - theirs)
    assert salient.dtype == np.float32 and salient.shape == horse.shape
    assert levels.max() <= 2 and levels.mean() < 0.25  # they cut to whole levels before they enlarge


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["girl.png", "hockey.png", "whisk.png"])
def test_maps_are_nearly_those_that_the_authors_published(shared_data: Path, weights_of_authors: Path, name: str):
    place = shared_data / "u2net_testdata"
    ours = saliency_from(weights_of_authors).of(open_image(place / "test_images" / name))
    theirs = open_image(place / "u2netp_results" / name).read()[..., 0] / 255
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    assert np.abs(ours - theirs).mean() < 0.005


@pytest.mark.parametrize("shape", [(700, 500), (40, 50), (1, 1), (3, 900), (320, 320)])
def test_channels_made_small_one_by_one_are_what_all_at_once_would_be(shape):
    pixels = photograph(*shape)
    small = resize(pixels, (SIDE, SIDE), mode="constant")
    expected = (small / small.max() - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    assert np.abs(network_input(pixels).numpy() - expected.transpose(2, 0, 1)).max() < 1e-5


def test_grey_and_deep_photographs_enter_as_the_authors_let_them():
    pixels = photograph(50, 60)
    grey = network_input(pixels[..., :1]).numpy()
    assert (grey == grey[:1]).all()
    of_red = network_input(np.repeat(pixels[..., :1], 3, axis=2)).numpy()[0]  # .485 and .229 for all three
    assert np.abs(grey[0] - of_red).max() < 1e-6
    deep = network_input(pixels.astype(np.uint16) * 257).numpy()
    assert np.abs(deep - network_input(pixels).numpy()).max() < 1e-5


def test_a_black_photograph_has_an_input_and_an_answer():
    black = np.zeros((20, 30, 3), np.uint8)
    assert network_input(black)[:, 0, 0].tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert np.isfinite(narrow().of(from_array(black))).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (333, 41)])
@pytest.mark.parametrize(("channels", "dtype"), [(3, "uint8"), (1, "uint16")])
def test_the_answer_is_as_large_as_the_photograph_and_within_0_and_1(shape, channels, dtype):
    salient = narrow().of(from_array(photograph(*shape, channels, dtype)))
    assert salient.shape == shape and salient.dtype == np.float32
    assert 0 <= salient.min() <= salient.max() <= 1


def test_the_answer_is_stretched_and_one_that_is_the_same_everywhere_is_0():
    saliency, square = narrow(), from_array(photograph(SIDE, SIDE))
    salient = saliency.of(square)
    assert (salient.min(), salient.max()) == (0, 1)
    torch.nn.init.zeros_(saliency.model.outconv.weight)
    assert not saliency.of(square).any()


# Whose weights


def saved(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def test_the_authors_file_is_recognised(tmp_path: Path):
    found = saliency_from(saved(U2NetP(width=4).state_dict(), tmp_path / "a.pth"))
    assert isinstance(found, AuthorsSaliency) and found.network == "u2netp"
    assert not found.model.training


def test_a_network_of_ours_answers_with_the_probability_of_its_foreground(tmp_path: Path, make_trained):
    trained = make_trained(channels=3)
    checkpoint.write(tmp_path / "best.safetensors", trained)
    image = from_array(photograph(60, 50))
    expected = Predictor(trained).whole(image)[1][1]
    for place in (tmp_path, tmp_path / "best.safetensors"):
        found = saliency_from(place)
        assert isinstance(found, OwnSaliency) and found.network == "unet"
        assert np.abs(found.of(image) - expected).max() < 1e-6
    with pytest.raises(ImageError, match="trained on uint8"):
        found.check(from_array(photograph(9, 9, dtype="uint16")))


def test_weights_of_another_network_are_refused(tmp_path: Path):
    other = saved({"conv.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(
        CheckpointError, match=r"other\.pth holds weights of another.*1 tensors begin with conv\.weight"
    ):
        saliency_from(other)
    grey = saved(U2NetP(1, 2, width=4).state_dict(), tmp_path / "grey.pth")
    with pytest.raises(CheckpointError, match=r"u2netp that tells 2 classes apart in images of 1 channels.*has 1 in"):
        saliency_from(grey)
    state = U2NetP(width=4).state_dict()
    del state["side3.bias"]
    with pytest.raises(CheckpointError, match=r"side3\.bias is missing"):
        saliency_from(saved(state, tmp_path / "short.pth"))
