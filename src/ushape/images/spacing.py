"""The size of a pixel in micrometres, as TIFF files tell it."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import tifffile

MICROMETRES = {
    "nm": 1e-3,
    "micron": 1.0,
    "microns": 1.0,
    "um": 1.0,
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "\\u00B5m": 1.0,  # as ImageJ escapes it
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}

_OF_RESOLUTION_UNIT = {3: 1e4, 4: 1e3, 5: 1.0}  # centimetre, and tifffile's millimetre and micrometre; see tiff_spacing


def tiff_spacing(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[float, float] | None:
    """(y, x) micrometres of a pixel, or None where the file does not say.

    OME's PhysicalSize or Aperio's MPP comes first, then ImageJ's unit, then the resolution per centimetre. A resolution
    per inch is how programs note a size on paper (72, 96 or 300 dpi), so it is not taken for a measurement.
    """
    if tiff.is_ome:
        return _of_ome(tiff.ome_metadata or "")
    if tiff.is_svs:
        return _of_svs(page.description)
    if tiff.is_imagej:
        factor = MICROMETRES.get(str((tiff.imagej_metadata or {}).get("unit", "")))
    else:
        factor = _OF_RESOLUTION_UNIT.get(int(page.resolutionunit))
    if factor is None or "XResolution" not in page.tags or "YResolution" not in page.tags:
        return None
    across, down = page.resolution
    if not (across > 0 and down > 0):
        return None
    return _sensible(factor / down, factor / across)


def _of_ome(xml: str) -> tuple[float, float] | None:
    try:
        pixels = ElementTree.fromstring(xml).find("{*}Image/{*}Pixels")
    except ElementTree.ParseError:
        return None  # the pixels are readable all the same
    if pixels is None:
        return None
    sizes = []
    for axis in "YX":
        factor = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        try:
            size = float(pixels.get(f"PhysicalSize{axis}", "nan"))
        except ValueError:
            return None
        sizes.append(math.nan if factor is None else size * factor)
    return _sensible(*sizes)


def _of_svs(description: str) -> tuple[float, float] | None:
    """Of an Aperio description: "Aperio Image …|AppMag = 20|MPP = 0.4990"."""
    found = re.search(r"\|\s*MPP\s*=\s*([0-9.]+)", description)
    try:
        size = float(found[1]) if found else math.nan
    except ValueError:
        return None
    return _sensible(size, size)


def _sensible(y: float, x: float) -> tuple[float, float] | None:
    return (y, x) if 0 < y < math.inf and 0 < x < math.inf else None
