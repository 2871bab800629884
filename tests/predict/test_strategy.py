from __future__ import annotations

import pytest

from ushape.errors import RecipeError
from ushape.models import build
from ushape.predict.strategy import Strategy


def test_small_images_go_at_once_and_large_ones_in_bands():
    strategy = Strategy(build("unet", classes=2, width=4), 1 << 30)
    assert strategy.bands((500, 700)) is None and strategy.keep((500, 700)) == (512, 704), "one tile"
    assert strategy.bands((5000, 700)) is not None
    assert Strategy(build("unet", classes=2, width=4), 5 << 20).bands((500, 700)) is not None, "little memory"


def test_flips_and_a_named_size_are_made_tile_by_tile():
    model = build("unet", classes=2, width=4)
    assert Strategy(model, 1 << 30, by_rows=False).bands((5000, 5000)) is None
    assert Strategy(model, 1 << 30, keep_px=99).keep((5000, 5000)) == (99, 99)


def test_several_networks_share_the_memory():
    model = build("unet", classes=2, width=4)
    one, three = (Strategy(model, 60 << 20, networks=n).bands((9000, 9000)) for n in (1, 3))
    assert one is not None and three is not None
    assert len(three.bands) > len(one.bands) and 3 * three.bytes <= 60 << 20


def test_a_network_that_sees_edges_is_refused_an_image_that_its_tiles_do_not_fit():
    strategy = Strategy(build("u2netp", classes=2), 1 << 30)
    assert strategy.bands((400, 400)) is None
    with pytest.raises(RecipeError, match=r"1024 MiB .* for 4000 x 4000 pixels: this network looks 3296 px"):
        strategy.keep((4000, 4000))
