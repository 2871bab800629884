"""Where to crop next: endless batches of augmented patches from images held in memory.

Touching objects are set apart, and the weights of the loss computed, after a patch was deformed: the distances between
deformed cells are what the network sees, and a weight map that was deformed with its image would hold others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ushape.data.augment import Augmentation, Warp
from ushape.data.boxes import boxes
from ushape.data.class_pixels import ClassPixels, integer_below
from ushape.data.targets import Targets
from ushape.errors import CheckpointError, DataError, RecipeError
from ushape.geometry.footprint import Footprint
from ushape.labels import IGNORED

_SPARSE = 0.5
"""Images of which less is annotated have patches about annotated pixels only; the usual field of view covers more."""


@dataclass(frozen=True)
class Example:
    """An annotated image: (C, H, W) float32, standardised, and its (H, W) uint8 class map; of a volume, D before H.

    objects: (H, W) int32, 0 where there is no object, else its number; all examples of a set have them, or none.
    """

    name: str
    image: Tensor
    classes: Tensor
    objects: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """image: (N, C, h, w) float32; classes: (N, h', w') uint8 of the pixels answered for; weights: theirs, float32.

    Of volumes, d comes before h.
    """

    image: Tensor
    classes: Tensor
    weights: Tensor | None


class PatchSampler:
    """Draws batches of square patches, or of boxes of volumes; the same seed draws the same batches.

    footprint: of the network, along each axis where its axes differ. An unpadded one gets its margin of context, and
        the truth of the inner part alone; a padded one gets as much image as truth.
    output_size: wanted size of the truth in pixels, along each axis where these differ, brought to the nearest that the
        footprint allows (`output_sizes` and `input_sizes` tell which; `output_size` and `input_size` those of rows).
    foreground_fraction: share of the patches whose centre is a pixel of a foreground class, drawn evenly among the
        foreground classes that the image has; where it has none, any pixel.
    targets: what becomes of the objects of the examples, which have them if and only if this is given; of images only.
    spacing: the length of a voxel along each axis, for the augmentation of volumes.
    device: where batches go; examples stay where they are.

    Each image gives equally many patches, however large: a round visits all of them in shuffled order. The truth of an
    upright patch reaches over the image's border by a quarter of its side at most (foreground patches, whose centre is
    given, aside), else its place is any with equal probability. Image, classes and weights are extended by mirroring
    (Fig. 2 of U-Net 2015; truth and all, as a mirrored cell is a cell). So pixels near a border are seen more than half
    as often as central ones, the outermost line aside, and little of what is seen is seen twice.

    No patch is without an annotated pixel. Of an image that is annotated by less than half (scribbles), each patch is
    laid about an annotated pixel: a class is drawn evenly among those that the image has, the background too where it
    is not a foreground patch, then a pixel of it, then where in the patch it comes to lie. Of other images so is a
    patch, deformation included, that would have none.

    RecipeError for an impossible setting; DataError, naming every example at fault, for examples that do not fit.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        footprint: Footprint | Sequence[Footprint],
        *,
        output_size: int | Sequence[int],
        batch: int,
        augmentation: Augmentation,
        seed: int,
        device: torch.device,
        foreground_fraction: float = 0.0,
        targets: Targets | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        footprints = [footprint] * 2 if isinstance(footprint, Footprint) else footprint
        sizes = [output_size] * len(footprints) if isinstance(output_size, int) else output_size
        _check_settings(sizes, batch, foreground_fraction)
        _check_examples(examples, len(footprints), with_objects=targets is not None)
        assert targets is None or len(footprints) == 2, "objects are told apart in images"
        self._margins = [0 if each.padded else each.margin for each in footprints]
        each_axis = list(zip(footprints, sizes, self._margins, strict=True))
        self.input_sizes = tuple(_nearest_input(of, size + 2 * margin) for of, size, margin in each_axis)
        self.output_sizes = tuple(size - 2 * cut for size, cut in zip(self.input_sizes, self._margins, strict=True))
        self.input_size, self.output_size = self.input_sizes[-1], self.output_sizes[-1]
        self._spacing = tuple(spacing or (1.0 for _ in footprints))
        self.batch, self.device, self.augmentation = batch, device, augmentation
        self.foreground_fraction, self.targets = foreground_fraction, targets
        self._examples = tuple(examples)
        self._pixels = [ClassPixels(e.classes) for e in examples]
        self._generator = torch.Generator().manual_seed(seed)
        self._round = torch.empty(0, dtype=torch.int64)
        self._position = 0

    def draw(self) -> Batch:
        """The next batch, on the device."""
        chosen = [self._next_patch(self._next_example()) for _ in range(self.batch)]
        transform = self.augmentation.draw(self.batch, self._generator, self._spacing)
        reach = self.targets.reach_px if self.targets else 0
        rims = [
            max(0, reach - margin) for margin in self._margins
        ]  # by which objects that count reach beyond the image
        warp = transform.warp([size + 2 * rim for size, rim in zip(self.input_sizes, rims, strict=True)], self.device)
        seen = warp.inner(rims)
        truth = warp.inner([rim + margin - reach for rim, margin in zip(rims, self._margins, strict=True)])
        chosen, classes = self._annotated(chosen, truth, reach)
        examples, centres = [self._examples[patch.number] for patch in chosen], [patch.centre for patch in chosen]

        image = seen.bilinear(boxes([e.image for e in examples], centres, seen).to(self.device))
        weights = None
        if self.targets:
            drawn = [e.objects for e in examples if e.objects is not None]
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

    def _next_patch(self, number: int) -> _Patch:
        shape, pixels = self._examples[number].classes.shape, self._pixels[number]
        chance = float(torch.rand(1, generator=self._generator))
        if chance < self.foreground_fraction and pixels.foreground:
            return _Patch(number, pixels.foreground, pixels.draw(pixels.foreground, self._generator))
        sides = zip(shape, self.output_sizes, strict=True)
        centre = tuple(_near_or_inside(size, side, self._generator) for size, side in sides)
        return _Patch(number, pixels.present, centre)

    def _annotated(self, chosen: list[_Patch], truth: Warp, reach: int) -> tuple[list[_Patch], Tensor]:
        """The patches, moved where they need it for an annotated pixel; and their classes, rim included."""
        asked = truth.inner(reach)
        placed = [self._aimed(p, asked.offsets[n]) if self._is_sparse(p) else p for n, p in enumerate(chosen)]
        classes = self._classes_of(placed, truth)
        inner = (slice(reach, size - reach) for size in classes.shape[1:])
        annotated = (classes[:, *inner] != IGNORED).flatten(1).any(1).tolist()
        if all(annotated):
            return placed, classes
        placed = [p if annotated[n] else self._aimed(p, asked.offsets[n]) for n, p in enumerate(placed)]
        return placed, self._classes_of(placed, truth)

    def _classes_of(self, patches: Sequence[_Patch], truth: Warp) -> Tensor:
        maps = [self._examples[patch.number].classes for patch in patches]
        return truth.nearest(boxes(maps, [patch.centre for patch in patches], truth).to(self.device))

    def _is_sparse(self, patch: _Patch) -> bool:
        return self._pixels[patch.number].annotated < _SPARSE

    def _aimed(self, patch: _Patch, offsets: Tensor) -> _Patch:
        """The patch about a pixel of its classes, which shows at a random place of those that leave it near the image.

        offsets: (A, h, w), where the patch's pixels come from, counted from its centre.
        """
        shape = self._examples[patch.number].classes.shape
        pixel = self._pixels[patch.number].draw(patch.classes, self._generator)
        centres = torch.tensor(pixel)[:, None] - offsets.cpu().round().long().flatten(1)
        limits = torch.tensor(shape)[:, None] - 1
        sides = zip(shape, self.output_sizes, strict=True)
        for rim in (torch.tensor([[_nearest(size, side)] for size, side in sides]), 0):
            possible = ((centres >= rim) & (centres <= limits - rim)).all(0).nonzero().flatten()
            if len(possible):
                centre = centres[:, possible[integer_below(len(possible), self._generator)]].tolist()
                return replace(patch, centre=tuple(centre))
        return replace(patch, centre=pixel)


