"""Images of any size → masks, tile by tile, in bounded memory (U-Net 2015, Section 2 and Fig. 2).

The tile size never changes the answer: tiles start on the network's pooling grid, read all the context that their kept
part depends on, and see the image mirrored beyond its borders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ushape.checkpoint import Trained, read
from ushape.device import Precision, autocast, choose_device
from ushape.errors import RecipeError
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import Tile, Window, keep_within, plan
from ushape.images.source import ImageSource, from_array, read_mirrored
from ushape.models.segmenter import Segmenter
from ushape.predict.flips import mean_over_flips

DEFAULT_MEMORY_BYTES = 2 * 2**30
_LARGEST_TILE = 2048  # pixels of input a side: beyond, a tile saves next to nothing and progress gets coarse


@dataclass(frozen=True)
class Predicted:
    """One tile of the answer: (K, h, w) float32 probabilities and (h, w) class numbers for a window of the image."""

    window: Window
    probability: NDArray[np.float32]
    classes: NDArray[np.uint8]
    done: int
    total: int


class Predictor:
    """A trained network that segments images of any size.

    flips: average over the eight flips and turns; the recipe decides where left out.
    precision: "float32" is exact, "bfloat16" is faster on processors made for it.
    memory_bytes: what the tiles may take beyond the weights; decides how large they are.
    keep_px: side of a tile's kept part, in place of the largest that the memory allows.
    """

    def __init__(
        self,
        trained: Trained,
        *,
        flips: bool | None = None,
        precision: Precision = "float32",
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        keep_px: int | None = None,
    ) -> None:
        self.trained, self.precision = trained, precision
        self.flips = trained.recipe.prediction.flips if flips is None else flips
        self.footprints = [trained.model.footprint] * 2
        self._keep = [keep_px] * 2 if keep_px else largest_keep(trained.model, self.footprints, memory_bytes)

    def tiles(self, source: ImageSource) -> Iterator[Predicted]:
        """The answer for an image, in tiles whose windows partition it, in reading order."""
        tiles = list(plan(source.shape, self.footprints, self._keep))
        for done, tile in enumerate(tiles, start=1):
            probability = self._probability(source, tile)
            yield Predicted(
                tile.keep, probability, self.trained.labels.decide(probability), done=done, total=len(tiles)
            )

    def whole(self, source: ImageSource) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(H, W) class numbers and (K, H, W) probabilities of an image that fits in memory."""
        classes = np.empty(source.shape, dtype=np.uint8)
        probability = np.empty((self.trained.labels.classes, *source.shape), dtype=np.float32)
        for tile in self.tiles(source):
            classes[tile.window.slices] = tile.classes
            probability[:, *tile.window.slices] = tile.probability
        return classes, probability

    def segment(self, image: NDArray[np.generic]) -> NDArray[np.integer]:
        """(H, W) or (H, W, C) image of any size → (H, W) mask with the values of the training masks."""
        classes, _ = self.whole(from_array(image, "the image"))
        return self.trained.labels.decode(classes)

    def _probability(self, source: ImageSource, tile: Tile) -> NDArray[np.float32]:
        trained = self.trained
        pixels = read_mirrored(source, tile.read)
        x = trained.intensity.tensor(pixels, str(source.path))[None].to(trained.model.device)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(x.device, self.precision):
            exact = mean_over_flips(self._network, x) if self.flips else self._network(x)
        kept: NDArray[np.float32] = exact[0][:, *tile.kept_of_output].cpu().numpy()
        return kept

    def _network(self, x: Tensor) -> Tensor:
        return self.trained.labels.probability(self.trained.model.exact(x))


def load(run: str | Path, *, device: str | None = None, **options: object) -> Predictor:
    """The best network of a run's folder, or of one checkpoint file, ready to segment.

    `options` are those of Predictor. Raises CheckpointError for a file that is none of ours or is damaged.
    """
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


def bytes_per_pixel(model: Segmenter) -> float:
    """About how much memory a float32 pass takes per input pixel, from the maps that one small pass makes.

    Twice the largest layer's input and output together (frameworks reorder both), and twice the largest map beside
    them for the copies that wait for the expanding path.
    """
    sizes: list[tuple[int, int]] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append((inputs[0].numel(), output.numel()))

    leaves = [m for m in model.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    side = model.footprint.input_for(model.footprint.multiple)
    x = torch.zeros(1, model.in_channels, side, side, device=next(model.parameters()).device)
    with torch.inference_mode():
        model(x)
    for hook in hooks:
        hook.remove()
    return 4 * (2 * max(a + b for a, b in sizes) + 2 * max(b for _, b in sizes)) / side**2
