from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ushape.data.augment import Augmentation
from ushape.data.patches import Batch, Example, PatchSampler
from ushape.data.targets import Targets
from ushape.errors import CheckpointError, DataError, RecipeError
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import mirrored
from ushape.labels import IGNORED

UNET = Footprint(margin=92, multiple=16, smallest_input=188)
PADDED = Footprint(margin=20, multiple=8, smallest_input=8, padded=True)
SMALL = Footprint(margin=6, multiple=4, smallest_input=16)
NONE = Augmentation.none()
MOVED = Augmentation(contrast=0, brightness=0, curve=0, noise=0)


def numbered(height: int, width: int, name: str = "numbered") -> Example:
    """Every pixel has a value of its own, and its class follows from it."""
    number = torch.arange(height * width).view(height, width)
    return Example(name, number[None].float(), (number % 7).to(torch.uint8))


def with_objects(example: Example) -> Example:
    """Every pixel is an object of its own, of the number after its value."""
    return replace(example, objects=example.image[0].int() + 1)


class Shown(Targets):
    """Shows the very objects as weights."""

    @property
    def reach_px(self) -> int:
        return 3

    def of(self, classes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor | None]:
        return classes[:, 3:-3, 3:-3], objects.float()


def flat(name: str, value: float, height: int, width: int) -> Example:
    return Example(name, torch.full((1, height, width), float(value)), torch.zeros(height, width, dtype=torch.uint8))


def sampler(
    *examples: Example,
    footprint: Footprint = PADDED,
    output_size: int = 16,
    batch: int = 4,
    augmentation: Augmentation = NONE,
    seed: int = 0,
    foreground_fraction: float = 0.0,
    targets: Targets | None = None,
) -> PatchSampler:
    return PatchSampler(
        examples,
        footprint,
        output_size=output_size,
        batch=batch,
        augmentation=augmentation,
        seed=seed,
        device=torch.device("cpu"),
        foreground_fraction=foreground_fraction,
        targets=targets,
    )


def same(first: Batch, second: Batch) -> bool:
    pairs = [(first.image, second.image), (first.classes, second.classes)]
    if first.weights is not None and second.weights is not None:
        pairs.append((first.weights, second.weights))
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("footprint", "asked", "input_size", "output_size"),
    [
        (UNET, 388, 572, 388),  # Fig. 1
        (UNET, 196, 380, 196),
        (UNET, 203, 380, 196),
        (UNET, 205, 396, 212),
        (UNET, 204, 380, 196),  # of two equally near, the smaller
        (UNET, 1, 188, 4),
        (PADDED, 256, 256, 256),
        (PADDED, 253, 256, 256),
        (PADDED, 1, 8, 8),
    ],
)
def test_the_size_is_the_nearest_that_the_network_takes(
    footprint: Footprint, asked: int, input_size: int, output_size: int
) -> None:
    patches = sampler(numbered(30, 30), footprint=footprint, output_size=asked, batch=1)
    assert (patches.input_size, patches.output_size) == (input_size, output_size)
    batch = patches.draw()
    assert batch.image.shape == (1, 1, input_size, input_size) and batch.image.dtype == torch.float32
    assert batch.classes.shape == (1, output_size, output_size) and batch.classes.dtype == torch.uint8
    assert batch.weights is None


