"""An image's truth and answer, as families of scores take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.labels import IGNORED


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
    def ignored(self) -> NDArray[np.bool_] | None:
        """Where the truth counts nowhere; None where it counts everywhere."""
        ignored: NDArray[np.bool_] = self.truth == IGNORED
        return ignored if ignored.any() else None
