"""Networks that others trained → networks of ours with their weights. The files are the user's; nothing is downloaded.

    load("milesial-unet", Path("MODEL.pth"))      → a UNet, its channels, classes and width read off the weights

What `load` gives takes the input that its entry in PUBLISHED names, and answers with logits. `ushape.adoption.adopt`
makes of the same file what `ushape predict` takes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ushape.errors import CheckpointError, RecipeError
from ushape.intensity import Intensity
from ushape.models import build
from ushape.models.fcn import FCN, bilinear_kernel, from_caffe
from ushape.models.key_maps import of_brain_mri, of_milesial
from ushape.models.segmenter import Segmenter
from ushape.models.u2net import recognised, with_normalisation
from ushape.models.weights_file import read_state
from ushape.settings import nearest

State = Mapping[str, Tensor]
Options = dict[str, Any]  # Any: whatever our network's constructor takes


@dataclass(frozen=True)
class Entry:
    """A network of others, as one of ours.

    about, source, licence: whose it is, where code and weights come from, and on what terms. model: our network.
    first, head: their weights of the first convolution and of the last, whose shapes tell the sizes.
    input: what the network that `load` gives must be shown.
    options: those of our network beside its sizes. translated: the weights under our names. theirs: a name of ours as
    it is in the file. class_names: what is told apart, the background first; empty where every training has its own.
    intensity: how images of 8 bits, of so many channels, become that input; None where no mean and deviation can say
    it. blue_first: the channels of the input are blue, green, red.
    """

    about: str
    source: str
    licence: str
    model: str
    first: str
    head: str
    input: str
    options: Callable[[State], Options]
    translated: Callable[[State, Segmenter], dict[str, Tensor]]
    theirs: Callable[[str], str]
    class_names: tuple[str, ...] = ()
    intensity: Callable[[int], Intensity] | None = None
    blue_first: bool = False


def load(name: str, file: str | Path) -> Segmenter:
    """A published network in evaluation mode, with the weights in a .safetensors or .pth file.

    RecipeError for a name that is not in PUBLISHED; CheckpointError for a file that cannot be read, or is of another
    network: with every weight that is missing, unknown, or of another shape.
    """
    return opened(name, Path(file))[0]


def opened(name: str, file: Path) -> tuple[Segmenter, Options]:
    """The same, and the options that it was built with, beside its channels and classes."""
    entry = entry_of(name)
    state = read_state(file)
    first, head = _ends(name, state, file)
    options = {"width": first.shape[0], **entry.options(state)}
    network = build(entry.model, in_channels=first.shape[1], classes=head.shape[0], **options)
    weights = entry.translated(state, network)
    _check(weights, network, entry, file)
    network.load_state_dict(weights)
    return network.eval(), options


def entry_of(name: str) -> Entry:
    """RecipeError, with the nearest name or with the reason, for a network that is not among the published ones."""
    if name in NOT_EXPRESSIBLE:
        raise RecipeError(f"{name} is no network that we can compute: {NOT_EXPRESSIBLE[name]}")
    if name not in PUBLISHED:
        raise RecipeError(f"There is no published network {name!r}; {nearest(name, PUBLISHED)}")
    return PUBLISHED[name]


def _ends(name: str, state: State, file: Path) -> tuple[Tensor, Tensor]:
    """The weights of the first convolution and of the last; CheckpointError where they are another network's."""
    entry = PUBLISHED[name]
    first, head = state.get(entry.first), state.get(entry.head)
    if first is not None and head is not None and first.ndim == head.ndim == 4:
        return first, head
    fitting = [other for other, e in PUBLISHED.items() if other != name and e.first in state and e.head in state]
    hint = (
        f"Its names are those of {' or '.join(fitting)}: give that name." if fitting else "Give the file of that one."
    )
    if "conv0_0.conv1.weight" in state:
        hint = f"Its names are those of unet-4uiiurz1, which we cannot compute: {NOT_EXPRESSIBLE['unet-4uiiurz1']}"
    raise CheckpointError(
        f"{file} does not hold {entry.first} and {entry.head} of {name}, but {len(state)} other tensors, the first of "
        f"them {next(iter(state))}. {hint}"
    )


