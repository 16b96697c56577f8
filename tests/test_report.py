"""The report of a sweep: report.html, its trials in TensorBoard, its study in optuna-dashboard."""

import html
import json
import math
import os
import re
import shutil
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from searches import IRIS, journal_trials, sweep, sweep_json, trials_csv

from nnlab.experiment import Experiment
from nnlab.records.graph_nodes import shown_graph
from nnlab.records.sweep_tensorboard import ALL_TRIALS, BEST_TRIALS
from nnlab.records.text import format_number, format_percent, metric_label
from nnlab.report.renderer import ReportData, ReportRenderer
from nnlab.report.sweep_figures import _decades, figures
from nnlab.report.sweep_page import write_report
from nnlab.search.domains import Choice, Interval
from nnlab.search.optuna_conversion import to_distribution
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial

LR, L2 = "optimizer.lr=tag(log,interval(1e-4,1e-1))", "regularizer.l2=interval(0,0.01)"
EVIL = "</script><script>alert(1)</script>"
HEADINGS = [
    "Commands",
    "Optimisation history", "Learning curves of the best trials", "Parallel coordinates", "Slices",
    "Importance of the parameters", "The network of the best trial",
    "Trials",
]  # fmt: skip
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.parametrize("offset, kind", [(0.0, "log"), (100.0, None)])
def test_trials_that_differ_much_are_on_a_logarithmic_axis(offset, kind):
    story = a_story()
    trials = [replace(t, values=tuple(v + offset for v in t.values)) for t in story.trials]
    drawn = figures(replace(story, trials=trials), {})
    for heading in ("Optimisation history", "Slices"):
        assert drawn[heading].layout.yaxis.type == kind


def a_story(trials=12, signs=(1,), objectives=("val_loss",)) -> ReportData:
    """Trials of two parameters, one with labels that nobody should give; some pruned, some failed."""
    space = Space({"lr": Interval(0.1, 1.0), "word": Choice(("plain", EVIL, "<b>&amp;"))})
    states = {5: FAILED, 6: PRUNED}
    stories = []
    for n in range(trials):
        params = {"lr": 0.1 + n / 300, "word": space.domains["word"].labels[n % 3]}
        state, values = states.get(n, COMPLETE), tuple((n - 4.0) ** 2 + 1 + i for i in range(len(signs)))
        if state == FAILED:
            stories.append(Trial(n, params, state, reason=f"diverged {EVIL}"))
        else:
            spread = (None,) * len(values)
            stories.append(Trial(n, params, state, values, spread, 1, 3, intermediate_values={3: values[0]}))
    distributions = {key: to_distribution(domain) for key, domain in space.domains.items()}
    curves = {n: {"val_loss": [3.0, 2.0, 1.0 + n]} for n in range(trials)}
    experiment = Experiment(data="iris")
    network = shown_graph(experiment, experiment.load().spec, title=f"network {EVIL}")
    return ReportData(
        f"title {EVIL}", [f"nnlab sweep 'a={EVIL}'"], stories, distributions, signs, objectives, curves,
        network=network,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, a_story())
    return path


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return sweep(
        tmp_path_factory.mktemp("sweep") / "s", *IRIS, LR, L2, "model.activation=relu,tanh", "pruner=halving",
        "trials=45", "report=true", "sampler=random",
    )  # fmt: skip


# ---- report.html


def test_the_page_has_every_heading(page, swept):
    for file in (page, swept / "report.html"):
        text = file.read_text()
        assert re.findall(r"<h2 .*?>(.*?)</h2>", text) == HEADINGS
    ours = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert sweep_json(swept)["best"]["command"] in html.unescape(ours)
    for row in trials_csv(swept):
        assert f"<td class=label>{row['trial']}</td><td class=label>{row['state']}</td>" in ours


def test_nothing_is_loaded_from_anywhere(page):
    text = page.read_text()
    assert not re.search(r"<(script|link|img|iframe|object|embed)[^>]*\b(src|href)\s*=", text)
    assert "@import" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"\b(?:src|href)\s*=\s*[\"']?https?:", text.split("<script>")[0])