@dataclass(frozen=True)
class _Patch:
    """Of which example, about which pixel or voxel of it; classes: which it is to show, where it has to be moved."""

    number: int
    classes: tuple[int, ...]
    centre: tuple[int, ...]


def _near_or_inside(size: int, side: int, generator: torch.Generator) -> int:
    """The centre, along an axis of an image, of a patch that sticks out by a quarter of its side at most."""
    nearest = _nearest(size, side)
    return nearest + integer_below(size - 2 * nearest, generator)


def _nearest(size: int, side: int) -> int:
    """How near to the image's border such a centre may lie."""
    return min(side // 4, (size - 1) // 2)


def _nearest_input(footprint: Footprint, wanted: int) -> int:
    below, above = footprint.nearest_legal(wanted)
    return below if wanted - below <= above - wanted else above


def _check_settings(output_sizes: Sequence[int], batch: int, foreground_fraction: float) -> None:
    for name, value in [("output_size", min(output_sizes)), ("batch", batch)]:
        if value < 1:
            raise RecipeError(f"The patch sampler got {name} = {value}; it takes whole numbers from 1 up.")
    if not 0 <= foreground_fraction <= 1:
        raise RecipeError(
            f"The patch sampler got foreground_fraction = {foreground_fraction}; it takes a share from 0 to 1."
        )


def _check_examples(examples: Sequence[Example], axes: int, *, with_objects: bool) -> None:
    if not examples:
        raise DataError("There is no image to train on; at least one annotated image is needed.")
    for e in examples:
        assert e.image.ndim == axes + 1 and e.image.dtype == torch.float32, (e.name, e.image.shape, e.image.dtype)
        assert e.classes.ndim == axes and e.classes.dtype == torch.uint8, (e.name, e.classes.shape, e.classes.dtype)
        assert (e.objects is not None) == with_objects, e.name
    channels = examples[0].image.shape[0]
    faults = []
    for e in examples:
        size, drawn = ("x".join(map(str, sides)) for sides in (e.image.shape[1:], e.classes.shape))
        if size != drawn:
            faults.append(f"{e.name} is {size}, but its mask is {drawn}")
        if e.objects is not None and e.objects.shape != e.image.shape[1:]:
            faults.append(f"{e.name} is {size}, but its objects are {tuple(e.objects.shape)}")
        if bool((e.classes == IGNORED).all()):
            faults.append(f"{e.name} has no annotated pixel")
        if e.image.shape[0] != channels:
            faults.append(f"{e.name} has {e.image.shape[0]} channels, but {examples[0].name} has {channels}")
    if faults:
        raise DataError(
            "These training images do not fit together:\n  "
            + "\n  ".join(faults)
            + "\nGive every image a mask of its own size with something annotated, and all images the same channels."
        )
