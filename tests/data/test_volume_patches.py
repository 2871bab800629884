"""Patches of volumes: what is drawn, turned, deformed and mirrored along three axes, against NumPy and SciPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from ushape.data.augment import Augmentation, Warp
from ushape.data.boxes import boxes
from ushape.data.class_pixels import ClassPixels
from ushape.data.elastic import STEEPEST, displacement, unfolded
from ushape.data.patches import Example, PatchSampler
from ushape.errors import DataError
from ushape.geometry.footprint import Footprint
from ushape.labels import IGNORED

CPU = torch.device("cpu")
EVERYTHING, STILL = Augmentation(), Augmentation.none()
PADDED = (Footprint(2, 2, 2, padded=True), Footprint(8, 4, 4, padded=True), Footprint(8, 4, 4, padded=True))
UNPADDED = (Footprint(2, 1, 5), Footprint(4, 2, 10), Footprint(4, 2, 10))
SHAPE = (9, 21, 30)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(shape: tuple[int, ...] = SHAPE) -> Example:
    """Every voxel's value is its number, so that patches tell where they come from."""
    numbers = torch.arange(float(np.prod(shape))).view(1, *shape)
    return Example("numbers", numbers, torch.ones(shape, dtype=torch.uint8))


def sampler(*examples: Example, footprints=PADDED, sizes=(4, 12, 12), augmentation=STILL, **options):
    settings = {"batch": 6, "seed": 0, "device": CPU, **options}
    return PatchSampler(examples, footprints, output_size=sizes, augmentation=augmentation, **settings)


