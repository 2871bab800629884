"""Annotated folder → batches."""
