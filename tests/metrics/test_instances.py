from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ushape.metrics.instances import Matching, pooled


@pytest.mark.real_data
def test_seg_and_det_equal_those_of_the_challenges_own_python_code(shared_fixtures: Path) -> None:
    expected = json.loads((shared_fixtures / "other_metrics" / "expected.json").read_text())["ctc"]
    with np.load(shared_fixtures / "other_metrics" / "ctc_inputs.npz") as maps:
        frames = [Matching.of(maps[f"ref{i}"], maps[f"comp{i}"]) for i in range(3)]
    sequence = pooled(frames)
    assert sequence.seg() == pytest.approx(expected["SEG"], abs=1e-12)
    assert sequence.det() == pytest.approx(expected["DET"], abs=1e-12)
