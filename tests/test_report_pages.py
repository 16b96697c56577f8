"""`nnlab report`: a page for each kind of folder, on the command line and in a browser."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from in_process import outcome as nnlab

from nnlab.report.colours import DARK, LIGHT

pytestmark = pytest.mark.slow
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
OLD = Path(__file__).parent
JOBS = {  # name -> command; all are small
    "run": "train data=breast_cancer seeds=3 epochs=3 schedule=cosine show=[] histograms=2",
    "regression": "train data=diabetes epochs=2",
    "runs": "train -m data=iris epochs=2 seeds=2 model.hidden=[2],[4],[8]",
    "sweep": "sweep data=iris epochs=2 trials=12 sampler=random optimizer.lr=tag(log,interval(1e-3,1e-1)) "
    "model.activation=relu,tanh",
    "check": "check data=iris only=[start,saturation]",
}
HEADINGS = {
    "run": ["Results", "How to repeat it", "Learning curves", "Confusion matrix", "Classes", "Thresholds",
            "Calibration"],
    "regression": ["Results", "How to repeat it", "Learning curves", "Residuals"],
    "runs": ["Runs by rank", "Results by model.hidden", "Curves of the runs", "How to repeat them"],
    "sweep": ["Commands", "Optimisation history", "Parallel coordinates", "Trials",
              "Results"],
    "check": ["Verdicts"],
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each job, with its page in it."""
    top = tmp_path_factory.mktemp("jobs")
    for name, command in JOBS.items():
        code, out, err = nnlab(*command.split(), f"hydra.run.dir={top / name}", "picture=false")
        assert code == 0, (name, out, err)
    code, out, err = nnlab("report", *(top / name for name in JOBS))
    assert code == 0 and not err, err
    assert out.split() == [word for name in JOBS for word in ("report", str(top / name / "report.html"))]
    return {name: top / name for name in JOBS}


def text_of(page: Path) -> str:
    """What a page says, without its scripts."""
    page = re.sub(r"<(script|style).*?</\1>", "", page.read_text(), flags=re.DOTALL)
    return html.unescape(re.sub(r"<.*?>", " ", page))


# ---- the command


@pytest.mark.parametrize("name", JOBS)
def test_every_kind_of_folder_has_its_sections(folders, name):
    page = (folders[name] / "report.html").read_text()
    found = [html.unescape(heading) for heading in re.findall(r"<h2 .*?>(.*?)</h2>", page)]
    assert [heading for heading in found if heading in HEADINGS[name]] == HEADINGS[name]
    assert page.count('<meta name="generator"') == 1 and not re.search(r"Not drawn: \w+Error", page)
    assert len(page) < 6_000_000


def test_a_page_has_the_command_and_the_numbers_of_the_run(folders):
    text = text_of(folders["run"] / "report.html")
    summary = json.loads((folders["run"] / "summary.json").read_text())
    assert (folders["run"] / "command.txt").read_text().strip() in text
    assert f"{100 * summary['metrics']['test_accuracy']['mean']:.2f}%" in text
    words = " ".join(text.split())
    assert "schedule cosine constant" in words and "optimizer.lr 0.003" not in words


def test_a_comparison_ranks_as_the_screen_does(folders):
    names = [row["run"] for row in json.loads((folders["runs"] / "comparison.json").read_text())]
    page = (folders["runs"] / "report.html").read_text()
    assert re.findall(r"<td class=label>\d</td><td class=label>(.*?)</td>", page) == names


def test_a_page_is_written_again_and_a_file_of_somebody_else_stays(folders, tmp_path):
    run = shutil.copytree(folders["regression"], tmp_path / "run")
    assert nnlab("report", run)[0] == 0
    (run / "report.html").write_text("<!doctype html><p>mine")
    code, _, err = nnlab("report", run)
    assert code == 2 and "it stays" in err and (run / "report.html").read_text() == "<!doctype html><p>mine"
    assert nnlab("report", run, f"output={tmp_path / 'mine.html'}")[0] == 0
    code, _, err = nnlab("report", run, f"output={tmp_path / 'mine.html'}")
    assert code == 2 and "exists already" in err
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(tmp_path / "elsewhere.html")
    code, _, err = nnlab("report", run)
    assert code == 2 and "link" in err and not (tmp_path / "elsewhere.html").exists()


