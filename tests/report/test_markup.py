"""Names of others as text of a page."""

from __future__ import annotations

import os
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from ushape.report.markup import escaped


def test_what_markup_means_is_escaped():
    assert escaped('<a href="x">\'&</a>') == "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;&lt;/a&gt;"


def test_what_markup_cannot_hold_is_replaced():
    assert escaped(os.fsdecode(b"caf\xe9\x00\x1b[1m")) == "caf\ufffd\ufffd\ufffd[1m"
    assert escaped("Zürich → 細胞 😀\n\t") == "Zürich → 細胞 😀\n\t"


@given(st.text(st.characters(codec=None), max_size=40))
def test_any_string_becomes_one_text_that_can_be_stored(text: str):
    element = ElementTree.fromstring(f'<p title="{escaped(text)}">{escaped(text)}</p>'.encode())
    assert len(element) == 0 and len(element.text or "") == len(text)
