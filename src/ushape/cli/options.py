"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ushape.predict.formats import ABOUT
from ushape.train.session import DEFAULT_MINUTES


class TaskChoice(StrEnum):
    semantic = "semantic"
    instances = "instances"


class PrecisionChoice(StrEnum):
    exact = "exact"
    fast = "fast"


class EngineChoice(StrEnum):
    auto = "auto"
    torch = "torch"
    onnxruntime = "onnxruntime"
    openvino = "openvino"


class PiecesInChoice(StrEnum):
    slices = "slices"
    volumes = "volumes"


Data = Annotated[Path, typer.Argument(metavar="DATA", help="Folder of images and masks; `ushape check` explains it.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `ushape train` wrote, or a file in it.")]
Minutes = Annotated[float | None, typer.Option(help=f"Of training; {DEFAULT_MINUTES:g} where no budget is given.")]
Steps = Annotated[int | None, typer.Option(help="Of training, in place of minutes.")]
Width = Annotated[int | None, typer.Option(help="Channels of the network's first level.")]
RecipeFile = Annotated[
    Path | None, typer.Option(metavar="FILE.toml", help="All settings, or unet-2015, the paper's; flags overrule it.")
]
Include = Annotated[
    str | None, typer.Option(metavar="GLOB", help="Only images whose names match; several patterns with commas.")
]
GroupBy = Annotated[
    str | None, typer.Option(metavar="REGEX", help="What of an image's name tells the patient, slide … it belongs to.")
]
Ignore = Annotated[
    str | None,
    typer.Option(metavar="VALUES", help="Mask values that count nowhere, being not annotated: 0, or 0,255; or none."),
]
Task = Annotated[TaskChoice | None, typer.Option(help="What the masks mean; recognised where left out.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of the split, the patches and the first weights.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps; the best where left out.")]
Flips = Annotated[
    bool | None,
    typer.Option(
        "--flips/--no-flips",
        help="Average over flips and quarter turns, 8 times slower; left out, where the training found that it helps.",
    ),
]
Precision = Annotated[PrecisionChoice, typer.Option(help="exact: float32; fast: bfloat16 where that is faster.")]
Engine = Annotated[
    EngineChoice | None,
    typer.Option(help="What computes: torch where left out; auto: what is fastest here, by a short measurement."),
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="What tiles may take beside the weights: 2GiB, 500MiB.")
]
Tile = Annotated[
    int | None, typer.Option(min=1, metavar="PX", help="Side of what a tile answers, in place of --memory.")
]
RegionChoice = Annotated[
    list[str] | None,
    typer.Option(
        "--region", metavar="NAME=CLASSES", help="A union of classes to score, as epicardium=2,3; may be repeated."
    ),
]
OnePiece = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Regions of which the largest piece is kept, its holes filled; or none."),
]
PiecesIn = Annotated[
    PiecesInChoice, typer.Option("--pieces-in", help="What --one-piece is of: each slice, or a volume as a whole.")
]
Cardiac = Annotated[
    bool, typer.Option("--cardiac", help="Of the left ventricle: volumes, ejection fraction, contours, walls.")
]
Frames = Annotated[
    int | None,
    typer.Option(min=1, help="Of each slice, where single images are numbered through: 20 for Sunnybrook."),
]
VoxelSize = Annotated[
    str | None,
    typer.Option(metavar="Z,Y,X", help="Millimetres from slice to slice and of a pixel, where files do not say."),
]
ReportFolder = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pages and tables.")]
RunOrMasks = Annotated[
    Path, typer.Argument(metavar="RUN_OR_MASKS", help="What `ushape train` wrote, or a folder of masks.")
]
DataOrImages = Annotated[
    list[Path],
    typer.Argument(metavar="DATA_OR_IMAGES...", help="A folder of images and masks; or images alone, such as series."),
]
Images = Annotated[list[str], typer.Argument(metavar="IMAGES...", help="Folders, files, stacks, or patterns.")]
Masks = Annotated[Path | None, typer.Option("--out", metavar="MASKS", help="Folder for the masks.")]
Probability = Annotated[bool, typer.Option("--probability", help="Also the probability of each class, as TIFF.")]
Uncertainty = Annotated[bool, typer.Option("--uncertainty", help="Also where not to trust the mask, 0 to 1, as TIFF.")]
Overlay = Annotated[bool, typer.Option("--overlay", help="Also a PNG of each mask over its image.")]
OtherFormats = Annotated[
    str | None,
    typer.Option("--format", metavar="NAMES", help=f"Also what others read: {', '.join(ABOUT)}; several with commas."),
]
MaskFormat = Annotated[
    str, typer.Option(metavar="KIND", help="Files of masks: auto (by the image), tiff, ome-tiff or ome-zarr.")
]
WhereTo = Annotated[
    Path | None,
    typer.Option(
        "--where", metavar="MASKS", help="Only where these masks, of any lower resolution, are not 0; a file or folder."
    ),
]
Preview = Annotated[
    bool, typer.Option("--preview", help="First a rough answer for each large image, from a smaller copy of it.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what an interrupted prediction left.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes of this machine that share the work.")]
Dask = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler whose workers share the work.")]
Prove = Annotated[bool, typer.Option("--prove", help="Show that the tile size does not change the answer.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on the standard output, for programs.")]
