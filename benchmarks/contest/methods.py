"""The methods of the contest: the script that trains each, its environment with every version pinned, its settings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

_OURS = ""  # the environment that runs the contest

ENVIRONMENTS = {
    "nnunet": ("torch==2.13.0", "torchvision==0.28.0", "nnunetv2==2.8.1"),
    "smp": ("torch==2.13.0", "torchvision==0.28.0", "segmentation-models-pytorch==0.6.0", "albumentations==2.0.8"),
    "monai": ("torch==2.13.0", "monai==1.6.1", "pillow==13.0.0"),
    "nibabel": ("nibabel==5.4.2",),
}


@dataclass(frozen=True)
class Method:
    """script: in this folder. options: what it varies. about: settings and where they are from, for the table."""

    name: str
    environment: str
    script: str
    about: str
    options: dict[str, str] = field(default_factory=dict)


METHODS = {
    "ushape": Method(
        "ushape",
        _OURS,
        "train_ushape.py",
        "`ushape train DATA --task semantic --minutes M`, `ushape predict RUN IMAGES`; nothing else set",
    ),
    "nnunet": Method(
        "nnU-Net 2D, planned for 0.5 GB",
        "nnunet",
        "train_nnunet.py",
        "as nnunet-8gb, with `-gpu_memory_target 0.5` of nnUNetv2_plan_experiment (documentation/resenc_presets.md)",
        {"memory": "0.5"},
    ),
    "nnunet-8gb": Method(
        "nnU-Net 2D",
        "nnunet",
        "train_nnunet.py",
        "2d, fold all, default plans, trainer and predictor (mirroring): documentation/how_to_use_nnunet.md",
        {"memory": "8"},
    ),
    "smp": Method(
        "segmentation_models.pytorch Unet, resnet34 from random weights",
        "smp",
        "train_smp.py",
        "as smp-imagenet, without its download",
        {"encoder": "random"},
    ),
    "smp-imagenet": Method(
        "segmentation_models.pytorch Unet, resnet34 from ImageNet's weights",
        "smp",
        "train_smp.py",
        "examples/binary_segmentation_buildings.py, augmented as in examples/camvid_segmentation_multiclass.ipynb",
        {"encoder": "imagenet"},
    ),
    "monai": Method(
        "MONAI BasicUNet",
        "monai",
        "train_monai.py",
        "tutorials/2d_segmentation/torch/unet_training_dict.py with this network",
        {"network": "BasicUNet"},
    ),
    "monai-dynunet": Method(
        "MONAI DynUNet",
        "monai",
        "train_monai.py",
        "tutorials/2d_segmentation/torch/unet_training_dict.py with this network",
        {"network": "DynUNet"},
    ),
}


class NotInstalledError(Exception):
    """An environment that could not be made."""


def python_of(environment: str, folder: Path) -> Path:
    """The interpreter of an environment, which is made where it is not there yet; NotInstalledError, in one line."""
    if environment == _OURS:
        return Path(sys.executable)
    home, pinned = folder / environment, ENVIRONMENTS[environment]
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = home / "installed.txt"
    if done.exists() and done.read_text().split() == list(pinned):
        return python
    print(f"{environment}: installing {', '.join(pinned)}", flush=True)
    log = folder / f"{environment}.log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        for command in ([sys.executable, "-m", "venv", "--clear", home], [python, "-m", "pip", "install", *pinned]):
            if subprocess.run(list(map(str, command)), stdout=output, stderr=subprocess.STDOUT).returncode:
                errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR")]
                reason = errors[-1] if errors else f"see {log}"
                raise NotInstalledError(f"{environment} could not be installed: {reason}")
    done.write_text("\n".join(pinned))
    return python
