"""Image → mask."""
