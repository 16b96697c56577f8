"""From files to batches: sources, splits, normalisation, batches."""