def test_a_field_is_hermite_splines_along_each_axis():
    vectors = torch.randn(1, 3, 3, 3, 3, generator=seeded()).double()

    def along(values: np.ndarray, size: int) -> np.ndarray:
        repeated = np.concatenate([values[:1], values, values[-1:]])
        return CubicHermiteSpline([0, 1, 2], values, (repeated[2:] - repeated[:-2]) / 2)(np.linspace(0, 2, size))

    expected = vectors[0, 1].numpy()
    for axis, size in enumerate((7, 12, 9)):
        expected = np.moveaxis(along(np.moveaxis(expected, axis, 0), size), 0, axis)
    np.testing.assert_allclose(displacement(vectors, 7, 12, 9)[0, 1].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("sizes", [(20, 24, 28), (4, 40, 40)])
def test_no_field_folds(sizes: tuple[int, ...]):
    vectors = unfolded(torch.randn(8, 3, 3, 3, 3, generator=seeded()) * 30, *sizes)
    field = displacement(vectors.double(), *sizes).numpy()
    changes = [np.diff(field, axis=axis) for axis in (2, 3, 4)]
    steepest = max(np.sqrt((change**2).sum(axis=1)).max() for change in changes if change.size)
    assert 0.3 < steepest < 1.3 * STEEPEST
    gentle = torch.randn(2, 3, 3, 3, 3, generator=seeded()) * 0.01
    assert torch.equal(unfolded(gentle, 64, 64, 64), gentle)


def test_turns_are_rotations_of_space_by_the_size_of_voxels():
    """Their matrix, from voxels to lengths, is one of SciPy's: a rotation, times mirrors and magnification."""
    spacing = (1.8, 1.0, 1.2)
    drawn = replace(EVERYTHING, elastic_px=0).draw(200, seeded(), spacing).matrix
    lengths = torch.diag(torch.tensor(spacing, dtype=torch.float64))
    for matrix in (lengths @ drawn @ lengths.inverse()).numpy():
        magnification = 1 / abs(np.linalg.det(matrix)) ** (1 / 3)
        rotation = matrix * magnification
        rotation[:, 0] *= np.sign(np.linalg.det(rotation))
        np.testing.assert_allclose(Rotation.from_matrix(rotation).as_matrix(), rotation, atol=1e-9)
        assert 1 / 1.15 - 1e-9 <= magnification <= 1.15 + 1e-9
    assert (drawn[:, 0, 1:].abs() > 0.05).any(dim=1).float().mean() > 0.9  # slices are left


def test_along_a_coarse_axis_voxels_are_mirrored_and_nothing_else():
    transform = EVERYTHING.draw(100, seeded(), (5.0, 1.0, 1.0))
    assert (transform.matrix[:, 0, 1:] == 0).all() and (transform.matrix[:, 1:, 0] == 0).all()
    assert set(transform.matrix[:, 0, 0].tolist()) == {1.0, -1.0}
    assert (transform.vectors[:, 0] == 0).all() and (transform.vectors[:, 1:] != 0).all()
    assert (transform.vectors == transform.vectors[:, :, :1]).all()
    offsets = transform.warp((6, 16, 16), CPU).offsets
    assert (offsets[:, 0] == offsets[:, 0].round()).all()
    assert torch.allclose(offsets[:, 1:], offsets[:, 1:, :1].expand_as(offsets[:, 1:]), atol=1e-4)


def test_vectors_are_shorter_in_voxels_where_these_are_longer():
    vectors = EVERYTHING.draw(3000, seeded(), (2.0, 1.0, 1.0)).vectors
    deviations = vectors.std(dim=(0, 2, 3, 4))
    assert torch.allclose(deviations, torch.tensor([5.0, 10.0, 10.0]), rtol=0.03)


def test_nothing_turned_on_reproduces_the_volume_to_the_last_bit():
    warp = Augmentation.none().draw(1, seeded(), (1, 1, 1)).warp((5, 8, 9), CPU)
    box = torch.randn(1, 2, *(2 * half + 1 for half in warp.halves), generator=seeded())
    starts = [half - size // 2 for half, size in zip(warp.halves, (5, 8, 9), strict=True)]
    expected = box[:, :, *(slice(a, a + n) for a, n in zip(starts, (5, 8, 9), strict=True))]
    assert torch.equal(warp.bilinear(box), expected)
    assert torch.equal(warp.nearest(box[:, 0]), expected[:, 0])


def test_sampling_is_scipys():
    warp = EVERYTHING.draw(2, seeded(3), (1.5, 1.0, 1.0)).warp((6, 14, 12), CPU)
    box = torch.randn(2, 1, *(2 * half + 1 for half in warp.halves), generator=seeded())
    for one, found, nearest, offsets in zip(
        box, warp.bilinear(box), warp.nearest(box[:, 0]), warp.offsets, strict=True
    ):
        places = [offset.double().numpy() + half for offset, half in zip(offsets, warp.halves, strict=True)]
        expected = map_coordinates(one[0].double().numpy(), places, order=1, mode="nearest")
        np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-4)
        rounded = [np.round(place).astype(int) for place in places]
        assert (nearest.numpy() == one[0].numpy()[tuple(rounded)]).mean() > 0.999  # halves may round either way


def test_boxes_have_a_depth_of_their_own_and_go_on_mirrored():
    offsets = torch.zeros(1, 3, 2, 2, 2)
    offsets[0, 0, 0, 0, 0], offsets[0, 2, 1, 1, 1] = 3, -13
    warp = Warp(offsets)
    assert (warp.reaches, warp.halves) == ((3, 13, 13), (4, 16, 16))
    volume = torch.randn(2, *SHAPE, generator=seeded())
    for centre in [(0, 0, 0), (4, 10, 15), (8, 20, 29), (1, 19, 3)]:
        (box,) = boxes([volume], [centre], warp)
        around = np.pad(volume.numpy(), [(0, 0), (16, 16), (16, 16), (16, 16)], mode="reflect")
        first = [place + 16 - reach for place, reach in zip(centre, (3, 13, 13), strict=True)]
        expected = around[:, *(slice(a, a + 2 * reach + 1) for a, reach in zip(first, (3, 13, 13), strict=True))]
        inner = box[:, *(slice(half - reach, half + reach + 1) for half, reach in zip((4, 16, 16), (3, 13, 13)))]  # noqa: B905
        assert (inner.numpy() == expected).all()


def test_voxels_of_a_class_are_each_as_probable():
    classes = torch.zeros(4, 5, 6, dtype=torch.uint8)
    wanted = {(0, 0, 0), (1, 4, 2), (3, 2, 5)}
    for place in wanted:
        classes[place] = 2
    pixels = ClassPixels(classes)
    drawn = [pixels.draw((2,), generator) for generator in [seeded()] for _ in range(600)]
    assert set(drawn) == wanted
    assert min(drawn.count(place) for place in wanted) > 150


@pytest.mark.parametrize("footprints", [PADDED, UNPADDED])
def test_patches_are_windows_of_the_volume_and_truth_is_what_the_network_answers(footprints):
    patches = sampler(numbered(), footprints=footprints)
    margins = [0 if f.padded else f.margin for f in footprints]
    assert patches.output_sizes == tuple(n - 2 * m for n, m in zip(patches.input_sizes, margins, strict=True))
    batch = patches.draw()
    assert batch.image.shape == (6, 1, *patches.input_sizes)
    assert batch.classes.shape == (6, *patches.output_sizes)
    for patch in batch.image[:, 0].long():
        z, y, x = np.unravel_index(patch.numpy(), SHAPE)
        assert (z == z[:, :1, :1]).all() and (y == y[:1, :, :1]).all() and (x == x[:1, :1]).all()
        for places in (z[:, 0, 0], y[0, :, 0], x[0, 0]):
            assert (np.abs(np.diff(places)) == 1).all()


def test_image_and_classes_stay_together_under_every_deformation():
    classes = torch.zeros(SHAPE, dtype=torch.uint8)
    classes[3:6, 8:15, 9:22] = 1
    example = Example("box", classes[None].float(), classes)
    quiet = replace(EVERYTHING, contrast=0, brightness=0, curve=0, noise=0)
    batch = sampler(example, augmentation=quiet, foreground_fraction=1.0, spacing=(2, 1, 1)).draw()
    assert (batch.classes == 1).flatten(1).any(1).all()
    agree = ((batch.image[:, 0] > 0.5) == (batch.classes == 1)).float().mean()
    assert agree > 0.97
    assert 0.1 < (batch.classes == 1).float().mean() < 0.9


def test_of_few_annotated_slices_every_patch_shows_one():
    """The paper's sparse annotation: two of 40 slices are known."""
    classes = torch.full((40, 30, 30), IGNORED, dtype=torch.uint8)
    classes[[5, 31]] = 0
    classes[5, 10:20, 10:20] = 1
    example = Example("sparse", torch.randn(1, 40, 30, 30, generator=seeded()), classes)
    for augmentation in (Augmentation.none(), EVERYTHING):
        patches = sampler(example, augmentation=augmentation, batch=12)
        for _ in range(3):
            assert (patches.draw().classes != IGNORED).flatten(1).any(1).all()


def test_the_same_seed_draws_the_same_batches_and_goes_on_from_a_state():
    first, again = (sampler(numbered(), numbered((12, 20, 20)), augmentation=EVERYTHING) for _ in range(2))
    for _ in range(2):
        assert torch.equal(first.draw().image, again.draw().image)
    state = first.state()
    expected = first.draw()
    again.restore(state)
    assert torch.equal(again.draw().image, expected.image)


def test_masks_of_another_size_are_told():
    wrong = Example("heart", torch.zeros(1, 4, 8, 8), torch.zeros(4, 8, 9, dtype=torch.uint8))
    with pytest.raises(DataError, match="heart is 4x8x8, but its mask is 4x8x9"):
        sampler(wrong)
