"""A command line to type into, a small folder, and a network trained on it for a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ushape.cli import app
from ushape.images.simulated import write_folder

Typed = Callable[..., Any]  # Any: the result that Typer's runner gives: exit_code, stdout, stderr


@pytest.fixture(scope="session")
def ushape() -> Typed:
    """ushape("train", folder, "--out", run) does what typing it does."""

    def typed(*words: object) -> Any:
        result = CliRunner().invoke(app, [str(word) for word in words], prog_name="ushape")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return typed


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six simulated micrographs of 96 pixels a side, in images/ and masks/."""
    root = tmp_path_factory.mktemp("data") / "cells"
    write_folder(root, "cells", count=6, height_width=(96, 96), seed=1)
    return root


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cells, in masks that number them."""
    root = tmp_path_factory.mktemp("data") / "numbered"
    write_folder(root, "cells", count=6, height_width=(96, 96), seed=1, instances=True)
    return root


@pytest.fixture(scope="session")
def quick() -> tuple[str, ...]:
    """Flags of the least training there is."""
    return "--width", "4", "--steps", "3"


@pytest.fixture(scope="session")
def run(ushape: Typed, cells: Path, quick: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three steps, which tests leave as it is."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = ushape("train", cells, "--out", folder, *quick)
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def run_of_objects(
    ushape: Typed, numbered: Path, quick: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same of a network that tells objects apart."""
    folder = tmp_path_factory.mktemp("runs") / "objects"
    result = ushape("train", numbered, "--out", folder, *quick)
    assert result.exit_code == 0, result.stderr
    return folder
