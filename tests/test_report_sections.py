"""The numbers in a report's figures, beside those of scikit-learn and closed forms."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics as sk

from nnlab.metrics.classes import BINS
from nnlab.prediction.mistakes import class_numbers
from nnlab.records.stored_curves import StoredCurves
from nnlab.report.calibration import expected_calibration_error, reliability
from nnlab.report.colours import DARK, LIGHT
from nnlab.report.figure_json import figure_tree, script_json
from nnlab.report.layers import layer_table
from nnlab.report.learning_curves import _quantities, curve_traces, cut_off_note, quantity_figure, scale_of
from nnlab.report.page import Section, render_page
from nnlab.report.parts import Image, PlotlyFigure, Preformatted, Table, Text
from nnlab.report.pixels import png_of
from nnlab.report.repetition import changed_settings
from nnlab.report.run_sections import is_untested
from nnlab.report.shown_pictures import pictures_of
from nnlab.report.thinning import spread_indices
from nnlab.report.two_classes import counts_by_threshold

EVIL = "</script><script>alert(1)</script>"


def scores(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    score = random.uniform(size=200)
    is_positive = random.uniform(size=200) < score
    return (np.round(score, 1) if ties else score), is_positive


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_curves_of_two_classes_are_scikit_learns(seed, ties):
    score, is_positive = scores(seed, ties)
    thresholds, tp, fp = counts_by_threshold(score, is_positive)
    false_rate, recall, their_thresholds = sk.roc_curve(is_positive, score, drop_intermediate=False)
    assert np.allclose(tp / tp[-1], recall) and np.allclose(fp / fp[-1], false_rate)
    assert np.array_equal(thresholds[1:], their_thresholds[1:])
    assert np.trapezoid(recall, false_rate) == pytest.approx(sk.roc_auc_score(is_positive, score))
    precision = tp[1:] / (tp + fp)[1:]
    average = np.sum(np.diff(tp / tp[-1]) * precision)
    assert average == pytest.approx(sk.average_precision_score(is_positive, score))


def test_the_reliability_diagram_has_the_counts_of_its_bins():
    random = np.random.default_rng(0)
    confidence = np.concatenate([random.uniform(size=500), [0.0, 1.0, 1 / BINS, 2 / BINS]])
    is_correct = random.uniform(size=len(confidence)) < confidence
    counts, means, accuracies = reliability(confidence, is_correct)
    edges = np.linspace(0, 1, BINS + 1)
    for b in range(BINS):  # open below, but for the first
        inside = (confidence > edges[b]) & (confidence <= edges[b + 1]) | (b == 0) & (confidence == 0)
        assert counts[b] == inside.sum()
        assert means[b] == pytest.approx(confidence[inside].mean())
        assert accuracies[b] == pytest.approx(is_correct[inside].mean())
    error = expected_calibration_error(counts, means, accuracies)
    assert error == pytest.approx(np.sum(counts / counts.sum() * np.abs(accuracies - means)))


def test_bins_without_examples_count_nothing():
    counts, means, accuracies = reliability(np.array([0.99, 0.98]), np.array([True, False]))
    assert counts.sum() == 2 and np.isnan(means).sum() == BINS - 1
    assert expected_calibration_error(counts, means, accuracies) == pytest.approx(0.985 - 0.5)


@pytest.mark.parametrize("labels, classes, expected", [
    (np.array(["b", "a", ""]), ["a", "b"], [1, 0, -1]),
    (np.array([1, 0]), ["0", "1"], [1, 0]),
    (np.array([1, 2]), ["01", "2.0"], [0, 1]),
    (np.array([1.5, np.nan]), ["1.5", "2"], [0, -1]),
])  # fmt: skip
def test_labels_that_look_like_numbers_are_known_again(labels, classes, expected):
    assert class_numbers(labels, tuple(classes)).tolist() == expected


# ---- curves


def test_the_band_of_a_curve_is_of_its_rows_and_leaves_out_what_is_not_finite():
    values = np.random.default_rng(0).uniform(size=(30, 5))
    values[0, 3:], values[1, 2] = np.nan, np.inf
    low, high, mean = curve_traces(np.arange(1, 6), values, "loss", 0)
    finite = [column[np.isfinite(column)] for column in values.T]
    assert np.allclose(mean["y"], [column.mean() for column in finite])
    assert np.allclose(low["y"], [np.quantile(column, 0.1) for column in finite])
    assert np.allclose(high["y"], [np.quantile(column, 0.9) for column in finite])


@pytest.mark.parametrize("rows, traces", [(1, 1), (3, 6), (10, 13), (11, 3)])
def test_few_rows_have_a_line_each(rows, traces):
    assert len(curve_traces(np.arange(1, 5), np.ones((rows, 4)), "loss", 0)) == traces


def test_an_error_is_in_percent_where_it_is_a_share():
    curves = {"val_error": np.array([[0.5, 0.25]])}
    epochs = np.array([1, 2])
    shown = quantity_figure("error", curves, epochs, "classification")
    assert shown.data[-1]["y"].tolist() == [50, 25] and "%" in shown.layout["yaxis"]["title"]
    assert quantity_figure("error", curves, epochs, "regression").data[-1]["y"].tolist() == [0.5, 0.25]


def test_parameters_share_a_figure_by_their_array():
    names = ["theta/h.weight[0,0]", "val_loss", "theta/h.weight[0,1]", "theta/h.bias[0]", "train_loss", "lr"]
    assert _quantities(names) == {
        "loss": ["val_loss", "train_loss"],
        "theta/h.weight": ["theta/h.weight[0,0]", "theta/h.weight[0,1]"],
        "theta/h.bias": ["theta/h.bias[0]"],
        "lr": ["lr"],
    }
    curves = {name: np.array([[1.0, 2.0], [3.0, 4.0]]) for name in names[:3:2]}
    figure = quantity_figure("theta/h.weight", curves, np.array([1, 2]), "classification")
    assert [(trace["name"], trace["y"].tolist()) for trace in figure.data] == [
        ("[0,0]", [2, 3]),
        ("[0,1]", [2, 3]),
    ]
    assert figure.layout["yaxis"]["title"] == "h.weight"


@pytest.mark.parametrize("values, kind, ticks, top", [
    ([1.0, 2.0], None, None, None), ([0.0, 100.0], None, None, None), ([np.nan], None, None, None),
    ([0.1, 10.0, np.nan], "log", "D2", None), ([1e-4, 1.0], "log", 1, None), ([1e-7, 1.0], "log", 1, None),
    ([1e-7, 1.0, 1.0, 1e200], "log", 2, 100), ([1e-300, 1e-300, 1e300], "log", "D2", 1e-298),
])  # fmt: skip
def test_an_axis_has_few_ticks_and_leaves_out_what_exploded(values, kind, ticks, top):
    axis = scale_of(np.array(values))
    assert axis.get("type") == kind and axis.get("dtick") == ticks
    assert (cut_off_note(axis) == "") == (top is None)
    assert top is None or axis["range"][1] == pytest.approx(np.log10(top))


@pytest.mark.parametrize("value", [0.05, -3.0, 1e-9, 4e7])
def test_the_axis_of_a_constant_is_around_it(value):
    noise = 1 + 1e-7 * np.sin(np.arange(50))  # as of an effective step in float32
    low, high = scale_of(value * noise)["range"]
    assert low < value < high and high - low < abs(value)
    assert not cut_off_note({"range": [low, high]})


@pytest.mark.parametrize("values", [[1.0, 1000.0], [-1.0, 1000.0], [0.5, 0.6]])
def test_the_axis_of_parameters_is_linear(values):
    curves = {f"theta/w[{n}]": np.array([[value, value / 2]]) for n, value in enumerate(values)}
    figure = quantity_figure("theta/w", curves, np.array([1, 2]), "regression")
    assert "type" not in figure.layout["yaxis"]


def test_a_single_layer_is_a_line_of_a_table():
    table = layer_table({"logits": {"gradient": 0.125, "variance": None, "weights": 2.0}})
    assert table.rows == [["logits", "0.125", "", "2"]] and len(table.headings) == 4


def test_marks_are_where_the_rate_was_lowered():
    rate = np.array([[0.4, 0.2, 0.1]])
    marks = {"lr_lowered": np.array([[True, True, False]]), "went_back": np.array([[False, True, False]])}
    figure = quantity_figure("lr", {"lr": rate}, np.array([1, 5, 9]), "classification", marks=marks)
    marked = {trace["name"]: (trace["x"].tolist(), trace["y"].tolist()) for trace in figure.data[1:]}
    assert marked == {"lowered": ([1], [0.4]), "lowered, gone back": ([5], [0.2])}


@pytest.mark.parametrize("epochs, most", [(1, 4), (4, 4), (5, 4), (1000, 400), (7, 2), (401, 400)])
@pytest.mark.parametrize("refit", [False, True])
def test_thinned_curves_are_those_of_some_epochs(epochs, most, refit, tmp_path):
    """The first and the last among them, evenly spread; row 1 ends before row 0."""
    lines = [
        {"epoch": epoch, "row": row, **({"refit": True} if refit else {}), "val_loss": epoch + row / 2}
        for epoch in range(1, epochs + 1)
        for row in (1, 0)
        if row == 0 or epoch <= max(1, epochs // 2)
    ]
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 99999')
    thin, whole = StoredCurves(file, most), StoredCurves(file)
    kept = thin.epochs(refit)
    assert np.array_equal(
        thin.curve("val_loss", refit), whole.curve("val_loss", refit)[:, kept - 1], equal_nan=True
    )
    assert kept[0] == 1 and kept[-1] == epochs and len(kept) <= most + 1
    assert len(set(np.diff(kept)[:-1])) <= 1 and (epochs > most or len(kept) == epochs)


def test_spread_indices_have_the_first_and_the_last():
    for count, most in ((0, 10), (10, 10), (11, 10), (10**6, 400)):
        spread = spread_indices(count, most)
        assert len(spread) == min(count, most) and (not count or spread[0] == 0 and spread[-1] == count - 1)


# ---- settings


def test_only_what_differs_from_the_defaults_of_the_choices_is_listed():
    settings = {
        "epochs": 7, "batch_size": 64, "picture": True,
        "optimizer": {"name": "sgd", "lr": 0.1, "clip_norm": 1.0},
        "schedule": {"name": "constant"},
        "regularizer": {"l2": 0.3, "l1": 0.5},  # the default of l2 depends on the optimiser
        "unknown": {"name": "x"},
    }  # fmt: skip
    assert changed_settings(settings) == [
        ["epochs", "7", "50"], ["optimizer", "sgd", "adam"], ["optimizer.clip_norm", "1.0", "inf"],
        ["regularizer.l1", "0.5", "0.0"],
    ]  # fmt: skip


# ---- the page


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_curves_are_seen_on_the_page(colours):
    """As WCAG 2.2 has it: 4.5 for text, 3 for what is drawn."""
    for name in ("ink", "muted", "link"):
        assert contrast(colours[name], colours["page"]) >= 4.5
    for name in colours:
        if name.startswith("series") or name in ("good", "bad"):
            assert contrast(colours[name], colours["page"]) >= 3, name
    assert contrast(colours["ink"], colours["panel"]) >= 4.5 and LIGHT.keys() == DARK.keys()


def test_every_part_is_escaped():
    figure = PlotlyFigure([{"x": [EVIL], "y": np.array([1.0]), "name": EVIL}], {"title": EVIL}, EVIL, EVIL)
    parts = [
        Text(EVIL),
        Preformatted(EVIL),
        Table([EVIL], [[EVIL]], note=EVIL),
        figure,
        Image(b"", EVIL, EVIL),
    ]
    page = render_page(EVIL, [Section(EVIL, parts, EVIL), Section(EVIL)])
    assert EVIL not in page and "<script>alert" not in page and page.count("&lt;script&gt;") > 8
    assert page.count('id="script-script-alert-1-script"') == 1  # and the other has a number
    assert 'id="script-script-alert-1-script-2"' in page


def test_a_page_without_figures_has_no_script():
    page = render_page("title", [Section("words", [Text("text")])])
    assert "<script" not in page and "script-src 'none'" in page and len(page) < 10_000


def test_a_figure_has_few_digits_and_no_nan():
    values = np.array([np.pi * 1e-9, -np.pi * 1e9, np.nan, np.inf, 0.0, 1e308])
    tree = figure_tree(PlotlyFigure([{"y": values, "x": np.arange(3), "z": values.reshape(2, 3)}]))
    (trace,) = json.loads(script_json(tree))["data"]
    assert trace["y"][:2] == [3.1416e-9, -3.1416e9] and trace["y"][2:5] == [None, None, 0.0]
    assert trace["y"][5] == pytest.approx(1e308, rel=1e-4) and trace["x"] == [0, 1, 2]
    assert np.array(trace["z"], float).shape == (2, 3)


# ---- pictures


@pytest.mark.parametrize("settings, heading", [
    ({"show": "dots", "caption": "look"}, "Pictures"),
    ({"show": ["dots"] * 3, "caption": "look"}, "Pictures"),
    ({"show": [], "caption": "look"}, "What to look at"),
    ({"show": []}, None),
])  # fmt: skip
def test_pictures_and_captions_of_all_forms(settings, heading, tmp_path):
    (tmp_path / "dots.png").write_bytes(png_of(np.zeros((2, 2), np.uint8)))
    section = pictures_of(tmp_path, [SimpleNamespace(settings=settings)])
    if heading is None:
        assert section is None
        return
    assert section.heading == heading and section.body[0] == Text("look") and not section.note
    assert len(section.body) == 1 + (heading == "Pictures")


def test_runs_that_ask_for_other_pictures_show_all(tmp_path):
    for name in ("dots", "lines"):
        (tmp_path / f"{name}.png").write_bytes(png_of(np.zeros((2, 2), np.uint8)))
    section = pictures_of(
        tmp_path, [SimpleNamespace(settings={"show": show}) for show in ("dots", ["lines"])]
    )
    assert [image.label for image in section.body] == ["picture dots", "picture lines"]


@pytest.mark.parametrize("summary, untested", [
    ({"metrics": {"val_loss": {}}}, True),
    ({"metrics": {}}, True),
    ({"metrics": {"test_loss": {}}}, False),
    ({"metrics": 3}, False),
    ({}, False),
])  # fmt: skip
def test_untested_runs_are_known(summary, untested):
    assert is_untested(SimpleNamespace(summary=summary)) == untested
