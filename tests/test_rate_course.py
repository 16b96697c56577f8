"""The learning rate in records, on the screen, in summary.json and in curves.png: where it was lowered, where
a row went back, and where it has become too small to change anything."""

import io

import numpy as np
import pytest
from test_records import a_record

import nnlab
from nnlab.records.console import Console
from nnlab.records.curves import Curves
from nnlab.records.picture import draw, events
from nnlab.records.rate_course import RateCourse
from nnlab.records.rate_text import idle_note, rate_lines
from nnlab.schedules import SCHEDULES

LISTENERS = sorted(name for name, schedule in SCHEDULES.items() if schedule().listens)
SENSITIVE = {  # so that they act within a few epochs
    "halve_on_rise": {"tolerance": 0.0, "stop_below": 0.0},
    "halve_and_go_back": {"tolerance": 0.0, "stop_below": 0.0},
    "reduce_on_plateau": {"patience": 0, "factor": 0.3},
}


def trained(name, **settings):
    experiment = nnlab.Experiment(
        data=nnlab.Moons(n=80), optimizer=nnlab.SGD(lr=3.0), schedule=SCHEDULES[name](**settings),
        epochs=12, seeds=3, batch_size=16,
    )  # fmt: skip
    return nnlab.fit(experiment).run()


@pytest.mark.parametrize("name", LISTENERS)
def test_records_say_where_the_rate_was_lowered(name):
    run = trained(name, **SENSITIVE[name])
    lr, lowered = run.curves("lr"), run.curves("lr_lowered")
    assert 0 < np.nanmean(lowered) < 1
    fell = lr[:, 1:] < lr[:, :-1]
    assert np.array_equal(lowered[:, :-1] == 1, fell)
    if name == "halve_and_go_back":
        assert np.array_equal(run.curves("went_back")[:, :-1], lowered[:, :-1], equal_nan=True)
    else:
        assert "went_back" not in run.history


@pytest.mark.parametrize("name", LISTENERS)
def test_a_warm_up_is_no_event(name):
    with_warmup = trained(name, **SENSITIVE[name], warmup=12.0)
    lr, lowered = with_warmup.curves("lr"), with_warmup.curves("lr_lowered")
    warmed = lr / np.arange(1, 13)  # the factor rises in a line
    assert np.array_equal(lowered[:, :-1] == 1, warmed[:, 1:] < 0.999 * warmed[:, :-1])


@pytest.mark.filterwarnings("ignore:schedule.milestones")  # later than these few epochs
@pytest.mark.parametrize("name", sorted(SCHEDULES.keys() - set(LISTENERS)))
def test_other_schedules_record_no_events(name):
    run = nnlab.fit(nnlab.Experiment(data=nnlab.Moons(n=60), schedule=name, epochs=2)).run()
    assert not {"lr_lowered", "went_back"} & run.history.keys()
    varies = len(np.unique(run.curves("lr"))) > 1
    assert run.experiments[0].schedule.varies >= varies


def course(lr, loss, lowered=(), back=(), rows=1):
    """Of `rows` equal rows, from their rates and losses by epoch."""
    rates = RateCourse(rows)
    for epoch, (rate, value) in enumerate(zip(lr, loss, strict=True), 1):
        metrics = {"lr": rate, "val_loss": value, "lr_lowered": epoch in lowered, "went_back": epoch in back}
        metrics = {key: np.full(rows, float(number)) for key, number in metrics.items()}
        rates.record(a_record(epoch, range(rows), **metrics))
    return {"learning_rate": rates.summary("A REMEDY")} | {"rows": {"total": rows}}


def text(summary):
    return " ".join(" ".join(rate_lines(summary, 19)).split())


def test_a_constant_rate_is_not_mentioned():
    summary = course([0.1] * 9, [1.0] * 9)
    assert summary["learning_rate"] == {} and rate_lines(summary, 19) == [] and idle_note(summary) == ""


def test_a_rate_may_become_zero():
    rates = [5e-324, 5e-324, 0.0, 0.0, 0.0]
    summary = course([1.0, *rates], [1.0] * 6, lowered=range(1, 7))
    assert summary["learning_rate"]["last"]["median"] == 0 and "fell to 0, 0 of the largest" in idle_note(
        summary
    )


