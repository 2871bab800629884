"""Whether masks lie where their images do, in files that say where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ushape.data.pair import Fault, Pair, counted, error, listed, warning
from ushape.errors import ImageError
from ushape.images.grid import Grid
from ushape.images.source import grid_of


def grid_faults(pairs: Sequence[Pair]) -> list[Fault]:
    """Masks on another grid than their image's, and volumes that do not state the size of their voxels."""
    faults: list[Fault] = []
    together = dict.fromkeys((pair.image.path, mask.page.path) for pair in pairs for mask in pair.masks)
    grids = {path: _grid(path) for both in together for path in both}
    for image, mask in together:
        of_image, of_mask = grids[image], grids[mask]
        if of_image and of_mask and (difference := of_mask.difference(of_image)):
            faults.append(
                error(
                    f"{mask} does not lie where its image {image} does: {difference}. Draw or resample it on the "
                    "image's grid, or save it with the image's geometry if only that was lost.",
                    [image, mask],
                )
            )
    unmeasured = [image for image in dict.fromkeys(image for image, _ in together) if _lacks_size(grids[image])]
    if unmeasured:
        verb = "does" if len(unmeasured) == 1 else "do"
        faults.append(
            warning(
                f"{counted(len(unmeasured), 'volume')} {verb} not state the size of a voxel: "
                f"{listed(path.name for path in unmeasured)}. Distances will be in pixels; convert them again from the "
                "scanner's files if they should be in micrometres.",
                unmeasured,
            )
        )
    return faults


def _grid(path: Path) -> Grid | None:
    try:
        return grid_of(path)
    except ImageError:
        return None  # told of where the file is opened


def _lacks_size(grid: Grid | None) -> bool:
    return grid is not None and not grid.measured
