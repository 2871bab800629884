"""The house rules that a machine can check: one staircase of imports, no circles, and a place for everything."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import ushape

# A module imports only from steps above its own. The package root stands on no step: it and the command line may import
# anything, and late.
ORDER = [
    "errors",
    "settings",
    "geometry",
    "atomic",
    "freed_memory",
    "device",
    "process_group",
    "labels",
    "regions",
    "intensity",
    "images",
    "models",
    "engines",
    "metrics",
    "data",
    "interchange",
    "object_rule",
    "recipe",
]
ORDER += ["checkpoint", "ensemble", "adoption", "predict", "train", "evaluate", "prune", "compare", "study", "cardiac"]
ORDER += ["repetition", "report", "export", "cli"]
FIRST_WITH_TORCH = "device"
LATE_IMPORTS_OF = (
    "tensorboard",
    "torch.utils.tensorboard",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
    "nibabel",
    "pydicom",
    "SimpleITK",
    "zarr",
    "distributed",
)  # optional: where it is absent, a message says what to install
BANNED_NAMES = {"utils", "helpers", "common", "misc", "base", "core", "manager"}


@dataclass(frozen=True)
class Module:
    name: str
    is_package: bool
    tree: ast.Module

    @property
    def step(self) -> str:
        return step_of(self.name)

    def imports(self, ours: dict[str, Module]) -> Iterator[tuple[str, bool]]:
        """The modules that it imports, each with whether it does so inside a function."""
        functions = [n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        late = {id(node) for function in functions for node in ast.walk(function)}
        package = self.name if self.is_package else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, id(node) in late) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = resolve_name("." * node.level + (node.module or ""), package)
                for alias in node.names:
                    within = f"{source}.{alias.name}"
                    yield (within if within in ours else source), id(node) in late


def parsed(package: Path) -> dict[str, Module]:
    """Every module of a package by its dotted name."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        *folders, stem = path.relative_to(package).with_suffix("").parts
        name = ".".join(["ushape", *folders] + [stem] * (stem != "__init__"))
        modules[name] = Module(name, stem == "__init__", ast.parse(path.read_text(encoding="utf-8")))
    return modules


def step_of(name: str) -> str:
    """The step a module stands on; `python -m ushape` is the command line under another name."""
    return name.split(".")[1].replace("__main__", "cli") if "." in name else ""