def _check(weights: State, network: Segmenter, entry: Entry, file: Path) -> None:
    """CheckpointError with all that does not fit, under the names that it has in the file."""
    wanted = {entry.theirs(name): tuple(t.shape) for name, t in network.state_dict().items()}
    found = {entry.theirs(name): tuple(t.shape) for name, t in weights.items()}
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    faults = [f"{name} is missing{_near(name, unknown)}" for name in missing]
    faults += [f"{name} is unknown{_near(name, missing)}" for name in unknown]
    faults += [
        f"{name} is {found[name]}, not {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    if faults:
        raise CheckpointError(
            f"The weights in {file} do not fit {entry.about}:\n- " + "\n- ".join(faults) + "\nGive the file of that "
            "network as it was published, or the name of the network that this file is of."
        )


def _near(name: str, others: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, others, n=1)
    return f", but there is {near[0]}" if near and near[0] != name else ""


def _padded_and_normalised(state: State) -> Options:
    if "up1.conv.double_conv.0.weight" in state and "up1.up.weight" not in state:
        raise CheckpointError(
            f"These are weights of milesial's U-Net with bilinear = True, which we cannot compute: {_CORNERS}"
        )
    return {"padding": "same", "normalisation": "batch", "dropout": 0.0}


def _fcn(model: str, *, at_once: bool = False) -> Entry:
    """In the layout of the authors' Caffe files: their names, and bilinear kernels, which may be absent."""

    def options(state: State) -> Options:
        between = [state[name] for name in ("upscore2.weight", "upscore_pool4.weight") if name in state]
        fixed = all(_is_bilinear(kernels) for kernels in between)
        return {"upsampling": "fixed" if fixed else "learned"} | ({"at_once": True} if at_once else {})

    def translated(state: State, network: Segmenter) -> dict[str, Tensor]:
        assert isinstance(network, FCN)
        return from_caffe({name: tensor.float() for name, tensor in state.items()}, network)

    return Entry(
        about=f"the {model.replace('fcn', 'FCN-')}{' at once' * at_once} of Long, Shelhamer and Darrell",
        source="https://github.com/shelhamer/fcn.berkeleyvision.org",
        licence="BSD-2 (code), unrestricted use (weights)",
        model=model,
        first="conv1_1.weight",
        head="score_fr.weight",
        input="blue, green and red from 0 to 255, less 104.00699, 116.66877 and 122.67892",
        options=options,
        translated=translated,
        theirs=lambda ours: ours.removeprefix("vgg16."),
        class_names=_VOC,
        intensity=lambda channels: Intensity(_VOC_MEAN[:channels], (1.0, 1.0, 1.0)[:channels], "uint8"),
        blue_first=True,
    )


def _is_bilinear(kernels: Tensor) -> bool:
    if kernels.ndim != 4:
        return False
    each_by_itself = torch.eye(len(kernels))[:, :, None, None] * bilinear_kernel(kernels.shape[-1] // 2)
    return kernels.shape == each_by_itself.shape and torch.allclose(kernels.float(), each_by_itself)


def _u2net(name: str) -> Entry:
    def options(state: State) -> Options:
        if (found := recognised(state)) not in (None, name):
            raise CheckpointError(f"These are weights of {found}, not of {name}. Give {found} as the name.")
        return {}

    return Entry(
        about=f"{name} of Qin et al., trained on DUTS-TR",
        source="https://github.com/xuebinqin/U-2-Net",
        licence="Apache-2.0",
        model=name,
        first="stage1.rebnconvin.conv_s1.weight",
        head="outconv.weight",
        input=(
            "an image of 320 x 320 pixels, divided by its largest value; red, green and blue less .485, .456 and .406, "
            "by .229, .224 and .225"
        ),
        options=options,
        translated=lambda state, _: with_normalisation(state),
        theirs=lambda ours: ours,
        class_names=("background", "salient"),
        intensity=lambda channels: Intensity(_IMAGENET_MEAN[:channels], _IMAGENET_DEVIATION[:channels], "uint8"),
    )


def _unit_range(channels: int) -> Intensity:
    return Intensity((0.0,) * channels, (255.0,) * channels, "uint8")


_IMAGENET_MEAN = (255 * 0.485, 255 * 0.456, 255 * 0.406)  # red, green and blue
_IMAGENET_DEVIATION = (255 * 0.229, 255 * 0.224, 255 * 0.225)
_VOC_MEAN = (122.67892, 116.66877, 104.00699)
_VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "monitor",
)  # fmt: skip

_CORNERS = (
    "it enlarges maps so that the corners stay in place (align_corners), by a factor that depends on the size of the "
    "input, so that no tile can compute what the whole image would. Train one of ours on your images."
)

NOT_EXPRESSIBLE: dict[str, str] = {
    "unet-4uiiurz1": _CORNERS,
    "nestedunet-4uiiurz1": _CORNERS,
    "unetplusplus-official": (
        "it normalises every map by its own mean and deviation (InstanceNorm), so that the answer would depend on how "
        "an image is cut into tiles. Train one of ours on your images."
    ),
}
"""Networks that people have weights of, and why none of ours can take them."""

PUBLISHED: dict[str, Entry] = {
    "milesial-unet": Entry(
        about="the U-Net of milesial/Pytorch-UNet, bilinear = False",
        source="https://github.com/milesial/Pytorch-UNet",
        licence="GPL-3.0",
        model="unet",
        first="inc.double_conv.0.weight",
        head="outc.conv.weight",
        input="pixels from 0 to 1, of images made smaller by as much as in the training (--scale, .5 by default)",
        options=_padded_and_normalised,
        translated=of_milesial().translated,
        theirs=of_milesial().theirs,
        intensity=_unit_range,
    ),
    "brain-mri-unet": Entry(
        about="the U-Net of mateuszbuda/brain-segmentation-pytorch",
        source="https://github.com/mateuszbuda/brain-segmentation-pytorch",
        licence="MIT",
        model="unet",
        first="encoder1.enc1conv1.weight",
        head="conv.weight",
        input=(
            "slices of pre-contrast, FLAIR and post-contrast, cropped to the brain and made 256 x 256, each volume "
            "stretched between its percentiles 10 and 99, then brought to mean 0 and deviation 1"
        ),
        options=_padded_and_normalised,
        translated=of_brain_mri().translated,
        theirs=of_brain_mri().theirs,
        class_names=("background", "abnormality"),
    ),
    "fcn32s": _fcn("fcn32s"),
    "fcn16s": _fcn("fcn16s"),
    "fcn8s": _fcn("fcn8s"),
    "fcn8s-at-once": _fcn("fcn8s", at_once=True),
    "u2net": _u2net("u2net"),
    "u2netp": _u2net("u2netp"),
}
"""What can be loaded, by name."""
