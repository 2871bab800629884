"""Scores that come in families, beside the table of pixels: image after image in, figures of images and of folder out.

A figure of a folder is the one that its field reports: pooled over all objects or pixels where that is the custom, the
best over thresholds common to all images where a challenge says so. Where the field has none, it is NaN, and the mean
over images stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

from ushape.errors import RecipeError
from ushape.labels import IGNORED
from ushape.metrics.boundary import SurfaceDistances
from ushape.metrics.contingency import Contingency
from ushape.metrics.instances import Matching, pooled
from ushape.metrics.isbi2012 import Isbi2012
from ushape.metrics.judged import Judged
from ushape.metrics.partitions import adapted_rand_error, variation_of_information
from ushape.metrics.region_scores import RegionScores
from ushape.metrics.saliency import ImageSaliency, Saliency
from ushape.metrics.table import Figure, figure_of
from ushape.regions import Region
from ushape.settings import chosen

FamilyName = Literal["objects", "regions", "partitions", "boundary", "isbi2012", "saliency", "calibration"]

ABOUT: dict[FamilyName, str] = {
    "objects": "objects matched one to one: F1, average precision, panoptic quality, AJI, SEG, DET",
    "regions": "Dice, HD, HD95 and ASSD of each region that is declared, as of an epicardium that holds the cavity",
    "partitions": "adapted Rand error, and variation of information in bits",
    "boundary": "HD95 and ASSD in micrometres (volumes: mm; in pixels where there is no spacing), NSD within 2 px",
    "isbi2012": "the ISBI 2012 challenge's own: V_Rand, V_Info, warping, Rand and pixel error",
    "saliency": "maximum F, MAE, S-measure, weighted F of a foreground probability",
    "calibration": "how far probabilities hold: calibration error, Brier score, likelihood, expected Dice",
}

_NSD_TOLERANCE_PX = 2


class Family(Protocol):
    """Scores that are made together."""

    def add(self, image: Judged) -> None:
        """Score one image."""

    def of_images(self) -> list[dict[str, float]]:
        """The scores of each image added, NaN where undefined."""

    def of_folder(self) -> dict[str, float]:
        """The folder's figures, of those scores that have one; of some that have no other."""


@dataclass(frozen=True)
class Measures:
    """The scores of a family for a folder: names and groups of the images, and a score of each by its name."""

    family: FamilyName
    names: tuple[str, ...]
    groups: tuple[str, ...]
    images: tuple[dict[str, float], ...]
    folder: dict[str, float]

    def figures(self) -> dict[str, Figure]:
        """Mean over images with its interval, and the folder's own figure as `pooled`."""
        every = dict.fromkeys(name for scores in (*self.images, self.folder) for name in scores)
        return {
            name: figure_of([image.get(name, math.nan) for image in self.images], self.groups, self._pooled(name))
            for name in every
        }

    def to_dict(self) -> dict[str, object]:
        """For JSON; what is undefined is None."""
        rows = [
            {"name": name, **{key: _defined(value) for key, value in image.items()}}
            for name, image in zip(self.names, self.images, strict=True)
        ]
        figures = {name: {k: _defined(v) for k, v in asdict(f).items()} for name, f in self.figures().items()}
        return {"family": self.family, "figures": figures, "images": rows}

    def _pooled(self, name: str) -> float:
        return self.folder.get(name, math.nan)


def measured(name: FamilyName, scored: Family, images: Sequence[tuple[str, str]]) -> Measures:
    """What a family says of the images, (name, group), that were added to it."""
    names, groups = (tuple(part) for part in zip(*images, strict=True))
    return Measures(name, names, groups, tuple(scored.of_images()), scored.of_folder())


def family(name: FamilyName, class_names: Sequence[str], regions: Sequence[Region] = ()) -> Family:
    """An empty family; RecipeError where it is not made for so many classes, or there is no region."""
    if name in ("isbi2012", "saliency") and len(class_names) != 2:
        raise RecipeError(
            f"The scores of {name} are of one class against the background; here are {len(class_names)}: "
            f"{', '.join(class_names)}. Leave {name} out."
        )
    if name == "calibration":
        raise RecipeError(
            "Masks alone have no probabilities whose calibration could be scored. Score the network that made them, "
            "`ushape evaluate RUN DATA --metrics calibration`, or leave calibration out."
        )
    if name == "boundary":
        return Boundary(class_names)
    if name == "regions":
        return RegionScores(regions)
    makers: dict[str, type[Family]] = {
        "objects": ObjectScores,
        "partitions": Partitions,
        "isbi2012": Slices,
        "saliency": SaliencyFamily,
    }
    return makers[name]()


def families_named(text: str) -> tuple[FamilyName, ...]:
    """Names with commas between; RecipeError, with all there are, for another.

    >>> families_named("objects,boundary")
    ('objects', 'boundary')
    """
    return chosen(text, ABOUT, "family of scores")


