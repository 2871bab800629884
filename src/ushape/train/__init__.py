"""Batches → checkpoint."""
