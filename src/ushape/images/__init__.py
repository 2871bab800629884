"""Files ↔ windows of pixels; knows nothing of learning."""
