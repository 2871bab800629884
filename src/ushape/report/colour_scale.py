"""Numbers → colours between which the eye sees equal steps.

The path runs through Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020), whose distances are
those we see: from a dark violet over blue, teal and green to a light yellow, steadily lighter, and as evenly to eyes
that do not tell red from green. It is cut into pieces of equal length.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

STEPS = 256

# Lightness, chroma and hue in degrees at equally spaced stations of the path; all within what a screen can show.
_STATIONS = np.array(
    [
        (0.22, 0.085, 300),
        (0.36, 0.110, 275),
        (0.50, 0.090, 235),
        (0.63, 0.095, 190),
        (0.76, 0.140, 155),
        (0.86, 0.175, 125),
        (0.95, 0.150, 105),
    ]
)

_LMS_OF_LAB = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_LINEAR_OF_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def coloured(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """(…) numbers → (…, 3): `low` and all below are dark, `high` and all above light.

    >>> coloured(np.array([0.0, 1.0]), 0, 1).sum(axis=-1).tolist()
    [106, 613]
    """
    share = np.clip((values - low) / ((high - low) or 1), 0, 1)
    result: NDArray[np.uint8] = scale()[np.round(np.nan_to_num(share) * (STEPS - 1)).astype(np.intp)]
    return result


@cache
def scale() -> NDArray[np.uint8]:
    """(256, 3): the colours from dark to light."""
    stations = np.linspace(0, 1, len(_STATIONS))
    fine = np.linspace(0, 1, 4096)
    lightness, chroma, degrees = (np.interp(fine, stations, of) for of in _STATIONS.T)
    hue = np.radians(degrees)
    path = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    length = np.concatenate([[0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    even = np.linspace(0, length[-1], STEPS)
    linear = (np.stack([np.interp(even, length, of) for of in path.T], axis=1) @ _LMS_OF_LAB.T) ** 3 @ _LINEAR_OF_LMS.T
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    colours: NDArray[np.uint8] = (255 * encoded).round().astype(np.uint8)
    colours.flags.writeable = False  # it is kept
    return colours
