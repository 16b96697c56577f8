"""README.md beside an exported model: what it was trained on, how good it is, how it is used."""

from __future__ import annotations

import torch

from nnlab import __version__
from nnlab.autodiff.box import Site
from nnlab.data.columns import FIRST_CODE, Column
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.prediction.export import Export
from nnlab.prediction.export_names import FILE_NAMES
from nnlab.prediction.export_text import agreement_text, usage
from nnlab.prediction.markdown import code, code_block, table
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.screen_lines import model_line
from nnlab.prediction.trained_rows import mean_threshold
from nnlab.records.stored_run import StoredRun
from nnlab.records.summary_text import interval_lines, shown_metrics
from nnlab.records.text import format_number, metric_formatter, metric_label, plus_minus
from nnlab.training.thresholds import positive_class

CARD_FILE = "README.md"
MOST_LISTED = 100  # inputs, or classes
MOST_CODES = 8  # of a category
PART_VALUES = {  # of a date
    "year": "the year, such as 2024", "month": "1 to 12", "day": "1 to 31, in the month",
    "weekday": "0 (Monday) to 6 (Sunday)", "hour": "0 to 23", "minute": "0 to 59",
    "days": "days since 1970-01-01",
}  # fmt: skip


def model_card(model: TrainedModel, run: StoredRun, row: int | None, exported: Export, line: str) -> str:
    """The text in Markdown; `line` is the command that exported. All that comes from data is code."""
    spec = model.spec
    agreed = agreement_text(exported, is_markdown=True)
    checked = f"It was checked on {agreed}." if exported.agreement else "It was not checked."
    kind = f"classifier of {len(spec.classes)} classes" if spec.classes else "regression"
    sections = [
        f"# A {kind}, trained on {code(model.experiment.data.name)}",
        f"{code(model_line(model, row))}, trained and exported by nnlab {__version__}.",
        "## How to use it",
        code_block(usage(exported, FILE_NAMES[exported.format], spec, run.path), "python"),
        *_inputs(model, row),
        *_outputs(model, row),
        *_metrics(model, run, row),
        *_training(model, run),
        "## The file",
        f"{code(FILE_NAMES[exported.format])} holds {_rows_text(model, row)} with everything that training "
        f"fitted: the normalisation of inputs, the network, its probabilities or the target's scale. "
        f"{checked} It was written by",
        code_block(line, "sh"),
    ]
    return "\n\n".join(sections) + "\n"


def _inputs(model: TrainedModel, row: int | None) -> list[str]:
    spec, normalizer = model.spec, model.rows_for(row)[0].normalizer
    if spec.columns:
        return _raw_inputs(spec, normalizer)
    shape = " x ".join(map(str, spec.shape))
    text = f"Any number of examples, each of {shape} numbers as the data have them, without missing values."
    if len(spec.shape) > 1 or not spec.features and spec.inputs > MOST_LISTED:
        return ["## Inputs", text]
    sections = [
        "## Inputs",
        f"{text} What lies far from the training data, whose statistics are below, is a guess.",
    ]
    names = spec.features or [""] * spec.inputs
    rows = [
        [str(i), code(name) if name else "", format_number(float(mean)), format_number(float(scale))]
        for i, (name, mean, scale) in enumerate(
            zip(names[:MOST_LISTED], normalizer["mean"], normalizer["scale"], strict=False)
        )
    ]
    sections.append(table(["", "input", "center", "scale"], rows))
    return sections + _more(spec.inputs, "inputs")


def _raw_inputs(spec: DataSpec, normalizer: dict) -> list[str]:
    """The inputs of a table's examples, before they are encoded."""
    encoding = spec.encoding
    text = (
        f"Any number of examples, each of {encoding.raw_width:,} numbers. A number may be missing (NaN). A "
        f"category is a code: 0 if it is missing, 1 if it is not among those of the table, which have the "
        f"codes from 2 on. All of them are in the file, under `columns` of its metadata. A date is several "
        f"numbers. `nnlab.load(RUN).raw(x)` makes them of a file or a data frame, as above; without nnlab, "
        f"the table says how. What lies far from the training data, whose statistics are below, is a guess."
    )
    numbers_of = {
        position: (normalizer["mean"][i], normalizer["scale"][i])
        for i, position in enumerate(encoding.number_positions)
    }
    values = [value for column in spec.columns if column.is_input for value in _values(column)]
    rows = []
    for i, (name, _) in enumerate(encoding.raw[:MOST_LISTED]):
        numbers = [format_number(float(value)) for value in numbers_of.get(i, ())] or ["", ""]
        rows.append([str(i), code(name), values[i], *numbers])
    sections = ["## Inputs", text, table(["", "input", "values", "center", "scale"], rows)]
    return [*sections, *_more(encoding.raw_width, "inputs"), *_columns(spec)]


def _columns(spec: DataSpec) -> list[str]:
    """The table's columns as they were read, those that are no inputs too."""
    rows = [
        [code(column.name), column.type, code(column.reason), "some missing" * column.missing]
        for column in spec.columns[:MOST_LISTED]
    ]
    text = (
        "The table that the run was trained on has these columns beside the target. `nnlab predict RUN FILE` "
        "takes such a table as it is."
    )
    more = len(spec.columns) - MOST_LISTED
    return [text, table(["column", "type", "why", ""], rows), *[f"And {more:,} others."] * (more > 0)]


