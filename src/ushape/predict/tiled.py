"""Images of any size → masks, tile by tile, in bounded memory (U-Net 2015, Section 2 and Fig. 2).

The tile size never changes the answer: tiles start on the network's pooling grid, read all the context that their kept
part depends on, and see the image mirrored beyond its borders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from ushape.checkpoint import Trained
from ushape.device import Precision, choose_device
from ushape.engines.choice import Choice, fastest
from ushape.engines.engine import Engine, EngineName, Network, build
from ushape.ensemble import Ensemble, read
from ushape.errors import RecipeError
from ushape.freed_memory import keeping_freed_memory
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import Window, keep_within, keep_within_image, largest_read, plan
from ushape.images.source import ImageSource, from_array, read_mirrored
from ushape.labels import Labels
from ushape.models.segmenter import Segmenter
from ushape.predict.flips import mean_over_flips
from ushape.predict.objects import find_objects

DEFAULT_MEMORY_BYTES = 2 * 2**30
_LARGEST_TILE = 2048  # pixels of input a side: beyond, a tile saves next to nothing and progress gets coarse
_ROWS_AT_A_TIME = 512
_MEASURED: WeakKeyDictionary[Segmenter, float] = WeakKeyDictionary()  # a second's work for U²-Net, asked per image


@dataclass(frozen=True)
class Predicted:
    """One tile of the answer: (K, h, w) float32 probabilities and (h, w) class numbers for a window of the image.

    pixels: the window's (h, w, C) own, as they are in the file.
    """

    window: Window
    pixels: NDArray[np.generic]
    probability: NDArray[np.float32]
    classes: NDArray[np.uint8]
    done: int
    total: int


class Predictor:
    """A trained network, or several as one, that segments images of any size.

    flips: average over the eight flips and turns; the recipe decides where left out, and "auto" is no until a training
    has settled it.
    precision: "float32" is exact, "bfloat16" is faster on processors made for it.
    memory_bytes: what the tiles may take beyond the weights; decides how large they are.
    keep_px: side of a tile's kept part, in place of the largest that the memory allows.
    engine: what computes the networks, as they are now; "auto": what does so fastest here, by a short measurement.
        Left out, PyTorch computes each as it stands at that moment: its weights may change in between.

    The network's weights stay what they are, and it is left in the mode (training or evaluation) it was found in. Of
    several, each sees all tiles through its own intensity, one after another; a tile is exact for each, since they are
    one kind of network.
    """

    def __init__(
        self,
        trained: Trained | Ensemble,
        *,
        flips: bool | None = None,
        precision: Precision = "float32",
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        keep_px: int | None = None,
        engine: EngineName | Literal["auto"] | None = None,
    ) -> None:
        ensemble = trained if isinstance(trained, Ensemble) else Ensemble((trained,), trained)
        self.trained, self.members = ensemble.trained, ensemble.members
        self.precision, self.memory_bytes = precision, memory_bytes
        self.flips = self.trained.recipe.prediction.flips is True if flips is None else flips
        self.footprints = [self.trained.model.footprint] * 2
        self._keep: tuple[int, ...] | None = None if keep_px is None else (keep_px, keep_px)
        if self._keep is None and not self.footprints[0].sees_edges:
            self._keep = largest_keep(self.trained.model, self.footprints, memory_bytes)
        self.choice: Choice | None = None
        if engine == "auto":
            self.choice = self._measured_choice()
            engine = self.choice.engine.name
        self.engines = [self._engine(engine, member.model) for member in self.members]

    def with_keep(self, keep_px: int) -> Self:
        """The same with kept parts of this side."""
        other = copy(self)
        other._keep = (keep_px, keep_px)
        return other

    def tiles(self, source: ImageSource) -> Iterator[Predicted]:
        """The answer for an image, in tiles whose windows partition it, in reading order."""
        keep = self._keep_for(source)
        total = sum(1 for _ in plan(source.shape, self.footprints, keep))
        with keeping_freed_memory():
            for done, tile in enumerate(plan(source.shape, self.footprints, keep), start=1):
                pixels = read_mirrored(source, tile.read)
                probability = self._probability(pixels, str(source.page))[:, *tile.kept_of_output]
                classes = self.trained.labels.decide(probability)
                yield Predicted(tile.keep, pixels[tile.kept_of_read], probability, classes, done=done, total=total)

    def check(self, source: ImageSource) -> None:
        """ImageError where the network cannot take this image; pixels are read only where its header does not tell.

        RecipeError where its tiles would not fit in memory.
        """
        height, width = source.shape
        self._keep_for(source)
        colours_in_doubt = source.channels not in (1, self.trained.intensity.channels)
        if not colours_in_doubt:
            pixels = np.zeros((1, 1, source.channels), dtype=source.dtype)
            self.trained.intensity.tensor(pixels, str(source.page))
            return
        for top in range(0, height, _ROWS_AT_A_TIME):
            rows = Window((top, 0), (min(top + _ROWS_AT_A_TIME, height), width))
            self.trained.intensity.tensor(source.read(rows), str(source.page))

    def whole(self, source: ImageSource) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(H, W) class numbers and (K, H, W) probabilities of an image that fits in memory."""
        classes = np.empty(source.shape, dtype=np.uint8)
        probability = np.empty((self.trained.labels.classes, *source.shape), dtype=np.float32)
        for tile in self.tiles(source):
            classes[tile.window.slices] = tile.classes
            probability[:, *tile.window.slices] = tile.probability
        return classes, probability

    def segment(self, image: NDArray[np.generic]) -> NDArray[np.integer]:
        """(H, W) or (H, W, C) image of any size → (H, W) mask with the values of the training masks.

        Of a network that tells objects apart: (H, W) int32, objects 1, 2, … in the order of their first pixels.
        """
        source = from_array(image, "the image")
        if self.trained.object_rule is not None:
            return find_objects(self.whole(source)[1][1], self.trained.object_rule)
        classes = np.empty(source.shape, dtype=np.uint8)
        for tile in self.tiles(source):
            classes[tile.window.slices] = tile.classes
        return self.trained.labels.decode(classes)

    def _keep_for(self, source: ImageSource) -> tuple[int, ...]:
        if self._keep is not None:
            return self._keep
        return largest_keep_of_image(self.trained.model, self.footprints, self.memory_bytes, source)

    def _probability(self, pixels: NDArray[np.generic], name: str) -> NDArray[np.float32]:
        """(H, W, C) pixels of a tile → (K, h, w), the exact answer, of several networks the mean of theirs."""
        with torch.inference_mode():
            logits = self._logits(0, pixels, name)
            if len(self.members) > 1:
                mean = self._untempered.probability(logits) / len(self.members)
                for number in range(1, len(self.members)):
                    mean += self._untempered.probability(self._logits(number, pixels, name)) / len(self.members)
                logits = mean.log()
            exact = self.trained.labels.probability(logits)
        answer: NDArray[np.float32] = exact[0].cpu().numpy()
        return answer

    def _logits(self, number: int, pixels: NDArray[np.generic], name: str) -> Tensor:
        """(1, K, h, w) of one network; of its flips, the logarithms of their mean probabilities."""
        model, engine = self.members[number].model, self.engines[number]
        x = self.members[number].intensity.tensor(pixels, name)[None].to(model.device)

        def one_pass(x: Tensor) -> Tensor:
            return self._untempered.probability(model.inside(engine(x)))

        return mean_over_flips(one_pass, x).log() if self.flips else model.inside(engine(x))

    def _engine(self, name: EngineName | None, model: Segmenter) -> Engine:
        if name is None:
            return Network(model, self.precision)
        if self.choice and model is self.trained.model:
            return self.choice.engine
        return build(name, model, self.precision)

    def _measured_choice(self) -> Choice:
        """By the first network: the others are of its kind."""
        side = self.footprints[0].input_for(max(self._keep) if self._keep else _LARGEST_TILE)
        return fastest(self.trained.model, side, self.precision)

    @property
    def _untempered(self) -> Labels:
        """For one pass of several: their mean is what the temperature is for, so that it never changes a mask."""
        return replace(self.trained.labels, temperature=1.0)


