"""An image's truth and answer, as families of scores take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.labels import IGNORED

_COARSE_UM = 100  # a tenth of a millimetre


@dataclass(frozen=True, eq=False)
class Judged:
    """An image's truth and answer: (H, W) class maps, IGNORED where the truth counts nowhere, and (H, W) object maps.
    Of a volume, all are (D, H, W).

    foreground: (H, W) probability of the one foreground class; of masks without probabilities, 0 and 1.
    spacing: length of a pixel along each axis; None where it is not known.
    """

    truth: NDArray[np.uint8]
    answer: NDArray[np.uint8]
    true_objects: NDArray[np.integer]
    objects: NDArray[np.integer]
    foreground: NDArray[np.floating]
    spacing: tuple[float, ...] | None = None

    @property
    def lengths(self) -> tuple[str, tuple[float, ...]]:
        """The unit in which distances are told, and the length of a pixel in it along each axis.

        "mm" where a pixel is a tenth of one or more, as in medical images, else "um"; "px" where it is not known.
        """
        if self.spacing is None:
            return "px", (1.0,) * self.truth.ndim
        if min(self.spacing) >= _COARSE_UM:
            return "mm", tuple(length / 1000 for length in self.spacing)
        return "um", self.spacing

    @property
    def ignored(self) -> NDArray[np.bool_] | None:
        """Where the truth counts nowhere; None where it counts everywhere."""
        ignored: NDArray[np.bool_] = self.truth == IGNORED
        return ignored if ignored.any() else None
