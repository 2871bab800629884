from __future__ import annotations

import sys

import pytest

from ushape.engines.engine import build
from ushape.errors import MissingExtra
from ushape.models.unet import UNet


def test_a_missing_library_is_said_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # Python's own way to say that there is no such module
    monkeypatch.setattr("torch.onnx.export", pytest.fail)
    with pytest.raises(
        MissingExtra, match=r'ONNX Runtime is not installed. Install it: pip install "ushape\[engines\]"'
    ):
        build("onnxruntime", UNet(depth=1, width=4).eval())
