"""The formats a trained network can be exported to, and what is checked before any work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ushape.atomic import check_place
from ushape.checkpoint import Trained
from ushape.errors import OutputError, RecipeError
from ushape.export.onnx import write_onnx
from ushape.export.openvino import weights_beside, write_openvino
from ushape.export.parity import Compared

FormatName = Literal["onnx", "openvino"]


@dataclass(frozen=True)
class Exported:
    """The files, and the proof that they compute what the network does."""

    files: tuple[Path, ...]
    proof: tuple[Compared, ...]


_WRITERS: dict[FormatName, tuple[str, Callable[[Path, Trained], tuple[Compared, ...]]]] = {
    "onnx": (".onnx", write_onnx),
    "openvino": (".xml", write_openvino),
}


def check_export(path: Path, format: FormatName, *, overwrite: bool) -> tuple[Path, ...]:
    """The files of an export; OutputError, before any work, where they cannot be or may not be written."""
    ending = _WRITERS[format][0]
    if path.suffix != ending:
        raise OutputError(f"{path} does not end in {ending}, by which programs know such a file. Give it that ending.")
    files = (path, weights_beside(path)) if format == "openvino" else (path,)
    for file in files:
        check_place(file, overwrite=overwrite)
    return files


def export(trained: Trained, path: Path, format: FormatName, *, overwrite: bool = False) -> Exported:
    """A network as a file that other programs run: (1, C, H, W) → (1, K, h, w) logits, H and W any legal sizes.

    Raises OutputError, ExportError where the file would not compute what the network does, MissingExtra; RecipeError
    for a network of volumes.
    """
    if trained.model.axes != 2:
        raise RecipeError(f"{trained.recipe.model.name} is a network of volumes, which are not exported yet.")
    files = check_export(path, format, overwrite=overwrite)
    return Exported(files, _WRITERS[format][1](path, trained))