class ObjectScores:
    """Scores of objects that are matched one to one; the folder's are of all objects of all images together."""

    def __init__(self) -> None:
        self._matchings: list[Matching] = []

    def add(self, image: Judged) -> None:
        self._matchings.append(Matching.of(image.true_objects, image.objects, ignored=image.ignored))

    def of_images(self) -> list[dict[str, float]]:
        return [_object_scores(matching) for matching in self._matchings]

    def of_folder(self) -> dict[str, float]:
        return _object_scores(pooled(self._matchings))


class Partitions:
    """Scores of images cut into objects, pixel pairs and information."""

    def __init__(self) -> None:
        self._images: list[dict[str, float]] = []

    def add(self, image: Judged) -> None:
        table = Contingency.of(image.true_objects, image.objects, image.ignored)
        variation = variation_of_information(table)
        self._images.append(
            {
                "adapted_rand_error": adapted_rand_error(table),
                "vi_split_bits": variation.split_bits,
                "vi_merge_bits": variation.merge_bits,
            }
        )

    def of_images(self) -> list[dict[str, float]]:
        return self._images

    def of_folder(self) -> dict[str, float]:
        return {}


class Boundary:
    """Distances between the borders of each foreground class, where both have one.

    Where only one of truth and answer has the class, distances are undefined and NSD is 0; `one_sided` is 1 there, so
    that its mean says how often. The convention is that of `boundary.SurfaceDistances`. Distances are in micrometres
    where the image knows its spacing (`hd95_um`), else in pixels (`hd95_px`), and each have a mean of their own. Those
    of a volume, whose surface is one in space, are in millimetres where its voxels are coarse (`hd95_mm`).
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = class_names
        self._images: list[dict[str, float]] = []

    def add(self, image: Judged) -> None:
        scores: dict[str, float] = {}
        for number, name in enumerate(self._names[1:], start=1):
            suffix = f" {name}" if len(self._names) > 2 else ""
            found = self._of_class(image, number)
            scores |= {f"{key}{suffix}": value for key, value in found.items()}
        self._images.append(scores)

    def of_images(self) -> list[dict[str, float]]:
        return self._images

    def of_folder(self) -> dict[str, float]:
        return {}

    @staticmethod
    def _of_class(image: Judged, number: int) -> dict[str, float]:
        unit, spacing = image.lengths if image.truth.ndim == 3 else _of_image(image)
        distances = SurfaceDistances.of(image.truth == number, image.answer == number, spacing, ignored=image.ignored)
        hd95, assd = distances.hd95(), distances.assd()
        one_sided = math.isinf(hd95)
        return {
            f"hd95_{unit}": math.nan if one_sided else hd95,
            f"assd_{unit}": math.nan if one_sided else assd,
            "nsd_2px": distances.nsd(_NSD_TOLERANCE_PX * math.sqrt(spacing[-2] * spacing[-1])),
            "one_sided": math.nan if math.isnan(hd95) else float(one_sided),
        }


def _of_image(image: Judged) -> tuple[str, tuple[float, ...]]:
    return ("um", image.spacing) if image.spacing else ("px", (1.0, 1.0))


class Slices:
    """The ISBI 2012 challenge's scores; thresholds are the best for all slices together."""

    def __init__(self) -> None:
        self._scores = Isbi2012()

    def add(self, image: Judged) -> None:
        self._scores.add(image.truth == 1, image.foreground, image.ignored)

    def of_images(self) -> list[dict[str, float]]:
        return self._scores.per_slice()

    def of_folder(self) -> dict[str, float]:
        return self._scores.scores()


class SaliencyFamily:
    """The scores of salient object detection; maps are not stretched, as ours are probabilities already.

    An image whose truth counts nowhere has none of them.
    """

    def __init__(self) -> None:
        self._scores = Saliency(stretch=False)
        self._images: list[ImageSaliency | None] = []

    def add(self, image: Judged) -> None:
        counts = bool((image.truth != IGNORED).any())
        self._images.append(self._scores.add(image.truth == 1, image.foreground, image.ignored) if counts else None)

    def of_images(self) -> list[dict[str, float]]:
        return [_saliency_scores(image) for image in self._images]

    def of_folder(self) -> dict[str, float]:
        if not any(self._images):
            return {"max_f": math.nan}
        return {"max_f": self._scores.scores().max_f_of_mean_precision_recall}


def _object_scores(matching: Matching) -> dict[str, float]:
    return {
        "f1_50": matching.f1(),
        "ap_50": matching.average_precision(),
        "ap_50_95": matching.mean_average_precision(),
        "panoptic_quality": matching.panoptic_quality(),
        "aggregated_jaccard": matching.aggregated_jaccard(),
        "seg": matching.seg(),
        "det": matching.det(),
    }


def _saliency_scores(image: ImageSaliency | None) -> dict[str, float]:
    return {
        "mae": image.mean_absolute_error if image else math.nan,
        "max_f": image.max_f if image else math.nan,
        "weighted_f": image.weighted_f if image else math.nan,
        "s_measure": image.s_measure if image else math.nan,
    }


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