def imports_go_only_upward(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if module.step and module.step not in ORDER:
            yield f"{module.name} is on no step of ORDER"
        elif module.step not in ("", "cli"):
            here = ORDER.index(module.step)
            for imported, _ in module.imports(modules):
                first = imported.split(".")[0]
                if first == "ushape" and step_of(imported) not in ORDER[: here + 1]:
                    yield f"{module.name} imports {imported}"
                if first == "torch" and here < ORDER.index(FIRST_WITH_TORCH):
                    yield f"{module.name} imports {imported}"


def imports_make_no_circle(modules: dict[str, Module]) -> Iterator[str]:
    graph = {m.name: {i for i, late in m.imports(modules) if i in modules and not late} for m in modules.values()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield " ← ".join(error.args[1])


def imports_stand_at_the_top(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        for imported, late in module.imports(modules):
            optional = any(f"{imported}.".startswith(f"{package}.") for package in LATE_IMPORTS_OF)
            if late and not optional and module.step not in ("", "cli"):
                yield f"{module.name} imports {imported} inside a function"


def files_are_nouns_at_most_one_folder_deep(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if module.name.split(".")[-1].strip("_") in BANNED_NAMES:
            yield f"{module.name}: which noun of the subject is it?"
        if module.name.count(".") + module.is_package > 2:
            yield f"{module.name} lies deeper than ushape/folder/file.py"


def only_the_command_line_prints(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        calls = [n for n in ast.walk(module.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        for call in calls:
            if call.func.id == "print" and module.step != "cli":
                yield f"{module.name} prints in line {call.lineno}"


def errors_are_caught_by_name(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        for handler in (n for n in ast.walk(module.tree) if isinstance(n, ast.ExceptHandler)):
            everything = handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")
            if everything and ast.unparse(handler.body[-1]) != "raise":
                yield f"{module.name} catches everything in line {handler.lineno}"


RULES: list[Callable[[dict[str, Module]], Iterator[str]]] = [
    imports_go_only_upward,
    imports_make_no_circle,
    imports_stand_at_the_top,
    files_are_nouns_at_most_one_folder_deep,
    only_the_command_line_prints,
    errors_are_caught_by_name,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
    modules = parsed(Path(ushape.__path__[0]))
    assert len(modules) > 10
    assert list(rule(modules)) == []


@pytest.mark.parametrize(
    ("rule", "files", "fault"),
    [
        (
            imports_go_only_upward,
            {"labels.py": "from ushape.models.unet import UNet"},
            "ushape.labels imports ushape.models",
        ),
        (imports_go_only_upward, {"data/a.py": "import ushape.predict.tiled"}, "ushape.data.a imports ushape.predict"),
        (
            imports_go_only_upward,
            {"data/a.py": "from ..train import loop", "train/loop.py": ""},
            "imports ushape.train.loop",
        ),
        (imports_go_only_upward, {"geometry/a.py": "import torch.nn"}, "ushape.geometry.a imports torch.nn"),
        (imports_go_only_upward, {"labels.py": "from ushape import load"}, "ushape.labels imports ushape"),
        (imports_go_only_upward, {"cleverness.py": ""}, "ushape.cleverness is on no step"),
        (
            imports_make_no_circle,
            {"data/a.py": "from . import b", "data/b.py": "import ushape.data.a"},
            "ushape.data.b",
        ),
        (
            imports_make_no_circle,
            {"models/__init__.py": "from ushape.models.a import A", "models/a.py": "from ushape.models import MODELS"},
            "ushape.models.a",
        ),
        (imports_stand_at_the_top, {"data/a.py": "def f():\n    import numpy"}, "imports numpy inside a function"),
        (imports_stand_at_the_top, {"data/a.py": "class A:\n  async def f(s):\n    from os import path"}, "imports os"),
        (files_are_nouns_at_most_one_folder_deep, {"data/utils.py": ""}, "ushape.data.utils"),
        (files_are_nouns_at_most_one_folder_deep, {"data/_helpers.py": ""}, "ushape.data._helpers"),
        (files_are_nouns_at_most_one_folder_deep, {"data/a/b.py": ""}, "ushape.data.a.b lies deeper"),
        (files_are_nouns_at_most_one_folder_deep, {"data/a/__init__.py": ""}, "ushape.data.a lies deeper"),
        (only_the_command_line_prints, {"train/a.py": "x = 1\nprint(x)"}, "ushape.train.a prints in line 2"),
        (errors_are_caught_by_name, {"a.py": "try:\n  x = 1\nexcept Exception:\n  x = 2"}, "everything in line 3"),
        (errors_are_caught_by_name, {"a.py": "try:\n  x = 1\nexcept:\n  x = 2"}, "everything in line 3"),
    ],
)
def test_each_rule_finds_what_it_forbids(tmp_path: Path, rule, files: dict[str, str], fault: str):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = list(rule(parsed(tmp_path)))
    assert len(found) == 1
    assert fault in found[0]


def test_what_the_rules_allow(tmp_path: Path):
    allowed = {
        "__init__.py": "def __getattr__(name):\n    import ushape.cli",
        "cli/__init__.py": "def main():\n    from ushape import load\n    print(1)",
        "train/loop.py": "from ushape.predict.tiled import x\nfrom . import diary",
        "train/diary.py": "def f():\n    from torch.utils.tensorboard import SummaryWriter",
        "data/a.py": "try:\n  x = 1\nexcept (OSError, ValueError):\n  x = 2",
        "data/b.py": "try:\n  x = 1\nexcept BaseException:\n  x = 2\n  raise",
    }
    for name, text in allowed.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [fault for rule in RULES for fault in rule(parsed(tmp_path))] == []
