"""A study's folder → DIR/report.html and results.json: question after question, each with answers and figures."""

from __future__ import annotations

import json

from ushape.atomic import write_whole
from ushape.compare.comparison import machine
from ushape.compare.results import FIGURES, REPORT, TITLES
from ushape.compare.spread import PAIRED_RULE
from ushape.data.pair import counted
from ushape.metrics.table import INTERVAL_RULE
from ushape.predict.overlay import legend
from ushape.report.comparison import budget
from ushape.report.comparison_gallery import difficult_places
from ushape.report.page import Page, write
from ushape.report.skip_chapters import chapters
from ushape.study.findings import to_dict
from ushape.study.results import SkipResults
from ushape.study.skips import SkipStudy
from ushape.study.variants import REFERENCE

_HEADED = (REFERENCE, "add", "none", "residual-none")


def write_skip_study(study: SkipStudy, command: str) -> SkipResults:
    """Write what the complete seeds tell; they must be one at least. The results are those written."""
    results = study.results()
    text = json.dumps(to_dict(results), indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(study.out / FIGURES, text + "\n")
    write(study.out / REPORT, skip_page(study, results, command))
    return results


def skip_page(study: SkipStudy, results: SkipResults, command: str) -> Page:
    """The whole page."""
    return Page(
        title="What is a skip connection good for?",
        headline=_headline(results),
        sections=[chapter.section() for chapter in chapters(results)],
        facts=_facts(study, results),
        galleries=difficult_places(study.comparison, results.scored),
        legend=legend(study.comparison.annotation.labels, truth=True),
        command=command,
        notes=_notes(study, results),
    )


def _headline(results: SkipResults) -> list[tuple[str, str]]:
    scored, title = results.scored, TITLES[results.scored.primary]
    shown = [name for name in _HEADED if name in results.names]
    figures = [(f"{title}: {name}", scored.spread(results.standing(name), scored.primary).mean) for name in shown]
    return [
        *((label, f"{mean:.3f}") for label, mean in figures),
        ("test images", str(len(scored.images))),
        ("seeds", str(len(scored.seeds))),
    ]


def _facts(study: SkipStudy, results: SkipResults) -> list[tuple[str, str]]:
    compared, training = study.comparison, study.comparison.recipes[REFERENCE].training
    patches = f"batches of {training.batch} patches of {training.output_size} px"
    rate = f"{training.optimiser}, rate {training.learning_rate:g}, {training.schedule}, {training.loss}"
    return [
        ("images", f"{compared.data} ({compared.found.layout}); {compared.found.grouping}"),
        ("classes", f"{', '.join(compared.annotation.labels.names)} ({compared.annotation.task})"),
        ("division", f"{compared.division.rule}; the same for all"),
        ("seeds", f"{', '.join(map(str, results.scored.seeds))}; of each the same split and patches for all"),
        ("each training", f"{budget(results.scored.standings)}, {patches}, {rate}, {training.precision}"),
        ("machine", ", ".join(f"{name} {value}" for name, value in machine(compared.device).items())),
        ("networks", f"{study.out / 'cells'}; `ushape predict` takes each"),
    ]


def _notes(study: SkipStudy, results: SkipResults) -> list[str]:
    """What limits the answers."""
    scored = results.scored
    missing = len(study.comparison.seeds) - len(scored.seeds)
    return [
        "One recipe trains all, tuned for none of them: a network that it suits less might do better by its own.",
        "All of it is of this budget: a network whose validation still rises at its end might catch up with more.",
        "The best network of each training was chosen on validation images; no test image took part in any.",
        *scored.limits(),
        *([f"{counted(missing, 'seed')} is not complete, and counts nowhere here."] if missing else []),
        f"Pictures are of the trainings with seed {scored.seeds[0]}.",
        PAIRED_RULE,
        INTERVAL_RULE,
    ]
