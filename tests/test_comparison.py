"""The table that `nnlab train -m` prints: the best run, and the metric by which it is the best."""

import io
import json
import re

import pytest

from nnlab.cli import main
from nnlab.records import comparison_data, comparison_table


def a_summary(loss, error=0.1, diverged=0, rows=10, **about):
    task = about.get("task", "classification")
    test = "test_accuracy" if task == "classification" else "test_rmse"
    names = {"val_loss": loss, "val_error": error, test: 0.5}
    interval = {"std": 0.1, "n": rows - diverged}
    metrics = {k: {"mean": v, "low": v - 0.1, "high": v + 0.1, **interval} for k, v in names.items()}
    counts = {"total": rows, "finished": rows - diverged, "stopped": 0, "diverged": diverged}
    intervals = {"test": {"method": "student"}, "validation": {"method": "student"}}
    usual = {
        "task": task,
        "data": "digits",
        "loss_is": "cross entropy",
        "intervals": intervals,
        "unit": "seed",
    }
    return usual | about | {"rows": counts, "metrics": metrics if diverged < rows else {}}


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """What `compare` prints of these summaries, and the runs in the order of comparison.json."""
    axes = []
    monkeypatch.setattr(
        comparison_data,
        "draw_comparison",
        lambda runs, found: axes.append((list(runs), comparison_data.axis_label(found))) or b"png",
    )

    def compare(**summaries):
        for name, summary in summaries.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "summary.json").write_text(json.dumps(summary))
        stream = io.StringIO()
        comparison_table.compare({name: tmp_path / name for name in summaries}, stream=stream)
        rows = json.loads((tmp_path / "comparison.json").read_text())
        return stream.getvalue(), [row["run"] for row in rows], axes[-1]

    return compare


def test_diverged_rows_count_against_a_run(compared):
    """A mean over survivors is no rank: of more of them, then of fewer, then of none."""
    table, order, (drawn, _) = compared(
        none=a_summary(9.0, diverged=10), few=a_summary(0.1, diverged=9), one=a_summary(0.2, diverged=1),
        good=a_summary(0.5), worse=a_summary(0.6), another=a_summary(0.1, diverged=1),
        half=a_summary(0.0, 0, 1, 2),
    )  # fmt: skip
    assert order == ["good", "worse", "another", "one", "half", "few", "none"]
    after = {name: table.partition(f"  {name}")[2].split("\n") for name in ("few (", "one (", "good")}
    assert "0.1000*" in "".join(after["few ("][:2]) and "*" in "".join(after["one ("][:2])
    assert "*" not in "".join(after["good"][:2])
    assert "*: mean over the rows that did not diverge" in table
    assert "the best first: fewest diverged, then least validation loss" in table
    assert (
        "few" in drawn
        and "few (9 of 10 diverged)" in table
        and "±" in table
        and "95% interval over 10 seeds" in table
    )


def test_without_diverged_rows_none_are_spoken_of(compared):
    table, order, _ = compared(b=a_summary(0.5), a=a_summary(0.4))
    assert order == ["a", "b"] and "\n  the best first: least validation loss\n" in table
    assert "*" not in table


def test_each_data_set_is_ranked_by_itself_and_in_its_own_unit(compared):
    diabetes = {
        "task": "regression",
        "data": "diabetes",
        "loss_is": "squared error of the standardised target",
    }
    table, order, (_, axis) = compared(
        d2=a_summary(0.3, 65.3, **diabetes), c2=a_summary(0.9, 0.2), d1=a_summary(0.2, 50.1, **diabetes),
        c1=a_summary(0.8, 0.03),
    )  # fmt: skip
    assert order == ["d1", "d2", "c1", "c2"] and "of each data set the best first" in table
    assert "of different data" in axis
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert "3.00%" in lines["c1"] and "50.1000 ±" in lines["d1"]
    assert not any("%" in lines[run] for run in ("d1", "d2"))
    for head in ("validation error", "validation RMSE", "test accuracy", "test RMSE"):
        assert head in table


def test_losses_that_differ_in_kind_are_not_compared(compared):
    table, order, _ = compared(
        squared=a_summary(0.02, 0.2, loss_is="squared error"), entropy=a_summary(0.3, 0.1)
    )
    assert order == ["entropy", "squared"]
    assert "least validation error (their losses differ in kind)" in table


def test_the_picture_has_all_runs(compared):
    """Of nine widths the worst was left out, without a word."""
    _, order, (drawn, axis) = compared(**{f"r{i}": a_summary(i) for i in range(30)})
    assert drawn == order and len(drawn) == 30 and axis == "validation loss"