def load(run: str | Path, *, device: str | None = None, **options: object) -> Predictor:
    """The best network of a run's folder, or of one checkpoint file, ready to segment; of an ensemble's folder, all.

    `options` are those of Predictor; the engine is "torch" where left out. Raises CheckpointError for a file that is
    none of ours or is damaged.
    """
    options = {"engine": "torch", **options}
    return Predictor(read(Path(run), choose_device(device)), **options)  # type: ignore[arg-type]


def largest_keep(model: Segmenter, footprints: Sequence[Footprint], memory_bytes: int) -> tuple[int, ...]:
    """The largest kept part per axis whose tile needs at most this much memory, by the model's own measure."""
    per_pixel = bytes_per_pixel(model)
    pixels = min(memory_bytes / per_pixel, _LARGEST_TILE ** len(footprints))
    smallest = [f.input_for(f.multiple) for f in footprints]
    if pixels < np.prod(smallest):
        least = int(np.prod(smallest) * per_pixel / 2**20) + 1
        raise RecipeError(
            f"{memory_bytes / 2**20:.0f} MiB are too little for this network: its smallest tile, "
            f"{'x'.join(map(str, smallest))} pixels, takes about {least} MiB. Allow at least that."
        )
    return keep_within(int(pixels), footprints)


def largest_keep_of_image(
    model: Segmenter, footprints: Sequence[Footprint], memory_bytes: int, source: ImageSource
) -> tuple[int, ...]:
    """The same for a network that sees the edges of an image, in which tiles read no farther than it reaches."""
    per_pixel = bytes_per_pixel(model)
    keep = keep_within_image(int(memory_bytes / per_pixel), footprints, source.shape)
    needed = largest_read(source.shape, footprints, keep) * per_pixel
    if needed > memory_bytes:
        height, width = source.shape
        raise RecipeError(
            f"{memory_bytes / 2**20:.0f} MiB are too little for {source.page} ({height} x {width}): this network looks "
            f"{footprints[0].margin} px around, so that its smallest tile takes about {needed / 2**20 + 1:.0f} MiB. "
            "Allow that with --memory, or make the image smaller."
        )
    return keep


