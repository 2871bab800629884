"""What every score asks of its two arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ushape.errors import SizeError


def require_same_shape(name: str, array: NDArray[np.generic], other_name: str, other: NDArray[np.generic]) -> None:
    """SizeError with both shapes, unless they are one."""
    if array.shape != other.shape:
        raise SizeError(
            f"The {name} is {array.shape} and the {other_name} {other.shape}; give both on the same pixels, unscaled."
        )
