"""The report of a run, of several, of a sweep or a check: one HTML page that needs no network."""
