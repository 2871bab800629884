"""One recipe trained several times on one folder, on parts of it or with several seeds → scores, and an ensemble."""

from ushape.repetition.crossvalidation import cross_validation
from ushape.repetition.learning_curve import learning_curve
from ushape.repetition.repetition import InMember, MemberBegun, MemberEnded, Repetition, RepetitionEvent
from ushape.repetition.results import Results
from ushape.repetition.seeds import several_seeds

__all__ = [
    "InMember",
    "MemberBegun",
    "MemberEnded",
    "Repetition",
    "RepetitionEvent",
    "Results",
    "cross_validation",
    "learning_curve",
    "several_seeds",
]
