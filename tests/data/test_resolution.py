"""What is left of masks at a coarser resolution, against PyTorch resizing the whole, and cases known by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from ushape.data.annotation import annotate
from ushape.data.folder import survey
from ushape.data.resolution import kept


def kept_of(folder: Path, mask: np.ndarray, reductions: tuple[int, ...], ignored: tuple[int, ...] = ()) -> list[float]:
    for kind, pixels in (("images", np.arange(mask.size, dtype=np.uint32).reshape(mask.shape) % 251), ("masks", mask)):
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / "a.png")
    found = survey(folder)
    return list(kept(found.pairs, annotate(found, ignored_values=ignored), reductions))


def test_large_shapes_stay_and_lines_go(tmp_path: Path) -> None:
    mask = np.zeros((96, 96), dtype=np.uint8)
    mask[16:80, 16:80] = 1
    blocks = kept_of(tmp_path, mask, (1, 2, 8))
    assert blocks[0] == 1.0 and blocks[1] > 0.99 and 0.95 < blocks[2] < blocks[1]
    mask[:] = 0
    mask[:, ::8] = 1
    assert kept_of(tmp_path, mask, (4,)) == [0.0]  # a quarter of four pixels is never the largest part


def test_the_worst_class_counts_as_in_resizing_of_the_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    coarse = torch.from_numpy(random.normal(size=(1, 3, 12, 10)))
    mask = F.interpolate(coarse, size=(93, 79), mode="bicubic").argmax(dim=1)[0]
    whole = F.pad(F.one_hot(mask, 3).movedim(-1, 0)[None].double(), (0, 5, 0, 3), mode="replicate")
    seen = F.interpolate(F.avg_pool2d(whole, 4), size=(96, 84), mode="bilinear")[0, :, :93, :79].argmax(dim=0)
    dice = [2 * ((seen == k) & (mask == k)).sum() / ((seen == k).sum() + (mask == k).sum()) for k in (1, 2)]
    assert kept_of(tmp_path, mask.numpy(), (4,)) == pytest.approx([float(min(dice))], abs=1e-3)


def test_what_is_ignored_does_not_count(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:, 32:] = 1
    lines = mask.copy()
    lines[::4, :16] = 1
    assert kept_of(tmp_path, lines, (4,))[0] < 0.99
    lines[:, :20] = 7
    assert kept_of(tmp_path, lines, (4,), ignored=(7,)) == [1.0]
