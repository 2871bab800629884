"""Text of others, such as file and class names, as it may stand in HTML and SVG."""

from __future__ import annotations

import html
import re

_NOT_IN_MARKUP = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def escaped(text: str) -> str:
    """Any string → text for an element or a quoted attribute; what no markup may hold, as bytes of a name that is no
    UTF-8, becomes the replacement character.

    >>> escaped('<a b="c">')
    '&lt;a b=&quot;c&quot;&gt;'
    """
    return html.escape(_NOT_IN_MARKUP.sub("\ufffd", text))