def bytes_per_pixel(model: Segmenter) -> float:
    """About how much memory a float32 pass takes per input pixel, from the sizes of the maps that it makes.

    Twice the largest layer's input and output together (frameworks reorder both), four times the largest map beside
    them for the copies that wait for the expanding path, and four times the image and the answer, which flips turn and
    add up. What passes really take, by benchmarks/prediction_memory.py, is 40 to 95 % of this.
    """
    if model not in _MEASURED:
        _MEASURED[model] = _measured(model)
    return _MEASURED[model]


def _measured(model: Segmenter) -> float:
    sizes: list[tuple[int, int]] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append((inputs[0].numel(), output.numel()))

    leaves = [m for m in model.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    side = model.footprint.input_for(_LARGEST_TILE)  # unpadded, a small tile would shrink to next to nothing
    x = torch.empty(1, model.in_channels, side, side, device="meta")  # where tensors have sizes and no values
    values = [*model.named_parameters(), *model.named_buffers()]
    try:
        answer: Tensor = functional_call(model, {name: torch.empty_like(v, device="meta") for name, v in values}, x)
    finally:
        for hook in hooks:
            hook.remove()
    largest_layer, largest_map = max(a + b for a, b in sizes), max(b for _, b in sizes)
    return 4 * (2 * largest_layer + 4 * largest_map + 4 * (x.numel() + answer.numel())) / side**2
