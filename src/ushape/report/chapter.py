"""A question on a page: what can be said of it, how it was looked at, charts, and the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ushape.report.markup import escaped


@dataclass(frozen=True)
class Grid:
    """A plain table: a title for each column, and rows of as many texts, the first of which is what the row is of.

    worded: titles of further columns that hold words in place of figures.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    worded: Sequence[str] = ()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.titles) for row in self.rows), self


@dataclass(frozen=True)
class Chapter:
    """answers: sentences. method: how they were found, in small print. charts: titles and SVG from charts.py."""

    question: str
    answers: Sequence[str]
    method: str = ""
    charts: Sequence[tuple[str, str]] = ()
    grids: Sequence[Grid] = ()

    def section(self) -> tuple[str, str]:
        """Title and HTML, as a page takes them; all text is escaped here but the charts."""
        parts = [f"<p>{escaped(answer)}</p>" for answer in self.answers]
        if self.method:
            parts.append(f'<p class="small">{escaped(self.method)}</p>')
        if self.charts:
            figures = "".join(f"<figure><h3>{escaped(title)}</h3>{svg}</figure>" for title, svg in self.charts)
            parts.append(f'<div class="charts">{figures}</div>')
        parts += [_table(grid) for grid in self.grids]
        return self.question, "\n".join(parts)


def _table(grid: Grid) -> str:
    looks = [' class="name"' if title in grid.worded else "" for title in grid.titles]
    columns = list(zip(looks, grid.titles, strict=True))
    head = "".join(f'<th scope="col"{look}>{escaped(title)}</th>' for look, title in columns)
    rows = "".join(f"<tr>{_row(row, looks)}</tr>" for row in grid.rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(row: Sequence[str], looks: Sequence[str]) -> str:
    cells = zip(looks[1:], row[1:], strict=True)
    first = f'<th scope="row">{escaped(row[0])}</th>'
    return first + "".join(f"<td{look}>{escaped(cell)}</td>" for look, cell in cells)
