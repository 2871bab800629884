from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ushape.errors import ExportError
from ushape.export.parity import prove, sizes
from ushape.models.unet import UNet

NET = UNet(depth=1, width=4).eval()


def faithful(x: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return NET(torch.from_numpy(x)).numpy()


def test_sizes_are_legal_unequal_and_of_even_and_odd_steps_of_the_grid():
    net = UNet(width=4)
    steps = {(n - 188) // 16 % 2 for size in sizes(net) for n in size}
    assert all(net.footprint.is_legal(n) for size in sizes(net) for n in size)
    assert all(height != width for height, width in sizes(net))
    assert steps == {0, 1}


def test_a_faithful_session_is_proved_with_figures():
    found = prove(NET, faithful, "net.onnx")
    assert [(c.height, c.width) for c in found] == list(sizes(NET))
    assert all(c.agreement.difference < 1e-6 and c.agreement.flipped == 0 for c in found)
    assert "18 x 24: differs by 0.0e+00" in found[0].in_words()


@pytest.mark.parametrize("size", range(3))
def test_one_wrong_size_is_enough_to_refuse(size):
    def unfaithful(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return faithful(x) + 0.1 * (x.shape[-2:] == sizes(NET)[size])

    with pytest.raises(ExportError, match=r"net.onnx is not written: .* \(18 x 24: differs by .* labels; 28 x 22"):
        prove(NET, unfaithful, "net.onnx")


def test_the_mode_of_the_network_stays():
    net = UNet(depth=1, width=4).train()
    with pytest.raises(ExportError):
        prove(net, faithful, "net.onnx")
    assert all(module.training for module in net.modules())