def test_no_label_breaks_out(page):
    text = page.read_text()
    assert "</script><script>alert" not in text and "alert(1)" in text
    assert text.count("<script>") == 2 and text.count("</script>") == 3  # and one of data
    assert "<b>&amp;" not in text.replace("&lt;b&gt;&amp;amp;", "").split("<script>")[0]


def test_importances_are_optunas(swept):
    import optuna

    importances = sweep_json(swept)["importances"]
    assert set(importances) == {"optimizer.lr", "regularizer.l2", "model.activation"}
    assert sum(importances.values()) == pytest.approx(1) and all(
        0 <= share <= 1 for share in importances.values()
    )
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(swept / "study.journal"))
    )
    study = optuna.load_study(study_name=sweep_json(swept)["study"], storage=storage)
    assert importances == pytest.approx(optuna.importance.get_param_importances(study))


def a_search(f, signs=(1,), others=(), keys=("a", "b"), trials=40) -> ReportData:
    """Random trials of which the first objective is f(a, b), and others are drawn beside it."""
    random, beside = np.random.default_rng(0), np.random.default_rng(1)
    space = Space({key: Interval(0.0, 1.0) for key in keys} | {"word": Choice(("u", "v"))})
    searches = []
    for n in range(trials):
        params = {**{key: float(random.uniform()) for key in keys}, "word": "uv"[random.integers(2)]}
        values = (f(params), *(float(beside.uniform()) for _ in others))
        searches.append(
            Trial(
                n, params, COMPLETE, values, (None,) * len(values), 1, 1, intermediate_values={1: values[0]}
            )
        )
    distributions = {key: to_distribution(domain) for key, domain in space.domains.items()}
    return ReportData("", [], searches, distributions, signs, ("val_loss", *others), {})


SLOPES = {  # what the first objective is
    "linear": lambda p: p["a"] + p["b"] / 10,
    "a bowl": lambda p: (p["a"] - 0.4) ** 2 + p["b"] / 3,
    "not finite in places": lambda p: math.inf if p["a"] > 0.9 else -math.inf if p["b"] > 0.9 else p["a"],
}


