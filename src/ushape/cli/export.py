"""`ushape export RUN --format onnx|openvino --out FILE`"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ushape import checkpoint
from ushape.cli.options import Json, Overwrite, RunFolder
from ushape.cli.text import say_facts, say_json
from ushape.export.file import check_export
from ushape.export.file import export as exporting


class FormatChoice(StrEnum):
    onnx = "onnx"
    openvino = "openvino"


def export(
    run: RunFolder,
    format: Annotated[FormatChoice, typer.Option(help="Of the file: ONNX's, or OpenVINO's two.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="NAME.onnx, or NAME.xml, which NAME.bin goes with.")],
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a trained network for other programs, once its file is proved to compute the same.

    Intensity, labels, geometry and object rule are in the file's metadata. Of an ensemble, each network is exported by
    itself.
    """
    check_export(out, format.value, overwrite=overwrite)
    exported = exporting(checkpoint.read(run), out, format.value, overwrite=overwrite)
    if json:
        proof = [asdict(compared) for compared in exported.proof]
        say_json({"run": str(run), "files": [str(file) for file in exported.files], "proof": proof})
        return
    say_facts([(str(file), f"{file.stat().st_size / 1e6:.1f} MB") for file in exported.files])
    say_facts([("proved", compared.in_words()) for compared in exported.proof])