def test_folders_of_earlier_versions_are_read(compared):
    """They say neither the task, nor the data, nor how intervals were made."""
    old = [a_summary(0.4, task="regression"), a_summary(0.3, task="regression", diverged=2)]
    for summary in old:
        for key in ("task", "data", "loss_is", "intervals"):
            del summary[key]
    table, order, _ = compared(a=old[0], b=old[1])
    assert (
        order == ["a", "b"] and "validation RMSE" in table and "mean ± 95% interval over 10 seeds\n" in table
    )


@pytest.mark.parametrize("runs, luck", [
    (("split.seed=0", "split.seed=1"), "differs: the order is luck; for the mean split.repeats=10"),
    (("seed=0", "seed=1"), "seeds=10"),
    (("seed=0 lr=1", "seed=1 lr=1"), "only seed differs"),
    (("seed=0 lr=1", "seed=0 lr=2"), ""),
    (("seed=0 lr=1", "seed=1 lr=2"), ""),
])  # fmt: skip
def test_the_luckiest_of_several_seeds_is_not_the_best(runs, luck, compared):
    table, *_ = compared(**{run: a_summary(i) for i, run in enumerate(runs)})
    assert ("the order is luck" in table) == bool(luck) and luck in table


def test_runs_of_two_tasks_through_the_command_line(tmp_path, monkeypatch, capsys):
    """An RMSE of 65 was once printed as 6526.84%, and means of nats and squared units as one loss."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "data=diabetes,iris", "epochs=2", "seeds=2", "hydra.sweep.dir=m"]) == 0
    stdout = capsys.readouterr().out
    progress = [line.split() for line in stdout.splitlines() if re.fullmatch(r" +\d+% .* s", line)]
    assert progress and all(line[2:4] == ["of", "2"] and len(line) == 6 for line in progress)
    lines = stdout.splitlines()
    diabetes, iris = (next(s for s in lines if f"data={d} " in s) for d in ("diabetes", "iris"))
    assert "%" not in diabetes and iris.count("%") == 4
    rows = json.loads((tmp_path / "m" / "comparison.json").read_text())
    assert [row["loss_is"] for row in rows] == ["squared error of the standardised target", "cross entropy"]
    assert f"{rows[0]['metrics']['val_error']['mean']:.4f} ±" in diabetes


def test_a_table_of_trials_says_what_its_spread_is_and_who_is_not_in_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = [
        "data=diabetes",
        "epochs=2",
        "optimizer=sgd",
        "optimizer.lr=choice(0.01,1e30)",
        "sampler=grid",
    ]
    assert main(["sweep", *overrides, "seeds=2", "objective=val_error", "hydra.run.dir=s"]) == 0
    stdout = capsys.readouterr().out
    assert "validation RMSE" in stdout and "± the standard deviation over a trial's 2 rows" in stdout
    assert "not ranked: 1 trial of which a row diverged" in stdout
    page = (tmp_path / "s" / "report.html").read_text()
    assert "<th>validation RMSE</th>" in page and "± is the standard deviation over a trial" in page


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, kept to be looked at."""
    from nnlab.records import check_picture, comparison_picture, picture

    drawn_figures = []
    for module in (check_picture, comparison_picture):
        monkeypatch.setattr(
            module, "render_png", lambda figure: drawn_figures.append(figure) or picture.render_png(figure)
        )
    return drawn_figures


