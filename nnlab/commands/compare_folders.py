"""Execution of `nnlab compare FOLDER ...`: compares stored runs, perhaps after training more seeds."""

from __future__ import annotations

from dataclasses import replace

from nnlab.commands.compare_conclusion import conclude, show, show_by
from nnlab.commands.compare_folder_words import FoldersRequest
from nnlab.errors import UserError
from nnlab.records.comparison_file import is_comparison
from nnlab.records.stored_comparison import StoredComparison, read_folders
from nnlab.records.text import shell_line
from nnlab.records.tuning_file import is_being_tuned, refuse_untuned


def run(request: FoldersRequest) -> int:
    """Compare the runs in the folders, or go on with a comparison that is being tuned; returns 1 if every row
    of some arm diverged."""
    if request == FoldersRequest(request.folders[:1], None) and is_being_tuned(request.folders[0]):
        from nnlab.commands import resumed_tuning  # which imports what searches

        return resumed_tuning.go_on(request.folders[0])
    for folder in request.folders:
        refuse_untuned(folder)
    if request.asks_for_seeds:
        # Training needs torch, and reading does not.
        from nnlab.commands import compare_seeds

        if len(request.folders) == 1:
            return compare_seeds.add_seeds(request.folders[0], request)
        raise UserError(
            f"seeds={request.seeds_text}: into which of {len(request.folders)} folders? Give one at a time, "
            f"then compare all"
        )
    if len(request.folders) == 1 and is_comparison(request.folders[0]):
        if request.measure is None and request.target is None:
            return conclude(request.folders[0])
        return show_by(request.folders[0], request.measure, request.target)
    stored = replace(read_folders(request.folders), target=request.target)
    _refuse_too_little(stored, request)
    measure = request.measure or "auto"
    show(stored, stored.comparisons(measure), measure)
    return int(bool(stored.hopeless()))


def _refuse_too_little(stored: StoredComparison, request: FoldersRequest) -> None:
    """Raise `UserError` for one arm, and for arms without pairs."""
    where = " ".join(str(folder) for folder in request.folders)
    if len(stored.runs) == 1:
        if len(stored.data) > 1:
            raise UserError(
                f"'{where}' is one arm on {len(stored.data)} data sets, {' and '.join(stored.data)}, and "
                f"results on different data are not compared; name the folder of another arm beside it"
            )
        raise UserError(
            f"'{where}' has one arm, since nothing but seeds differs; name the folder of another beside it"
        )
    for data in stored.data:
        pairs, arms = stored.pairs(data)
        if not pairs:
            raise UserError(
                f"{' and '.join(arms)} have no seed and fold in common on {data}, so there are no pairs"
            )
        if pairs < 2:
            more = shell_line(["nnlab", "compare", str(request.folders[0]), "seeds=+9"])
            raise UserError(
                f"{' and '.join(arms)} have one row in common on {data}, which does not say what is chance; "
                f"train more, of each folder: {more}"
            )
