"""Network + annotated folder → table; or masks + truth → table."""

from ushape.evaluate.evaluation import Evaluation, Scored
from ushape.evaluate.masks import evaluate_masks
from ushape.evaluate.run import RunEvaluation
from ushape.evaluate.scoring import Scoring

__all__ = ["Evaluation", "RunEvaluation", "Scored", "Scoring", "evaluate_masks"]
