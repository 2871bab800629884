"""How much of the pixels is annotated, or scored, in words: a score of few of them is no score of whole masks."""

from __future__ import annotations

from collections.abc import Sequence

_SPARSE = 0.5  # the usual field of view covers more
_MOST_NAMES = 8


def is_sparse(share: float) -> bool:
    """Whether so small a part of the pixels is annotated that it has to be said.

    >>> is_sparse(0.04), is_sparse(0.69)
    (True, False)
    """
    return share < _SPARSE


def stated_share(share: float) -> str:
    """A share in percent, with digits enough to be told from nothing.

    >>> stated_share(0.412), stated_share(0.0416), stated_share(0.00027)
    ('41%', '4.2%', '0.03%')
    """
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else f"{share:.2%}"


def scope_in_words(scored: int, ignored: int, blank: Sequence[str] = ()) -> str:
    """Of how many of the pixels scores are, and which images have none; nothing to say where all are scored.

    >>> scope_in_words(69, 31)
    'scored on 69% of the pixels; the others are ignored'
    """
    if not ignored:
        return ""
    share = scored / (scored + ignored)
    words = f"scored on {stated_share(share)} of the pixels"
    if is_sparse(share):
        words += ", those that are annotated; scribbles keep off borders, so whole masks would score lower"
    else:
        words += "; the others are ignored"
    if blank:
        more = f" and {len(blank) - _MOST_NAMES} more" if len(blank) > _MOST_NAMES else ""
        words += f"; nothing is annotated in {', '.join(blank[:_MOST_NAMES])}{more}"
    return words
