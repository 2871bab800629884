"""Lines of text and JSON. Results go to the standard output, all else to the standard error."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from ushape.data.pair import Fault


def say(line: str = "", *, err: bool = False) -> None:
    typer.echo(line, err=err)


def say_json(values: Mapping[str, Any]) -> None:
    say(as_json(values))


def as_json(values: Mapping[str, Any]) -> str:
    """Readable JSON; paths as text."""
    return json.dumps(values, indent=2, ensure_ascii=False, default=str)


def say_facts(facts: Iterable[tuple[str, str]], *, err: bool = False) -> None:
    """Label and text, the texts beneath each other; a terminal gets them broken to its width, a file a line each."""
    facts = list(facts)
    indent = max((len(label) for label, _ in facts), default=0) + 4
    stream = sys.stderr if err else sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else sys.maxsize
    for label, text in facts:
        lines = textwrap.wrap(text, max(40, width - indent), break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(lines):
            say(f"  {label if number == 0 else '':<{indent - 4}}  {line}", err=err)


def say_faults(faults: Sequence[Fault], *, err: bool = False) -> None:
    """Errors first: what forbids training comes before what is worth knowing."""
    for fault in sorted(faults, key=lambda fault: fault.severity != "error"):
        say(f"{fault.severity}: {fault.message}", err=err)
