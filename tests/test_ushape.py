"""The Python face: few names, found without waiting for torch."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ushape
import ushape.train.loop  # binds the package `train` in `ushape`, which must not hide the function


def test_there_are_at_most_15_public_names_and_all_are_there():
    assert len(ushape.__all__) <= 15
    assert dir(ushape) == sorted(ushape.__all__)
    for name in ushape.__all__:
        assert getattr(ushape, name) is not None


def test_importing_ushape_loads_nothing_that_takes_time():
    script = "import sys, ushape; print([n for n in ('torch', 'numpy', 'scipy', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_train_can_be_called_and_looked_into():
    assert callable(ushape.train)
    assert ushape.train.loop.fit is not None


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'ushape' has no attribute 'trian'"):
        ushape.trian  # noqa: B018


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"].get("version", ushape.__version__) == ushape.__version__
