"""segmentation_models.pytorch as its examples train, on processors: examples/binary_segmentation_buildings.py.

From there, the example that is made to run without a GPU too: Unet with resnet34, three channels normalised as for
ImageNet, batches of 8, DiceLoss, Adam from 2e-4 along a cosine to 1e-5, the network of the last step. From
examples/camvid_segmentation_multiclass.ipynb: the augmentation, which ends in crops of 320 px, the loss of several
classes, and whole images, padded, at prediction. The examples' encoder begins with ImageNet's weights, a download: so
it does with the option encoder=imagenet; with encoder=random there are none.

More generous than the examples: no image is held back, as validation there chooses nothing; images are read once.
Images of 16 bits are brought to the 8 that the augmentation takes, from the lowest to the highest value in training.
"""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import torch
from assignment import Assignment, Clock
from torch import library

# Where PyTorch and torchvision are builds of different kinds, torchvision finds no operators of its own, and is not
# imported for want of these, which no network here calls.
try:
    import torchvision
except RuntimeError:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    OPERATORS = library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the internet whether there is a newer one

import albumentations as A
import segmentation_models_pytorch as smp

CROP_PX, BATCH, HIGHEST_RATE, LOWEST_RATE = 320, 8, 2e-4, 1e-5
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as in the example


def main() -> None:
    assignment = Assignment.from_arguments()
    torch.set_num_threads(assignment.threads)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(assignment.seed)
    eight_bits = EightBits.of(assignment)
    pairs = [(eight_bits(assignment.image("train", name)), assignment.mask(name)) for name in assignment.names]
    augment = augmentation(assignment.seed)
    outputs = assignment.classes if assignment.classes > 2 else 1
    weights = assignment.options["encoder"]
    begins_with = None if weights == "random" else weights
    model = smp.Unet("resnet34", encoder_weights=begins_with, in_channels=3, classes=outputs)
    mode = smp.losses.MULTICLASS_MODE if outputs > 1 else smp.losses.BINARY_MODE
    loss = smp.losses.DiceLoss(mode, from_logits=True)
    optimiser = torch.optim.Adam(model.parameters(), lr=HIGHEST_RATE)
    rng = np.random.default_rng(assignment.seed)

    clock, steps, waiting = Clock(assignment.seconds), 0, []
    model.train()
    while clock.progress < 1:
        for group in optimiser.param_groups:
            share = (1 + np.cos(np.pi * clock.progress)) / 2
            group["lr"] = LOWEST_RATE + (HIGHEST_RATE - LOWEST_RATE) * share
        while len(waiting) < BATCH:
            waiting += rng.permutation(len(pairs)).tolist()
        drawn, waiting = waiting[:BATCH], waiting[BATCH:]
        augmented = [augment(image=pairs[i][0], mask=pairs[i][1]) for i in drawn]
        images = normalised(np.stack([each["image"] for each in augmented]))
        masks = torch.from_numpy(np.stack([each["mask"] for each in augmented])).long()
        optimiser.zero_grad()
        loss(model(images).contiguous(), masks if outputs > 1 else masks[:, None]).backward()
        optimiser.step()
        steps += 1
    clock.end()

    model.eval()
    for name, image in assignment.tests():
        assignment.write(name, segmented(model, eight_bits(image)))
    patches = BATCH * (CROP_PX / 256) ** 2
    assignment.report(clock, steps=steps, patches=patches, notes=[f"encoder begins with {weights} weights"])


class EightBits:
    """(H, W, C) image of 8 or 16 bits → (H, W, 3) of 8."""

    def __init__(self, lowest: int, highest: int) -> None:
        self.lowest, self.highest = lowest, max(highest, lowest + 1)

    @staticmethod
    def of(assignment: Assignment) -> EightBits:
        images = [assignment.image("train", name) for name in assignment.names]
        return EightBits(min(int(i.min()) for i in images), max(int(i.max()) for i in images))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8:
            shares = (image.astype(np.float32) - self.lowest) / (self.highest - self.lowest)
            image = (255 * shares.clip(0, 1)).round().astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def augmentation(seed: int) -> A.Compose:
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.ShiftScaleRotate(scale_limit=0.5, rotate_limit=0, shift_limit=0.1, p=1, border_mode=0),
            A.PadIfNeeded(min_height=CROP_PX, min_width=CROP_PX),
            A.RandomCrop(height=CROP_PX, width=CROP_PX),
            A.GaussNoise(p=0.2),
            A.Perspective(p=0.5),
            A.OneOf([A.CLAHE(p=1), A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)], p=0.9),
            A.OneOf([A.Sharpen(p=1), A.Blur(blur_limit=3, p=1), A.MotionBlur(blur_limit=3, p=1)], p=0.9),
            A.OneOf([A.RandomBrightnessContrast(p=1), A.HueSaturationValue(p=1)], p=0.9),
        ],
        seed=seed,
    )


def normalised(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) of 8 bits → (N, 3, H, W) as the example normalises them."""
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / deviation


def segmented(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """(H, W, 3) of 8 bits → (H, W) class numbers; padded to whole steps of the encoder, and cut again."""
    height, width = image.shape[:2]
    padding = A.PadIfNeeded(None, None, pad_height_divisor=32, pad_width_divisor=32, position="top_left")
    with torch.inference_mode():
        logits = model(normalised(padding(image=image)["image"][None]))[0, :, :height, :width]
    return (logits.argmax(0) if len(logits) > 1 else logits[0].sigmoid() > 0.5).numpy()


if __name__ == "__main__":
    main()