@pytest.mark.parametrize("f", SLOPES.values(), ids=SLOPES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("others", [("x",), ("x", "y")], ids=len)
def test_the_first_of_several_objectives_is_drawn_as_it_is_alone(f, sign, others):
    alone = a_search(f, (sign,))
    beside = a_search(f, (sign, *(-1 for _ in others)), others)
    importances = write_report(None, alone)
    assert write_report(None, beside) == importances and sum(importances.values()) == pytest.approx(1)
    ours, theirs = (figures(story, importances) for story in (alone, beside))
    assert theirs.pop("Pareto front") and list(ours) == list(theirs)
    whose = "Learning curves of the best trials"  # of the front, where there is one
    assert all(ours[name].to_json() == theirs[name].to_json() for name in ours if name != whose)


@pytest.mark.parametrize("others", [(), ("x",)])
def test_maximising_has_the_importances_of_minimising_the_negative(others):
    """Of a steep valley beside a wide plain, where the ends of the objective say different things."""
    signs = (1,) * len(others)
    down = write_report(
        None, a_search(lambda p: p["a"] if p["a"] < 0.3 else 0.3 + p["b"], (1, *signs), others)
    )
    up = write_report(
        None, a_search(lambda p: -p["a"] if p["a"] < 0.3 else -0.3 - p["b"], (-1, *signs), others)
    )
    wrong = write_report(
        None, a_search(lambda p: p["a"] if p["a"] < 0.3 else 0.3 + p["b"], (-1, *signs), others)
    )
    assert down == up != wrong


def test_what_gave_the_same_everywhere_or_hardly_anything_has_no_importance():
    assert (
        write_report(None, a_search(lambda p: 0.5))
        == write_report(None, a_search(lambda p: p["a"], trials=9))
        == {}
    )
    assert set(write_report(None, a_search(lambda p: p["a"], keys=("a",), trials=10))) == {"a", "word"}


def test_drawn_apart_or_here_it_is_the_same(tmp_path):
    story, pages = a_story(), []
    for name in ("here", "apart"):
        renderer = ReportRenderer(in_subprocess=name == "apart")
        renderer.submit(tmp_path / name, story)
        pages.append(renderer.result())
    assert pages[0] == pages[1] and set(pages[0][0]) == {"lr", "word"} and not pages[0][1]
    assert (tmp_path / "here").read_bytes() == (tmp_path / "apart").read_bytes()


@pytest.mark.parametrize("in_subprocess", [True, False])
def test_a_renderer_that_fails_says_so(tmp_path, in_subprocess):
    with ReportRenderer(in_subprocess) as renderer:
        renderer.submit(tmp_path / "no such folder" / "report.html", a_story())
        importances, why = renderer.result()
    assert importances == {} and "report.html was not drawn" in why and "No such file" in why


def test_a_renderer_that_was_killed_costs_the_report_and_nothing_else(tmp_path):
    with ReportRenderer() as renderer:
        os.kill(renderer._process.pid, signal.SIGKILL)
        renderer._process.join()
        renderer.submit(tmp_path / "report.html", a_story())
        assert renderer.result() == ({}, "report.html was not drawn: its process was killed")


@pytest.mark.parametrize("trials", [0, 1, 2, 250])
def test_few_and_many_trials(trials, tmp_path):
    write_report(tmp_path / "r.html", a_story(trials))
    text = (tmp_path / "r.html").read_text()
    rows = re.findall(r"<tr>", text.split("<script>")[0])
    assert len(rows) == 1 + min(trials, 200) and ("and 50 more, in trials.csv" in text) == (trials == 250)


def test_a_front_is_drawn(tmp_path):
    write_report(tmp_path / "r.html", a_story(signs=(1, -1), objectives=("val_loss", "parameters")))
    assert re.findall(r"<h2 .*?>(.*?)</h2>", (tmp_path / "r.html").read_text())[1] == "Pareto front"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("which", ["story", "sweep"])
def test_a_browser_draws_it(which, page, swept, tmp_path):
    file = page if which == "story" else swept / "report.html"
    line = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=15000",
            "--dump-dom", f"file://{file}"]  # fmt: skip
    process = subprocess.run(line, capture_output=True, text=True, timeout=120)
    dom = process.stdout
    figures = re.findall(r'id="figure(\d+)"', dom)
    # Others of the headings are of commands, of the network, an SVG, and of the table of trials.
    assert len(figures) == len(HEADINGS) - 3, process.stderr[-2000:]
    for part in re.split(r'<div class="plot js-plotly-plot"', dom)[1:]:  # what plotly made of each figure
        drawn = part.split("<h2")[0]
        assert 'class="main-svg"' in drawn and drawn.count("<path") > 2


# ---- TensorBoard


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def hparams(scalars) -> dict:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = scalars.PluginTagToContent("hparams")
    read = {tag: HParamsPluginData.FromString(text) for tag, text in content.items()}
    start = read["_hparams_/session_start_info"].session_start_info.hparams
    names = {info.name for info in read["_hparams_/experiment"].experiment.hparam_infos}
    assert set(start) <= names
    kinds = {"number_value", "string_value", "bool_value"}
    assert all(value.WhichOneof("kind") in kinds for value in start.values())
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in start.items()}, read


def test_up_to_64_trials_are_all_there(swept):
    trials, rows = swept / "trials", trials_csv(swept)
    assert {f.name for f in trials.iterdir()} == {"summary"} | {f"{n:02d}" for n in range(45)}
    for row, op in zip(rows, journal_trials(swept), strict=True):
        scalars = events(trials / f"{int(row['trial']):02d}")
        params, read = hparams(scalars)
        labels = {"model.activation": ("relu", "tanh")}
        settings = {k: labels[k][v] if k in labels else v for k, v in op["params"].items()}
        assert params == pytest.approx(settings) and "_hparams_/session_end_info" in read
        tags = scalars.Tags()["scalars"]
        assert "best/validation_loss" in tags
        objective = scalars.Scalars("best/validation_loss")[0]
        assert objective.value == pytest.approx(float(row["val_loss"])) and objective.step == int(
            row["epochs"]
        )
        losses = [tag for tag in tags if tag.startswith("loss")]
        assert {len(scalars.Scalars(tag)) for tag in losses} == {int(row["epochs"])}


