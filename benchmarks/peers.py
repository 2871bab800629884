"""Other ways of deforming an image together with its labels, for benchmarks/augmentation.py.

Each is what its own users write: the deformation of U-Net 2015 (Section 3.1) where the library can express it, else the
nearest thing it offers; mirrored at the border; linear for the image and nearest for the labels where not said
otherwise. Those written out here (SciPy, OpenCV, PyTorch) compose all movements and sample once, as ushape does.
SciPy and MONAI spend most of their time on making the field of displacements, not on following it.
A peer that is not installed raises ImportError when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

Floats = NDArray[np.float32]
Pair = tuple[Floats, NDArray[np.uint8]]
Peer = Callable[["Task"], Callable[[], Pair]]

SIGMA_PX = 10.0  # of the elastic deformation, as published
SCALE, CONTRAST, BRIGHTNESS, NOISE = 1.15, 0.25, 0.25, 0.1  # ushape's own defaults


@dataclass(frozen=True)
class Task:
    """A square image with its labels, to be deformed `count` times over; whole: moved, and its values changed, too."""

    image: Floats
    labels: NDArray[np.uint8]
    count: int
    whole: bool

    @property
    def size(self) -> int:
        return len(self.image)


def scipy_of_order(order: int) -> Peer:
    """`map_coordinates`, on places from a 3×3 grid enlarged with cubic splines."""

    def prepared(task: Task) -> Callable[[], Pair]:
        rng = np.random.default_rng(0)

        def one() -> Pair:
            vectors = rng.normal(0, SIGMA_PX, (2, 3, 3)).astype(np.float32)
            field = np.stack([ndimage.zoom(v, task.size / 3, order=3) for v in vectors])
            places = _places(task, field, rng) + np.float32((task.size - 1) / 2)
            image = ndimage.map_coordinates(task.image, places, order=order, mode="mirror")
            labels = ndimage.map_coordinates(task.labels, places, order=0, mode="mirror")
            return _values(task, image, rng), labels

        return _repeated(task, one)

    return prepared


def opencv(task: Task) -> Callable[[], Pair]:
    """`remap`, whose linear interpolation rounds places to 1/32 pixel."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)

    def one() -> Pair:
        vectors = rng.normal(0, SIGMA_PX, (2, 3, 3)).astype(np.float32)
        field = np.stack([cv2.resize(v, (task.size, task.size), interpolation=cv2.INTER_CUBIC) for v in vectors])
        y, x = _places(task, field, rng) + np.float32((task.size - 1) / 2)
        image = cv2.remap(task.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        labels = cv2.remap(task.labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
        return _values(task, image, rng), labels

    return _repeated(task, one)


def pytorch(task: Task) -> Callable[[], Pair]:
    """`interpolate` and `grid_sample`, a whole batch at once."""
    generator = torch.Generator().manual_seed(0)
    image, labels = (torch.from_numpy(a).float().expand(task.count, 1, -1, -1) for a in (task.image, task.labels))
    axis = torch.linspace(-1, 1, task.size)
    still = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)

    def uniform(spread: float) -> torch.Tensor:
        return (2 * torch.rand(task.count, 1, 1, 1, generator=generator) - 1) * spread

    def batch() -> Pair:
        vectors = torch.randn(task.count, 2, 3, 3, generator=generator) * (2 * SIGMA_PX / task.size)
        field = F.interpolate(vectors, (task.size, task.size), mode="bicubic", align_corners=True)
        grid = still + field.permute(0, 2, 3, 1)
        if task.whole:
            angle, zoom = uniform(math.pi), SCALE ** uniform(1)
            turned = [grid[..., :1] * angle.cos() - grid[..., 1:] * angle.sin()]
            turned += [grid[..., :1] * angle.sin() + grid[..., 1:] * angle.cos()]
            grid = torch.cat(turned, -1) * uniform(1).sign() * zoom
        seen = F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
        truth = F.grid_sample(labels, grid, mode="nearest", padding_mode="reflection", align_corners=True)
        if task.whole:
            seen = seen * (1 + CONTRAST) ** uniform(1) + uniform(BRIGHTNESS)
            seen = seen + uniform(0.25) * ((seen.square() + 1).sqrt() - 1)
            seen = seen + NOISE * torch.randn(seen.shape, generator=generator)
        return seen[-1, 0].numpy(), truth[:, 0].byte()[-1].numpy()

    return batch


def monai(task: Task) -> Callable[[], Pair]:
    """`Rand2DElasticd`, which turns and scales in the same sampling, then flips and values; without its metadata."""
    from monai import data, transforms

    data.set_track_meta(False)
    both = ("image", "labels")
    movement = {"rotate_range": math.pi, "scale_range": SCALE - 1} if task.whole else {}
    steps = [
        transforms.Rand2DElasticd(
            both,
            spacing=(task.size // 2, task.size // 2),
            magnitude_range=(SIGMA_PX, SIGMA_PX),
            prob=1,
            mode=("bilinear", "nearest"),
            padding_mode="reflection",
            **movement,
        )
    ]
    if task.whole:
        steps += [transforms.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in (0, 1)]
        steps += [
            transforms.RandScaleIntensityd("image", CONTRAST, prob=1),
            transforms.RandShiftIntensityd("image", BRIGHTNESS, prob=1),
            transforms.RandAdjustContrastd("image", prob=1, gamma=(0.8, 1.25)),
            transforms.RandGaussianNoised("image", prob=1, std=NOISE),
        ]
    everything = transforms.Compose(steps)
    pair = {name: torch.from_numpy(a)[None] for name, a in (("image", task.image), ("labels", task.labels))}

    def one() -> Pair:
        result = everything(dict(pair))
        return result["image"][0].numpy(), result["labels"][0].numpy().astype(np.uint8)

    return _repeated(task, one)


def batchgenerators(task: Task) -> Callable[[], Pair]:
    """`SpatialTransform` as of nnU-Net: noise blurred to a fifth of the patch, in one sampling with turn and scale."""
    from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform
    from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

    movement = {"p_rotation": 1, "p_scaling": 1, "scaling": (1 / SCALE, SCALE)} if task.whole else {}
    steps = [
        SpatialTransform(
            (task.size, task.size),
            patch_center_dist_from_border=0,
            random_crop=False,
            p_elastic_deform=1,
            elastic_deform_scale=(0.2, 0.2),
            elastic_deform_magnitude=(2 * SIGMA_PX, 2 * SIGMA_PX),
            mode_seg="nearest",
            padding_mode_image="reflection",
            border_mode_seg="reflection",
            **movement,
        )
    ]
    if task.whole:
        steps += [
            MirrorTransform((0, 1)),
            ContrastTransform((1 / (1 + CONTRAST), 1 + CONTRAST), preserve_range=False, synchronize_channels=True),
            BrightnessAdditiveTransform(0, BRIGHTNESS),
            GammaTransform((0.8, 1.25), 0, synchronize_channels=True, p_per_channel=1, p_retain_stats=0),
            GaussianNoiseTransform((NOISE, NOISE)),
        ]
    image, labels = torch.from_numpy(task.image)[None], torch.from_numpy(task.labels).short()[None]

    def one() -> Pair:
        result = {"image": image.clone(), "segmentation": labels.clone()}
        for step in steps:
            result = step(**result)
        return result["image"][0].numpy(), result["segmentation"][0].numpy().astype(np.uint8)

    return _repeated(task, one)


def albumentations(task: Task) -> Callable[[], Pair]:
    """`ElasticTransform`, noise blurred over 50 pixels; turn and scale are another transform and sampling."""
    import albumentations
    import cv2

    cv2.setNumThreads(1)
    reflect = {"border_mode": cv2.BORDER_REFLECT_101, "p": 1}
    blur_px = 50
    strength = SIGMA_PX * 2 * math.sqrt(math.pi) * blur_px  # white noise so blurred has a deviation of 1/(2 √π blur)
    steps = [albumentations.ElasticTransform(alpha=strength, sigma=blur_px, **reflect)]
    if task.whole:
        steps = [
            albumentations.HorizontalFlip(),
            albumentations.VerticalFlip(),
            albumentations.Affine(rotate=(-180, 180), scale=(1 / SCALE, SCALE), **reflect),
            *steps,
            albumentations.RandomBrightnessContrast(BRIGHTNESS, CONTRAST, p=1),
            albumentations.RandomGamma((80, 125), p=1),
            albumentations.GaussNoise(std_range=(NOISE, NOISE), p=1),
        ]
    everything = albumentations.Compose(steps)
    between = (task.image - task.image.min()) / np.ptp(task.image)  # it takes floats from 0 to 1

    def one() -> Pair:
        result = everything(image=between[..., None], mask=task.labels)
        return result["image"][..., 0] * np.ptp(task.image) + task.image.min(), result["mask"]

    return _repeated(task, one)


PEERS: dict[str, Peer] = {
    "SciPy map_coordinates, order 1": scipy_of_order(1),
    "SciPy map_coordinates, order 3": scipy_of_order(3),
    "OpenCV remap": opencv,
    "PyTorch grid_sample": pytorch,
    "MONAI Rand2DElasticd": monai,
    "batchgeneratorsv2 SpatialTransform": batchgenerators,
    "albumentations ElasticTransform": albumentations,
}


def _repeated(task: Task, one: Callable[[], Pair]) -> Callable[[], Pair]:
    def batch() -> Pair:
        return [one() for _ in range(task.count)][-1]

    return batch


def _places(task: Task, field: Floats, rng: np.random.Generator) -> Floats:
    """(2, size, size): where pixels come from, (y, x) counted from the centre of the image."""
    offset = np.arange(task.size, dtype=np.float32) - np.float32((task.size - 1) / 2)
    places: Floats = field + np.stack(np.broadcast_arrays(offset[:, None], offset))
    if not task.whole:
        return places
    angle, zoom = rng.uniform(-math.pi, math.pi), SCALE ** rng.uniform(-1, 1)
    matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) * zoom
    matrix = matrix * rng.choice([-1, 1], 2)
    turned: Floats = (matrix.astype(np.float32) @ places.reshape(2, -1)).reshape(places.shape)
    return turned


def _values(task: Task, image: Floats, rng: np.random.Generator) -> Floats:
    if not task.whole:
        return image
    image = image * np.float32((1 + CONTRAST) ** rng.uniform(-1, 1)) + np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    image = image + np.float32(rng.uniform(-0.25, 0.25)) * (np.sqrt(np.square(image) + 1) - 1)
    return image + np.float32(NOISE) * rng.standard_normal(image.shape, dtype=np.float32)
