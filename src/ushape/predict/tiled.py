"""Images and volumes of any size → masks, in bounded memory (U-Net 2015, Section 2 and Fig. 2).

A large image passes through the network row by row, so that nothing is computed twice, or tile by tile, where that is
asked for or the network allows nothing else, as those of volumes. Neither changes the answer: bands of rows and tiles
start on the network's pooling grid, read all the context that their kept part depends on, and see the image mirrored
beyond its borders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ushape.checkpoint import Trained
from ushape.device import Precision, choose_device, free_bytes
from ushape.engines.choice import Choice, fastest
from ushape.engines.engine import Engine, EngineName, Network, build
from ushape.ensemble import Ensemble, read
from ushape.errors import ImageError, RecipeError
from ushape.freed_memory import keeping_freed_memory
from ushape.geometry.tiles import Window, plan
from ushape.images.source import ImageSource, from_array, read_mirrored
from ushape.labels import Labels
from ushape.models.segmenter import Segmenter
from ushape.predict.bands import Band, Bands
from ushape.predict.flips import mean_over_flips
from ushape.predict.objects import find_objects
from ushape.predict.pieces import in_one_piece, require_nested
from ushape.predict.row_pass import Answer, pass_band
from ushape.predict.row_stream import RowStream
from ushape.predict.strategy import Strategy
from ushape.predict.tile_memory import smallest_tile_bytes
from ushape.recipe import merged
from ushape.regions import Declared, Region
from ushape.settings import require_known

DEFAULT_MEMORY_BYTES = 2 * 2**30
_ROWS_AT_A_TIME = 512
_MEASURED_SIDE = 512  # of the tile by which engines are compared
_KINDS = {2: "an image", 3: "a volume"}


@dataclass(frozen=True)
class Predicted:
    """One part of the answer: (K, h, w) float32 probabilities and (h, w) class numbers for a window of the image; of a
    volume, (K, d, h, w) and (d, h, w).

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

    flips: average over the eight flips and turns, of a volume in the plane of its slices; the recipe decides where left
        out, and "auto" is no until a training has settled it.
    precision: "float32" is exact, "bfloat16" is faster on processors made for it.
    memory_bytes: what a pass may take beyond the weights; decides how wide bands of rows are, and how large tiles. Left
        out, 2 GiB; of volumes, half of what is free.
    keep_px: in tiles, whose kept part has this side.
    engine: what computes the networks, as they are now; "auto": what does so fastest here, by a short measurement.
        Left out, PyTorch computes each as it stands at that moment: its weights may change in between. Only PyTorch
        goes row by row.
    regions: declared beside those of the recipe, or in place of those of the same name.
    one_piece: names of regions of which each image keeps the largest piece alone (predict/pieces.py), those of the
    recipe where left out. An image's answer is then held in memory whole before its first tile is given.

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
        memory_bytes: int | None = None,
        keep_px: int | None = None,
        engine: EngineName | Literal["auto"] | None = None,
        regions: Declared | None = None,
        one_piece: Sequence[str] | None = None,
    ) -> None:
        ensemble = trained if isinstance(trained, Ensemble) else Ensemble((trained,), trained)
        self.trained, self.members = ensemble.trained, ensemble.members
        if regions:
            self.trained = replace(self.trained, recipe=merged(self.trained.recipe, {"regions": regions}))
        self.precision = precision
        self.memory_bytes = default_memory(self.trained.model) if memory_bytes is None else memory_bytes
        self.flips = self.trained.recipe.prediction.flips is True if flips is None else flips
        self.one_piece = self._named(self.trained.recipe.prediction.one_piece if one_piece is None else one_piece)
        self.axes, self.footprints = self.trained.model.axes, list(self.trained.model.footprints)
        self._check_flips()
        self.choice: Choice | None = None
        if engine == "auto" and self.axes != 2:
            engine = "torch"
        if engine == "auto":
            side = self.footprints[0].input_for(keep_px or _MEASURED_SIDE)
            self.choice = fastest(self.trained.model, side, precision)  # the others are of its kind
            engine = self.choice.engine.name
        self.engines = [self._engine(engine, member.model) for member in self.members]
        self._strategy = self._strategy_for(keep_px)

    def with_keep(self, keep_px: int | None) -> Self:
        """The same in tiles whose kept parts have this side, or as the memory has it; regions keep all their pieces."""
        other = copy(self)
        other.one_piece = ()
        other._strategy = self._strategy_for(keep_px)
        return other

    def goes_by_rows(self, source: ImageSource) -> bool:
        """Whether an image passes row by row, and not in tiles."""
        return self._strategy.bands(source.shape) is not None

    def tiles(self, source: ImageSource) -> Iterator[Predicted]:
        """The answer for an image, in parts whose windows partition it: tiles in reading order, or, band after band,
        rows from the top down.
        """
        if not self.one_piece:
            yield from self._parts(source)
            return
        classes, every = np.empty(source.shape, dtype=np.uint8), list(self._parts(source))
        for tile in every:
            classes[tile.window.slices] = tile.classes
        whole = in_one_piece(classes, self.one_piece)
        yield from (replace(tile, classes=whole[tile.window.slices]) for tile in every)

    def _parts(self, source: ImageSource) -> Iterator[Predicted]:
        self._require_axes(source)
        bands = self._strategy.bands(source.shape)
        with keeping_freed_memory():
            yield from self._tile_by_tile(source) if bands is None else self._row_by_row(source, bands)

    def _tile_by_tile(self, source: ImageSource) -> Iterator[Predicted]:
        keep, name = self._strategy.keep(source.shape), str(source.page)
        total = sum(1 for _ in plan(source.shape, self.footprints, keep))
        for done, tile in enumerate(plan(source.shape, self.footprints, keep), start=1):
            pixels = read_mirrored(source, tile.read)
            logits = (self._logits(number, pixels, name) for number in range(len(self.members)))
            probability = self._probability(logits)[:, *tile.kept_of_output]
            classes = self.trained.labels.decide(probability)
            yield Predicted(tile.keep, pixels[tile.kept_of_read], probability, classes, done=done, total=total)

    def _row_by_row(self, source: ImageSource, planned: Bands) -> Iterator[Predicted]:
        height, total = source.shape[0], source.shape[0] * len(planned.bands)  # in rows
        for number, band in enumerate(planned.bands):
            answer = self._next_rows(band, str(source.page))
            for window, pixels, probability in pass_band(source, band, self.footprints[0], planned.rows, answer):
                classes = self.trained.labels.decide(probability)
                done = number * height + window.stop[0]
                yield Predicted(window, pixels, probability, classes, done=done, total=total)

    def _next_rows(self, band: Band, name: str) -> Answer:
        """All networks, ready to be given the rows of a band from its top."""
        networks = [engine for engine in self.engines if isinstance(engine, Network)]
        streams = [RowStream(network.model, band.right - band.left) for network in networks]

        def answer(pixels: NDArray[np.generic]) -> NDArray[np.float32] | None:
            ready = []
            with torch.inference_mode():
                for number, (network, stream) in enumerate(zip(networks, streams, strict=True)):
                    rows = self._tensor(number, pixels, name).contiguous(memory_format=torch.channels_last)
                    with network.computing():
                        logits = stream.push(rows)
                    ready += [] if logits is None else [logits]
            return self._probability(ready) if ready else None

        return answer

    def check(self, source: ImageSource) -> None:
        """ImageError where the network cannot take this image; pixels are read only where its header does not tell.

        RecipeError where its tiles would not fit in memory.
        """
        self._require_axes(source)
        self._require_memory(source)
        colours_in_doubt = source.channels not in (1, self.trained.intensity.channels)
        if not colours_in_doubt:
            pixels = np.zeros((*(1 for _ in source.shape), source.channels), dtype=source.dtype)
            self.trained.intensity.tensor(pixels, str(source.page))
            return
        height, *others = source.shape
        at_a_time = _ROWS_AT_A_TIME if self.axes == 2 else 1
        for top in range(0, height, at_a_time):
            rows = Window((top, *(0 for _ in others)), (min(top + at_a_time, height), *others))
            self.trained.intensity.tensor(source.read(rows), str(source.page))

    def whole(self, source: ImageSource) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(H, W) class numbers and (K, H, W) probabilities of an image, or volume, that fits in memory."""
        classes = np.empty(source.shape, dtype=np.uint8)
        probability = np.empty((self.trained.labels.classes, *source.shape), dtype=np.float32)
        for tile in self.tiles(source):
            classes[tile.window.slices] = tile.classes
            probability[:, *tile.window.slices] = tile.probability
        return classes, probability

    def segment(self, image: NDArray[np.generic]) -> NDArray[np.integer]:
        """(H, W) or (H, W, C) image of any size → (H, W) mask with the values of the training masks; of a network of
        volumes, (D, H, W) or (D, H, W, C) → (D, H, W).

        Of a network that tells objects apart: (H, W) int32, objects 1, 2, … in the order of their first pixels.
        """
        source = from_array(image, "the image", axes=self.axes)
        if self.trained.object_rule is not None:
            return find_objects(self.whole(source)[1][1], self.trained.object_rule)
        classes = np.empty(source.shape, dtype=np.uint8)
        for tile in self.tiles(source):
            classes[tile.window.slices] = tile.classes
        return self.trained.labels.decode(classes)

    def _require_axes(self, source: ImageSource) -> None:
        """ImageError for a volume where the network sees images, or the reverse."""
        if len(source.shape) != self.axes:
            found, taken = (_KINDS[axes] for axes in (len(source.shape), self.axes))
            raise ImageError(
                f"{source.page} was opened as {found}, but the network {self.trained.recipe.model.name} takes {taken}. "
                f"Take a network that was trained on such data; of volumes that is unet3d."
            )

    def _check_flips(self) -> None:
        """RecipeError where rows and columns, which quarter turns exchange, are not treated alike."""
        if self.flips and self.footprints[-1] != self.footprints[-2]:
            raise RecipeError(
                "This network treats rows and columns differently (flat_levels), so that an answer cannot be averaged "
                "over quarter turns. Leave flips out: --no-flips."
            )

    def _require_memory(self, source: ImageSource) -> None:
        try:
            self._strategy.keep(source.shape)
        except RecipeError as error:
            raise RecipeError(f"{source.page}: {error}") from error

    def _named(self, names: Sequence[str]) -> tuple[Region, ...]:
        """Regions by their names; RecipeError where there are none, or where they cannot all be in one piece."""
        if not names:
            return ()
        if self.trained.object_rule is not None:
            raise RecipeError(
                "This network tells objects apart, each of which is one piece already. Leave one_piece out."
            )
        regions = {region.name: region for region in self.trained.regions}
        require_known(names, {name: r.in_words(self.trained.labels) for name, r in regions.items()}, "region")
        require_nested([regions[name] for name in names])
        return tuple(regions[name] for name in names)

    def _probability(self, logits: Iterable[Tensor]) -> NDArray[np.float32]:
        """(1, K, h, w) logits of each network → (K, h, w) probabilities, of several networks the mean of theirs."""
        with torch.inference_mode():
            if len(self.members) == 1:
                (common,) = logits
            else:
                share = 1 / len(self.members)
                mean = reduce(torch.add, (share * self._untempered.probability(one) for one in logits))
                common = mean.log()
            exact = self.trained.labels.probability(common)
        answer: NDArray[np.float32] = exact[0].cpu().numpy()
        return answer

    def _logits(self, number: int, pixels: NDArray[np.generic], name: str) -> Tensor:
        """(1, K, h, w) of one network; of its flips, the logarithms of their mean probabilities."""
        model, engine = self.members[number].model, self.engines[number]

        def one_pass(x: Tensor) -> Tensor:
            return self._untempered.probability(model.inside(engine(x)))

        with torch.inference_mode():
            x = self._tensor(number, pixels, name)
            return mean_over_flips(one_pass, x).log() if self.flips else model.inside(engine(x))

    def _tensor(self, number: int, pixels: NDArray[np.generic], name: str) -> Tensor:
        """(1, C, h, w) of what one network sees of (h, w, C) pixels."""
        member = self.members[number]
        return member.intensity.tensor(pixels, name)[None].to(member.model.device)

    def _engine(self, name: EngineName | None, model: Segmenter) -> Engine:
        if name is None:
            return Network(model, self.precision)
        if self.choice and model is self.trained.model:
            return self.choice.engine
        return build(name, model, self.precision)

    def _strategy_for(self, keep_px: int | None) -> Strategy:
        first = self.engines[0]
        model, by_rows = (first.model, True) if isinstance(first, Network) else (self.trained.model, False)
        return Strategy(
            model,
            self.memory_bytes,
            networks=len(self.members),
            by_rows=by_rows and not self.flips,
            keep_px=keep_px,
        )

    @property
    def _untempered(self) -> Labels:
        """For one pass of several: their mean is what the temperature is for, so that it never changes a mask."""
        return replace(self.trained.labels, temperature=1.0)


def default_memory(model: Segmenter) -> int:
    """What a pass may take where nobody says.

    Of volumes half of what is free, and no less than the smallest tile takes: a cube's context is many times what is
    kept of it, unless it is large.
    """
    if model.axes == 2:
        return DEFAULT_MEMORY_BYTES
    return max(DEFAULT_MEMORY_BYTES, smallest_tile_bytes(model), (free_bytes(model.device) or 0) // 2)


def load(run: str | Path, *, device: str | None = None, **options: object) -> Predictor:
    """The best network of a run's folder, or of one checkpoint file, ready to segment; of an ensemble's folder, all.

    `options` are those of Predictor; the engine is "torch" where left out. Raises CheckpointError for a file that is
    none of ours or is damaged.
    """
    options = {"engine": "torch", **options}
    return Predictor(read(Path(run), choose_device(device)), **options)  # type: ignore[arg-type]
