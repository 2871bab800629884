"""What every network of the registry promises, whatever its paper."""

from __future__ import annotations

from itertools import pairwise

import onnxruntime
import pytest
import torch
from torch import Tensor

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.device import channels_last, laid_out
from ushape.errors import RecipeError, SizeError
from ushape.geometry.axis import Axis
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import MODELS, build
from ushape.models.segmenter import Segmenter
from ushape.recipe import ModelRecipe, Recipe

every_model = pytest.mark.parametrize("name", MODELS)

SMALL: dict[str, dict[str, object]] = {"unet3d": {"depth": 2, "flat_levels": (1, 0, 0)}}  # so that its axes differ
OPTIONS = {name: {"width": 4, **SMALL.get(name, {})} for name in MODELS}


def fresh(name: str, *, seed: int = 0) -> Segmenter:
    """A new network; weights that begin at 0, FCN's scores, are drawn too: there all answers and gradients are 0."""
    torch.manual_seed(seed)
    net = build(name, in_channels=2, classes=3, **OPTIONS[name]).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
            torch.nn.init.kaiming_normal_(module.weight)
    return net


def without_dropout(name: str) -> Segmenter:
    net = fresh(name)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return net


def images(net: Segmenter, number: int = 1) -> Tensor:
    """Noise of a legal size, unequal along the last two axes."""
    *sides, width = (footprint.input_for(6) for footprint in net.footprints)
    generator = torch.Generator().manual_seed(1)
    return torch.randn(number, 2, *sides, width + 3 * net.footprint.multiple, generator=generator)


@every_model
def test_shapes_are_those_of_the_footprint(name):
    net = fresh(name)
    assert (net.in_channels, net.classes) == (2, 3)
    x = images(net, number=2)
    assert len(net.footprints) == net.axes == x.ndim - 2
    axes = list(zip(net.footprints, x.shape[2:], strict=True))
    assert net(x).shape == (2, 3, *(footprint.output(size) for footprint, size in axes))
    assert net.exact(x).shape == (2, 3, *(footprint.exact_output(size) for footprint, size in axes))


@every_model
def test_the_first_illegal_size_is_refused_or_taken_whole(name):
    net = fresh(name)
    first, *others = (footprint.smallest_input for footprint in net.footprints)
    if net.takes_any_size:
        assert net(torch.zeros(1, 2, first + 5, 2 * first + 1)).shape == (1, 3, first + 5, 2 * first + 1)
        return
    net(torch.zeros(1, 2, first, *others))
    illegal = next(n for n in range(first - 1, 0, -1) if not net.footprints[0].is_legal(n)) if first > 1 else 0
    with pytest.raises(SizeError, match=f"{illegal} pixels.*{first}"):
        net(torch.zeros(1, 2, illegal, *others))


@every_model
@pytest.mark.parametrize("mode", [True, False])
def test_outputs_are_a_list_with_the_finest_first_in_either_mode(name, mode):
    net = without_dropout(name).train(mode)
    x = images(net)
    outputs = net.outputs(x)
    assert isinstance(outputs, list)
    assert len(outputs) >= 1
    if type(net).forward is Segmenter.forward:  # others say in their own tests what their answer is
        assert torch.equal(net(x), outputs[0])
    assert all(o.shape[:2] == (1, 3) and o.shape[-1] <= outputs[0].shape[-1] for o in outputs)


