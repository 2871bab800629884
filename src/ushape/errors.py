"""Everything ushape can refuse, as one family.

    UshapeError
    ├── SizeError         an image, tile or network size that cannot be
    ├── ImageError        an image or mask file that cannot be read, or is not what it says
    ├── DataError         an annotated folder that cannot be trained on; names every bad file
    ├── RecipeError       a setting that does not exist, cannot be, or contradicts another
    ├── CheckpointError   a file that is no checkpoint of ours, is cut short, or does not fit
    ├── OutputError       a place that cannot be written, or holds results we will not overwrite
    ├── TrainingError     a training that cannot go on
    ├── ClusterError      workers on other machines that cannot be reached, or cannot do the work
    ├── ExportError       a network that another library computes differently
    └── MissingExtra      an optional package that is not installed

Each message says what we got, what we can take, and what to do next. The command line prints it and exits with 2.
"""

from __future__ import annotations


class UshapeError(Exception):
    """The user can mend this; the message says how."""


class SizeError(UshapeError, ValueError):
    """A size that the network, the tile or the image cannot have."""


class ImageError(UshapeError, ValueError):
    """An image or mask file that is unreadable, truncated, or outside what we accept."""


class DataError(UshapeError, ValueError):
    """An annotated folder with faults; the message lists them all."""


class RecipeError(UshapeError, ValueError):
    """An unknown, impossible or contradictory setting."""


class CheckpointError(UshapeError, ValueError):
    """A checkpoint that is damaged, foreign, or made for other images."""


class OutputError(UshapeError, OSError):
    """A result that cannot be written, or that would overwrite another."""


class TrainingError(UshapeError, RuntimeError):
    """A training that cannot continue, with the last good weights kept."""


class ClusterError(UshapeError, RuntimeError):
    """Workers that cannot be reached, or cannot do what they are asked to; what is done is kept."""


class ExportError(UshapeError, ValueError):
    """An exported network whose answers are not those of the network."""


class MissingExtra(UshapeError, ImportError):
    """An optional package is needed; the message gives the command that installs it."""
