"""The console output and pictures of `nnlab check`: layout, wrapping, and numbers of any size."""

import io

import numpy as np
import pytest
from test_picture import size_of

import nnlab
from nnlab.checks.verdict import Finding, Verdict
from nnlab.commands.check_command import RUNGS_WITH_PICTURE
from nnlab.records.check_console import LINE_WIDTH, CheckConsole
from nnlab.records.check_picture import RUNG_PICTURES

PASS = Verdict.from_findings("start", [Finding("pass", 1, 2, "loss 2.3 (limit 5)")])
WARN = Verdict.from_findings(
    "data", [Finding("warn", 1, 0, "a column is constant", "leave it out", "constant_columns")]
)
LONG = "a sentence of many words that does not fit " * 5
LITTLE = Finding("warn", 1, 0, "nothing much", "try little")
FAIL = Verdict.from_findings(
    "rates", [LITTLE, Finding("fail", 9, 1, LONG, "lower the rate " * 12, "lr_high")]
)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def shown(verdicts, stream):
    with CheckConsole("digits, mlp", [v.rung for v in verdicts], stream) as console:
        for verdict in verdicts:
            console.verdict(verdict)
        console.close("outputs/check/x")
    return stream.getvalue()


def test_a_line_for_each_rung_and_advice_below(capsys):
    text = shown([PASS, WARN], io.StringIO())
    assert text.splitlines() == [
        "digits, mlp",
        "",
        "  pass  start        loss 2.3 (limit 5)",
        "  warn  data         a column is constant",
        "                     -> leave it out",
        "",
        "  1 passed, 1 warned in 0.00 s",
        "  check folder       outputs/check/x",
    ]
    assert capsys.readouterr().out == ""


def test_the_pictures_are_named_below_the_folder():
    stream = io.StringIO()
    with CheckConsole("digits", ["start"], stream) as console:
        console.verdict(PASS)
        console.close("outputs/check/x", ["rates.png", "data.png"])
    assert stream.getvalue().splitlines()[-2:] == [
        "  check folder       outputs/check/x",
        "  pictures           rates.png, data.png",
    ]


def test_long_sentences_are_wrapped_and_the_worst_goes_first():
    lines = shown([FAIL], io.StringIO()).splitlines()
    assert all(len(line) <= LINE_WIDTH for line in lines)
    assert lines[2].startswith("  fail  rates        a sentence of many")
    assert all(line.startswith(" " * 21) for line in lines[3:8])
    text = " ".join(" ".join(lines).replace("->", "").split())
    assert " ".join(LONG.split()) in text and text.index("lower the rate") < text.index("nothing much")
    assert "1 failed in" in text


def test_colours_and_the_rung_under_way_only_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in shown([FAIL], io.StringIO())
    text = shown([PASS, FAIL], Terminal())
    assert "\x1b[31;1mfail\x1b[0m" in text and "  ...   rates\r" in text
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31" not in shown([FAIL], Terminal())


def test_letters_that_the_stream_does_not_have():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    with CheckConsole("Größe", ["data"], stream) as console:
        console.verdict(Verdict.from_findings("data", [Finding("warn", 1, 0, "column größe", "weg damit ±")]))
    assert b"column gr??e" in stream.buffer.getvalue()


# ---- pictures

LR = np.geomspace(1e-6, 1e2, 9)
END = np.array([3, 2.9, 2, 1, 0.5, 0.2, 4, np.inf, np.inf])
RATES = dict(
    lr=LR, end=END, low=END - 0.1, high=END + 0.1, start=2.9, chance=2.3, works=(1e-3, 1e-1), own=1e-2,
    edge=1.0, suggestion=0.1, steps=200,
)  # fmt: skip
CURVES = np.geomspace(2, 1e-3, 30) * np.ones((5, 1))
CURVES[3, 4:], CURVES[4] = 0.0, np.nan
SUBSET = dict(examples=50, chance=2.3, factors=(1.0, 1e-4, 1e-2, 0.1, 10.0), loss=CURVES, error=CURVES)
LOOK = {"layers": {f"hidden{n}": {"variance": 10.0**-n, "gradient": 0.0} for n in range(6)},
        "activations": {f"tanh{n}": {"stuck": 0.1 * n, "bounded": True} for n in range(5)}}  # fmt: skip
LINEAR = {"layers": {"output": {"variance": 1.0, "gradient": 0.1}}, "activations": {}}


def _compared(error, autograd):
    return {"error": error, "autograd": autograd}


EPSILONS = np.geomspace(1e-12, 1, 9)
GRADIENTS = dict(
    boxes={f"hidden{n}: dweight": _compared(10.0**-n, 0.0) for n in range(30)},
    limits=(1e-5, 1e-8), planted="hidden2", parameters={},
    epsilon=dict(epsilons=EPSILONS, float32=EPSILONS, float64=EPSILONS**2, chosen=6e-6, limit=1e-5),
)  # fmt: skip


TABLE = dict(
    normalization="standard", zeros=(0.5, 0.0), shape=(2, 300), before=[[0, 1.0]], after=[[0.0, 0.0]]
)


def test_commands_know_which_rungs_are_drawn():
    assert set(RUNG_PICTURES) == set(RUNGS_WITH_PICTURE)


@pytest.mark.parametrize("rung, details", [
    ("rates", RATES), ("rates", RATES | dict(works=None, suggestion=None, edge=np.inf)),
    ("rates", RATES | dict(end=np.full(9, np.inf), low=np.full(9, np.inf), high=np.full(9, np.inf))),
    ("subset", SUBSET), ("subset", SUBSET | dict(loss=np.full((5, 3), np.nan))),
    ("saturation", dict(start=LOOK, after=LOOK, steps=100)),
    ("saturation", dict(start=LOOK, after=LOOK, steps=100, stuck_limits=(0.3, 0.6))),
    ("saturation", dict(start=LINEAR, after=LINEAR, steps=100)),
    ("data", dict(inputs=TABLE)), ("data", dict(inputs=TABLE | dict(shape=(9, 0), before=[], after=[]))),
    ("data", dict(inputs=TABLE | dict(before=[[None, 0.0]], after=[[-1.0, 0.0]], normalization="a$_"))),
    ("gradients", GRADIENTS), ("gradients", GRADIENTS | dict(epsilon={}, boxes={}, planted=None)),
    ("gradients", GRADIENTS | dict(boxes={"a $box_": _compared(np.nan, None), "b": _compared(np.inf, 2)})),
])  # fmt: skip
def test_every_picture_is_drawn_whatever_the_numbers(rung, details):
    assert size_of(RUNG_PICTURES[rung](details, "a title with $ and _")) == (1200, 500)


def test_the_same_from_python():
    experiment = nnlab.Experiment(data=nnlab.Iris())
    (verdict,) = nnlab.check(experiment, only="start")
    assert isinstance(verdict, nnlab.Verdict) and verdict.status == "pass" and verdict.seconds > 0
    with pytest.raises(nnlab.UserError, match="did you mean 'start'"):
        nnlab.check(experiment, only="strat")