def _values(column: Column) -> list[str]:
    """What each number of a cell is: of a category its first codes."""
    match column.type:
        case "number":
            return ["a number"]
        case "date":
            return [PART_VALUES[part] for part in column.parts]
        case "text":
            return ["its words and pairs of words, hashed: by `raw`"] * column.buckets
    first = column.categories[:MOST_CODES]
    codes = [f"{FIRST_CODE + i} {code(category)}" for i, category in enumerate(first)]
    return [", ".join([*codes, *["..."] * (len(first) < len(column.categories))])]


def _outputs(model: TrainedModel, row: int | None) -> list[str]:
    spec = model.spec
    if not spec.classes:
        names = ", ".join(map(code, spec.targets)) or "the target"
        return ["## Output", f"`prediction`: {names}, in the unit of the data."]
    target = f" of {code(spec.targets[0])}" if spec.targets else ""
    rows = [[str(i), code(name)] for i, name in enumerate(spec.classes[:MOST_LISTED])]
    rows_used = model.rows_for(row)
    which = "the likeliest class"
    if (threshold := mean_threshold(rows_used)) is not None:
        positive = positive_class(spec)
        which = f"a class, {positive} where its probability is above {threshold:.4f}"
    text = f"`prediction`: the number of {which}{target}. `probabilities`: one for each class"
    if any("temperature" in one.calibration for one in rows_used):
        text += ", calibrated on validation examples (by a temperature)"
    text += "."
    return ["## Outputs", text, table(["", "class"], rows), *_more(len(spec.classes), "classes")]


def _more(count: int, what: str) -> list[str]:
    more = count - MOST_LISTED
    return [f"The other {more:,} {what} are listed in the file itself."] if more > 0 else []


def _metrics(model: TrainedModel, run: StoredRun, row: int | None) -> list[str]:
    """What the run's summary says, if it ended."""
    task = model.spec.task
    if not run.ended:
        return ["## How good it is", "The run did not end, so it was not tested."]
    summary = run.summary
    shown = shown_metrics(summary)
    metrics = {name: m for name, m in shown.items() if name.startswith(("val_", "test_"))}
    rows = [
        [code(metric_label(name, task)), text]
        for name, metric in metrics.items()
        if (text := _with_interval(metric, metric_formatter(name, task)))
    ]
    if not rows:
        return ["## How good it is", "The run has no test metrics."]
    several = "These are means over the rows, each alone; the file averages what rows predict. "
    notes = [f"{several * (len(model.rows) > 1)}The test set was used once, at the end, and chose nothing."]
    notes += [f"{line.strip().capitalize()}." for line in _interval_lines(summary)]
    if "loss_is" in summary:
        notes.append(f"The loss is {code(str(summary['loss_is']))}.")
    return ["## How good it is", table(["metric", "value"], rows), " ".join(notes)]


def _with_interval(metric: dict, formatter) -> str:
    mean, high = metric.get("mean"), metric.get("high")
    if mean is None:
        return ""
    return plus_minus(mean, high - mean if high is not None else None, formatter)


def _interval_lines(summary: dict) -> list[str]:
    try:
        return interval_lines(summary)
    except (AttributeError, KeyError, TypeError, ValueError):  # a stranger's summary, or an old one
        return []


def _training(model: TrainedModel, run: StoredRun) -> list[str]:
    e, spec = model.experiment, model.spec
    path, target = (getattr(e.data, key, None) for key in ("path", "target"))
    source = code(": ".join(str(part) for part in (e.data.name, path, target) if part is not None))
    count = "an unknown number of" if spec.examples is None else f"{spec.examples:,}"
    rows = [
        ["data", f"{source}, {count} examples"],
        ["split", code(e.split.name)],
        ["network", code(" -> ".join(_boxes(model)))],
        ["loss, optimiser", f"{code(model.experiment.loss_for(spec).name)}, {code(e.optimizer.name)}"],
        ["rows", f"{len(model.rows)}: seeds and folds, each trained on its own"],
    ]
    sections = ["## How it was trained", table(["", ""], rows)]
    try:
        return [*sections, code_block(run.command, "sh")]
    except UserError:  # the folder has no command.txt
        return sections


def _boxes(model: TrainedModel) -> list[str]:
    """The boxes that compute something when it predicts: dropout, say, does not."""
    site = Site(1, 1, training=False, template=torch.empty(0))
    names = [
        f"{node.box.name} {node.shape[0]}" if node.leaves else node.box.name
        for node in model.experiment.graph(model.spec).nodes
        if node.box and node.per_example and not node.box.is_identity(site)
    ]
    return names[:MOST_LISTED] + ["..."] * (len(names) > MOST_LISTED)


def _rows_text(model: TrainedModel, row: int | None) -> str:
    rows = model.rows_for(row)
    return f"the mean of {len(rows)} rows" if len(rows) > 1 else f"row {rows[0].number}"
