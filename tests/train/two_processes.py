"""What torchrun starts twice for test_together.py: layers, losses and gradients of a batch that both share.

torchrun --nproc-per-node 2 two_processes.py FILE      FILE: for each subject, how far two processes are from one
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from ushape.labels import IGNORED
from ushape.models import build
from ushape.models.segmenter import Segmenter
from ushape.process_group import ALONE, ProcessGroup, joined
from ushape.train.losses import LossName, loss
from ushape.train.together import forward_of

BATCH, SIDE = 4, 32


def main() -> None:
    """Compare, and write what was found."""
    torch.set_num_threads(1)
    processes = joined()
    found = dict(_losses(processes))
    found |= _steps("dropout", processes, normalisation="none", dropout=0.5)
    found |= _steps("normalisation", processes, normalisation="batch", dropout=0.0)
    told = processes.tell(b"spoken by the leader" if processes.leads else b"")
    found["told"] = 0.0 if told == b"spoken by the leader" and processes.tell(b"") == b"" else 1.0
    found["agreed"] = abs(processes.agree(7.0 + processes.rank) - 7)
    worst = {name: float(processes.total(torch.tensor(value))) for name, value in found.items()}
    if processes.leads:
        Path(sys.argv[1]).write_text(json.dumps(worst))
    processes.leave()


def _losses(processes: ProcessGroup) -> list[tuple[str, float]]:
    """The largest difference of value or gradient, for each loss and each way to weigh pixels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(BATCH, 3, SIDE, SIDE, generator=generator)
    dense = torch.randint(3, (BATCH, SIDE, SIDE), generator=generator).to(torch.uint8)
    dense[0, :20] = IGNORED  # so that the shares hold unequally many pixels that count
    sparse = dense.masked_fill(torch.rand(dense.shape, generator=generator) < 0.95, IGNORED)
    weights = torch.rand(dense.shape, generator=generator)
    balance = torch.tensor([1.0, 2.0, 3.0])
    found = []
    for name, classes, of_classes in itertools.product(get_args(LossName), (dense, sparse), (None, balance)):
        whole = logits.clone().requires_grad_()
        energy = loss([whole], classes, name=name, class_weights=of_classes, weights=weights)
        energy.backward()
        share = processes.share(logits).clone().requires_grad_()
        own = loss(
            [share],
            processes.share(classes),
            name=name,
            class_weights=of_classes,
            weights=processes.share(weights),
            processes=processes,
        )
        (own / processes.size).backward()  # which is what a mean over the processes makes of it
        assert whole.grad is not None and share.grad is not None
        kind = f"{name} {'sparse' if classes is sparse else 'dense'} {'balanced' if of_classes is not None else ''}"
        found.append((kind, max(_apart([own], [energy]), _apart([share.grad], [processes.share(whole.grad)]))))
    return found


def _steps(subject: str, processes: ProcessGroup, **options: str | float) -> dict[str, float]:
    """How far outputs, gradients and what normalisation remembers are from those of one process."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(BATCH, 1, SIDE, SIDE, generator=generator).contiguous(memory_format=torch.channels_last)
    x[0] += 3  # so that the shares differ in mean and variance
    target = torch.randn(BATCH, 2, SIDE, SIDE, generator=generator)

    def stepped(group: ProcessGroup) -> tuple[Segmenter, Sequence[Tensor]]:
        torch.manual_seed(2)
        model = build("unet", in_channels=1, classes=2, width=4, depth=2, padding="same", **options)
        model = model.placed(torch.device("cpu")).train()
        forward = forward_of(model, group)
        torch.manual_seed(3)
        outputs = forward(group.share(x))
        (group.total((outputs[0] - group.share(target)).square().sum()) / target.numel()).backward()
        return model, outputs

    alone, whole = stepped(ALONE)
    shared, own = stepped(processes)
    gradients = [[p.grad for p in m.parameters() if p.grad is not None] for m in (shared, alone)]
    remembered = [[b.float() for b in m.buffers()] for m in (shared, alone)]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in shared.modules()) == len(remembered[1]) / 3
    assert list(shared.state_dict()) == list(alone.state_dict())
    return {
        f"{subject}: outputs": _apart(own, [processes.share(whole[0])]),
        f"{subject}: gradients": _apart(*gradients),
        f"{subject}: buffers": _apart(*remembered) if remembered[0] else 0.0,
    }


def _apart(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The largest difference, in units of the largest number."""
    assert len(some) == len(others) > 0
    largest = max(float(b.detach().abs().max()) for b in others)
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in zip(some, others, strict=True)) / largest


if __name__ == "__main__":
    main()