@pytest.mark.parametrize("footprint", [PADDED, SMALL])
@pytest.mark.parametrize(("height", "width"), [(50, 70), (24, 23), (9, 40), (1, 5)])
def test_unaugmented_patches_are_the_mirrored_image_to_the_last_bit(
    footprint: Footprint, height: int, width: int
) -> None:
    example = numbered(height, width)
    patches = sampler(example, footprint=footprint, output_size=24, batch=30)
    batch = patches.draw()
    size, margin = patches.input_size, (patches.input_size - patches.output_size) // 2
    inner = slice(margin, size - margin)
    for image, classes in zip(batch.image[:, 0], batch.classes, strict=True):
        y, x = divmod(int(image[size // 2, size // 2]), width)
        rows = mirrored(y - size // 2, y - size // 2 + size, height)[:, None]
        columns = mirrored(x - size // 2, x - size // 2 + size, width)
        assert np.array_equal(image.numpy(), example.image[0].numpy()[rows, columns])
        assert np.array_equal(classes.numpy(), example.classes.numpy()[rows, columns][inner, inner])


@pytest.mark.parametrize("footprint", [PADDED, SMALL, UNET])
@pytest.mark.parametrize(("height", "width"), [(50, 70), (9, 40)])
def test_objects_are_seen_as_far_as_they_reach_beyond_the_classes(
    footprint: Footprint, height: int, width: int
) -> None:
    example = with_objects(numbered(height, width))
    plain = sampler(numbered(height, width), footprint=footprint, output_size=24, batch=8).draw()
    batch = sampler(example, footprint=footprint, output_size=24, batch=8, targets=Shown(apart=False)).draw()
    assert torch.equal(batch.image, plain.image) and torch.equal(batch.classes, plain.classes)
    assert batch.weights is not None
    for image, objects in zip(batch.image[:, 0], batch.weights, strict=True):
        y, x = divmod(int(image[len(image) // 2, len(image) // 2]), width)
        half = len(objects) // 2
        rows = mirrored(y - half, y - half + len(objects), height)[:, None]
        columns = mirrored(x - half, x - half + len(objects), width)
        assert example.objects is not None and len(objects) == batch.classes.shape[-1] + 6
        assert np.array_equal(objects.numpy(), example.objects.numpy()[rows, columns])


def test_weights_are_computed_after_the_deformation() -> None:
    cells = torch.zeros(90, 80, dtype=torch.int32)
    cells[10:80, 10:39], cells[10:80, 41:70] = 1, 2
    example = Example("cells", cells[None].float(), (cells > 0).to(torch.uint8), cells)
    targets = Targets(apart=True, borders="unet-2015", class_weights=(1.0, 1.0))
    batch = sampler(example, output_size=64, augmentation=MOVED, targets=targets).draw()
    assert batch.weights is not None and batch.weights.shape == batch.classes.shape
    assert torch.equal(batch.weights.long()[batch.classes == 1], torch.ones_like(batch.classes[batch.classes == 1]))
    assert batch.weights.max() > 9 and batch.weights.min() == 1


def test_truth_follows_the_image_through_every_movement() -> None:
    rows = torch.arange(150)[:, None].expand(150, 120)
    example = Example("ramp", rows[None].float(), rows.to(torch.uint8), rows.int())
    patches = sampler(example, footprint=UNET, output_size=68, augmentation=MOVED, batch=6, targets=Shown(apart=False))
    batch = patches.draw()
    image = batch.image[:, 0, 92:-92, 92:-92]
    assert (image - batch.classes).abs().max() <= 0.5 + 1e-3
    assert batch.weights is not None and torch.equal(batch.weights[:, 3:-3, 3:-3], batch.classes.float())
    assert not torch.equal(image[0], image[1])


@pytest.mark.parametrize("footprint", [PADDED, UNET])
def test_no_corner_is_left_without_image(footprint: Footprint) -> None:
    patches = sampler(flat("a", 1, 40, 30), flat("b", 1, 300, 200), footprint=footprint, augmentation=MOVED)
    for _ in range(5):
        image = patches.draw().image
        torch.testing.assert_close(image, torch.ones_like(image))


def test_classes_are_never_invented_and_ignored_ones_stay() -> None:
    known = torch.tensor([0, 4, IGNORED], dtype=torch.uint8)
    classes = known[torch.randint(3, (90, 80), generator=torch.Generator().manual_seed(0))]
    batch = sampler(Example("x", torch.zeros(1, 90, 80), classes), output_size=64, augmentation=Augmentation()).draw()
    assert set(batch.classes.unique().tolist()) == {0, 4, IGNORED}
    assert batch.weights is None


def test_each_image_gives_equally_many_patches_however_large() -> None:
    examples = [flat(str(n), n, 10 + 30 * n, 20) for n in range(5)]
    patches = sampler(*examples, batch=3)
    seen = torch.cat([patches.draw().image[:, 0, 0, 0] for _ in range(20)])
    assert torch.bincount(seen.long()).tolist() == [12] * 5
    rounds = seen.view(12, 5)
    assert torch.equal(rounds.sort(1).values, torch.arange(5.0).expand(12, 5))
    assert len({tuple(r.tolist()) for r in rounds}) > 6


def test_patches_stick_out_by_a_quarter_of_their_side_at_most() -> None:
    centre = sampler(numbered(40, 30), output_size=16, batch=2000).draw().image[:, 0, 8, 8].long()
    rows, columns = centre // 30, centre % 30
    assert rows.unique().tolist() == list(range(4, 36))
    assert columns.unique().tolist() == list(range(4, 26))


def test_patches_of_images_smaller_than_half_of_them_are_centred() -> None:
    centre = sampler(numbered(5, 6), output_size=16, batch=100).draw().image[:, 0, 8, 8].long()
    assert (centre // 6).unique().tolist() == [2]
    assert (centre % 6).unique().tolist() == [2, 3]


def test_pixels_near_the_border_are_seen_more_than_half_as_often_as_central_ones() -> None:
    patches = sampler(numbered(40, 40), output_size=16, batch=2000)
    seen = torch.zeros(1600)
    for _ in range(3):
        seen += torch.bincount(patches.draw().image.flatten().long(), minlength=1600)
    seen = seen.view(40, 40) / seen.view(40, 40)[12:28, 12:28].mean()
    assert seen[1:4, 12:28].mean().item() == pytest.approx(10 / 16, abs=0.04)  # directly or mirrored
    assert seen[0, 12:28].mean().item() == pytest.approx(5 / 16, abs=0.04)  # not repeated by mirroring


def centres(batch: Batch) -> Tensor:
    middle = batch.classes.shape[-1] // 2
    return batch.classes[:, middle, middle]


def test_foreground_patches_are_centred_on_a_class_drawn_evenly() -> None:
    classes = torch.zeros(60, 50, dtype=torch.uint8)
    classes[3, 7] = 2  # one pixel of one class, many of the other
    classes[30:55, 10:40] = 1
    classes[:2] = IGNORED
    example = Example("x", torch.zeros(1, 60, 50), classes)
    always = centres(sampler(example, batch=400, foreground_fraction=1.0).draw())
    assert set(always.tolist()) == {1, 2}
    assert (always == 2).float().mean().item() == pytest.approx(0.5, abs=0.08)
    third = centres(sampler(example, batch=900, foreground_fraction=1 / 3).draw())
    assert (third == 2).float().mean().item() == pytest.approx(1 / 6, abs=0.05)
    never = centres(sampler(example, batch=900).draw())
    assert (never == 2).float().mean().item() < 0.01


def test_every_foreground_pixel_of_a_class_is_equally_likely() -> None:
    generator = torch.Generator().manual_seed(3)
    classes = (torch.rand(12, 9, generator=generator) < 0.2).to(torch.uint8)
    example = Example("x", torch.arange(108.0).view(1, 12, 9), classes)
    patches = sampler(example, output_size=8, batch=4000, foreground_fraction=1.0)
    drawn = torch.bincount(patches.draw().image[:, 0, 4, 4].long(), minlength=108).view(12, 9)
    assert torch.equal(drawn > 0, classes == 1)
    share = drawn[classes == 1] / 4000 * classes.sum()
    assert share.min() > 0.7 and share.max() < 1.3  # 4.5 standard deviations


def test_an_image_without_foreground_is_drawn_all_the_same() -> None:
    assert sampler(flat("a", 1, 30, 30), foreground_fraction=1.0).draw().classes.sum() == 0


def dotted(height: int, width: int, dots: dict[tuple[int, int], int]) -> Example:
    """An image of which only some pixels are annotated: (y, x) → class."""
    classes = torch.full((height, width), IGNORED, dtype=torch.uint8)
    for (y, x), number in dots.items():
        classes[y, x] = number
    return Example("dotted", torch.zeros(1, height, width), classes)


SCRIBBLES = dotted(160, 200, {(12, x): 0 for x in range(20, 70)} | {(80, 100): 1, (148, 186): 2})


def classes_shown(patches: PatchSampler, batches: int) -> Tensor:
    """(patches, 3): how many pixels of each class every patch shows; none may be without an annotated one."""
    drawn = torch.cat([patches.draw().classes for _ in range(batches)])
    assert drawn[drawn != IGNORED].max() <= 2
    shown = torch.stack([(drawn == number).flatten(1).sum(1) for number in range(3)], dim=1)
    assert shown.sum(1).min() > 0
    return shown


@pytest.mark.parametrize("footprint", [PADDED, SMALL])
@pytest.mark.parametrize("targets", [None, Targets(apart=True, borders="unet-2015", class_weights=(1.0, 1.0))])
def test_every_patch_of_scribbles_shows_an_annotated_pixel_of_classes_drawn_evenly(
    footprint: Footprint, targets: Targets | None
) -> None:
    objects = ((SCRIBBLES.classes == 1) | (SCRIBBLES.classes == 2)).int()
    example = replace(SCRIBBLES, objects=objects) if targets else SCRIBBLES
    shown = classes_shown(sampler(example, footprint=footprint, batch=20, augmentation=MOVED, targets=targets), 15)
    assert shown[:, 0].max() > 5  # a line, of which more than the pixel aimed at is seen
    if targets is None:
        assert (shown > 0).float().mean(0) == pytest.approx(np.full(3, 1 / 3), abs=0.09)  # 3 standard deviations


def test_foreground_patches_of_scribbles_show_a_foreground_class() -> None:
    shown = classes_shown(sampler(SCRIBBLES, foreground_fraction=1, batch=20, augmentation=MOVED), 5)
    assert (shown[:, 1:].sum(1) > 0).all()


def test_the_annotated_pixel_lies_anywhere_in_the_patch() -> None:
    patches = sampler(dotted(60, 60, {(30, 30): 1}), batch=50)
    places = torch.cat([(patches.draw().classes == 1).nonzero()[:, 1:] for _ in range(40)]).float()
    assert len(places) == 2000
    assert places.min() == 0 and places.max() == 15
    assert places.mean(0) == pytest.approx(np.full(2, 7.5), abs=0.4)  # σ 4.6 / √2000 = 0.10


@pytest.mark.parametrize("place", [(0, 0), (0, 59), (30, 59), (59, 0)])
def test_patches_about_a_pixel_of_the_border_stay_near_the_image(place: tuple[int, int]) -> None:
    patches = sampler(replace(dotted(60, 60, {place: 1}), image=numbered(60, 60).image), batch=50)
    assert [patch for patch in patches.draw().image if len(patch.unique()) < 12 * 12] == []


def test_patches_without_an_annotated_pixel_are_moved_where_most_of_an_image_is_annotated() -> None:
    classes = torch.zeros(64, 64, dtype=torch.uint8)
    classes[:, 36:] = IGNORED  # more than half a patch away from the annotated part
    example = Example("half", torch.zeros(1, 64, 64), classes)
    shown = classes_shown(sampler(example, batch=50, augmentation=MOVED), 6)
    assert (shown[:, 0] == 256).float().mean() > 0.2  # and others are where they would have been


def test_images_without_an_annotated_pixel_are_refused_by_name() -> None:
    blank = [replace(dotted(20, 20, {}), name=name) for name in ("first", "second")]
    with pytest.raises(DataError, match=r"first has no annotated pixel\n  second has no annotated pixel\n.*something"):
        sampler(SCRIBBLES, *blank)


def test_equal_seeds_draw_equal_batches_and_unequal_ones_do_not() -> None:
    examples = [numbered(40, 30, "a"), numbered(35, 60, "b")]
    first, again, other = (sampler(*examples, augmentation=Augmentation(), seed=s) for s in (7, 7, 8))
    for _ in range(3):
        batch = first.draw()
        assert same(batch, again.draw())
        assert not same(batch, other.draw())


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_restored_sampler_goes_on_bit_for_bit(before: int) -> None:
    examples = [numbered(40 + n, 30, str(n)) for n in range(5)]
    settings = {"augmentation": Augmentation(), "batch": 3, "foreground_fraction": 0.4}
    first = sampler(*examples, **settings)
    for _ in range(before):
        first.draw()
    state = first.state()
    expected = [first.draw() for _ in range(4)]
    second = sampler(*examples, **settings, seed=99)
    second.draw()
    second.restore(state)
    assert all(same(batch, second.draw()) for batch in expected)
    second.restore(state)  # a state is not used up
    assert same(expected[0], second.draw())


def test_a_state_consists_of_tensors_and_whole_numbers() -> None:
    patches = sampler(numbered(9, 9))
    patches.draw()
    assert all(isinstance(value, Tensor | int) for value in patches.state().values())


def test_examples_are_left_alone() -> None:
    example = with_objects(numbered(40, 40))
    before = [t.clone() for t in (example.image, example.classes, example.objects) if t is not None]
    targets = Targets(apart=True, borders="unet-2019")
    sampler(example, augmentation=Augmentation(), foreground_fraction=0.5, targets=targets).draw()
    after = [t for t in (example.image, example.classes, example.objects) if t is not None]
    assert len(after) == 3 and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_state_of_another_set_is_refused() -> None:
    patches = sampler(numbered(9, 9), numbered(9, 9))
    patches.draw()
    with pytest.raises(CheckpointError, match=r"had 2 training images; now there are 1.*start a new training"):
        sampler(numbered(9, 9)).restore(patches.state())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"output_size": 0}, "output_size = 0; it takes whole numbers from 1"),
        ({"batch": 0}, "batch = 0; it takes whole numbers from 1"),
        ({"foreground_fraction": 1.5}, "foreground_fraction = 1.5; it takes a share from 0 to 1"),
    ],
)
def test_an_impossible_setting_is_named(setting: dict[str, float], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        sampler(numbered(9, 9), **setting)


def test_no_images_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="no image to train on; at least one annotated image is needed"):
        sampler()


def test_all_examples_that_do_not_fit_are_named_at_once() -> None:
    good = with_objects(numbered(20, 30, "good"))
    examples = [
        good,
        replace(good, name="cut", classes=good.classes[:-1]),
        replace(good, name="colour", image=good.image.expand(3, -1, -1)),
        replace(good, name="narrow", objects=torch.ones(20, 29, dtype=torch.int32)),
    ]
    with pytest.raises(DataError) as error:
        sampler(*examples, targets=Targets(apart=True))
    for words in [
        "cut is 20x30, but its mask is 19x30",
        "colour has 3 channels, but good has 1",
        "narrow is 20x30, but its objects are (20, 29)",
        "Give every image a mask of its own size",
    ]:
        assert words in str(error.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_batches_arrive_on_the_device_from_the_same_places() -> None:
    examples = [numbered(90, 80)]
    on_cpu = sampler(*examples, augmentation=MOVED).draw()
    on_gpu = PatchSampler(
        examples, PADDED, output_size=16, batch=4, augmentation=MOVED, seed=0, device=torch.device("cuda")
    ).draw()
    assert on_gpu.image.is_cuda and on_gpu.classes.is_cuda
    assert (on_gpu.classes.cpu() == on_cpu.classes).float().mean() > 0.99
