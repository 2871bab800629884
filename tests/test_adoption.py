"""Weights that others published, made a checkpoint: what it answers, what it says, and what it takes for that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from ushape import checkpoint
from ushape.adoption import adopt
from ushape.cli import app
from ushape.errors import RecipeError
from ushape.intensity import Intensity
from ushape.models import build
from ushape.models.key_maps import KeyMap, of_brain_mri, of_milesial
from ushape.models.published import PUBLISHED, load
from ushape.models.unet import UNet
from ushape.predict.tiled import Predictor


def file_of(key_map: KeyMap, path: Path, *, in_channels: int = 3, classes: int = 2) -> Path:
    torch.manual_seed(0)
    net = UNet(in_channels, classes, width=2, padding="same", normalisation="batch")
    save_file({key_map.theirs(name): t for name, t in net.state_dict().items()}, path)
    return path


def photograph(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_an_adopted_network_answers_as_the_published_one_to_the_input_it_was_made_for(tmp_path: Path):
    file, image = file_of(of_milesial(), tmp_path / "a.safetensors"), photograph(240, 256)
    checkpoint.write(tmp_path / "adopted.safetensors", adopt("milesial-unet", file))
    adopted = checkpoint.read(tmp_path / "adopted.safetensors")
    x = torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255))
    with torch.inference_mode():
        inner = load("milesial-unet", file).exact(x)[0].argmax(0).numpy()  # their zero padding reaches 96 px in
    mask = Predictor(adopted).segment(image)
    assert (mask[96:-96, 96:-96] == 255 * inner).all()
    assert set(np.unique(mask)) <= {0, 255}
    assert Predictor(adopted).segment(image[..., 0]).shape == (240, 256)


def test_blue_comes_first_where_the_authors_have_it_so(tmp_path: Path):
    ours = build("fcn32s", in_channels=3, classes=21, width=1)
    torch.nn.init.normal_(ours.score_fr.weight)
    save_file({name.removeprefix("vgg16."): t for name, t in ours.state_dict().items()}, tmp_path / "a")
    red_first = photograph(40, 50)
    blue_first = red_first[..., ::-1].astype(np.float32) - np.array([104.00699, 116.66877, 122.67892], np.float32)
    adopted, published = adopt("fcn32s", tmp_path / "a"), load("fcn32s", tmp_path / "a")
    with torch.inference_mode():
        expected = published(torch.from_numpy(np.ascontiguousarray(blue_first.transpose(2, 0, 1)))[None])
        found = adopted.model(adopted.intensity.tensor(red_first, "a photograph")[None])
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.std().item())
    assert adopted.labels.names[15] == "person"
    assert adopted.labels.values == tuple(range(21))


def test_u2net_sees_imagenets_mean_and_deviation(tmp_path: Path):
    save_file(dict(build("u2netp", width=8).state_dict()), tmp_path / "a")
    adopted, image = adopt("u2netp", tmp_path / "a"), photograph(8, 8)
    expected = (image / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert np.allclose(adopted.intensity.tensor(image, "a").numpy(), expected.transpose(2, 0, 1), atol=1e-5)
    assert (adopted.labels.names, adopted.labels.values) == (("background", "salient"), (0, 255))
    assert Predictor(adopted).segment(image).shape == (8, 8)


def test_images_that_no_mean_and_deviation_prepare_are_the_users_to_prepare(tmp_path: Path):
    file = file_of(of_brain_mri(), tmp_path / "a", classes=1)
    with pytest.raises(RecipeError, match=r"brain-mri-unet were prepared.*volume.*float32.*Intensity\(\(0\.0,\) \* 3"):
        adopt("brain-mri-unet", file)
    adopted = adopt("brain-mri-unet", file, intensity=Intensity((0.0,) * 3, (1.0,) * 3, "float32"))
    assert adopted.labels.names == ("background", "abnormality")
    assert Predictor(adopted).segment(photograph(20, 20).astype(np.float32)).shape == (20, 20)


def test_names_and_values_are_the_users_where_they_are_given(tmp_path: Path):
    file = file_of(of_milesial(), tmp_path / "a", classes=3)
    assert adopt("milesial-unet", file).labels.names == ("background", "class 1", "class 2")
    labels = adopt("milesial-unet", file, names=("sky", "car", "road"), values=(0, 10, 20)).labels
    assert (labels.names, labels.values) == (("sky", "car", "road"), (0, 10, 20))
    for names, values in [((), (0, 255)), (("sky", "car"), ()), ((), (0, 1, 1))]:
        with pytest.raises(RecipeError, match=r"tells 3 classes apart, the background one of them.*Give 3 of each"):
            adopt("milesial-unet", file, names=names, values=values)


def test_an_intensity_of_other_channels_is_refused(tmp_path: Path):
    file = file_of(of_milesial(), tmp_path / "a", in_channels=1)
    with pytest.raises(RecipeError, match="takes images of 1 channels, but its intensity is of 3"):
        adopt("milesial-unet", file, intensity=Intensity((0.0,) * 3, (1.0,) * 3, "uint8"))


def test_where_it_comes_from_is_said(tmp_path: Path):
    adopted = adopt("milesial-unet", file_of(of_milesial(), tmp_path / "a.safetensors"))
    checkpoint.write(tmp_path / "b.safetensors", adopted)
    about = checkpoint.read(tmp_path / "b.safetensors").provenance["published"]
    assert about["name"] == "milesial-unet"
    assert about["licence"] == PUBLISHED["milesial-unet"].licence == "GPL-3.0"
    assert len(about["sha256"]) == 64
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "b.safetensors"), "--size", "64"]).stdout
    assert "published as  milesial-unet, https://github.com/milesial/Pytorch-UNet, GPL-3.0" in shown
    assert "made for" in shown


def test_the_command_line_predicts_and_scores_with_it(tmp_path: Path):
    adopted = adopt("milesial-unet", file_of(of_milesial(), tmp_path / "a.safetensors"))
    checkpoint.write(tmp_path / "b.safetensors", adopted)
    for kind, pixels in (("images", photograph(40, 40)), ("masks", 255 * (photograph(40, 40)[..., 0] > 99))):
        (tmp_path / "data" / kind).mkdir(parents=True)
        Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(tmp_path / "data" / kind / "one.png")
    network, data, masks = str(tmp_path / "b.safetensors"), tmp_path / "data", tmp_path / "masks"
    predicted = CliRunner().invoke(app, ["predict", network, str(data / "images"), "--out", str(masks)])
    assert predicted.exit_code == 0, predicted.output
    assert (masks / "one.png").exists()
    scored = CliRunner().invoke(app, ["evaluate", network, str(data), "--report", str(tmp_path / "page.html")])
    assert scored.exit_code == 0, scored.output
