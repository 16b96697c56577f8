"""What speed.json says: examples a second, and the bytes of the tensors of a step."""

import io

import numpy as np
import pytest
import torch
from test_train_command import run_folder

import nnlab
from nnlab.cli import main
from nnlab.runtime.tensor_bytes import tensor_bytes


class Outside:
    """Of no class of nnlab's: what it holds is not counted."""

    def __init__(self):
        self.tensor = torch.zeros(10**6)


def test_tensors_are_counted_once_wherever_they_are():
    from functools import partial
    from types import SimpleNamespace

    a, b = torch.zeros(100), torch.zeros(3, 5, dtype=torch.float64)
    holder = SimpleNamespace(view=a[20:], of=partial(print, b, key=[b.T]), call=a.add_, more=Outside())
    holder.itself = holder
    assert tensor_bytes([a, {"b": (b,)}, holder, io.StringIO()]) == 400 + 120
    assert tensor_bytes(holder, apart=(SimpleNamespace,)) == 0


def records(**settings):
    model = nnlab.MLP(hidden=(64, 64))
    fit = nnlab.fit(nnlab.Experiment(data=nnlab.Moons(n=1000), model=model, epochs=2, **settings))
    return list(fit)


def test_bytes_of_a_step_grow_with_its_batch_and_the_optimizer():
    """Activations and their gradients: of 2 hidden layers of 64 units at least their outputs."""
    by_batch = {batch: records(batch_size=batch)[-1].tensor_bytes for batch in (1, 8, 64, 128, 256)}
    assert sorted(by_batch.values()) == [*by_batch.values()]  # no chunk of many small steps is counted
    assert by_batch[256] - by_batch[128] == pytest.approx(2 * (by_batch[128] - by_batch[64]), rel=0.05)
    assert by_batch[256] - by_batch[128] >= 128 * (64 + 64 + 2) * 4
    adam, sgd = (records(optimizer=name)[0].tensor_bytes for name in ("adam", "sgd"))
    parameters = 2 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2
    assert adam - sgd >= 2 * 4 * parameters


def test_a_run_of_a_stack_has_its_share():
    (record, *_) = records(seeds=4)
    one, three = record.select(0, 1), record.select(1, 3)
    assert one.step_seconds + three.step_seconds == pytest.approx(record.step_seconds)
    assert one.tensor_bytes == record.tensor_bytes // 4


def test_speed_is_of_the_steps_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "data=moons", "epochs=3", "seeds=2"]) == 0
    run = nnlab.StoredRun(run_folder(tmp_path))
    assert 0 < run.speed["step_seconds"]
    trained = 2 * 3 * run.rows[0]["examples"]["train"]
    mean = trained / run.speed["step_seconds"]
    assert mean / 10 < run.speed["examples_per_second"] < mean * 20
    (run.path / "speed.json").write_text('{"examples_per_second": "many"}')
    with pytest.raises(nnlab.UserError, match=r"speed.json': expected numbers, by name"):
        _ = nnlab.StoredRun(run.path).speed
    (run.path / "speed.json").unlink()
    assert nnlab.StoredRun(run.path).speed == {} and np.isfinite(run.curves("lr")).all()
