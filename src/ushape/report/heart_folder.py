"""The folder of a study of hearts: one page for all, and one for each patient, none under another's name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ushape.errors import OutputError
from ushape.predict.destination import make_folder

INDEX = "index.html"
"""The page of the study, in its folder."""


def begun(out: Path, patients: Iterable[str], *, overwrite: bool) -> Mapping[str, str]:
    """Make the folder; the name of each patient's page in it. OutputError where it holds a report already."""
    if (out / INDEX).exists() and not overwrite:
        raise OutputError(f"{out / INDEX} exists already. Replace it with --overwrite, or choose another folder.")
    make_folder(out)
    return _page_names(patients)


def _page_names(patients: Iterable[str]) -> dict[str, str]:
    """A file name for each, none of them twice, whatever characters the patients' have."""
    names: dict[str, str] = {}
    for patient in patients:
        stem, number = re.sub(r"[^\w-]+", "_", patient), 2
        name = f"patient-{stem}.html"
        while name.lower() in {taken.lower() for taken in names.values()}:
            name, number = f"patient-{stem}-{number}.html", number + 1
        names[patient] = name
    return names
