"""What all commands share: help without waiting, errors without tracebacks, exit statuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ushape import __version__
from ushape.cli import COMMANDS

LATE = ("torch", "numpy", "scipy", "rich", "PIL", "tifffile")
RAISING = """
import sys
import ushape.cli as cli
cli.loaded = lambda name: 1 // 0
sys.argv = ["ushape", "inspect", "unet", *{flags}]
cli.main()
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)


def test_help_loads_nothing_that_takes_time():
    script = f"""
import sys
from typer.testing import CliRunner
from ushape.cli import app
result = CliRunner().invoke(app, ["--help"])
assert result.exit_code == 0 and "train" in result.output
print([name for name in {LATE} if name in sys.modules])
"""
    done = python("-c", script)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_python_m_ushape_is_the_command():
    done = python("-m", "ushape", "--help")
    assert done.returncode == 0
    assert "Usage: ushape [OPTIONS] COMMAND" in done.stdout
    assert "Begin with: ushape demo" in done.stdout


def test_help_names_every_command_in_one_line(ushape):
    lines = ushape("--help").stdout.splitlines()
    for name, words in COMMANDS.items():
        assert any(line.split() == [name, *words.split()] for line in lines), name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(ushape, command):
    result = ushape(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: ushape {command}" in result.stdout


def test_the_version_is_said(ushape):
    assert ushape("--version").stdout == f"ushape {__version__}\n"


def test_without_a_command_the_help_is_shown(ushape):
    result = ushape()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("trian", "folder"), "No such command 'trian'. Did you mean 'train'?"),
        (("train", "folder", "--out", "run", "--minuts", "3"), "--minutes"),
        (("train", "folder"), "Missing option '--out'"),
        (("train", "folder", "--out", "run", "--steps", "many"), "Invalid value for '--steps'"),
    ],
)
def test_a_slip_of_the_fingers_gets_a_hint_and_status_2(ushape, words, hint):
    result = ushape(*words)
    assert result.exit_code == 2
    assert hint in result.stderr


def test_what_the_user_can_mend_is_one_message_with_status_2(ushape):
    result = ushape("check", "no such folder")
    assert result.exit_code == 2
    assert result.stderr.startswith("ushape: no such folder does not exist")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback_wherever_it_stands(ushape, place):
    words = ["check", "no such folder"]
    words.insert(place, "--debug")
    result = ushape(*words)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "DataError" in result.stderr


def test_a_defect_is_owned_up_to_with_status_1():
    done = python("-c", RAISING.format(flags=[]))
    assert done.returncode == 1
    assert done.stderr.startswith("ushape: a defect of ushape, not of your files: ZeroDivisionError: ")
    assert "--debug" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_defect_shows_its_traceback_with_debug():
    done = python("-c", RAISING.format(flags=["--debug"]))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_ctrl_c_is_status_130_without_a_traceback(ushape, monkeypatch):
    def interrupted(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr("ushape.cli.loaded", interrupted)
    result = ushape("check", "folder")
    assert result.exit_code == 130
    assert result.stderr == "ushape: stopped.\n"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 GB")])
def test_too_little_memory_can_be_mended(ushape, monkeypatch, error):
    def greedy(_name):
        raise error

    monkeypatch.setattr("ushape.cli.loaded", greedy)
    result = ushape("check", "folder")
    assert result.exit_code == 2
    assert "The memory is used up. To train with less, lower batch or output_size" in result.stderr


@pytest.mark.parametrize("words", [["predict", "run", "images"], ["train", "data", "--out", "run", "--seeds", "2"]])
def test_only_a_training_is_for_several_processes(ushape, monkeypatch, words):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    refused = ushape(*words)
    assert refused.exit_code == 2 and "Start it without torchrun" in refused.stderr
