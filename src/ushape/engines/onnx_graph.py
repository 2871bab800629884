"""A network → its ONNX graph, for every height and width that it can take."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from io import StringIO
from typing import Any

import torch
from torch.export import Dim

from ushape.engines.folding import folded
from ushape.errors import ExportError, MissingExtra, RecipeError
from ushape.geometry.footprint import Footprint
from ushape.models.segmenter import Segmenter

INPUT, OUTPUT = "image", "logits"
_LARGEST_SIDE = 2**15
_MOST_BYTES = 2**31 - 2**20  # of one protobuf message, in which a graph holds its weights


def onnx_graph(model: Segmenter) -> Any:  # Any: onnx.ModelProto, of an optional package
    """(1, C, H, W) float32 `image` → (1, K, h, w) `logits`, as an onnx.ModelProto; H and W are free, in legal sizes.

    Batch normalisation is folded into the convolutions. The network stays as it is. MissingExtra without the packages
    onnx and onnxscript; RecipeError for a network whose weights do not fit in such a graph; ExportError for one that
    PyTorch cannot export.
    """
    _require_packages()
    if 4 * model.parameter_count > _MOST_BYTES:
        raise RecipeError(
            f"The weights of this network take {4 * model.parameter_count / 2**30:.1f} GiB, and an ONNX graph holds at "
            "most 2. Train a narrower network."
        )
    network, footprint = deepcopy(folded(model)).cpu().eval().requires_grad_(False), model.footprint
    height = footprint.input_for(2 * footprint.multiple)
    x = torch.zeros(1, model.in_channels, height, height + footprint.multiple)
    sizes = {2: _legal("height", footprint), 3: _legal("width", footprint)}
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (x,),
                dynamo=True,
                verbose=False,
                dynamic_shapes=(sizes,),
                input_names=[INPUT],
                output_names=[OUTPUT],
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(
            f"PyTorch's exporter cannot put this {type(model).__name__} into an ONNX graph of free sizes: {reason} "
            "Predict with `ushape predict --engine torch`."
        ) from error
    assert program is not None
    return program.model_proto


def _legal(name: str, footprint: Footprint) -> Dim:
    """The legal sizes of an axis, rest + multiple · n, of which the exporter shows that the network takes them all."""
    steps, rest = divmod(footprint.smallest_input, footprint.multiple)
    n = Dim(f"{name}_steps", min=max(2, steps), max=_LARGEST_SIDE // footprint.multiple)
    sizes = footprint.multiple * n if footprint.multiple > 1 else n
    return sizes + rest if rest else sizes


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtra('ONNX is not installed. Install it: pip install "ushape[engines]"') from error


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporter warns, logs and prints of its own doings; what it raises passes."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
