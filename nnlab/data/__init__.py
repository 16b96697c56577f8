"""Data sets: reading, splitting and normalising them, and drawing mini-batches."""