@every_model
def test_the_exact_answer_is_the_centre_of_the_logits(name):
    net = fresh(name)
    x = images(net)
    logits, exact = net(x), net.exact(x)
    starts = ((a - b) // 2 for a, b in zip(logits.shape[2:], exact.shape[2:], strict=True))
    centre = (slice(start, start + size) for start, size in zip(starts, exact.shape[2:], strict=True))
    assert torch.equal(exact, logits[(..., *centre)])


@every_model
def test_prediction_is_the_same_twice_and_for_each_image_of_a_batch(name):
    net = fresh(name)
    x = images(net, number=2)
    before = x.clone()
    together = net(x)
    assert torch.equal(together, net(x))
    assert torch.allclose(together[1:], net(x[1:]), rtol=1e-4, atol=1e-4)
    assert torch.equal(x, before)


@every_model
def test_the_same_seed_draws_the_same_weights(name):
    x = images(fresh(name))
    assert torch.equal(fresh(name, seed=3)(x), fresh(name, seed=3)(x))
    assert not torch.equal(fresh(name, seed=3)(x), fresh(name, seed=4)(x))


@every_model
def test_a_gradient_reaches_every_parameter(name):
    net = fresh(name).train()
    torch.stack([o.square().mean() for o in net.outputs(images(net, number=2))]).sum().backward()
    taken_off = biases_taken_off(net)
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any() or parameter_name in taken_off, parameter_name


def biases_taken_off(net: Segmenter) -> set[str]:
    """Those before a batch normalisation, which takes their mean off again: but for rounding, no gradient comes."""
    pairs = pairwise(net.named_modules())
    norms = torch.nn.BatchNorm2d | torch.nn.BatchNorm3d
    return {f"{name}.bias" for (name, _), (_, after) in pairs if isinstance(after, norms)}


@every_model
def test_a_few_steps_lower_the_loss(name):
    net = without_dropout(name).train()
    x = images(net)
    target = (net.exact(x).detach()[:, 0] > 0).long()
    optimiser = torch.optim.SGD(net.parameters(), lr=2e-3, momentum=0.9)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(net.exact(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0], losses


@every_model
def test_the_state_travels_to_another_network(name):
    net, other = fresh(name, seed=0), fresh(name, seed=1)
    x = images(net)
    assert not torch.equal(net(x), other(x))
    assert other.load_state_dict(net.state_dict(), strict=True).missing_keys == []
    assert torch.equal(net(x), other(x))


@every_model
def test_channels_last_gives_the_same_logits(name):
    net = fresh(name)
    x = images(net)
    expected = net(x)
    assert torch.allclose(channels_last(net)(laid_out(x)), expected, rtol=1e-4, atol=1e-4)


@every_model
def test_bfloat16_stays_near_float32(name):
    net = fresh(name)
    x = images(net)
    expected = net(x)
    rounded = net.bfloat16()(x.bfloat16())
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - expected).std() < 0.03 * expected.std()  # 8 bits of mantissa, some 20 layers


@every_model
def test_a_pixel_moves_only_the_logits_that_depend_on_it(name):
    """By the layers that the network says of itself on its last axis; where they say so, something does move."""
    net = fresh(name).double()
    x = images(net).double()
    expected = net(x)
    for place in [0, x.shape[-1] // 3, x.shape[-1] - 1]:
        changed = x.clone()
        changed[..., x.shape[-2] // 2, place] += 10
        moved = ((net(changed) - expected).abs().flatten(0, -2).amax(dim=0) > 1e-12).nonzero().flatten().tolist()
        axis = net.along_axis(Axis.of_input(x.shape[-1]))
        assert axis.size == expected.shape[-1]
        depending = [i for i in range(axis.size) if axis.depends_on(i)[0] <= place <= axis.depends_on(i)[1]]
        assert set(moved) <= set(depending)
        assert moved or not depending


def test_a_slice_moves_only_the_logits_that_depend_on_it():
    """Along the first axis of a network whose axes differ."""
    net = fresh("unet3d").double()
    x = images(net).double()
    expected, axis = net(x), net.along_axis(Axis.of_input(x.shape[2]), 0)
    for place in [0, x.shape[2] // 2]:
        changed = x.clone()
        changed[:, :, place] += 10
        moved = ((net(changed) - expected).abs().amax(dim=(0, 1, 3, 4)) > 1e-12).nonzero().flatten().tolist()
        depending = [i for i in range(axis.size) if axis.depends_on(i)[0] <= place <= axis.depends_on(i)[1]]
        assert set(moved) <= set(depending)
        assert moved or not depending


@every_model
def test_it_comes_back_from_its_file_as_it_was(name, tmp_path):
    net = fresh(name).placed(torch.device("cpu"))  # laid out as files are read, so that not even rounding differs
    x = images(net)
    labels = Labels(("background", "cell", "nucleus"), (0, 1, 2))
    recipe = Recipe(model=ModelRecipe(name, OPTIONS[name]))
    checkpoint.write(
        tmp_path / "a.safetensors", Trained(net, labels, Intensity((0.0,) * 2, (1.0,) * 2, "uint8"), recipe)
    )
    assert torch.equal(checkpoint.read(tmp_path / "a.safetensors").model(x), net(x))


@every_model
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyTorch's exporter warns of its own doings
def test_onnx_computes_the_same(name):
    net = fresh(name)
    x = images(net)
    exported = torch.onnx.export(net, (x,), dynamo=True, verbose=False)
    assert exported is not None
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert torch.allclose(torch.from_numpy(logits), net(x), rtol=1e-4, atol=1e-4)


@every_model
def test_parameters_and_device_are_told(name):
    net = fresh(name)
    assert net.parameter_count == sum(v.numel() for k, v in net.named_parameters())
    assert net.device == torch.device("cpu")


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(RecipeError, match=r"no model 'u-net'; did you mean 'unet'\?"):
        build("u-net")
    with pytest.raises(RecipeError, match=r"no model 'transformer'; there are: unet"):
        build("transformer")


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(RecipeError, match=r"unet has no option 'widht'; did you mean 'width'\?"):
        build("unet", widht=8)
    with pytest.raises(RecipeError, match="no option 'zzz'; there are: in_channels, classes, padding"):
        build("unet", zzz=1)


def test_build_hands_its_options_to_the_constructor():
    net = build("unet", in_channels=3, classes=5, depth=2, width=3, padding="same")
    assert type(net) is MODELS["unet"]
    assert net(torch.zeros(1, 3, 8, 12)).shape == (1, 5, 8, 12)


def test_a_segmenter_is_a_contract_and_no_network():
    with pytest.raises(TypeError, match="abstract"):
        Segmenter()
