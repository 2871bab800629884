"""Where a job's files go: names that do not clash, and a folder that takes them; asked before anything is computed."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ushape.atomic import output_error
from ushape.errors import OutputError
from ushape.images.suffix import stem_of


def check_names(made: Mapping[Path, Sequence[Path]], together: Iterable[Path], out: Path) -> None:
    """OutputError where one file would be made twice. `made`: the files of each image, `together`: those of all."""
    of_stem, of_name = defaultdict(list), defaultdict(list)
    for image, paths in made.items():
        of_stem[stem_of(image)].append(str(image))
        for path in paths:
            of_name[path.name].append(str(image))
    clashes = {tuple(images) for images in (*of_stem.values(), *of_name.values()) if len(images) > 1}
    if clashes:
        raise OutputError(
            f"These images would make files of the same name in {out}: "
            f"{'; '.join(' and '.join(images) for images in sorted(clashes))}. "
            "Rename some, or predict them into folders of their own."
        )
    for path in together:
        if images := of_name.get(path.name):
            raise OutputError(
                f"{out / path.name} would be made of {images[0]}, and of all images together. Rename that image, or "
                "predict it into a folder of its own."
            )


def check_folder(out: Path, made: Mapping[Path, Sequence[Path]], together: Iterable[Path], *, overwrite: bool) -> None:
    """OutputError where results exist or would replace the images, or where `out` cannot be written; it is made."""
    planned = [path for paths in made.values() for path in paths] + [*together]
    images = {_identity(image) for image in made}
    existing = sorted({path for path in planned if path.exists()})
    if any(_identity(path) in images for path in existing):
        raise OutputError(f"The masks would take the place of the images in {out}. Choose another folder.")
    if existing and not overwrite:
        raise OutputError(
            f"{out} already holds {len(existing)} of these results "
            f"({', '.join(path.name for path in existing[:5])}{', …' if len(existing) > 5 else ''}). "
            "Replace them with --overwrite, or choose another folder."
        )
    make_folder(out)
    try:
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise output_error(planned[0], error) from error


def make_folder(out: Path) -> None:
    """A folder, with those above it, where there is none yet; OutputError where that cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(out, error) from error


def _identity(path: Path) -> tuple[int, int]:
    """Of the file itself, under whatever name, link or spelling."""
    status = path.stat()
    return status.st_dev, status.st_ino
