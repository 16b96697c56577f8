"""Batches of validation and test sets for a stack of rows, and what their examples count in the loss."""

from __future__ import annotations

import torch

from nnlab.data.device_tables import stack_rows
from nnlab.data.examples import Batch, Examples
from nnlab.runtime.cuda_graphs import is_cuda


def evaluation_batches(examples: Examples, rows: list, part: str):
    """Yield the validation or test batches, each for all rows; rows with smaller sets end with weight 0."""
    fold_batches = {row.fold.key: examples.evaluation_batches(row, part) for row in rows}
    for i in range(max(len(batches) for batches in fold_batches.values())):
        row_batches = [fold_batches[row.fold.key] for row in rows]
        if len(fold_batches) == 1:
            b = row_batches[0][i]
            t = examples.one_hot(b.t)
            yield Batch(b.x.expand(len(rows), -1, -1), t.expand(len(rows), -1, -1), b.weight)
        elif is_cuda(examples.template):
            yield examples.stacked_batch(rows, fold_batches, part, i)
        else:
            batches = [b[min(i, len(b) - 1)] for b in row_batches]
            has_batch = torch.tensor([i < len(b) for b in row_batches], device=examples.template.device)
            x, t, weight = (stack_rows([getattr(b, name) for b in batches]) for name in ("x", "t", "weight"))
            yield Batch(x, examples.one_hot(t), weight * has_batch[:, None, None])


def validation_weights(examples: Examples, rows: list) -> list[torch.Tensor | None]:
    """Of every validation batch, the weights (K, B) of the examples' losses, with a mean of 1 over a row's
    validation set; None where they are all 1."""
    batch = rows[0].evaluation_batch
    sizes = [-(-len(row.fold.validation) // batch) * batch for row in rows]
    if not examples.are_weighted(rows):
        return [None] * (max(sizes) // batch)
    weights = torch.zeros(len(rows), max(sizes), dtype=torch.float64, device=examples.template.device)
    for row, row_weights in zip(rows, weights, strict=True):
        each = examples.loss_weights(row)[torch.from_numpy(row.fold.validation)].double()
        row_weights[: len(each)] = each / each.mean()
    return list(weights.to(examples.template).split(batch, 1))