def test_the_summary_has_the_best_so_far(swept):
    scalars = events(swept / "trials" / "summary")
    values = [float(row["val_loss"]) for row in trials_csv(swept)]
    assert [e.value for e in scalars.Scalars("sweep/objective")] == pytest.approx(values)
    so_far = [min(values[: n + 1]) for n in range(45)]
    assert [e.value for e in scalars.Scalars("sweep/best")] == pytest.approx(so_far)


def test_above_64_the_best_20_and_a_summary(tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, LR, "trials=70", "sampler=random", "epochs=1")
    assert (ALL_TRIALS, BEST_TRIALS) == (64, 20)
    ranked = sorted((float(row["val_loss"]), int(row["trial"])) for row in trials_csv(folder))
    names = {f.name for f in (folder / "trials").iterdir()}
    assert names == {"summary"} | {f"{n:02d}" for _, n in ranked[:20]}
    assert len(events(folder / "trials" / "summary").Scalars("sweep/objective")) == 70


# ---- optuna-dashboard


@pytest.mark.parametrize("where", ["journal", "sqlite"])
def test_optuna_dashboard_opens_the_study(where, tmp_path, swept):
    dashboard = pytest.importorskip("optuna_dashboard")
    from wsgiref.util import setup_testing_defaults

    import optuna

    if where == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(swept / "study.journal"))
        storage, count, folder = optuna.storages.JournalStorage(backend), 45, swept
    else:
        url, count = f"sqlite:///{tmp_path}/sweeps.db", 6
        folder = sweep(tmp_path / "s", *IRIS, LR, L2, "trials=6", f"storage={url}")
        storage = optuna.storages.RDBStorage(url)
    app, status = dashboard.wsgi(storage), []

    def get(path):
        environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET"}
        setup_testing_defaults(environ)
        body = b"".join(app(environ, lambda said, headers, *_: status.append(said)))
        assert status[-1] == "200 OK", (path, status, body[:500])
        return json.loads(body)

    studies = get("/api/studies")["study_summaries"]
    assert [s["study_name"] for s in studies] == [sweep_json(folder)["study"]]
    detail = get(f"/api/studies/{studies[0]['study_id']}")
    assert len(detail["trials"]) == count
    values = [t["values"][0] for t in detail["trials"]]
    assert values == [float(row["val_loss"]) for row in trials_csv(folder)]


def test_the_page_says_what_the_winner_gives_on_the_test_set(swept):
    """And names each metric in one way."""
    text = html.unescape(
        re.sub(r"<script>.*?</script>", "", (swept / "report.html").read_text(), flags=re.DOTALL)
    )
    summary = json.loads((swept / "best" / "summary.json").read_text())
    for name in ("val_loss", "test_loss"):
        label = metric_label(name, "classification")
        assert re.search(
            rf"^{label} +{re.escape(format_number(summary['metrics'][name]['mean']))}", text, re.MULTILINE
        )
    assert f"{format_percent(summary['metrics']['test_accuracy']['mean'])}" in text
    sentence = text.replace("objective=val_loss", "")
    assert (
        "val_loss" not in sentence
        and "val loss" not in sentence
        and "for the least validation loss" in sentence
    )


@pytest.mark.parametrize("values, ticks", [
    ([0.0003, 0.03], [0.001, 0.01]), ([1e-6, 0.5], [1e-6, 1e-4, 1e-2]), ([0.002, 0.008], [0.002, 0.008]),
    ([5.0], [5.0]), ([], []),
])  # fmt: skip
def test_ticks_of_a_logarithmic_axis(values, ticks):
    assert _decades(values) == pytest.approx(ticks)
