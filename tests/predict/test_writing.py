"""What is told of an image's files; test_files.py has what they hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ushape.images.source import Page
from ushape.predict.writing import MaskWritten


def test_what_is_told_of_a_mask_is_json_with_what_was_skipped_where_that_is_known():
    written = MaskWritten(Page(Path("a.tif")), (Path("m/a.tif"),), {"a": math.nan}, ("the tile …",))
    plain = {"image": "a.tif", "files": ["m/a.tif"], "expected_dice": {"a": None}, "damage": ["the tile …"]}
    plain |= {"mended": []}
    assert written.to_dict() == json.loads(json.dumps(written.to_dict())) == plain
    skipped = MaskWritten(Page(Path("a.tif")), (), {}, skipped=0.25)
    assert skipped.to_dict()["skipped"] == 0.25
