"""A name and the suffix that says its format: .nii.gz is one; a folder of a series may have dots in its name."""

from __future__ import annotations

import re
from pathlib import Path

_SUFFIX = re.compile(r"\.nii\.gz|\.[a-z]\w{1,4}", re.IGNORECASE)


def suffix_of(path: Path) -> str:
    """The suffix in lower case, or "".

    >>> suffix_of(Path("heart.NII.gz")), suffix_of(Path("cells.v2.tif")), suffix_of(Path("1.2.840.10008"))
    ('.nii.gz', '.tif', '')
    """
    double = _SUFFIX.fullmatch("".join(path.suffixes[-2:]))
    found = double or _SUFFIX.fullmatch(path.suffix)
    return found[0].lower() if found else ""


def stem_of(path: Path) -> str:
    """The name without the suffix.

    >>> stem_of(Path("a/heart.nii.gz")), stem_of(Path("cells.v2.tif")), stem_of(Path("1.2.840.10008"))
    ('heart', 'cells.v2', '1.2.840.10008')
    """
    return path.name[: len(path.name) - len(suffix_of(path))]
