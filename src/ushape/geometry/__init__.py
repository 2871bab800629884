"""Whole numbers only, any number of axes: no torch, no files."""
