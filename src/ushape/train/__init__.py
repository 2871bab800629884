"""Batches → checkpoint. The package can be called: `ushape.train(data, out, minutes=15)` is `session.train`.

A function of that name in `ushape` would be hidden by this package as soon as anything in it is imported.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:  # Any: those of session.train
        """Train on an annotated folder; see `ushape.train.session.train`."""
        return importlib.import_module("ushape.train.session").train(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
