"""The folder of a study: nothing in it is replaced unasked, and no two patients share a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.errors import OutputError
from ushape.report.heart_folder import INDEX, begun


def test_every_patient_has_a_page_and_a_report_is_not_replaced_unasked(tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    pages = begun(out, ["a/1", "a 1", "A.1", "<b>"], overwrite=False)
    assert list(pages.values()) == ["patient-a_1.html", "patient-a_1-2.html", "patient-A_1-3.html", "patient-_b_.html"]
    assert out.is_dir()
    (out / INDEX).touch()
    with pytest.raises(OutputError, match=r"index.html exists already. Replace it with --overwrite"):
        begun(out, [], overwrite=False)
    assert begun(out, [], overwrite=True) == {}
