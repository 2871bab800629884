"""Masks of the left ventricle in short-axis slices → what a physician reads: volumes, contours, walls, agreement."""
