"""What a report on hearts found, on the standard output: the agreement of two readers, or one reader's figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ushape.cardiac.cine_results import ALONE, CineResults
from ushape.cardiac.indices import NAMES
from ushape.cardiac.results import DISCLAIMER, Results
from ushape.cli.tables import say_agreement
from ushape.cli.text import say, say_facts
from ushape.data.pair import counted
from ushape.report.heart import index_in_words


def say_hearts(results: Results | CineResults, paths: Sequence[Path]) -> None:
    """The figures, and where the pages are."""
    if isinstance(results, Results):
        _say_agreement(results)
    else:
        _say_alone(results)
    say_facts([("written", ", ".join(map(str, paths)) + f", and {counted(len(results.patients), 'page')} of patients")])
    say(f"  {DISCLAIMER}")


def _say_agreement(results: Results) -> None:
    say_agreement({f"{words} ({results.unit(name)})": results.agreement(name) for name, words in NAMES.items()})
    unit = "mm" if results.in_mm else "px"
    for region in results.regions:
        found = results.contours(region)
        good = "" if math.isnan(found.good) else f", {100 * found.good:.1f} % of contours good"
        contours = f"{counted(found.drawn, 'contour')} by hand, {found.missed} missed, {found.added} added"
        say(f"  {region}: Dice {found.dice:.4f}, APD {found.apd:.2f} {unit}{good}; {contours}")


def _say_alone(results: CineResults) -> None:
    for patient in results.patients:
        figures = ", ".join(f"{words} {index_in_words(patient.indices, name)}" for name, words in NAMES.items())
        say_facts([(patient.patient, figures)])
        say_facts([("", f"{where}: {words}") for where, words in patient.oddities])
    if results.empty:
        say_facts([("no cavity in", ", ".join(results.empty))])
    say(f"  {ALONE}")
