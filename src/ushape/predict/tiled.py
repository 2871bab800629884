"""Images and volumes of any size → masks, in bounded memory (U-Net 2015, Section 2 and Fig. 2).

A large image passes through the network row by row, so that nothing is computed twice, or tile by tile, where that is
asked for or the network allows nothing else, as those of volumes. Neither changes the answer: bands of rows and tiles
start on the network's pooling grid, read all the context that their kept part depends on, and see the image mirrored
beyond its borders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial, reduce
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
from ushape.engines.substitution import filter_bytes
from ushape.ensemble import Ensemble, read
from ushape.errors import ImageError, RecipeError
from ushape.freed_memory import keeping_freed_memory
from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource, from_array, read_mirrored
from ushape.labels import Labels
from ushape.models.segmenter import Segmenter
from ushape.predict.bands import Band
from ushape.predict.blocks import Blocks
from ushape.predict.flips import mean_over_flips
from ushape.predict.objects import find_objects
from ushape.predict.one_colour import MOST_KEPT, OneColour
from ushape.predict.pieces import in_one_piece, require_nested
from ushape.predict.predicted import Predicted, background, no_pixels
from ushape.predict.row_pass import Answer, Part, pass_band
from ushape.predict.row_stream import RowStream
from ushape.predict.strategy import Strategy
from ushape.predict.tile_memory import smallest_tile_bytes
from ushape.predict.where import Where
from ushape.recipe import merged
from ushape.regions import Declared, Region
from ushape.settings import require_known

PiecesIn = Literal["slices", "volumes"]
"""Of what a region is to be one piece."""

DEFAULT_MEMORY_BYTES = 2 * 2**30
_ROWS_AT_A_TIME = 512
_MEASURED_SIDE = 512  # of the tile by which engines are compared
_KINDS = {2: "an image", 3: "a volume"}
_FILTERS, _FILTERS_WHERE_EDGES_ARE_SEEN = 1 / 4, 1 / 16  # of the memory; the latter need most of it for their tiles


class Predictor:
    """A trained network, or several as one, that segments images of any size.

    flips: average over the eight flips and turns, of a volume in the plane of its slices; the recipe decides where left
        out, and "auto" is no until a training has settled it.
    precision: "float32" is exact, "bfloat16" is faster on processors made for it.
    memory_bytes: what a pass may take beyond the weights; decides how wide bands of rows are, how large tiles, and for
        how many convolutions filters of minimal filtering are kept. Left out, 2 GiB; of volumes, half of what is free.
    keep_px: in tiles, whose kept part has this side.
    by_rows: whether a large image may pass row by row; else it is cut into tiles.
    engine: what computes the networks, as they are now; "auto": what does so fastest here, by a short measurement.
        Left out, PyTorch computes each as it stands at that moment: its weights may change in between. Only PyTorch
        goes row by row.
    regions: declared beside those of the recipe, or in place of those of the same name.
    one_piece: names of regions of which each image keeps the largest piece alone (predict/pieces.py), those of the
    recipe where left out. An image's answer is then held in memory whole before its first tile is given.
    pieces_in: "volumes": whoever has the slices of a volume keeps the largest piece of all of it instead
    (predict/volume_pieces.py).

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
        by_rows: bool = True,
        engine: EngineName | Literal["auto"] | None = None,
        regions: Declared | None = None,
        one_piece: Sequence[str] | None = None,
        pieces_in: PiecesIn = "slices",
    ) -> None:
        ensemble = trained if isinstance(trained, Ensemble) else Ensemble((trained,), trained)
        self.trained, self.members = ensemble.trained, ensemble.members
        if regions:
            self.trained = replace(self.trained, recipe=merged(self.trained.recipe, {"regions": regions}))
        self.precision, self.keep_px = precision, keep_px
        self.memory_bytes = default_memory(self.trained.model) if memory_bytes is None else memory_bytes
        self.by_rows = by_rows
        self.flips = self.trained.recipe.prediction.flips is True if flips is None else flips
        self.one_piece = self._named(self.trained.recipe.prediction.one_piece if one_piece is None else one_piece)
        self.pieces_in = pieces_in
        self.axes, self.footprints = self.trained.model.axes, list(self.trained.model.footprints)
        self._check_flips()
        if pieces_in == "volumes" and not self.one_piece:
            raise RecipeError(
                "Regions are to be one piece in volumes, and none is named: neither in the training's recipe nor with "
                "--one-piece. Name some, or leave --pieces-in out."
            )
        self.choice: Choice | None = None
        if engine == "auto" and self.axes != 2:
            engine = "torch"
        share = _FILTERS_WHERE_EDGES_ARE_SEEN if self.footprints[0].sees_edges else _FILTERS
        filters = int(share * self.memory_bytes) // len(self.members)
        if engine == "auto":
            side = self.footprints[0].input_for(keep_px or _MEASURED_SIDE)
            self.choice = fastest(self.trained.model, side, precision, filter_bytes=filters)  # the others are alike
            engine = self.choice.engine.name
        self.engines = [self._engine(engine, member.model, filters) for member in self.members]
        try:
            self._strategy = self._strategy_for(keep_px)
        except RecipeError:  # too little memory, or too little beside the filters
            self.engines = [self._engine(engine, member.model, 0) for member in self.members]
            self._strategy = self._strategy_for(keep_px)
        self._one_colour = OneColour(MOST_KEPT if engine else 0)  # else weights may change

    def with_keep(self, keep_px: int | None) -> Self:
        """The same in tiles whose kept parts have this side, or as the memory has it; regions keep all their pieces."""
        other = copy(self)
        other.one_piece, other.keep_px = (), keep_px
        other._strategy = self._strategy_for(keep_px)
        return other

    def in_all_pieces(self) -> Self:
        """The same, whose regions keep all their pieces."""
        other = copy(self)
        other.one_piece = ()
        return other

    def goes_by_rows(self, source: ImageSource) -> bool:
        """Whether an image passes row by row, and not in tiles."""
        return self._strategy.bands(source.shape) is not None

    def blocks(self, shape: tuple[int, ...]) -> Blocks:
        """How an image of this shape is divided, which depends on the network and the memory alone."""
        return self._strategy.blocks(shape)

    def tiles(self, source: ImageSource) -> Iterator[Predicted]:
        """The answer for an image, in parts whose windows partition it: block after block in reading order, of each
        its tiles, or rows from the top down.
        """
        return self.mended(self.parts(source), source.shape)

    def block(self, source: ImageSource, blocks: Blocks, number: int, where: Where | None = None) -> Iterator[Part]:
        """The answer for one block, in parts; regions keep all their pieces.

        Tiles outside `where` are not computed: they are background, and their pixels 0. Only an image in tiles can be
        predicted so.
        """
        with keeping_freed_memory():
            if blocks.bands is None:
                yield from self._by_tiles(source, blocks, number, where)
            else:
                assert where is None, "rows of an image are computed from its first column to its last"
                yield from self._by_rows(source, blocks.band(number), blocks.bands.rows)

    def mended(self, parts: Iterable[Predicted], shape: tuple[int, ...]) -> Iterator[Predicted]:
        """All parts of an image's answer, their regions in one piece where that is asked for."""
        if not self.one_piece:
            yield from parts
            return
        every = list(parts)
        whole = in_one_piece(_class_map(every, shape), self.one_piece)
        yield from (replace(tile, classes=whole[tile.window.slices]) for tile in every)

    def parts(self, source: ImageSource, where: Where | None = None) -> Iterator[Predicted]:
        """All blocks, one after another, as `block` gives them."""
        self._require_axes(source)
        blocks, done = self.blocks(source.shape), 0
        with keeping_freed_memory():
            for number in range(len(blocks)):
                for window, pixels, probability in self.block(source, blocks, number, where):
                    done += blocks.progress(window)
                    classes = self.trained.labels.decide(probability)
                    yield Predicted(window, pixels, probability, classes, done, blocks.total, blocks.unit)

    def _by_tiles(self, source: ImageSource, blocks: Blocks, number: int, where: Where | None) -> Iterator[Part]:
        name = str(source.page)
        for tile in blocks.tiles(number):
            if where and not where.any(tile.keep):
                yield tile.keep, no_pixels(source, tile.keep), background(self.trained.labels.classes, tile.keep)
                continue
            pixels = read_mirrored(source, tile.read)
            probability = self._one_colour.answer(pixels, partial(self._of_tile, pixels, name))
            yield tile.keep, pixels[tile.kept_of_read], probability[:, *tile.kept_of_output]

    def _of_tile(self, pixels: NDArray[np.generic], name: str) -> NDArray[np.float32]:
        return self._probability(self._logits(member, pixels, name) for member in range(len(self.members)))

    def _by_rows(self, source: ImageSource, band: Band, rows: int) -> Iterator[Part]:
        return pass_band(source, band, self.footprints[0], rows, self._next_rows(band, str(source.page)))

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
        return self.trained.labels.decode(_class_map(self.tiles(source), source.shape))

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

    def _engine(self, name: EngineName | None, model: Segmenter, filters: int) -> Engine:
        """filters: the bytes that minimal filtering may hold."""
        if name is None:
            return Network(model, self.precision)
        if self.choice and filters and model is self.trained.model:
            return self.choice.engine
        return build(name, model, self.precision, filter_bytes=filters)

    def _strategy_for(self, keep_px: int | None) -> Strategy:
        first = self.engines[0]
        filters = sum(filter_bytes(engine.model) for engine in self.engines if isinstance(engine, Network))
        model, by_rows = (first.model, True) if isinstance(first, Network) else (self.trained.model, False)
        return Strategy(
            model,
            self.memory_bytes - filters,
            networks=len(self.members),
            by_rows=by_rows and self.by_rows and not self.flips,
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


def _class_map(parts: Iterable[Predicted], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    classes = np.empty(shape, dtype=np.uint8)
    for part in parts:
        classes[part.window.slices] = part.classes
    return classes


def load(run: str | Path, *, device: str | None = None, **options: object) -> Predictor:
    """The best network of a run's folder, or of one checkpoint file, ready to segment; of an ensemble's folder, all.

    `options` are those of Predictor; the engine is "torch" where left out. Raises CheckpointError for a file that is
    none of ours or is damaged.
    """
    options = {"engine": "torch", **options}
    return Predictor(read(Path(run), choose_device(device)), **options)  # type: ignore[arg-type]
