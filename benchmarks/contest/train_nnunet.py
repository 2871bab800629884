"""nnU-Net v2, its 2-D configuration: own fingerprint, plan, preprocessing, augmentation, trainer and predictor.

As documented (documentation/how_to_use_nnunet.md) for a single model: the fold `all`, predicted with mirroring, tiles
that overlap by half and Gaussian weights. The trainer's schedule, rate .01 · (1 – progress)^.9, ends where the seconds
end.

The memory that the plan aims at, `-gpu_memory_target` of `nnUNetv2_plan_experiment` (documentation/resenc_presets.md),
sets patch and batch; the default of 8 GB is meant for GPUs, and leaves a processor a few steps in the time of this
contest.

More generous than the defaults: the rate changes at each step, not each 250, so that any time holds a whole schedule;
batches are ready before the clock begins; the online validation, which chooses nothing, and the writing of checkpoints
take no time. Planning and preprocessing are done once for a data set.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from assignment import Assignment, Clock
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprint_dataset,
    plan_experiment_dataset,
    preprocess_dataset,
)
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

NUMBER, NAME = 1, "Dataset001_contest"


def main() -> None:
    assignment = Assignment.from_arguments()
    folders = {f"nnUNet_{name}": assignment.work / name for name in ("raw", "preprocessed", "results")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    os.environ.update({name: str(folder) for name, folder in folders.items()})
    os.environ.update(nnUNet_n_proc_DA=str(assignment.threads))
    once = assignment.work / "planned.json"
    if not once.exists():
        begin = time.perf_counter()
        lay_out(assignment, assignment.work / "raw" / NAME)
        plan(assignment.threads, float(assignment.options["memory"]))
        once.write_text(json.dumps({"seconds": time.perf_counter() - begin}))

    torch.set_num_threads(assignment.threads)
    torch.manual_seed(assignment.seed)
    preprocessed = assignment.work / "preprocessed" / NAME
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text()) | {"continue_training": False}
    about = json.loads((preprocessed / "dataset.json").read_text())
    trainer = TimedTrainer(plans, "2d", "all", about, torch.device("cpu"))
    trainer.disable_checkpointing = True
    clock, steps = trainer.train_for(assignment.seconds)

    predictor = of_trained(trainer)
    images = assignment.data / "test" / "images"
    for path in sorted(images.glob("*.png")):
        pixels, properties = NaturalImage2DIO().read_images([str(path)])
        assignment.write(path.stem, predictor.predict_single_npy_array(pixels, properties)[0])
    setup = trainer.configuration_manager
    patches = setup.batch_size * np.prod(setup.patch_size) / 256**2
    shape = f"{setup.batch_size} × {setup.patch_size[0]} × {setup.patch_size[1]} px"
    planned = f"planned and preprocessed in {json.loads(once.read_text())['seconds']:.0f} s, once"
    assignment.report(clock, steps=steps, patches=float(patches), notes=[shape, planned])


class TimedTrainer(nnUNetTrainer):
    """nnU-Net's trainer with seconds for a budget."""

    def train_for(self, seconds: float) -> tuple[Clock, int]:
        """The clock, stopped, and how many steps were taken."""
        self.on_train_start()
        self.network.train()
        clock, steps = Clock(seconds), 0
        while clock.progress < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * (1 - clock.progress) ** 0.9
            self.train_step(next(self.dataloader_train))
            steps += 1
        clock.end()
        self.on_train_end()
        return clock, steps


def lay_out(assignment: Assignment, raw: Path) -> None:
    """The images as links in nnU-Net's own format (documentation/dataset_format.md)."""
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    train = assignment.data / "train"
    for name in assignment.names:
        for link, file in (
            (raw / "imagesTr" / f"{name}_0000.png", train / "images" / f"{name}.png"),
            (raw / "labelsTr" / f"{name}.png", train / "masks" / f"{name}.png"),
        ):
            link.unlink(missing_ok=True)
            link.symlink_to(file)
    channels = ("R", "G", "B") if assignment.channels == 3 else ("grey",)
    labels = {"background": 0} | {f"class {k}": k for k in range(1, assignment.classes)}
    about = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": labels,
        "numTraining": len(assignment.names),
        "file_ending": ".png",
    }
    (raw / "dataset.json").write_text(json.dumps(about))


def plan(processes: int, memory_gb: float) -> None:
    """What nnUNetv2_plan_and_preprocess does for one configuration."""
    extract_fingerprint_dataset(NUMBER, num_processes=processes, check_dataset_integrity=True)
    plan_experiment_dataset(NUMBER, gpu_memory_target_in_gb=memory_gb)
    preprocess_dataset(NUMBER, configurations=("2d",), num_processes=(processes,))


def of_trained(trainer: TimedTrainer) -> nnUNetPredictor:
    """nnU-Net's predictor at its defaults, with the weights of the last step."""
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(device=trainer.device, allow_tqdm=False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    return predictor


if __name__ == "__main__":
    main()
