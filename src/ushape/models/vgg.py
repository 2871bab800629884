"""VGG16, as FCN uses it. Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition. 2015.

Configuration D of Table 1, its fully connected layers 6 and 7 turned into convolutions and the eighth left out (Long,
Shelhamer, Darrell 2015, Sections 3.1 and 4.1). One axis of a 500-pixel image:

    conv1   698·698 ▶ pool1 349        64 channels
    conv2   349·349 ▶ pool2 175       128
    conv3   175·175·175 ▶ pool3 88    256    ──▶ FCN-8s
    conv4   88·88·88 ▶ pool4 44       512    ──▶ FCN-16s, 8s
    conv5   44·44·44 ▶ pool5 22       512
    fc6     16                       4096    7×7, without padding
    fc7     16                       4096    ──▶ FCN-32s, 16s, 8s
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from ushape.errors import CheckpointError, RecipeError
from ushape.geometry.axis import Axis
from ushape.models.weights_file import read_state

PADDING = 100
"""Of conv1_1: so much that fc6, whose 7×7 kernel is 224 pixels wide, has a place on an image of a single pixel."""

_CONVOLUTIONS = (2, 2, 3, 3, 3)  # per block
_FULLY_CONNECTED = 64  # channels of fc6 and fc7 per channel of the first block: 4096 for 64

# Where torchvision has each layer: in `features`, which counts ReLUs and poolings too, and `classifier`, fc6 to fc8.
_TORCHVISION = {
    **{f"conv1_{number}": f"features.{place}" for number, place in enumerate((0, 2), start=1)},
    **{f"conv2_{number}": f"features.{place}" for number, place in enumerate((5, 7), start=1)},
    **{f"conv3_{number}": f"features.{place}" for number, place in enumerate((10, 12, 14), start=1)},
    **{f"conv4_{number}": f"features.{place}" for number, place in enumerate((17, 19, 21), start=1)},
    **{f"conv5_{number}": f"features.{place}" for number, place in enumerate((24, 26, 28), start=1)},
    "fc6": "classifier.0",
    "fc7": "classifier.3",
}
_UNUSED = ("classifier.6.weight", "classifier.6.bias")  # fc8: the classes of ImageNet


class VGG16(nn.Module):
    """(N, in_channels, H, W) image → pool3, pool4 and fc7: maps of strides 8, 16 and 32.

    width: channels of the first block; the others have 2, 4, 8 and 8 times as many, fc6 and fc7 64 times.
    dropout: probability after fc6 and after fc7.

    As in FCN: conv1_1 is padded by 100 and poolings keep partial windows, so that an image of any size passes. Weights
    begin as in He et al., Delving Deep into Rectifiers (2015), which is made for ReLUs; VGG's own authors began with
    those of a shallower network, trained before. `load_vgg16` takes ImageNet's.
    """

    def __init__(self, in_channels: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.in_channels, self.width = in_channels, width
        conv = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.conv1_1 = nn.Conv2d(in_channels, width, kernel_size=3, padding=PADDING)
        self.conv1_2 = conv(width, width)
        self.conv2_1 = conv(width, 2 * width)
        self.conv2_2 = conv(2 * width, 2 * width)
        self.conv3_1 = conv(2 * width, 4 * width)
        self.conv3_2 = conv(4 * width, 4 * width)
        self.conv3_3 = conv(4 * width, 4 * width)
        self.conv4_1 = conv(4 * width, 8 * width)
        self.conv4_2 = conv(8 * width, 8 * width)
        self.conv4_3 = conv(8 * width, 8 * width)
        self.conv5_1 = conv(8 * width, 8 * width)
        self.conv5_2 = conv(8 * width, 8 * width)
        self.conv5_3 = conv(8 * width, 8 * width)
        self.fc6 = nn.Conv2d(8 * width, _FULLY_CONNECTED * width, kernel_size=7)
        self.fc7 = nn.Conv2d(_FULLY_CONNECTED * width, _FULLY_CONNECTED * width, kernel_size=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.dropout = nn.Dropout(dropout)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pool1 = self._block(x, self.conv1_1, self.conv1_2)
        pool2 = self._block(pool1, self.conv2_1, self.conv2_2)
        pool3 = self._block(pool2, self.conv3_1, self.conv3_2, self.conv3_3)
        pool4 = self._block(pool3, self.conv4_1, self.conv4_2, self.conv4_3)
        pool5 = self._block(pool4, self.conv5_1, self.conv5_2, self.conv5_3)
        fc6 = self.dropout(self.relu(self.fc6(pool5)))
        fc7 = self.dropout(self.relu(self.fc7(fc6)))
        return pool3, pool4, fc7

    def _block(self, x: Tensor, *convolutions: nn.Conv2d) -> Tensor:
        for convolution in convolutions:
            x = self.relu(convolution(x))
        pooled: Tensor = self.pool(x)
        return pooled


def along_axis(x: Axis) -> tuple[Axis, Axis, Axis]:
    """pool3, pool4 and fc7 on one axis."""
    pools = []
    for block, convolutions in enumerate(_CONVOLUTIONS):
        for number in range(convolutions):
            x = x.conv(3, padding=PADDING if block == number == 0 else 1)
        x = x.pool(2, partial="keep")
        pools.append(x)
    return pools[2], pools[3], x.conv(7).conv(1)


def load_vgg16(vgg16: VGG16, path: Path) -> None:
    """Give a network the weights of VGG16 in a file of torchvision's layout: safetensors, or its own `vgg16-….pth`.

    They were trained on RGB of mean 0 and deviation 1 over ImageNet. Ours sees RGB of mean 0 and deviation 1 over the
    training images (`Intensity`), in place of Caffe's BGR of mean 0 and a deviation near 60: nothing has to be scaled.
    Grey images get the sum of the kernels of red, green and blue, which is what three equal channels would compute.

    RecipeError where width or channels are others; CheckpointError with all that is missing, unknown or misshapen.
    Of a pickle only tensors are read, never code.
    """
    state = {name: weights for name, weights in read_state(path).items() if name not in _UNUSED}
    _check_fit(vgg16, state, path)
    if vgg16.in_channels == 1:
        state["features.0.weight"] = state["features.0.weight"].sum(dim=1, keepdim=True)
    own = vgg16.state_dict()
    vgg16.load_state_dict({name: state[_torchvision(name)].reshape(own[name].shape) for name in own})


def _torchvision(name: str) -> str:
    """Torchvision's name of one of our parameters."""
    layer, _, parameter = name.rpartition(".")
    return f"{_TORCHVISION[layer]}.{parameter}"


