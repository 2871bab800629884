"""Any bytes of a gzip file, in any order, without a file that stays open."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from ushape.images.gzipped import GzipReader

CONTENT = np.random.default_rng(0).integers(0, 9, 300_000).astype(np.uint8).tobytes()


@pytest.mark.parametrize("members", [1, 3])
def test_bytes_in_any_order(tmp_path: Path, members: int):
    third = len(CONTENT) // members
    parts = [CONTENT[k * third : (k + 1) * third] for k in range(members)]
    (tmp_path / "a.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    reader = GzipReader(tmp_path / "a.gz")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    for first, count in [(5, 10), (200_000, 7), (200_007, 90), (0, 3), (0, 3), (299_990, 10)]:
        assert reader.read_at(first, count) == CONTENT[first : first + count]
    assert not before or len(os.listdir("/proc/self/fd")) == before


def test_the_end_and_damage_are_told(tmp_path: Path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(CONTENT))
    with pytest.raises(EOFError, match="ends 5 bytes too early"):
        GzipReader(tmp_path / "a.gz").read_at(299_995, 10)
    (tmp_path / "b.gz").write_bytes(gzip.compress(CONTENT)[:5000])
    with pytest.raises(EOFError):
        GzipReader(tmp_path / "b.gz").read_at(200_000, 10)
