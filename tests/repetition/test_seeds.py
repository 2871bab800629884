"""Several seeds: each with its own split, more may join, and all together are an ensemble."""

from __future__ import annotations

import pytest

from ushape import checkpoint
from ushape.errors import CheckpointError, RecipeError
from ushape.predict.tiled import load
from ushape.repetition import MemberBegun


def test_each_is_judged_on_what_its_own_split_holds_back_and_more_may_join(seeded, folded, tmp_path):
    two = seeded(tmp_path / "out")
    list(two.events())
    for seed, member in enumerate(two.members):
        trained = checkpoint.read(tmp_path / "out" / f"seed-{seed}")
        assert trained.recipe.seed == seed
        assert trained.provenance["validation"] == [pair.name for pair in member.judged]
    results = two.results()
    assert [row.name.split(" (")[1] for row in results.evaluation.table.rows] == ["seed-0)", "seed-1)"]
    assert "They chose the networks, too" in " ".join(results.findings())
    assert len(load(tmp_path / "out").members) == 2

    three = seeded(tmp_path / "out", number=3)
    assert [e.name for e in three.events() if isinstance(e, MemberBegun)] == ["seed-2"]
    assert len(load(tmp_path / "out").members) == 3
    with pytest.raises(CheckpointError, match="there were 3 seeds and are 2; more may join, but none may leave"):
        seeded(tmp_path / "out")
    with pytest.raises(CheckpointError, match="it holds trainings with several seeds, not a cross-validation"):
        folded(tmp_path / "out")


def test_of_images_that_were_trained_on_nothing_is_claimed(seeded, tmp_path):
    all_images = seeded(tmp_path / "out", images={"validation_fraction": 0.0})
    list(all_images.events())
    assert "this says nothing of others" in " ".join(all_images.results().findings())


def test_one_seed_is_no_repetition(seeded, tmp_path):
    with pytest.raises(RecipeError, match="1 seed cannot be averaged; give --seeds 2 or more"):
        seeded(tmp_path / "out", number=1)
