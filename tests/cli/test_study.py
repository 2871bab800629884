"""`ushape study skips`: from a folder to a page, interrupted, gone on with, and refused with other settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ushape import checkpoint
from ushape.compare.results import FIGURES, REPORT
from ushape.images.simulated import write_folder

QUICK = ("--steps", "1", "--seeds", "1", "--width", "1", "--test", "cells_00[0-5]")
NAMES = ["copy", "add", "none", "residual-copy", "residual-none"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight simulated micrographs of 32 pixels a side."""
    root = tmp_path_factory.mktemp("data") / "tiny"
    write_folder(root, "cells", count=8, height_width=(32, 32), seed=1)
    return root


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of the least training there is."""
    file = tmp_path_factory.mktemp("recipe") / "least.toml"
    least = 'batch = 1\noutput_size = 32\nvalidations = 1\nprecision = "float32"\n'
    file.write_text(f"[training]\n{least}", encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def done(ushape, tiny, recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    """A finished study, and what was said of it."""
    out = tmp_path_factory.mktemp("studies") / "out"
    return out, ushape("study", "skips", tiny, "--out", out, *QUICK, "--recipe", recipe)


def test_a_study_is_made_and_shown(done):
    out, result = done
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["cells", "comparison.json", REPORT, FIGURES]
    assert sorted(path.name for path in (out / "cells").iterdir()) == sorted(f"{name}-0" for name in NAMES)
    for words in ("2 images to train on, 6 to score on", "residual-none  width 1", "residual-copy seed 0: trained"):
        assert words in result.stderr
    for words in (
        "Is the long skip worth anything?",
        "than none",
        "With one seed, nothing here",
        str(out / REPORT),
    ):
        assert words in result.stdout


def test_each_network_differs_in_its_skips_alone(done):
    options = [checkpoint.read(done[0] / "cells" / f"{name}-0").recipe.model.options for name in NAMES]
    assert [(of["skip"], of["residual"]) for of in options] == [
        ("copy", False),
        ("add", False),
        ("none", False),
        ("copy", True),
        ("none", True),
    ]


def test_the_page_asks_one_question_after_another_and_needs_nothing_else(done):
    page = (done[0] / REPORT).read_text(encoding="utf-8")
    questions = (
        "What is compared?",
        "Is the long skip worth anything?",
        "Where in the image does it help?",
        "How much of the gradient reaches the first layers?",
        "Does it learn faster?",
        "Which of its long skips does a trained network use?",
        "And ResNet&#x27;s shortcuts?",
    )
    places = [page.index(f"<h2>{question}</h2>") for question in questions]
    assert places == sorted(places)
    assert "ushape study skips" in page
    assert 'src="http' not in page and "href" not in page
    assert page.count("<svg") == 8


def test_the_figures_are_there_for_programs(done):
    values = json.loads((done[0] / FIGURES).read_text(encoding="utf-8"))
    assert [variant["name"] for variant in values["variants"]] == NAMES
    copy = values["variants"][0]
    assert [(cut["kind"], cut["level"]) for cut in copy["cuts"]] == [("long", level) for level in range(4)]
    assert len(copy["gradients_before"]) == 5
    assert len(values["findings"]) == 6


def test_what_was_lost_of_a_study_is_made_again_and_nothing_else(ushape, tiny, recipe, done):
    out, _ = done
    found, network = (out / "cells" / "add-0" / name for name in ("study.json", "best.safetensors"))
    before, trained, page = found.read_text(), network.stat().st_mtime_ns, (out / REPORT).read_text()
    found.unlink()
    again = ushape("study", "skips", tiny, "--out", out, *QUICK, "--recipe", recipe, "--json")
    assert again.exit_code == 0, again.stderr
    assert "trained" not in again.stderr
    assert found.read_text() == before
    assert network.stat().st_mtime_ns == trained
    assert json.loads(again.stdout)["variants"][0]["name"] == "copy"
    assert (out / REPORT).read_text().replace(" --json", "") == page


def test_other_settings_are_refused_with_the_difference(ushape, tiny, recipe, done):
    out, _ = done
    words = [*QUICK, "--recipe", recipe]
    words[words.index("--width") + 1] = "2"
    refused = ushape("study", "skips", tiny, "--out", out, *words)
    assert refused.exit_code == 2
    assert "model.options of copy was" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steps", "0"), "A training of steps = 0 does nothing"),
        (("--minutes", "1", "--steps", "1"), "Both minutes = 1 and steps = 1 are given; choose one"),
        ((), "There is no budget for copy. Give --minutes or --steps"),
        (("--steps", "1", "--width", "0"), "UNet got width = 0"),
        (("--steps", "1", "--seeds", "0"), "give --seeds 1 or more"),
        (("--steps", "1", "--test", "nothing*"), "No image is called like --test 'nothing*'"),
        (("--steps", "1", "--recipe", "nowhere.toml"), "nowhere.toml cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(ushape, tiny, tmp_path, words, message):
    result = ushape("study", "skips", tiny, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_another_subject_is_refused(ushape, tiny, tmp_path):
    result = ushape("study", "jumps", tiny, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "skips" in result.stderr


def test_a_folder_of_something_else_is_never_overwritten(ushape, tiny, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    result = ushape("study", "skips", tiny, "--out", tmp_path, "--steps", "1", "--overwrite")
    assert result.exit_code == 2
    assert "holds something else: letter.txt" in result.stderr