def _check_fit(vgg16: VGG16, state: Mapping[str, Tensor], path: Path) -> None:
    if vgg16.in_channels not in (1, 3):
        raise RecipeError(
            f"{path} is for colour images and, its kernels added up, for grey ones; these have {vgg16.in_channels} "
            "channels. Train on colour or grey images, or begin without the file."
        )
    found = {name: tuple(weights.shape) for name, weights in state.items()}
    wanted = _torchvision_shapes(vgg16)
    if found == wanted:
        return
    width, *kernel = found.get("features.0.weight", (0,))
    if found.keys() == wanted.keys() and kernel == [3, 3, 3] and width != vgg16.width:
        raise RecipeError(
            f"{path} is a VGG16 of width {width}, and the network has width = {vgg16.width}. Set width = {width}, or "
            "begin without the file."
        )
    faults = [f"{name} is missing" for name in wanted if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in wanted]
    faults += [f"{n} is {found[n]}, not {wanted[n]}" for n in wanted if n in found and found[n] != wanted[n]]
    raise CheckpointError(
        f"{path} is no VGG16 in torchvision's layout: {'; '.join(faults)}. Take the weights of torchvision's vgg16, "
        "the one without batch normalisation, whole."
    )


def _torchvision_shapes(vgg16: VGG16) -> dict[str, tuple[int, ...]]:
    """Those of torchvision's network of the same width, which sees colours, and whose fc6 and fc7 are matrices."""
    shapes = {_torchvision(name): tuple(weights.shape) for name, weights in vgg16.state_dict().items()}
    shapes["features.0.weight"] = (vgg16.width, 3, 3, 3)
    for layer, theirs in ((vgg16.fc6, "classifier.0.weight"), (vgg16.fc7, "classifier.3.weight")):
        shapes[theirs] = (layer.out_channels, layer.weight[0].numel())
    return shapes


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, √(2/N)), N the incoming nodes of a neuron; biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=math.sqrt(2 / (module.in_channels * math.prod(module.kernel_size))))
        assert module.bias is not None
        nn.init.zeros_(module.bias)
