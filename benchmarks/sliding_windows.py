"""Prediction with the sliding windows of MONAI and nnU-Net, for benchmarks/prediction.py, in their own environments.

    python sliding_windows.py DIR monai overlap=0.25,mode=gaussian THREADS
    python sliding_windows.py DIR nnunet "" THREADS

Both are given the exported network and the image of DIR, and their documented function, with windows of 512 px.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

WINDOW = 512

Predict = Callable[[np.ndarray], np.ndarray]
"""(H, W) uint8 image → (H, W) class numbers."""


def measured(predict: Predict, folder: Path) -> None:
    """Prints the seconds of one prediction, and the peak of resident memory above what was there before, in bytes."""
    image = np.load(folder / "image.npy")
    predict(np.ascontiguousarray(image[:WINDOW, :WINDOW]))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    begin = time.perf_counter()
    classes = predict(image)
    seconds = time.perf_counter() - begin
    peak = _status("VmHWM") - before
    assert classes.shape == image.shape
    np.save(folder / f"classes-{Path(sys.argv[0]).stem}.npy", classes)
    print(seconds, peak)


def monai(network: Callable[[torch.Tensor], torch.Tensor], settings: dict[str, str]) -> Predict:
    """`sliding_window_inference`, one window at a time."""
    from monai.inferers import sliding_window_inference

    overlap, mode = float(settings["overlap"]), settings.get("mode", "constant")

    def predict(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = sliding_window_inference(_tensor(image)[None], (WINDOW, WINDOW), 1, network, overlap, mode)
        return logits[0].argmax(dim=0).to(torch.uint8).numpy()

    return predict


def nnunet(network: Callable[[torch.Tensor], torch.Tensor], _: dict[str, str]) -> Predict:
    """`nnUNetPredictor` with its defaults (half a window's step, Gaussian), without mirroring."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"))
    predictor.network = torch.nn.Module()
    predictor.network.forward = lambda x: network(x)  # a module assigned would become a part of it
    predictor.configuration_manager = SimpleNamespace(patch_size=[WINDOW, WINDOW])
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=2)
    predictor.allowed_mirroring_axes = None

    def predict(image: np.ndarray) -> np.ndarray:
        logits = predictor.predict_sliding_window_return_logits(_tensor(image)[:, None])
        return logits[:, 0].argmax(dim=0).to(torch.uint8).numpy()

    return predict


def _tensor(image: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(image.astype(np.float32))[None] - 128) / 50


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    folder, name, settings, threads = Path(sys.argv[1]), *sys.argv[2:5]
    torch.set_num_threads(int(threads))
    network = torch.export.load(str(folder / "network.pt2")).module()
    parsed = dict(pair.split("=") for pair in settings.split(",") if pair)
    measured({"monai": monai, "nnunet": nnunet}[name](network, parsed), folder)


if __name__ == "__main__":
    main()