WRONG = [
    ([], "which run, comparison, sweep or check?"),
    (["nowhere"], "there is no folder 'nowhere'"),
    (["{run}", "to=x.html"], "did you mean output=x.html?"),
    (["{run}", "outptu=x.html"], "expected folders, or output=FILE"),
    (["{run}", "output=x.png"], "ends in .html"),
    (["{run}", "output=no/where.html"], "there is no folder"),
    (["{run}", "{regression}", "output=x.html"], "give one folder"),
    (["{run}", "output=a.html", "output=b.html"], "twice"),
    (["--port", "3"], "unknown option --port"),
    (["{run}/.."], "a folder of"),
    (["{run}/.hydra"], "is not the folder of a run, a comparison, a sweep or a check"),
    (["{run}", "nowhere"], "there is no folder 'nowhere'"),
]


@pytest.mark.parametrize("words, sentence", WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_words_are_one_sentence(words, sentence, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = (folders["run"] / "report.html").stat().st_mtime_ns
    code, out, err = nnlab("report", *(word.format(**folders) for word in words))
    assert code == 2 and not out and err.count("\n") == 1 and sentence in err, err
    assert not [*tmp_path.iterdir()] and (folders["run"] / "report.html").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "folder", ["old_runs/first", "old_runs/plain", "old_runs/rows", "old_sweep", "old_sweeps/tpe",
               "old_sweeps/cmaes", "old_choices"],
)  # fmt: skip
def test_folders_of_early_versions_have_a_page(folder, tmp_path):
    copy = shutil.copytree(OLD / folder, tmp_path / "old")
    code, _, err = nnlab("report", copy)
    assert code == 0 and not err, err
    assert not re.search(r"Not drawn", text_of(copy / "report.html"))


LOST = {
    "run": ["summary.json", "model.safetensors", "test_predictions.csv", "spec.json", "metrics.jsonl"],
    "sweep": ["best", "curves.jsonl", "trials.csv"],
    "runs": ["0_model.hidden=2", "comparison.json", "1_model.hidden=4/summary.json"],
}  # fmt: skip


@pytest.mark.parametrize("name, lost", [(name, lost) for name, files in LOST.items() for lost in files])
def test_what_a_section_lacks_is_a_sentence_and_costs_no_other(name, lost, folders, tmp_path):
    """As of a job that was interrupted, or of a folder from which something was removed."""
    copy = shutil.copytree(folders[name], tmp_path / "job")
    shutil.rmtree(copy / lost) if (copy / lost).is_dir() else (copy / lost).unlink()
    code, _, err = nnlab("report", copy)
    assert code == 0 and not err, err
    text = text_of(copy / "report.html")
    assert "Not drawn" not in text
    assert len(re.findall("Not here", text)) < len(re.findall("<h2", (copy / "report.html").read_text()))


def test_an_interrupted_run_says_so_once(folders, tmp_path):
    copy = shutil.copytree(folders["run"], tmp_path / "job")
    for name in ("summary.json", "rows.json", "model.safetensors", "test_predictions.csv"):
        (copy / name).unlink()
    assert nnlab("report", copy)[0] == 0
    text = text_of(copy / "report.html")
    assert "Run in job, interrupted" in text and "interrupted after epoch 3, or still trains" in text
    assert "Not here" not in text and "test_predictions.csv" not in text
    assert all(heading in text for heading in ("How to repeat it", "Learning curves", "The network"))
    assert not any(heading in text for heading in ("Calibration", "Misclassified", "Results"))


@pytest.mark.parametrize("seeds, said", [(1, "This run diverged"), (2, "All 2 rows of this run diverged")])
def test_a_diverged_run_says_so_once(seeds, said, tmp_path):
    words = "train data=iris optimizer=sgd optimizer.lr=1e12 epochs=2 picture=false".split()
    assert nnlab(*words, f"seeds={seeds}", f"hydra.run.dir={tmp_path / 'run'}")[0] == 1
    assert nnlab("report", tmp_path / "run")[0] == 0
    text = text_of(tmp_path / "run" / "report.html")
    assert ", diverged" in text and text.count(said) == 1
    assert "Not here" not in text and "Nothing was tested" not in text and "How to repeat it" in text


def test_the_curves_of_runs_have_the_colours_of_their_order(folders):
    (page,) = re.findall(r'id="figures">(.*?)</script>', (folders["runs"] / "report.html").read_text(), re.S)
    (names, *others) = (
        [(trace["name"], trace["line"]["color"]) for trace in figure["data"] if "name" in trace]
        for figure in json.loads(page)["figures"].values()
        if figure["layout"]["xaxis"]["title"] == {"text": "epoch"}
    )
    assert names == [(f"hidden=[{n}]", f"--series{i}") for i, n in enumerate([2, 4, 8])]
    assert others == [names]


def test_a_run_of_which_no_epoch_has_ended_says_so(folders, tmp_path):
    copy = shutil.copytree(folders["run"], tmp_path / "job")
    for name in ("summary.json", "metrics.jsonl", "model.safetensors"):
        (copy / name).unlink()
    code, _, err = nnlab("report", copy)
    assert code == 2 and "no epoch has ended; to go on with it, nnlab train resume=" in err


def test_no_text_of_a_folder_is_markup(folders, tmp_path):
    copy = shutil.copytree(folders["run"], tmp_path / "run")
    for name in ("summary.json", "spec.json", "command.txt", "config.yaml", "test_predictions.csv"):
        text = (copy / name).read_text()
        evil = json.dumps(EVIL)[1:-1] if name.endswith("json") else EVIL
        (copy / name).write_text(text.replace("malignant", evil).replace("cosine", "constant"))
    summary = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps(summary | {"title": EVIL}))
    (copy / "command.txt").write_text(f"nnlab train 'data={EVIL}'\n")
    assert nnlab("report", copy)[0] == 0
    page = (copy / "report.html").read_text()
    assert "alert(1)" in page and "<script>alert" not in page and "onerror=alert(1)>" not in page
    assert len(re.findall(r"<script[ >]", page)) == 3
    assert re.search(r"script-src '?sha256-", page) and "default-src 'none'" in page


