"""What three papers or more share."""

from __future__ import annotations

import math

from torch import nn


def draw_he_normal(module: nn.Module) -> None:
    """Draw a layer's weights from N(0, √(2/N)), N the incoming nodes of a neuron, and set its biases to 0; for
    `nn.Module.apply` (He et al. 2015; U-Net 2015, Section 3).
    """
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        incoming = module.in_channels * math.prod(module.kernel_size)
    elif isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
        assert module.kernel_size == module.stride, module  # each output pixel sees one input pixel
        incoming = module.in_channels
    else:
        return
    nn.init.normal_(module.weight, std=math.sqrt(2 / incoming))
    if module.bias is not None:
        nn.init.zeros_(module.bias)
