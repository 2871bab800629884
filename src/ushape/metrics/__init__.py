"""Two arrays → numbers. A score is undefined (NaN) only where its own docstring says so; nothing is smoothed."""
