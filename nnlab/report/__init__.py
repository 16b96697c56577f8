"""The report of a run or several, a comparison, a sweep or a check: one HTML page without a network."""
