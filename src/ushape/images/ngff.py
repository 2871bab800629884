"""What the metadata of OME-Zarr says: NGFF 0.4 (Zarr 2) and 0.5 (Zarr 3), sections "axes", "multiscales" and "labels".

multiscale_of(attributes, path)            → Multiscale: where the full image lies, its axes, the size of a pixel
attributes_of(name, multiscale, levels)    → the attributes of an image that we write
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ushape.errors import ImageError

AXES = "tczyx"
"""The axes that an image may have, in the order in which it must have them; y and x are never left out."""

_TYPE_OF_AXIS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}

_MICROMETRES = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}


@dataclass(frozen=True)
class Multiscale:
    """One image: the path of its finest level in the store, its axes, and that level's scale along each, in `units`.

    smaller: the paths of its smaller copies, the finer ones first.
    """

    level: str
    axes: str
    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    smaller: tuple[str, ...] = field(default=(), compare=False)

    @property
    def spacing(self) -> tuple[float, float] | None:
        """(y, x) micrometres of a pixel, or None where the store does not say."""
        y, x = (
            scale * _MICROMETRES.get(unit or "", math.nan)
            for scale, unit in zip(self.scale[-2:], self.units[-2:], strict=True)
        )
        return (y, x) if 0 < y < math.inf and 0 < x < math.inf else None


def multiscale_of(attributes: Mapping[str, Any], path: Path) -> Multiscale:
    """The first image that a group's attributes describe. ImageError where there is none, or none that we can read."""
    described = attributes.get("ome", attributes)
    if not (isinstance(described, Mapping) and described.get("multiscales")):
        raise ImageError(f"{path} is a Zarr group that says of no image in it ('multiscales'). {_advice(attributes)}")
    try:
        image = described["multiscales"][0]
        dataset = image["datasets"][0]
        listed = [(str(axis["name"]), axis.get("type"), axis.get("unit")) for axis in image["axes"]]
        level, *smaller = (str(each["path"]) for each in image["datasets"])
        own, common = (_scale(each.get("coordinateTransformations", ()), len(listed)) for each in (dataset, image))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ImageError(
            f"{path} has OME-Zarr metadata that we cannot read ({type(error).__name__}: {error}); we take NGFF 0.4 and "
            "0.5, where 'multiscales' has 'axes' with names, and 'datasets' with paths. Convert it, for instance with "
            "bioformats2raw."
        ) from error
    _check_axes(listed, path)
    return Multiscale(
        level,
        "".join(name for name, _, _ in listed),
        tuple(a * b for a, b in zip(own, common, strict=True)),
        tuple(unit for _, _, unit in listed),
        tuple(smaller),
    )


def is_axes(names: Sequence[str]) -> bool:
    """Whether these are axes of an image, each once and in the order of t, c, z, y, x."""
    return list(names) == [axis for axis in AXES if axis in names] and list(names[-2:]) == ["y", "x"]


def attributes_of(
    name: str,
    multiscale: Multiscale,
    levels: int,
    *,
    version: Literal["0.4", "0.5"],
    label: bool,
    about: Mapping[str, str],
) -> dict[str, Any]:
    """Attributes of an image whose levels "0", "1", … halve y and x; a pixel lies amid those that it stands for.

    label: it holds numbers of classes or objects ("image-label").
    """
    axes = [
        {"name": axis, "type": _TYPE_OF_AXIS[axis]} | ({"unit": unit} if unit else {})
        for axis, unit in zip(multiscale.axes, multiscale.units, strict=True)
    ]
    datasets = [
        {"path": str(number), "coordinateTransformations": _transformations(multiscale, 2**number)}
        for number in range(levels)
    ]
    image: dict[str, Any] = {"name": name, "axes": axes, "datasets": datasets, "metadata": dict(about)}
    if version == "0.4":
        of_label = {"image-label": {"version": version}} if label else {}
        return {"multiscales": [{"version": version, **image}], **of_label}
    return {"ome": {"version": version, "multiscales": [image], **({"image-label": {}} if label else {})}}


def _transformations(multiscale: Multiscale, factor: int) -> list[dict[str, Any]]:
    shrunk = [
        scale * (factor if axis in "yx" else 1) for axis, scale in zip(multiscale.axes, multiscale.scale, strict=True)
    ]
    found: list[dict[str, Any]] = [{"type": "scale", "scale": shrunk}]
    if factor > 1:
        moved = [
            scale * (factor - 1) / 2 if axis in "yx" else 0.0
            for axis, scale in zip(multiscale.axes, multiscale.scale, strict=True)
        ]
        found.append({"type": "translation", "translation": moved})
    return found


def _scale(transformations: Sequence[Mapping[str, Any]], axes: int) -> tuple[float, ...]:
    """The scale along every axis; 1 where none is given."""
    for each in transformations:
        if each["type"] == "scale":
            scale = tuple(float(number) for number in each["scale"])
            if len(scale) != axes:
                raise ValueError(f"{len(scale)} numbers of a scale for {axes} axes")
            return scale
    return (1.0,) * axes


def _check_axes(listed: Sequence[tuple[str, Any, Any]], path: Path) -> None:
    names = [name for name, _, _ in listed]
    if not is_axes(names):
        raise ImageError(
            f"{path} has the axes {', '.join(names)}; we take t, c, z, y and x in this order, of which only y and x "
            "must be there. Write it again with its axes so."
        )
    for name, kind, _ in listed:
        if kind not in (None, _TYPE_OF_AXIS[name]):
            raise ImageError(
                f"{path} calls its axis {name} one of the type {kind!r}; ours is {_TYPE_OF_AXIS[name]!r}. Mend its "
                "metadata, so that it is clear what the axis means."
            )


def _advice(attributes: Mapping[str, Any]) -> str:
    described = attributes.get("ome", attributes)
    if isinstance(described, Mapping) and "plate" in described:
        return "It is a plate: name a field of one of its wells, such as PLATE.zarr/A/1/0."
    return "Name the image or the array in it, or write it as OME-Zarr (NGFF 0.4 or 0.5)."
