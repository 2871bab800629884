"""Fitted once on training images, then the same arithmetic for every image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ushape.errors import ImageError
from ushape.intensity import Intensity


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    high = 256 if dtype == "uint8" else 4096
    return np.random.default_rng(sum(shape)).integers(0, high, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_training_images_together_get_mean_0_and_deviation_1(channels, dtype):
    images = [noise(20, 30, channels, dtype=dtype), noise(7, 5, channels, dtype=dtype) // 3]
    intensity = Intensity.fit(iter(images))
    assert (intensity.channels, intensity.dtype) == (channels, dtype)
    pixels = torch.cat([intensity.tensor(image, "a.png").flatten(1) for image in images], dim=1).double()
    assert torch.allclose(pixels.mean(dim=1), torch.zeros(channels, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(pixels.std(dim=1, unbiased=False), torch.ones(channels, dtype=torch.float64), atol=1e-5)


def test_mean_and_deviation_count_every_pixel_once_whatever_the_sizes_of_the_images():
    images = [noise(40, 40, 1), noise(3, 3, 1) // 8]
    values = np.concatenate([image.ravel() for image in images]).astype(np.float64)
    intensity = Intensity.fit(images)
    assert intensity.mean[0] == pytest.approx(values.mean())
    assert intensity.deviation[0] == pytest.approx(values.std())


def test_a_tensor_is_channels_first_float32_of_its_own():
    image = noise(6, 9, 3)
    before = image.copy()
    tensor = Intensity((1.0, 2.0, 3.0), (1.0, 2.0, 4.0), "uint8").tensor(image, "a.png")
    assert tensor.shape == (3, 6, 9)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    for channel, (mean, deviation) in enumerate([(1, 1), (2, 2), (3, 4)]):
        expected = (image[..., channel].astype(np.float32) - mean) / deviation
        assert np.array_equal(tensor[channel].numpy(), expected)
    tensor.zero_()
    assert np.array_equal(image, before)


def test_the_answer_never_depends_on_the_pixels_at_hand():
    intensity = Intensity.fit([noise(30, 30, 1)])
    image = noise(8, 8, 1) // 4  # darker than any training image
    whole = intensity.tensor(image, "dark.png")
    assert torch.equal(intensity.tensor(image[2:5, 1:3], "dark.png"), whole[:, 2:5, 1:3])


def test_the_fit_is_frozen():
    intensity = Intensity.fit([noise(5, 5, 1)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        intensity.dtype = "uint16"


def test_grey_images_saved_as_colour_are_one_channel():
    grey = noise(10, 10, 1)
    assert Intensity.fit([grey.repeat(3, axis=-1), grey]) == Intensity.fit([grey, grey])


def test_one_coloured_image_makes_a_colour_network_and_grey_ones_fill_all_its_channels():
    grey, coloured = noise(10, 10, 1), noise(10, 12, 3)
    intensity = Intensity.fit([grey, grey.repeat(3, axis=-1), coloured])
    assert intensity.channels == 3
    assert intensity == Intensity.fit([grey.repeat(3, axis=-1), grey, coloured])
    assert torch.equal(intensity.tensor(grey, "g.png"), intensity.tensor(grey.repeat(3, axis=-1), "g.png"))


def test_equal_channels_enter_a_grey_network_as_one():
    intensity = Intensity.fit([noise(10, 10, 1)])
    grey = noise(4, 5, 1)
    assert torch.equal(intensity.tensor(grey.repeat(3, axis=-1), "g.png"), intensity.tensor(grey, "g.png"))


def test_colour_is_refused_by_a_grey_network_with_what_to_do():
    intensity = Intensity.fit([noise(10, 10, 1)])
    with pytest.raises(
        ImageError, match=r"wing.png has 3 channels.*trained on 1\. Save it with 1 channel \(grey\), or"
    ):
        intensity.tensor(noise(4, 4, 3), "wing.png")


def test_another_number_of_channels_is_refused_with_what_to_do():
    intensity = Intensity.fit([noise(10, 10, 3)])
    with pytest.raises(ImageError, match=r"wing.tif has 4 channels.*trained on 3\. Save it with 3 channels, or train"):
        intensity.tensor(noise(4, 4, 4), "wing.tif")


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int16"])
def test_another_type_of_pixel_is_refused_with_what_to_do(dtype):
    intensity = Intensity.fit([noise(10, 10, 1)])
    words = rf"wing.tif has {dtype} pixels.*trained on uint8.*another brightness\. Convert the image to uint8"
    with pytest.raises(ImageError, match=words):
        intensity.tensor(noise(4, 4, 1).astype(dtype), "wing.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_constant_channel_divides_by_nothing_small(dtype):
    image = noise(9, 9, 2, dtype=dtype)
    image[..., 1] = 77
    intensity = Intensity.fit([image, image])
    assert intensity.deviation[1] == 1.0
    assert not intensity.tensor(image, "a.png")[1].any()


def test_a_single_level_of_16_bits_above_a_large_offset_is_told_apart():
    image = np.where(noise(50, 50, 1) > 127, 60_001, 60_000).astype(np.uint16)
    assert Intensity.fit([image]).deviation[0] == pytest.approx(image.astype(np.float64).std(), rel=1e-4)
