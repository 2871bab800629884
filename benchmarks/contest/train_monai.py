"""MONAI as its tutorial of 2-D segmentation trains (tutorials/2d_segmentation/torch/unet_training_dict.py).

From there: crops of 96 px, half of them centred on foreground, four from each of two images; quarter turns; intensities
scaled to 0 … 1 image by image; DiceLoss; Adam at a constant 1e-3; a validation every second epoch, whose best
network is kept; sliding windows of 96 px, four at a time. BasicUNet and DynUNet have the defaults of their signatures
where they have any, and DynUNet the kernels and strides of its tests: five levels of kernel 3, stride 2.

More generous than the tutorial: images are cached once scaled (MONAI's "fast training guide"), nothing is cropped in
another process, a fifth of the images is held back for validation in place of half, and validations wait where they
would take more than a fifth of the time. Of several classes, the loss has softmax in place of its sigmoid, and
classes are drawn alike often.
"""

from __future__ import annotations

import copy

import monai
import numpy as np
import torch
from assignment import Assignment, Clock
from monai.data import CacheDataset, DataLoader, list_data_collate
from monai.inferers import sliding_window_inference
from monai.networks import nets
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    RandCropByLabelClassesd,
    RandCropByPosNegLabeld,
    RandRotate90d,
    ScaleIntensityd,
    SpatialPadd,
)

CROP_PX, CROPS, IMAGES = 96, 4, 2
BOTH = ("img", "seg")


def main() -> None:
    assignment = Assignment.from_arguments()
    torch.set_num_threads(assignment.threads)
    monai.utils.set_determinism(assignment.seed)
    monai.data.set_track_meta(False)
    training, validation = divided(assignment)
    loader = DataLoader(training, batch_size=IMAGES, shuffle=True, num_workers=0, collate_fn=list_data_collate)
    outputs = assignment.classes if assignment.classes > 2 else 1
    model = network(assignment.options["network"], assignment.channels, outputs)
    several = outputs > 1
    loss = monai.losses.DiceLoss(sigmoid=not several, softmax=several, to_onehot_y=several)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)

    clock, steps, epochs, best, kept = Clock(assignment.seconds), 0, 0, -1.0, None
    while clock.progress < 1:
        for batch in loader:
            model.train()
            optimiser.zero_grad()
            loss(model(batch["img"]), batch["seg"]).backward()
            optimiser.step()
            steps += 1
            if clock.progress >= 1:
                break
        epochs += 1
        over = clock.progress >= 1
        due = kept is not None if over else epochs % 2 == 0 and clock.may_validate  # of one alone, none is chosen
        if due:
            with clock.validation():
                score = mean_dice(model, validation, outputs)
            if score > best:
                best, kept = score, copy.deepcopy(model.state_dict())
    clock.end()

    model.load_state_dict(kept or model.state_dict())
    scaled = Compose([EnsureChannelFirstd("img", channel_dim=-1), EnsureTyped("img"), ScaleIntensityd("img")])
    for name, image in assignment.tests():
        assignment.write(name, segmented(model, scaled({"img": image.astype(np.float32)})["img"]).numpy())
    patches = IMAGES * CROPS * (CROP_PX / 256) ** 2
    assignment.report(clock, steps=steps, patches=patches)


def divided(assignment: Assignment) -> tuple[CacheDataset, CacheDataset]:
    """The images to train on, to be cropped, and those that choose the network, the last fifth."""
    names = assignment.names
    pairs = [{"img": assignment.image("train", n).astype(np.float32), "seg": assignment.mask(n)} for n in names]
    whole = [
        EnsureChannelFirstd("img", channel_dim=-1),
        EnsureChannelFirstd("seg", channel_dim="no_channel"),
        EnsureTyped(BOTH),
        ScaleIntensityd("img"),
    ]
    size = {"spatial_size": [CROP_PX, CROP_PX], "num_samples": CROPS}
    if assignment.classes > 2:
        crop = RandCropByLabelClassesd(BOTH, label_key="seg", num_classes=assignment.classes, warn=False, **size)
    else:
        crop = RandCropByPosNegLabeld(BOTH, label_key="seg", pos=1, neg=1, **size)
    cropped = [SpatialPadd(BOTH, size["spatial_size"]), crop, RandRotate90d(BOTH, prob=0.5, spatial_axes=(0, 1))]
    held_back = max(1, len(pairs) // 5)
    quiet = {"progress": False, "num_workers": None}
    return (
        CacheDataset(pairs[:-held_back], Compose([*whole, *cropped]), **quiet),
        CacheDataset(pairs[-held_back:], Compose(whole), **quiet),
    )


def network(name: str, channels: int, outputs: int) -> torch.nn.Module:
    if name == "BasicUNet":
        return nets.BasicUNet(spatial_dims=2, in_channels=channels, out_channels=outputs)
    assert name == "DynUNet", name
    return nets.DynUNet(
        2, channels, outputs, kernel_size=[3] * 5, strides=[1, 2, 2, 2, 2], upsample_kernel_size=[2] * 4
    )


def mean_dice(model: torch.nn.Module, validation: CacheDataset, outputs: int) -> float:
    """Over the images and the classes besides the background."""
    metric = monai.metrics.DiceMetric(include_background=False, reduction="mean", num_classes=max(outputs, 2))
    for pair in validation:
        metric(segmented(model, pair["img"])[None, None], pair["seg"][None])
    return float(metric.aggregate())


def segmented(model: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """(C, H, W) scaled image → (H, W) class numbers."""
    model.eval()
    with torch.no_grad():
        logits = sliding_window_inference(image[None], (CROP_PX, CROP_PX), 4, model)[0]
    return logits.argmax(0) if len(logits) > 1 else (logits[0].sigmoid() >= 0.5).long()


if __name__ == "__main__":
    main()
