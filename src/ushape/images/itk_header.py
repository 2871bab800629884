"""The header of a MetaImage or NRRD mask, on the grid of an image that SimpleITK reads; compressed voxels follow it.

MetaImage: itk.org/Wiki/MetaIO/Documentation. NRRD: teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_META_TYPES = {"uint8": "MET_UCHAR", "uint16": "MET_USHORT", "uint32": "MET_UINT", "float32": "MET_FLOAT"}
_NRRD_TYPES = {"uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int", "float32": "float"}
_SIZE_DIGITS = 20


@dataclass(frozen=True)
class ItkGeometry:
    """As SimpleITK has it, x first: direction is a matrix, row by row, whose columns are the ways of the axes."""

    size: tuple[int, ...]
    steps: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def ways(self) -> list[list[float]]:
        """The unit vector along each axis."""
        axes = len(self.size)
        ways: list[list[float]] = np.array(self.direction).reshape(axes, axes).T.tolist()
        return ways


def meta_head(geometry: ItkGeometry, dtype: np.dtype[np.generic]) -> tuple[bytes, slice]:
    """The header of a compressed .mha, and where in it the size of the compressed voxels belongs."""
    before = [
        "ObjectType = Image",
        f"NDims = {len(geometry.size)}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        "CompressedDataSize = ",
    ]
    after = [
        f"TransformMatrix = {_spaced(x for way in geometry.ways for x in way)}",
        f"Offset = {_spaced(geometry.origin)}",
        f"ElementSpacing = {_spaced(geometry.steps)}",
        f"DimSize = {_spaced(geometry.size)}",
        f"ElementType = {_META_TYPES[dtype.name]}",
        "ElementDataFile = LOCAL",
    ]
    start = "\n".join(before).encode()
    head = start + b"0" * _SIZE_DIGITS + ("\n" + "\n".join(after) + "\n").encode()
    return head, slice(len(start), len(start) + _SIZE_DIGITS)


def nrrd_head(geometry: ItkGeometry, dtype: np.dtype[np.generic]) -> bytes:
    """The header of a .nrrd whose voxels are a gzip stream."""
    axes = len(geometry.size)
    steps = [[step * x for x in way] for step, way in zip(geometry.steps, geometry.ways, strict=True)]
    space = "space: left-posterior-superior" if axes == 3 else f"space dimension: {axes}"
    lines = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[dtype.name]}",
        f"dimension: {axes}",
        space,
        f"sizes: {_spaced(geometry.size)}",
        f"space directions: {' '.join(map(_vector, steps))}",
        f"kinds: {' '.join(['domain'] * axes)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin)}",
    ]
    return ("\n".join(lines) + "\n\n").encode()


def _spaced(numbers: Iterable[float]) -> str:
    """Numbers that read back to the bit.

    >>> _spaced((1, 0.1))
    '1 0.1'
    """
    return " ".join(map(repr, numbers))


def _vector(numbers: Iterable[float]) -> str:
    return f"({','.join(map(repr, numbers))})"
