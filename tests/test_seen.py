"""Control characters, formulas and markup in untrusted files are shown as text, never acted upon."""

import csv
import io
import json
import os
import pty
import re
import unicodedata
import warnings

import numpy as np
import pytest
from test_report import a_story

from nnlab.cli import main
from nnlab.errors import Advice, UserError, nearest, one_line, shortened, visible
from nnlab.records.check_console import CheckConsole
from nnlab.records.csv_text import csv_cell
from nnlab.records.hparams import flatten
from nnlab.records.sweep_folder import SweepFolder
from nnlab.records.terminal import Terminal
from nnlab.report.figure_json import figure_tree, from_plotly, script_json
from nnlab.report.sweep_figures import figures
from nnlab.search.trial import COMPLETE, Trial

TITLE = "\x1b]0;owned\x07"
ACTING = [
    TITLE, "\x1b[2J", "\x1b[8mhidden", "\x9b2J", "\r overwritten", "\x08\x08", "\u202eesrever", "\u2066",
    "\u200b", "\ufeff", "\u2028", "\u2029", "\x00", "\x7f", "\u061c", "\U000e0041", "\udc80",
    "\x1c\x1d\x1e\x85",
]  # fmt: skip


def assert_seen(text: str) -> None:
    bad = [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not bad, (bad, text)


@pytest.mark.parametrize("acting", ACTING, ids=ascii)
def test_no_sentence_acts(acting):
    stream = io.StringIO()
    Terminal(stream).line(acting)
    Terminal(stream).title(acting)
    CheckConsole(acting, [acting], stream).close(acting)
    for text in (visible(acting), str(UserError(acting)), str(Advice(acting)), stream.getvalue()):
        assert_seen(text)
    (hparam,) = flatten({"data": {acting: acting}})
    assert_seen("".join(hparam))
    assert "\n" not in one_line(f"a\n{acting}") and visible(visible(acting)) == visible(acting)


@pytest.mark.parametrize("text", ["", "a b", "naïve \u00a0 £ ± 日本 \u0645", "a  b\tc\nd", "😀", "\\x1b"])
def test_what_is_seen_stays(text):
    assert visible(text) == text


def test_long_words_are_shortened():
    assert (
        shortened("a" * 61) == "a" * 30 + " ... " + "a" * 30 + " (61 characters)" and shortened("ab") == "ab"
    )
    assert len(nearest("x", [f"{'y' * 500}{i}" for i in range(10_000)])) < 8000


def evil_table(folder):
    """Columns and labels that set a terminal's title, clear it, hide and turn text."""
    random = np.random.default_rng(0)
    names = [f"height{TITLE}", "row\x1b[2J_id", "\u202eeman", f"class{TITLE}"]
    lines = [",".join(f'"{name}"' for name in names)]
    for i, (a, b) in enumerate(random.normal(size=(90, 2))):
        lines.append(f'{a:.3f},{i},{b:.3f},"{(f"yes{TITLE}", f"no{chr(0x9B)}2J")[int(a > b)]}"')
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    (folder / "bad.csv").write_text("\n".join([*lines[:9], f'1,2,"3{TITLE}",yes']))


COMMANDS = [
    ("train", "data.path=t.csv", "data.target=-1", "model=logistic", "epochs=2"),
    ("train", "-m", "seed=0,1", "data.path=t.csv", "data.target=-1", "epochs=2"),
    ("check", "data.path=t.csv", "data.target=-1", "only=data"),
    ("train", "data.path=bad.csv", "data.target=-1"), ("train", "data.path=t.csv", "data.target=clas"),
    ("train", "data.path=t.csv", f"data.target='{TITLE}'"),
    ("train", f"data.path='{TITLE}'", "data.target=1"),
    ("sweep", "data.path=t.csv", "data.target=-1", "trials=2", "epochs=1", "report=false"),
]  # fmt: skip


@pytest.mark.parametrize(
    "arguments", COMMANDS, ids=lambda w: " ".join(w[:3]).replace("\x1b", "").replace("\x07", "")
)
def test_nothing_from_a_file_reaches_the_screen_as_it_is(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    evil_table(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("default", Advice)
        code = main([arguments[0], "data=csv", *arguments[1:]])
    captured = capsys.readouterr()
    assert_seen(captured.out + captured.err)
    assert (
        code in (0, 1) or captured.err.count("\n") == 1 and captured.err.startswith(f"nnlab {arguments[0]}: ")
    )
    assert arguments[0] == "sweep" or "\\x1b" in captured.out + captured.err or code == 0


def test_nor_on_a_terminal(tmp_path, monkeypatch):
    """There the only commands are nnlab's own, of colour and of moving the cursor."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        Terminal(stream).title(f"title {TITLE}")
        CheckConsole(f"title {TITLE}", ["data"], stream)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert re.sub(r"\x1b\[(1m|0m|2K)", "", shown).count("\x1b") == 0 and "\\x1b]0;owned\\x07" in shown


# ---- spreadsheets

CELLS = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=HYPERLINK('http://x')", "\t=1", "\r=1", "\n=1", " =1", "\u3000=1",
    "\uff1d1", "\uff0b1+1", "\uff20a", "-relu", "=", "-inf", "'=1", "''@a",
]  # fmt: skip
NUMBERS = ["-0.5", "+3", "-1e-3", "1", "relu", "a=b", "", " ", "'a'", "'", "\u200b=1"]


@pytest.mark.parametrize("word", [*CELLS, *NUMBERS])
def test_no_cell_of_trials_csv_is_computed(word, tmp_path):
    trial = Trial(0, {word: word, "lr": -0.5}, COMPLETE, (-2.5,), (None,), 1, 1, reason=word)
    with SweepFolder(tmp_path) as folder:
        folder.write_trials([trial], [word, "lr"], ("val_loss",))
    heads, cells = csv.reader((tmp_path / "trials.csv").read_text().splitlines(keepends=True))
    expected = visible(word) if word in NUMBERS else "'" + visible(word)
    assert cells[-3:] == [expected, "-0.5", expected] and heads[-3] == expected and cells[2] == "-2.5"


def test_no_two_labels_have_one_cell():
    labels = {"'" * marks + word for word in [*CELLS, *NUMBERS] for marks in range(4)}
    assert len({csv_cell(label) for label in labels}) == len(labels)


# ---- the report

MARKUP = ["<a href='https://x'>y</a>", "<A HREF=x>y", "< a href=x>", "<b onclick=x>", "<img src=x>",
          "<br href=x>", "</a>", "<extra x>", TITLE, "<i>"]  # fmt: skip


@pytest.mark.parametrize("word", MARKUP)
def test_no_label_is_a_link(word):
    from plotly.graph_objects import Bar, Figure

    figure = Figure(
        Bar(x=[1], y=[word], name=word, text=[word], hovertemplate=f"%{{x}}<br>{word}<extra></extra>")
    )
    figure.update_layout(xaxis_title=word)
    safe = script_json(figure_tree(from_plotly(figure)))
    assert "<" not in safe
    for text in _strings(json.loads(safe)):
        assert not re.search(r"<(?!br>|extra></extra>|/extra>)", text) and TITLE not in text


def _strings(value):
    if isinstance(value, dict | list):
        for v in value.values() if isinstance(value, dict) else value:
            yield from _strings(v)
    elif isinstance(value, str):
        yield value


def test_figures_stay_what_they_are_without_markup():
    for figure in figures(a_story(), {}).values():
        tree = json.loads(script_json(figure_tree(from_plotly(figure))))
        texts = [text.replace("&lt;", "<") for text in _strings(tree)]
        theirs = _strings(json.loads(figure.to_json())["data"])
        assert {text for text in theirs if not re.match("rgb|#|Grey", text)} <= {*texts}  # but colours
