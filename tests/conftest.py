"""Fixtures that several folders of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _machine_of_one_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans do not measure this machine, which takes its time and chooses by it; tests/train/test_pace.py does."""
    monkeypatch.setattr("ushape.train.plan.step_seconds", lambda *_: 1.0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real labelled images; the test is skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the labelled images in ../shared/data are not on this machine")
    return SHARED / "data"


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """Outputs of the authors' own code; the test is skipped where they are absent."""
    if not (SHARED / "fixtures").is_dir():
        pytest.skip("the authors' outputs in ../shared/fixtures are not on this machine")
    return SHARED / "fixtures"
