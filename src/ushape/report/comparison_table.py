"""A comparison's standings as HTML: scores with their intervals and seeds, costs, and differences to the first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ushape.compare.results import TITLES, Results
from ushape.compare.spread import PAIRED_RULE, Spread
from ushape.compare.standing import DEVIATION, Standing
from ushape.data.pair import counted
from ushape.metrics.table import INTERVAL_RULE
from ushape.report.markup import escaped

_STRIP_PX = (180, 22)
_HOW_COSTS_ARE_TOLD = (
    "Multiply-adds: for a megapixel of answer, with the context that it takes. Held in a step: weights, "
    "gradients, running mean, moments, and all maps that the way back needs, counted in float32; the memory of a "
    "process grows by about 1.3 to 1.5 times as much. Trainings: one after another for one network; they share "
    "the budget. Steps and seconds: what was measured, medians over seeds, validations included, reading and "
    f"writing of files aside. Of the budget: the training farthest from it; more than {DEVIATION:.0%} are marked ▲ "
    "or ▼. Time per step: the median. Seconds per megapixel: of prediction in float32, on the largest test image."
)


def standings_table(results: Results) -> str:
    """A row per entrant: means over images and seeds, below them their intervals, and a dot for each seed."""
    shown = results.shown
    spreads = {s.name: results.spread(s, results.primary) for s in results.standings if s.outcomes}
    limits = _limits(spreads.values())
    head = [("Entrant", ""), *((TITLES[score], "new") for score in shown), ("interval, and a dot per seed", "")]
    rows = []
    for standing in results.standings:
        cells = [f'<th scope="row">{_named(standing)}</th>']
        if standing.outcomes:
            cells += [f'<td class="new">{_mean(results.spread(standing, score))}</td>' for score in shown]
            cells.append(f"<td>{_strip(spreads[standing.name], limits)}</td>")
        else:
            cells.append(f'<td class="new" colspan="{len(shown) + 1}">no training was completed</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    images, groups = len(results.images), len(set(results.groups))
    ground = f"{counted(images, 'test image')} in {counted(groups, 'group')}, {counted(len(results.seeds), 'seed')}"
    strip = f"{TITLES[results.primary]} from {limits[0]:.3f} to {limits[1]:.3f}"
    rule = f"{ground}: means over images of the mean over seeds, below them the interval over images. {INTERVAL_RULE}"
    strips = (
        f"A null is shown as –. The strip shows the {strip}: the interval, the mean across it, and a dot for each seed."
    )
    return f'{_table(head, rows)}<p class="small">{escaped(rule)} {escaped(strips)}</p>'


def costs_table(results: Results) -> str:
    """A row per entrant: sizes known before any training, and what trainings and predictions really took."""
    head = [
        ("Entrant", ""),
        ("parameters", "new"),
        ("G multiply-adds per megapixel", ""),
        ("MiB held in a step", ""),
        ("trainings", ""),
        ("steps", "new"),
        ("seconds", ""),
        ("of the budget", ""),
        ("ms per step", ""),
        ("seconds per megapixel", "new"),
    ]
    rows = [f'<tr><th scope="row">{_named(s)}</th>{"".join(_cost_cells(s))}</tr>' for s in results.standings]
    return f'{_table(head, rows)}<p class="small">{escaped(_HOW_COSTS_ARE_TOLD)}</p>'


def differences_table(results: Results) -> str:
    """A row per entrant but the first: by how much it is above the first, and whether that can be told."""
    first = results.standings[0]
    rows = []
    for standing in results.standings[1:]:
        apart = results.difference(standing, first, results.primary)
        if apart is None:
            continue
        words = "distinguishable" if apart.is_distinguishable else "not distinguishable"
        seeds = ", ".join(_signed(seed) for seed in apart.seeds)
        rows.append(
            f'<tr><th scope="row">{escaped(standing.name)}</th><td class="new">{_signed(apart.mean)}</td>'
            f"<td>{_interval(apart)}</td><td>{seeds}</td><td>{words}</td></tr>"
        )
    if not rows:
        return ""
    title = f"{TITLES[results.primary]} above that of {first.name}"
    head = [("Entrant", ""), (title, "new"), ("95 % interval", ""), ("seed by seed", ""), ("", "")]
    return f'{_table(head, rows)}<p class="small">{escaped(PAIRED_RULE)}</p>'


def _table(head: Sequence[tuple[str, str]], rows: Iterable[str]) -> str:
    columns = "".join(f'<th scope="col" class="{kind}">{escaped(title)}</th>' for title, kind in head)
    return (
        f'<div class="wide"><table class="scores"><thead><tr>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _named(standing: Standing) -> str:
    return f'{escaped(standing.name)} <span class="interval">{escaped(standing.entrant.about)}</span>'


def _cost_cells(standing: Standing) -> Iterable[str]:
    cost, lost = standing.cost, f", {len(standing.failures)} lost" if standing.failures else ""
    yield f'<td class="new">{cost.parameters:,}</td>'
    yield f"<td>{cost.multiply_adds_per_megapixel / 1e9:,.1f}</td>"
    yield f"<td>{cost.step_bytes / 2**20:,.0f}</td>"
    yield f"<td>{cost.trainings}{lost}</td>"
    yield f'<td class="new">{_figure(standing.median("steps"), ",.0f")}</td>'
    yield f"<td>{_figure(standing.median('seconds'), ',.1f')}</td>"
    yield f"<td>{_share_of_budget(standing)}</td>"
    yield f"<td>{_figure(1000 * standing.median('step_seconds'), ',.0f')}</td>"
    yield f'<td class="new">{_figure(standing.median("seconds_per_megapixel"), ".2f")}</td>'


def _share_of_budget(standing: Standing) -> str:
    """Of the training that is farthest from it."""
    if not standing.outcomes:
        return "–"
    farthest = max(standing.deviations, key=abs)
    mark = "" if standing.kept_budget else " ▲" if farthest > 0 else " ▼"
    return f"{1 + farthest:.0%}{mark}"


def _mean(of: Spread) -> str:
    interval = "" if math.isnan(of.low) else f' <span class="interval">({of.low:.3f}–{of.high:.3f})</span>'
    return _figure(of.mean, ".3f") + interval


def _interval(of: Spread) -> str:
    return "–" if math.isnan(of.low) else f"{_signed(of.low)} … {_signed(of.high)}"


def _signed(number: float) -> str:
    return f"{number:+.3f}".replace("-", "−")


def _figure(number: float, form: str) -> str:
    return "–" if math.isnan(number) else f"{number:{form}}"


def _limits(spreads: Iterable[Spread]) -> tuple[float, float]:
    """Between which all strips lie."""
    numbers = [n for of in spreads for n in (of.mean, of.low, of.high, *of.seeds) if math.isfinite(n)]
    return (min(numbers), max(numbers)) if numbers else (0.0, 1.0)


def _strip(of: Spread, limits: tuple[float, float]) -> str:
    """The interval as a line, the mean as a bar across it, each seed's mean as a dot."""
    width, height = _STRIP_PX
    low, high = limits
    middle, rim = height / 2, 6

    def place(number: float) -> float:
        return rim + (number - low) / ((high - low) or 1) * (width - 2 * rim)

    parts = []
    if not math.isnan(of.low):
        parts.append(f'<path d="M{place(of.low):.1f} {middle}H{place(of.high):.1f}" stroke-width="3" opacity=".35"/>')
    if not math.isnan(of.mean):
        parts.append(f'<path d="M{place(of.mean):.1f} {middle - 7}v14" stroke-width="2"/>')
    parts += [
        f'<circle cx="{place(seed):.1f}" cy="{middle}" r="3" fill="currentColor" stroke="none"/>'
        for seed in of.seeds
        if not math.isnan(seed)
    ]
    dots = ", ".join(f"{seed:.3f}" for seed in of.seeds)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="seeds: {dots}" '
        f'stroke="currentColor" fill="none">{"".join(parts)}</svg>'
    )
