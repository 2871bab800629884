"""Where to crop next: endless batches of augmented patches from images held in memory.

Touching objects are set apart, and the weights of the loss computed, after a patch was deformed: the distances between
deformed cells are what the network sees, and a weight map that was deformed with its image would hold others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ushape.data.augment import Augmentation
from ushape.data.boxes import boxes
from ushape.data.targets import Targets
from ushape.errors import CheckpointError, DataError, RecipeError
from ushape.geometry.footprint import Footprint
from ushape.labels import IGNORED


@dataclass(frozen=True)
class Example:
    """An annotated image: (C, H, W) float32, standardised, and its (H, W) uint8 class map.

    objects: (H, W) int32, 0 where there is no object, else its number; all examples of a set have them, or none.
    """

    name: str
    image: Tensor
    classes: Tensor
    objects: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """image: (N, C, h, w) float32; classes: (N, h', w') uint8 of the pixels answered for; weights: theirs, float32."""

    image: Tensor
    classes: Tensor
    weights: Tensor | None


class PatchSampler:
    """Draws batches of square patches; the same seed draws the same batches.

    footprint: of the network. An unpadded one gets its margin of context, and the truth of the inner part alone; a
        padded one gets as much image as truth.
    output_size: wanted size of the truth in pixels, brought to the nearest that the footprint allows (`output_size`
        and `input_size` tell which).
    foreground_fraction: share of the patches whose centre is a pixel of a foreground class, drawn evenly among the
        foreground classes that the image has; where it has none, any pixel.
    targets: what becomes of the objects of the examples, which have them if and only if this is given.
    device: where batches go; examples stay where they are.

    Each image gives equally many patches, however large: a round visits all of them in shuffled order. The truth of an
    upright patch reaches over the image's border by a quarter of its side at most (foreground patches, whose centre is
    given, aside), else its place is any with equal probability. Image, classes and weights are extended by mirroring
    (Fig. 2 of U-Net 2015; truth and all, as a mirrored cell is a cell). So pixels near a border are seen more than half
    as often as central ones, the outermost line aside, and little of what is seen is seen twice.

    RecipeError for an impossible setting; DataError, naming every example at fault, for examples that do not fit.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        footprint: Footprint,
        *,
        output_size: int,
        batch: int,
        augmentation: Augmentation,
        seed: int,
        device: torch.device,
        foreground_fraction: float = 0.0,
        targets: Targets | None = None,
    ) -> None:
        _check_settings(output_size, batch, foreground_fraction)
        _check_examples(examples, with_objects=targets is not None)
        self._margin = 0 if footprint.padded else footprint.margin
        self.input_size = _nearest_input(footprint, output_size + 2 * self._margin)
        self.output_size = self.input_size - 2 * self._margin
        self.batch, self.device, self.augmentation = batch, device, augmentation
        self.foreground_fraction, self.targets = foreground_fraction, targets
        self._examples = tuple(examples)
        self._foregrounds = [_Foreground(e.classes) for e in examples] if foreground_fraction > 0 else []
        self._generator = torch.Generator().manual_seed(seed)
        self._round = torch.empty(0, dtype=torch.int64)
        self._position = 0

    def draw(self) -> Batch:
        """The next batch, on the device."""
        chosen = [self._next_centre(self._next_example()) for _ in range(self.batch)]
        transform = self.augmentation.draw(self.batch, self._generator)
        reach = self.targets.reach_px if self.targets else 0
        rim = max(0, reach - self._margin)  # by which the objects that count reach farther than the image
        warp = transform.warp(self.input_size + 2 * rim, self.device)
        seen, truth = warp.inner(rim), warp.inner(rim + self._margin - reach)
        centres = [centre for _, centre in chosen]

        image = seen.bilinear(boxes([e.image for e, _ in chosen], centres, seen).to(self.device))
        classes = truth.nearest(boxes([e.classes for e, _ in chosen], centres, truth).to(self.device))
        weights = None
        if self.targets:
            drawn = [e.objects for e, _ in chosen if e.objects is not None]
            objects = truth.nearest(boxes(drawn, centres, truth).to(self.device))
            classes, weights = self.targets.of(classes, objects)
        return Batch(transform.values(image), classes, weights)

    def state(self) -> dict[str, Tensor | int]:
        """All that decides which batches follow, besides the constructor's arguments."""
        return {
            "generator": self._generator.get_state(),
            "round": self._round.clone(),
            "position": self._position,
        }

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Go on as the sampler went on whose state this is; CheckpointError unless it had as many examples."""
        order, generator = state["round"], state["generator"]
        assert isinstance(order, Tensor) and isinstance(generator, Tensor), state
        if len(order) not in (0, len(self._examples)):
            raise CheckpointError(
                f"The training to be resumed had {len(order)} training images; now there are {len(self._examples)}. "
                "Resume with the images it began with, or start a new training."
            )
        self._round, self._position = order.clone(), int(state["position"])
        self._generator.set_state(generator)

    def _next_example(self) -> int:
        if self._position == len(self._round):
            self._round = torch.randperm(len(self._examples), generator=self._generator)
            self._position = 0
        self._position += 1
        return int(self._round[self._position - 1])

    def _next_centre(self, number: int) -> tuple[Example, tuple[int, int]]:
        example = self._examples[number]
        chance = float(torch.rand(1, generator=self._generator))
        if chance < self.foreground_fraction and self._foregrounds[number].present:
            return example, self._foregrounds[number].draw(self._generator)
        y, x = (_near_or_inside(size, self.output_size, self._generator) for size in example.classes.shape)
        return example, (y, x)


class _Foreground:
    """Finds a random pixel of a random foreground class, from a count per row instead of a list of all pixels."""

    def __init__(self, classes: Tensor) -> None:
        self._classes = classes
        counts = torch.bincount(classes.flatten(), minlength=IGNORED + 1)[:IGNORED]
        self.present = [int(number) for number in counts.nonzero() if number != 0]
        self._up_to_row = {number: (classes == number).sum(1).cumsum(0).cpu() for number in self.present}

    def draw(self, generator: torch.Generator) -> tuple[int, int]:
        number = self.present[_integer(len(self.present), generator)]
        up_to_row = self._up_to_row[number]
        rank = _integer(int(up_to_row[-1]), generator)
        row = int(torch.searchsorted(up_to_row, rank, right=True))
        before = int(up_to_row[row - 1]) if row > 0 else 0
        return row, int((self._classes[row] == number).nonzero()[rank - before])


def _near_or_inside(size: int, side: int, generator: torch.Generator) -> int:
    """The centre, along an axis of an image, of a patch that sticks out by a quarter of its side at most."""
    nearest = min(side // 4, (size - 1) // 2)
    return nearest + _integer(size - 2 * nearest, generator)


def _integer(stop: int, generator: torch.Generator) -> int:
    return int(torch.randint(stop, (1,), generator=generator))


def _nearest_input(footprint: Footprint, wanted: int) -> int:
    below, above = footprint.nearest_legal(wanted)
    return below if wanted - below <= above - wanted else above


def _check_settings(output_size: int, batch: int, foreground_fraction: float) -> None:
    for name, value in [("output_size", output_size), ("batch", batch)]:
        if value < 1:
            raise RecipeError(f"The patch sampler got {name} = {value}; it takes whole numbers from 1 up.")
    if not 0 <= foreground_fraction <= 1:
        raise RecipeError(
            f"The patch sampler got foreground_fraction = {foreground_fraction}; it takes a share from 0 to 1."
        )


def _check_examples(examples: Sequence[Example], *, with_objects: bool) -> None:
    if not examples:
        raise DataError("There is no image to train on; at least one annotated image is needed.")
    for e in examples:
        assert e.image.ndim == 3 and e.image.dtype == torch.float32, (e.name, e.image.shape, e.image.dtype)
        assert e.classes.ndim == 2 and e.classes.dtype == torch.uint8, (e.name, e.classes.shape, e.classes.dtype)
        assert (e.objects is not None) == with_objects, e.name
    channels = examples[0].image.shape[0]
    faults = []
    for e in examples:
        height, width = e.image.shape[1:]
        if e.classes.shape != (height, width):
            faults.append(f"{e.name} is {height}x{width}, but its mask is {e.classes.shape[0]}x{e.classes.shape[1]}")
        if e.objects is not None and e.objects.shape != (height, width):
            faults.append(f"{e.name} is {height}x{width}, but its objects are {tuple(e.objects.shape)}")
        if e.image.shape[0] != channels:
            faults.append(f"{e.name} has {e.image.shape[0]} channels, but {examples[0].name} has {channels}")
    if faults:
        raise DataError(
            "These training images do not fit together:\n  "
            + "\n  ".join(faults)
            + "\nGive every image a mask of its own size, and all images the same channels."
        )
