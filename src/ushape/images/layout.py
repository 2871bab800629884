"""What a mask file is going to hold, known before the first pixel is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MICROMETRES_PER_CENTIMETRE = 1e4


@dataclass(frozen=True)
class Layout:
    """shape: (height, width). spacing: (y, x) micrometres of a pixel, or None. description: for whoever opens it."""

    shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    channels: int
    spacing: tuple[float, float] | None
    description: str

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return self.shape if self.channels == 1 else (*self.shape, self.channels)

    @property
    def pixels_per_centimetre(self) -> tuple[float, float] | None:
        """(x, y), as TIFF wants it."""
        if self.spacing is None:
            return None
        return _MICROMETRES_PER_CENTIMETRE / self.spacing[1], _MICROMETRES_PER_CENTIMETRE / self.spacing[0]
