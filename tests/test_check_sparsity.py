"""The data rung counts zeros: normalisation that fills a sparse table is named, with what keeps the zeros."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

import nnlab
from nnlab.checks.sparsity import Sparsity
from nnlab.checks.subject import Subject
from nnlab.cli import main


class Counts(nnlab.Data):
    """How often each of 100 words is in a document: few words are frequent, and most are rare."""

    name = "counts"

    def read(self):
        random, y = np.random.default_rng(self.seed), np.arange(300) % 2
        x = random.poisson(2 / np.arange(1, 101) * (1 + 0.5 * (y[:, None] == np.arange(100) % 2)), (300, 100))
        return nnlab.Dataset(x.astype(float), y, ("first", "second"))


def checked(data):
    (verdict,) = nnlab.check(nnlab.Experiment(data=data), only="data")
    return verdict


@pytest.mark.parametrize("method", ["standard", "robust"])
@pytest.mark.filterwarnings("ignore::nnlab.Advice")
def test_subtracting_a_mean_is_named(method):
    verdict = checked(Counts(normalization=method))
    assert verdict.status == "warn" and verdict.causes == ["dense"]
    assert verdict.worst.found == (
        f"91% of the inputs are 0, after data.normalization={method} 0% (at least 90%)"
    )
    assert verdict.worst.advice.startswith("data.normalization=maxabs")


@pytest.mark.parametrize("method", ["maxabs", "none"])
def test_the_remedy_keeps_the_zeros(method):
    verdict = checked(Counts(normalization=method))
    assert verdict.status == "pass" and f"91% of the inputs are 0, after data.normalization={method} 91%" in (
        verdict.worst.found
    )


@pytest.mark.filterwarnings("ignore::nnlab.Advice")
@pytest.mark.parametrize("method, scaler", [
    ("standard", StandardScaler()), ("maxabs", MaxAbsScaler()), ("minmax", MinMaxScaler()),
], ids=["standard", "maxabs", "minmax"])  # fmt: skip
def test_what_is_counted_is_what_the_network_gets(method, scaler):
    sparsity = Sparsity.of(Subject(nnlab.Experiment(data=Counts(normalization=method), dtype="float64")))
    expected = scaler.fit_transform(sparsity.before)
    assert np.allclose(sparsity.after, expected, atol=1e-12)
    assert sparsity.zeros == (
        pytest.approx((sparsity.before == 0).mean()),
        pytest.approx((expected == 0).mean()),
    )


@pytest.mark.parametrize("data", [nnlab.Digits(), nnlab.Wine(), nnlab.Diabetes()], ids=lambda data: data.name)
def test_a_dense_table_is_not_spoken_of(data):
    verdict = checked(data)
    assert "inputs are 0" not in verdict.worst.found and len(verdict.details["inputs"]["before"]) == 30


class Plans(nnlab.Data):
    """A table of one category, and no number."""

    name = "plans"

    def read(self):
        x = 2.0 + np.random.default_rng(0).integers(0, 2, (60, 1))
        columns = (nnlab.Column("plan", "category", categories=("a", "b")),)
        return nnlab.Dataset(x, (x[:, 0] > 2).astype(int), ("n", "y"), columns=columns)


def test_a_table_of_categories_alone_has_nothing_to_count():
    sparsity = Sparsity.of(Subject(nnlab.Experiment(data=Plans())))
    assert sparsity.before.shape[1] == 0 and sparsity.findings == [] and sparsity.zeros == (0.0, 0.0)


@pytest.mark.filterwarnings("default::nnlab.Advice")
def test_the_command_draws_both_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["check", "only=data", "-m", "data=words", "data.most=0.2", "data.normalization=standard,maxabs"]
    assert main([*words, "hydra.run.dir=there"]) == 0
    assert capsys.readouterr().out.count("pictures           data.png") == 2
    folders = sorted((tmp_path / "there").iterdir())
    zeros = [json.loads((f / "check.json").read_text())[0]["details"]["inputs"]["zeros"] for f in folders]
    assert zeros[0][0] == zeros[1][0] == zeros[1][1] > 0.9 and zeros[0][1] < 0.05
    assert all((f / "data.png").read_bytes()[:4] == b"\x89PNG" for f in folders)
