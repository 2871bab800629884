"""What a network asks of one axis of its input: a margin of context, a grid of sizes, a smallest size."""

from __future__ import annotations

from dataclasses import dataclass

from ushape.errors import SizeError


@dataclass(frozen=True)
class Footprint:
    """One axis of a network whose exact answer covers its input less a margin at either side.

    margin: pixels of context consumed at each side (92 in U-Net 2015, Fig. 1: 572 → 388).
    multiple: legal inputs are this far apart, and tiles start on multiples of it (2^depth).
    smallest_input: the smallest legal input.
    padded: the network's own output is as large as its input (zero-padded convolutions), and only the part inside
        the margin is free of the padding's influence.

    >>> unet = Footprint(margin=92, multiple=16, smallest_input=188)
    >>> unet.input_for(388), unet.exact_output(572)
    (572, 388)
    """

    margin: int
    multiple: int
    smallest_input: int
    padded: bool = False

    def input_for(self, output: int) -> int:
        """The smallest legal input whose exact answer covers `output` pixels (the caption of Fig. 2 computed back)."""
        assert output >= 1, output
        needed = max(output + 2 * self.margin, self.smallest_input)
        return self.smallest_input + -(-(needed - self.smallest_input) // self.multiple) * self.multiple

    def exact_output(self, input_size: int) -> int:
        """How many pixels of the answer depend on nothing outside this legal input; SizeError for an illegal one."""
        self.require(input_size)
        return max(0, input_size - 2 * self.margin)  # padded networks take inputs smaller than their margins

    def output(self, input_size: int) -> int:
        """The size of the tensor that the network returns for this legal input; SizeError for an illegal one."""
        self.require(input_size)
        return input_size if self.padded else input_size - 2 * self.margin

    def is_legal(self, input_size: int) -> bool:
        return input_size >= self.smallest_input and (input_size - self.smallest_input) % self.multiple == 0

    def nearest_legal(self, input_size: int) -> tuple[int, int]:
        """The legal inputs next below (or the smallest) and next above (or equal to) this one.

        >>> Footprint(margin=92, multiple=16, smallest_input=188).nearest_legal(512)
        (508, 524)
        """
        steps = max(0, input_size - self.smallest_input) // self.multiple
        below = self.smallest_input + steps * self.multiple
        above = below if below >= input_size else below + self.multiple
        return below, above

    def require(self, input_size: int) -> None:
        """Raise SizeError, with the nearest legal sizes, unless the network can take this input size."""
        if self.is_legal(input_size):
            return
        below, above = self.nearest_legal(input_size)
        near = f"{below}" if below == above else f"{below} or {above}"
        raise SizeError(
            f"The network cannot take an input of {input_size} pixels along one axis: it takes "
            f"{self.smallest_input} + n·{self.multiple}. The nearest legal size is {near}; "
            "or let ushape tile the image (Predictor.segment, `ushape predict`), which takes any size."
        )
