"""What computes a trained network when it predicts: PyTorch, ONNX Runtime, OpenVINO."""
