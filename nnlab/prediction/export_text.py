"""How an exported file is used, and how it was checked, as text."""

from __future__ import annotations

from pathlib import Path

from nnlab.data.spec import DataSpec
from nnlab.prediction.export import Export
from nnlab.prediction.markdown import code
from nnlab.records.text_columns import COPY_INDENT, labelled_lines

NEW_FILE = "new.csv"  # in an example


def usage(exported: Export, file: str, spec: DataSpec, run: Path) -> str:
    """Lines of Python that predict by the file; examples of a table get their numbers from nnlab first."""
    x = f'x.astype("{exported.dtype}")'
    if exported.format == "onnx":
        outputs = "prediction, probabilities" if spec.classes else "(prediction,)"
        lines = [
            "import onnxruntime",
            f"session = onnxruntime.InferenceSession({file!r})",
            f'{outputs} = session.run(None, {{"input": {x}}})',
        ]
    else:
        lines = [
            "import torch",
            f"model = torch.export.load({file!r}).module()",
            f'prediction = model(torch.from_numpy({x}))["prediction"]',
        ]
    if spec.columns:
        numbers = f"x = nnlab.load({str(run)!r}).raw({NEW_FILE!r})  # or of a data frame"
        lines = ["import nnlab", lines[0], numbers, *lines[1:]]
    return "\n".join(lines)


def agreement_text(exported: Export, is_markdown: bool = False) -> str:
    """How the file was checked, and how near it is to the model."""
    agreed = exported.agreement
    if agreed is None:
        return "not checked"
    source = f"of {code(agreed.data) if is_markdown else agreed.data}" if agreed.data else "drawn at random"
    what = "probabilities" if exported.has_classes else "predictions"
    near = f"within {agreed.in_units:.1g} of nnlab's own"
    if not exported.has_classes:
        near += f" ({agreed.largest:.1g} of the target's scale)"
    others = f", and {agreed.other_classes:,} predicted classes are others" if agreed.other_classes else ""
    return f"{agreed.examples:,} examples {source}, by {exported.runtime}: {what} {near}{others}"


def export_lines(exported: Export, file: Path, card: Path | None, spec: DataSpec, run: Path) -> list[str]:
    """How the file was checked, where it is, and how it is used."""
    lines = ["", *labelled_lines("checked", agreement_text(exported))]
    lines += labelled_lines(exported.format, file)
    if card is not None:
        lines += labelled_lines("model card", card)
    snippet = usage(exported, str(file), spec, run).splitlines()
    return [*lines, "", "  to use it", *(COPY_INDENT + line for line in snippet)]
