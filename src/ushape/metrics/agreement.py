"""Two ways to measure the same things → how far they agree (Bland and Altman 1986, The Lancet 327:307).

The bias is the mean of the differences, and 95 % of them are expected between the limits of agreement, bias ± 1.96
standard deviations (n − 1 in the denominator).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z95 = 1.96


@dataclass(frozen=True)
class Agreement:
    """pairs: how many have both. bias: the mean of measured − reference. correlation: Pearson's r.

    What too few pairs do not define is NaN: of none all, of one the deviation and the limits, of fewer than three, or
    where one side never differs, the correlation.
    """

    pairs: int
    bias: float
    deviation: float
    low: float
    high: float
    correlation: float
    mean_absolute_error: float

    @staticmethod
    def of(measured: Sequence[float], reference: Sequence[float]) -> Agreement:
        """Pairs of which one is NaN are left out.

        >>> Agreement.of([11.0, 22.0, 30.0], [10.0, 20.0, 30.0]).bias
        1.0
        """
        both: NDArray[np.float64] = np.array([measured, reference], dtype=np.float64)
        both = both[:, ~np.isnan(both).any(axis=0)]
        pairs, differences = both.shape[1], np.subtract(*both)
        if not pairs:
            return Agreement(0, *[math.nan] * 6)
        bias = float(differences.mean())
        deviation = float(differences.std(ddof=1)) if pairs > 1 else math.nan
        varies = pairs > 2 and bool((both.std(axis=1) > 0).all())
        return Agreement(
            pairs=pairs,
            bias=bias,
            deviation=deviation,
            low=bias - _Z95 * deviation,
            high=bias + _Z95 * deviation,
            correlation=float(np.corrcoef(*both)[0, 1]) if varies else math.nan,
            mean_absolute_error=float(np.abs(differences).mean()),
        )
