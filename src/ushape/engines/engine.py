"""What computes a network: one face for PyTorch and for the libraries that only predict.

build("torch", model)          PyTorch, batch normalisation folded into the convolutions; on a processor, these by
                               minimal filtering where that is faster
build("onnxruntime", model)    ONNX Runtime   ┐ of the extra "engines"; the network is handed over in memory,
build("openvino", model)       OpenVINO       ┘ for every legal size at once
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from ushape.device import Precision, autocast, laid_out
from ushape.engines import onnx_runtime, open_vino
from ushape.engines.folding import folded
from ushape.engines.substitution import minimal
from ushape.errors import RecipeError
from ushape.models.segmenter import Segmenter, evaluating

EngineName = Literal["torch", "onnxruntime", "openvino"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
_FILTER_BYTES = 2**29  # those of the published U-Net take 430 MiB


class Engine(Protocol):
    """(1, C, H, W) float32 tile of a legal size → the (1, K, h, w) logits of the network's `forward`."""

    name: EngineName

    def __call__(self, x: Tensor) -> Tensor: ...


class Network:
    """PyTorch computes the network as it stands: its weights may change between two tiles.

    The tile is laid out channels-last, which convolutions read fastest; the network is in evaluation mode meanwhile.
    """

    name: EngineName = "torch"

    def __init__(self, model: Segmenter, precision: Precision = "float32") -> None:
        self.model, self._precision = model, precision

    def __call__(self, x: Tensor) -> Tensor:
        x = laid_out(x)
        with self.computing():
            logits: Tensor = self.model(x)
        return logits

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A context in which the network, or its layers, compute as they do here."""
        with autocast(self.model.device, self._precision), evaluating(self.model):
            yield


class Foreign:
    """Another library computes it, from NumPy to NumPy."""

    def __init__(self, name: EngineName, session: onnx_runtime.Session | open_vino.Session) -> None:
        self.name, self._session = name, session

    def __call__(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self._session(np.ascontiguousarray(x.numpy())))


def build(
    name: EngineName, model: Segmenter, precision: Precision = "float32", *, filter_bytes: int = _FILTER_BYTES
) -> Engine:
    """An engine of a network, whose weights are those of now.

    filter_bytes: what minimal filtering may hold of a network beyond its weights; 0 computes without.
    MissingExtra where its library is not installed; RecipeError for one that cannot compute where the network is, or
    in this precision.
    """
    if name == "torch":
        exact = model.axes == 2 and model.device.type == "cpu" and precision == "float32"
        return Network(minimal(folded(model), filter_bytes) if exact and filter_bytes else folded(model), precision)
    if model.axes != 2:
        raise RecipeError(f"The engine {name} computes images, and this network takes volumes. Take --engine torch.")
    if model.device.type != "cpu" or precision != "float32":
        raise RecipeError(
            f"The engine {name} computes float32 on the processor, and {precision} on {model.device.type} is asked "
            "for. Leave out --precision and --device, or take --engine torch."
        )
    return Foreign(name, (onnx_runtime if name == "onnxruntime" else open_vino).session_of(model))
