"""A tile or chunk of an image file that cannot be decoded, while the rest can."""

from __future__ import annotations

from pathlib import Path

from ushape.errors import ImageError
from ushape.geometry.tiles import Window


class DamagedPiece(ImageError):
    """A tile or chunk (`kind`) that cannot be decoded; window: the pixels of the image that it holds."""

    def __init__(self, path: Path, kind: str, window: Window, cause: BaseException | None) -> None:
        (top, left), (bottom, right) = window.start, window.stop
        words = (str(cause) or type(cause).__name__).rstrip(".")
        super().__init__(
            f"{path}: the {kind} of rows {top} to {bottom - 1}, columns {left} to {right - 1} cannot be read "
            f"({words}). Copy or export the file again."
        )
        self.kind, self.window, self.words = kind, window, words