def test_the_screen_says_where_it_was_halved_and_went_back():
    lr = [0.4, 0.4, 0.2, 0.2, 0.1]
    assert text(course(lr, range(5, 0, -1), [2, 4])) == "learning rate 0.4 to 0.1 halved after epochs 2 and 4"
    assert text(course(lr, range(5, 0, -1), [2, 4], [2, 4])).endswith("2 and 4, going back each time")
    assert text(course(lr, range(5, 0, -1), [2, 4], [2, 4, 5])).endswith("2, 4 and 5, going back each time")
    assert text(course(lr, range(5, 0, -1), [2, 4], [4])).endswith("2 and 4 went back after epoch 4")
    tenths = course([0.4, 0.04], [2, 1], [1])
    assert text(tenths) == "learning rate 0.4 to 0.04 lowered after epoch 1"
    assert text(course(lr, range(5, 0, -1), [2, 4], rows=3)) == "learning rate 0.4 to 0.1 halved 2 times"
    many = course(0.5 ** np.arange(12), range(12, 0, -1), range(1, 12))
    assert text(many).endswith("halved after epochs 1, 2, 3, 4, 5, 6, 7, ..., 11 (11 times)")
    cycle = course([0.01, 0.1, 0.001], [3, 2, 1])
    assert text(cycle) == "learning rate 0.01, then up to 0.1, at last 0.001"


@pytest.mark.parametrize(
    "lr, loss, idle",
    [
        (0.5 ** np.arange(20), [1 / epoch for epoch in range(1, 9)] + [0.12] * 12, 11),
        (0.5 ** np.arange(20), 1 / np.arange(1.0, 21), None),  # small, but the loss falls
        ([0.5] * 20, [1.0] * 20, None),  # the loss stays, but the rate is not small
        ([1.0] * 17 + [1e-4] * 3, [1.0] * 20, None),  # only the last epochs
        (0.1 ** np.arange(20), [1.0] * 8 + [np.nan] + [1.0] * 11, 10),
    ],
)
def test_a_rate_too_small_to_change_anything(lr, loss, idle):
    summary = course(lr, loss)
    note = idle_note(summary)
    assert (f"nothing changed in the last {idle} epochs: " in note and "A REMEDY" in note) == bool(idle)
    ended = summary | {"stopped_by": {"schedule=halve_on_rise, whose rate became too small": 1}}
    assert idle_note(ended) == ""


@pytest.mark.parametrize("rows", [1, 4, 20_000])
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("metric", ["", "val_balanced_accuracy"])
@pytest.mark.parametrize("rate", [False, True])
def test_lines_of_progress_fit_a_terminal(rows, task, metric, rate):
    stream = io.StringIO()
    further = {"val_roc_auc": 0.9, "hidden1": 1.5, "a curve of a very very long name": 1.0, metric: 0.8}
    with Console("t", rows, 2, task, stream, metric=metric, rate=rate) as console:
        for epoch in (1, 2):
            values = {"lr": 1.234567e-05, "train_error": 0.5, "val_error": 0.4} | further
            record = a_record(epoch, range(rows), **{n: [v] * rows for n, v in values.items() if n})
            console.record(record)
    header, *lines = stream.getvalue().splitlines()[1:]
    assert len(lines) == 2 and {len(header)} == {*map(len, lines)} and len(header) <= 80
    assert ("rate" in header and "1.235e-05" in lines[0]) == rate
    assert ("ROC AUC" in header) == (rows == 1 or not rate)


def test_few_epochs_have_a_line_each():
    stream = io.StringIO()
    with Console("t", 1, 20, stream=stream) as console:
        for epoch in range(1, 21):
            console.record(a_record(epoch, [0]))
    assert len(stream.getvalue().splitlines()) == 2 + 20


def test_events_are_marked_in_the_picture():
    def curves(*names, rows=1):
        of_run = Curves(rows)
        for epoch in range(1, 13):
            happened = {name: np.full(rows, float(epoch % 4 == 0)) for name in names}
            of_run.record(a_record(epoch, range(rows), lr=np.full(rows, 0.5 ** (epoch // 4)), **happened))
        return of_run

    none, lowered, back = curves(), curves("lr_lowered"), curves("lr_lowered", "went_back")
    assert [*events(none)] == [] and [*events(lowered)] == ["lr_lowered"] and [*events(back)] == ["went_back"]
    pictures = {draw(each, "t", "classification") for each in (none, lowered, back)}
    assert len(pictures) == 3
