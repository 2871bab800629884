from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from ushape.freed_memory import keeping_freed_memory

MEGABYTES = 256


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of this process as Linux tells it")
@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives back what is freed at once")
def test_memory_is_kept_within_and_given_back_at_the_end() -> None:
    with keeping_freed_memory():
        before = resident_mb()
        del (block := [torch.ones(1024, 1024, MEGABYTES // 4)])[:]
        assert block == []
        kept = resident_mb() - before
    given_back = resident_mb() - before
    assert kept > MEGABYTES / 2
    assert given_back < MEGABYTES / 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of this process as Linux tells it")
@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives back what is freed at once")
def test_the_end_of_an_inner_context_gives_nothing_back() -> None:
    with keeping_freed_memory():
        before = resident_mb()
        with keeping_freed_memory():
            del [torch.ones(1024, 1024, MEGABYTES // 4)][:]
        kept = resident_mb() - before
    assert kept > MEGABYTES / 2
    assert resident_mb() - before < MEGABYTES / 2


def test_an_error_within_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), keeping_freed_memory():
        raise ZeroDivisionError


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
