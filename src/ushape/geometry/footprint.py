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
    sees_edges: of a padded network whose padding begins where the image ends, as in its paper, instead of a mirrored
        margin away: tiles end with the image, and the answer of a tile covers all that it reads.

    >>> unet = Footprint(margin=92, multiple=16, smallest_input=188)
    >>> unet.input_for(388), unet.exact_output(572)
    (572, 388)
    """

    margin: int
    multiple: int
    smallest_input: int
    padded: bool = False
    sees_edges: bool = False

    def __post_init__(self) -> None:
        assert self.padded or not self.sees_edges, self

    def input_for(self, output: int) -> int:
        """The smallest legal input whose exact answer covers `output` pixels (the caption of Fig. 2 computed back)."""
        assert output >= 1, output
        needed = max(output if self.sees_edges else output + 2 * self.margin, self.smallest_input)
        return self.smallest_input + -(-(needed - self.smallest_input) // self.multiple) * self.multiple

    def exact_output(self, input_size: int) -> int:
        """How many pixels of the answer depend on nothing outside this legal input; SizeError for an illegal one.

        All, where the edges of the input are those of the image, and meant to be seen.
        """
        self.require(input_size)
        if self.sees_edges:
            return input_size
        return max(0, input_size - 2 * self.margin)  # padded networks take inputs smaller than their margins

    def read_for(self, first: int, last: int, size: int) -> tuple[int, int]:
        """Where a tile that keeps the pixels first ≤ i < last of an image's axis begins and ends to read.

        `first` lies on the grid. The window may stick out of the image; of a network that sees edges, only up to the
        next legal size.

        >>> Footprint(margin=92, multiple=16, smallest_input=188).read_for(0, 388, 512)
        (-92, 480)
        >>> Footprint(margin=64, multiple=32, smallest_input=32, padded=True, sees_edges=True).read_for(0, 32, 500)
        (0, 96)
        """
        if not self.sees_edges:
            return first - self.margin, first - self.margin + self.input_for(last - first)
        start, end = max(0, first - self.margin), self.nearest_legal(size)[1]
        return start, min(end, self.nearest_legal(last + self.margin)[1])

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
