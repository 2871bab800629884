"""Which pages of a TIFF are the slices of one volume, and how far apart they are, by what OME and ImageJ write."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from ushape.errors import ImageError
from ushape.images.spacing import MICROMETRES
from ushape.images.tiff import damage_of, opened_tiff, tiff_pages
from ushape.images.volume import Stack


def tiff_stack(path: Path) -> Stack:
    """Slices and their step. Of a file that says nothing of its axes, all pages are the slices of one volume.

    ImageError where pages are channels or points in time, or do not come volume by volume.
    """
    pages = tiff_pages(path)
    with opened_tiff(path) as tiff, damage_of(path):
        if tiff.is_ome:
            sizes, step = _of_ome(tiff.ome_metadata or "", path)
        elif tiff.is_imagej:
            said = tiff.imagej_metadata or {}
            names = {"C": "channels", "T": "frames", "Z": "slices"}
            sizes = {axis: int(said.get(name, 0)) for axis, name in names.items()}
            step = _length(said.get("spacing"), str(said.get("unit", "")))
        else:
            return Stack(pages)
    slices = sizes["Z"] or (pages if max(sizes.values()) <= 1 else 1)
    if slices > 1 and sizes["C"] <= 1 and slices * max(1, sizes["T"]) == pages:
        return Stack(slices, step)
    if pages == 1:
        return Stack(1, step)
    raise ImageError(
        f"{path} has {pages} pages, which it says are {sizes['Z'] or 1} slices, {sizes['C'] or 1} channels and "
        f"{sizes['T'] or 1} points in time; we take volumes of one channel, slice by slice. Save each channel, and "
        "each volume, alone."
    )


def _of_ome(xml: str, path: Path) -> tuple[dict[str, int], float | None]:
    try:
        described = ElementTree.fromstring(xml).find("{*}Image/{*}Pixels")
        pixels = ElementTree.Element("Pixels") if described is None else described
        sizes = {axis: int(pixels.get(f"Size{axis}", "1")) for axis in "CTZ"}
    except (ElementTree.ParseError, ValueError) as error:
        raise ImageError(f"{path} has OME metadata that we cannot read. Save it again, best as OME-TIFF.") from error
    samples = pixels.find("{*}Channel")
    if samples is not None and int(samples.get("SamplesPerPixel", "1")) == sizes["C"]:
        sizes["C"] = 1  # colours of one page
    order = pixels.get("DimensionOrder", "XYZCT").replace("C", "") if sizes["C"] <= 1 else ""
    if sizes["T"] > 1 and order != "XYZT":
        sizes["Z"] = 1  # points in time come before slices
    return sizes, _length(pixels.get("PhysicalSizeZ"), pixels.get("PhysicalSizeZUnit", "µm"))


def _length(value: object, unit: str) -> float | None:
    """Micrometres; None for what is no length."""
    try:
        length = float(value) * MICROMETRES.get(unit, math.nan)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return length if 0 < length < math.inf else None