# ---- in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def assert_readable(look: dict, width: int) -> None:
    assert look["window"] == width and look["page"] <= width, look["wide"]
    faults = {
        key: look[key] for key in ("wide", "pale", "small", "undrawn", "clipped", "unloaded") if look[key]
    }
    assert not faults, faults


@pytest.mark.parametrize("name", JOBS)
def test_a_browser_shows_it_on_any_screen(name, folders, browser):
    """Opened once: it follows when the screen turns dark, and when the window gets narrow."""
    browser.open(folders[name] / "report.html", 1280, "light")
    assert_readable(browser.look(), 1280)
    pages = {"light": LIGHT["page"], "dark": DARK["page"]}
    drawn = 1
    for width, scheme in ((1280, "dark"), (400, "dark"), (400, "light")):
        browser.resize(width)
        browser.show_in(scheme)
        browser.wait_until(f"document.querySelectorAll('.plot').length === 0 || innerWidth === {width}")
        drawn = browser.settle(drawn)
        look = browser.look()
        assert_readable(look, width)
        red, green, blue = (int(pages[scheme][i : i + 2], 16) for i in (1, 3, 5))
        assert look["background"] == f"rgb({red}, {green}, {blue})"
    assert browser.complaints == []


def test_a_browser_prints_it_on_white(folders, browser):
    browser.open(folders["run"] / "report.html", 1280, "dark")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    browser.settle(1)
    browser.show_in("dark", media="print")
    look = browser.look()
    assert not look["pale"] and not look["undrawn"] and look["background"] == "rgb(255, 255, 255)"
    browser.show_in("dark")
    assert browser.complaints == []