def runs_on_disk(folder, values: dict[str, list[float]], rows=2, diverged=0):
    """Runs whose validation losses are these, in each of their rows; {name: folder}, {name: summary}."""
    folders = {name: folder / str(n) for n, name in enumerate(values)}
    for name, place in folders.items():
        place.mkdir()
        lines = [
            {"epoch": epoch, "row": row, "val_loss": value + 0.01 * row}
            for epoch, value in enumerate(values[name], start=1)
            for row in range(rows)
        ]
        (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folders, {name: a_summary(v[-1], diverged=diverged) for name, v in values.items()}


@pytest.mark.parametrize("count", [1, 8, 9, 30])
def test_every_run_is_drawn_whatever_their_number(count, tmp_path, figures):
    values = {f"model.hidden=[{n + 1}]": [1.0, 0.9 - 0.01 * n] for n in range(count)}
    png = comparison_data.draw_comparison(*runs_on_disk(tmp_path, values))
    assert png[:4] == b"\x89PNG" and png[16:24] == (1200).to_bytes(4, "big") + (500).to_bytes(4, "big")
    (figure,) = figures
    axes, *others = figure.axes
    assert len(axes.lines) == count and bool(others) == (count >= 3)
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert len(named) == min(count, 20)
    table = " ".join(text.get_text() for text in figure.texts)
    assert "mean of the rows" in table and ("shade: 10% to 90%" in table) == (count <= 8)
    assert (f"{count - 20} more" in table) == (count > 20)
    if others:  # the result against the width
        (line,) = others[0].lines
        assert (
            line.get_xdata().tolist() == list(range(1, count + 1))
            and others[0].get_xlabel() == "model.hidden"
        )
        assert line.get_ydata() == pytest.approx([v[-1] for v in values.values()])


def test_equal_curves_do_not_hide_each_other(tmp_path, figures):
    comparison_data.draw_comparison(
        *runs_on_disk(tmp_path, {"init=a": [1, 0.5], "init=b": [1, 0.5], "init=c": [1, 0.6]})
    )
    dashes = [line._unscaled_dash_pattern for line in figures[0].axes[0].lines]
    assert dashes[2] == (0, None) and dashes[0][1] == dashes[1][1] and dashes[0][0] != dashes[1][0]


def test_how_many_diverged_is_read_behind_any_name(tmp_path, figures):
    names = {f"data.path={'x' * 90}{n}.csv": [1, 0.5 + n] for n in range(2)}
    comparison_data.draw_comparison(*runs_on_disk(tmp_path, names, diverged=3))
    texts = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert len(set(texts)) == 2 and all(
        text.endswith("(3 of 10 diverged)") and "..." in text for text in texts
    )


def test_a_varied_number_has_a_line_for_each_of_the_others(tmp_path, figures):
    values = {f"optimizer.lr={lr} optimizer={o}": [1, lr] for lr in (0.001, 0.01, 1) for o in ("sgd", "adam")}
    comparison_data.draw_comparison(*runs_on_disk(tmp_path, values))
    _, panel = figures[0].axes
    assert panel.get_xscale() == "log" and [len(line.get_xdata()) for line in panel.lines] == [3, 3]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["optimizer=sgd", "optimizer=adam"]


def _layers(values, stuck):
    return {
        "layers": {f"hidden{n}": {"variance": v, "gradient": v} for n, v in enumerate(values)},
        "activations": {f"relu{n}": {"stuck": s} for n, s in enumerate(stuck)},
    }


@pytest.mark.parametrize("values", [[1.0, 0.1], [10.0**-n for n in range(13)], [1.0, 0.0, 1e-8], [0.0, 0.0]])
def test_saturation_shows_every_layer_and_nothing_lies_on_anything(values, figures):
    """Twelve layers: the title lay on the legend, tick labels on each other, and zeros were not there."""
    from nnlab.records import check_picture

    look = _layers(values, [0.5] * len(values))
    title = "digits (1797 x 64, 10 classes), mlp " + "-".join(["64"] * 14) + ", adam"
    check_picture.saturation({"start": look, "after": look, "steps": 100}, title)
    (figure,) = figures
    renderer = figure.canvas.get_renderer()
    above = figure.texts[0].get_window_extent(renderer)
    legend = figure.legends[0].get_window_extent(renderer)
    assert not above.overlaps(legend)
    for axes in figure.axes:
        line = axes.lines[0]
        low, high = axes.get_ylim()
        assert len(line.get_ydata()) == len(values) and all(low <= y <= high for y in line.get_ydata())
        assert not axes.title.get_window_extent(renderer).overlaps(legend)
        assert len(axes.get_xticks()) <= 7


def test_only_this_jobs_own_curve_of_the_subset_is_black(figures):
    from nnlab.records import check_picture

    factors = [1, 10, 0.33, 0.1, 0.033, 0.01, 1e-3, 1e-4, 3]
    loss = [[1.0, 0.5 + 0.01 * n] for n in range(len(factors))]
    check_picture.subset({"examples": 50, "loss": loss, "factors": factors, "chance": 2.3}, "digits")
    curves = [line for line in figures[0].axes[0].lines if line.get_label() != "limit"]
    looks = [(line.get_color(), line.get_linestyle()) for line in curves]
    assert len(curves) == len(factors) == len(set(looks))
    black = [line.get_label() for line in curves if line.get_color() in ("#222222", "#000000", "black")]
    assert black == ["this job's rate"]
