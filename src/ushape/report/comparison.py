"""A comparison's folder → DIR/report.html, results.json and results.csv."""

from __future__ import annotations

from ushape.compare import Comparison, Results
from ushape.compare.comparison import machine
from ushape.compare.cost import Cost
from ushape.compare.results import FIGURES, IMAGES, REPORT, TITLES
from ushape.compare.standing import Standing
from ushape.data.pair import counted
from ushape.predict.overlay import legend
from ushape.recipe import Recipe
from ushape.report.charts import Dot, Series, dot_chart, line_chart
from ushape.report.comparison_gallery import difficult_places
from ushape.report.comparison_table import costs_table, differences_table, standings_table
from ushape.report.markup import escaped
from ushape.report.page import Page, write

_ONE_RECIPE = (
    "One recipe trains all, tuned for none of them: a network that it suits less might do better by its own. "
    "--own-recipes compares by those."
)
_OWN_RECIPES = "Each was trained by the recipe of its paper, so that networks and recipes are judged together."


def write_comparison(comparison: Comparison, command: str) -> Results:
    """Write what the complete seeds tell; they must be one at least. The results are those written."""
    results, out = comparison.results(), comparison.out
    results.write_json(out / FIGURES)
    results.write_csv(out / IMAGES)
    write(out / REPORT, comparison_page(comparison, results, command))
    return results


def comparison_page(comparison: Comparison, results: Results, command: str) -> Page:
    """The whole page."""
    findings = "".join(f"<p>{escaped(sentence)}</p>" for sentence in results.findings())
    return Page(
        title=f"{counted(len(results.standings), 'network')} on {comparison.data.absolute().name}",
        headline=_headline(comparison, results),
        sections=[
            ("What can be said", findings),
            (f"Scores on {counted(len(results.images), 'test image')}", standings_table(results)),
            (f"Differences to {results.standings[0].name}", differences_table(results)),
            ("What it takes", costs_table(results)),
        ],
        facts=_facts(comparison),
        charts=_charts(results),
        galleries=difficult_places(comparison, results),
        legend=legend(comparison.annotation.labels, truth=True),
        command=command,
        notes=_notes(comparison, results),
    )


def _headline(comparison: Comparison, results: Results) -> list[tuple[str, str]]:
    best = results.ranked[:1]
    named = (
        [(f"highest {TITLES[results.primary]}", f"{results.spread(best[0], results.primary).mean:.3f}")] if best else []
    )
    return [
        ("budget of each", budget(results.standings)),
        ("seeds", str(len(results.seeds))),
        ("test images", str(len(results.images))),
        *named,
    ]


def budget(standings: tuple[Standing, ...]) -> str:
    """What each training was given.

    >>> budget(())
    'none'
    """
    given = dict.fromkeys(
        counted(s.recipe.training.steps, "step") if s.recipe.training.steps else f"{s.recipe.training.minutes:g} min"
        for s in standings
    )
    return " or ".join(given) or "none"


def _charts(results: Results) -> list[tuple[str, str]]:
    title = TITLES[results.primary]
    curves = [(standing.name, *standing.curve()) for standing in results.standings]
    lines = [Series(name, seconds.tolist(), scores.tolist()) for name, seconds, scores in curves]
    dots = []
    for standing in results.standings:
        if standing.outcomes:
            of = results.spread(standing, results.primary)
            dots.append(Dot(standing.name, standing.cost.parameters, of.mean, of.low, of.high, of.seeds))
    return [
        (
            "Validation in training, mean over seeds",
            line_chart(lines, x_label="seconds", y_label=f"validation {title}"),
        ),
        (
            "Test score and size, with the interval and a dot per seed",
            dot_chart(dots, x_label="parameters", y_label=title),
        ),
    ]


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    facts = [
        ("images", f"{comparison.data} ({comparison.found.layout})"),
        ("grouping", comparison.found.grouping),
        ("division", f"{comparison.division.rule}; the same for all"),
        ("order", "seed by seed, and entrant by entrant within a seed"),
        ("seeds", ", ".join(map(str, comparison.seeds))),
        ("networks", f"{comparison.out / 'cells'}, a folder for each training, which `ushape predict` takes"),
        ("machine", ", ".join(f"{name} {value}" for name, value in machine(comparison.device).items())),
    ]
    recipes, costs = comparison.recipes, comparison.costs
    return facts + [(e.name, _training(recipes[e.name], costs[e.name])) for e in comparison.entrants]


def _training(recipe: Recipe, cost: Cost) -> str:
    """An entrant's network and how it was trained."""
    options = ", ".join(f"{name} {value}" for name, value in recipe.model.options.items()) or "as published"
    stages = ", then ".join(f"{stage.model} at rate {stage.learning_rate:g}" for stage in recipe.stages)
    training, (seen, asked) = recipe.training, cost.patch_px
    patches = f"{training.batch} patches of {asked} px" + (
        f", seen with their context as {seen} px" if seen > asked else ""
    )
    rate = stages or f"rate {training.learning_rate:g}"
    settings = "; ".join([f"{training.optimiser}, {rate}", training.loss, patches, training.precision])
    return f"{recipe.model.name} ({options}); {settings}"


def _notes(comparison: Comparison, results: Results) -> list[str]:
    by_papers = any("training" in entrant.tables for entrant in comparison.entrants)
    notes = [_OWN_RECIPES if by_papers else _ONE_RECIPE]
    notes.append("The best network of each training was chosen on validation images; no test image took part in any.")
    if results.primary == "ap_50_95":
        notes.append("AP of objects: the mean average precision over IoU 0.5 … 0.95.")
    if results.seeds:
        notes.append(f"Pictures are of the trainings with seed {results.seeds[0]}.")
    missing = len(comparison.seeds) - len(results.seeds)
    if missing:
        notes.append(f"Seeds that are not complete yet, and count nowhere here: {missing} of {len(comparison.seeds)}.")
    return notes
