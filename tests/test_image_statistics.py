"""One mean and scale a channel, and statistics by passes over a file, are those of the whole table."""

import numpy as np
import pytest

import nnlab
from nnlab.data import streamed_statistics
from nnlab.data.normalization import NORMALIZATIONS, statistics
from nnlab.data.streamed_statistics import streamed_center
from nnlab.data.streamed_statistics import streamed_statistics as streamed

RANDOM = np.random.default_rng(0)
TABLES = {
    "bytes": RANDOM.integers(0, 256, (300, 24), dtype=np.uint8),
    "normal": RANDOM.normal(3, 2, (300, 24)),
    "outliers": np.where(RANDOM.random((300, 24)) < 0.01, 1e6, RANDOM.normal(size=(300, 24))),
    "constant": np.broadcast_to(np.arange(24.0), (300, 24)),
    "far": 1e9 + RANDOM.normal(size=(300, 24)),
}


@pytest.mark.parametrize("method", NORMALIZATIONS)
@pytest.mark.parametrize("table", TABLES)
def test_passes_over_blocks_give_the_statistics_of_the_table(table, method, monkeypatch):
    x, examples = TABLES[table], np.sort(RANDOM.permutation(300)[:200])
    monkeypatch.setattr(streamed_statistics, "BLOCK_ELEMENTS", 24 * 7)
    for some in (None, examples):
        for found, expected in zip(streamed(x, method, 24, some), statistics(x, method, some), strict=True):
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("method", NORMALIZATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_channel_has_the_statistics_of_all_its_numbers(channels, method):
    x = TABLES["normal"] * np.repeat([1, 10, 100], 8)
    mean, scale = streamed(x, method, channels)
    width = 24 // channels
    for c in range(channels):
        pixels = slice(c * width, (c + 1) * width)
        expected = [v[0] for v in NORMALIZATIONS[method](x[:, pixels].reshape(-1, 1))]
        near = 0.05 if method == "robust" else 1e-12  # whose sample is another
        assert [mean[pixels], scale[pixels]] == [pytest.approx(np.full(width, v), rel=near) for v in expected]


@pytest.mark.parametrize("method", NORMALIZATIONS)
def test_the_center_is_near_the_values(method):
    center = streamed_center(TABLES["far"], method, 24)
    assert (center == 0).all() if method in ("none", "maxabs") else np.abs(center - 1e9).max() < 10


@pytest.mark.parametrize("method", ["standard", "minmax", "maxabs"])
def test_a_run_normalises_by_its_own_training_examples(method):
    """As flat arrays, so that predictions, evaluation and export know nothing of it."""
    digits = nnlab.Digits(normalization=method, normalization_per="channel")
    fit = nnlab.fit(nnlab.Experiment(data=digits, epochs=2, split=nnlab.KFold(k=2))).run()
    dataset, model = fit.datasets[digits], nnlab.load(fit)
    for result, row in zip(fit.results, model.rows, strict=True):
        train = dataset.x[fit.rows[result.row].fold.train]
        mean, scale = result.normalizer["mean"], result.normalizer["scale"]
        assert mean.shape == scale.shape == (64,) and np.ptp(mean) == np.ptp(scale) == 0
        expected = {
            "standard": (train.mean(), train.std()), "minmax": (train.min(), np.ptp(train)),
            "maxabs": (0, train.max()),
        }[method]  # fmt: skip
        assert (mean[0], scale[0]) == pytest.approx(expected, rel=1e-9)
        test = fit.rows[result.row].fold.test
        report = model.evaluate(dataset.x[test], dataset.y[test], row=row.number)
        assert report["accuracy"] == result.test["accuracy"]


def test_of_vectors_each_number_is_a_channel():
    data = nnlab.Arrays(RANDOM.normal(size=(20, 5)), np.arange(20) % 2, normalization_per="channel")
    assert data.statistics_groups(data.load().spec) is None


CONVOLUTION = {"conv": {"box": "convolution", "units": 2}, "out": {"box": "affine", "units": "outputs"}}


@pytest.mark.parametrize(
    ("model", "per"),
    [
        (nnlab.MLP(), "auto"),
        (nnlab.CNN(), "channel"),
        (nnlab.GraphModel(boxes=CONVOLUTION), "channel"),
        (nnlab.GraphModel(boxes={"out": CONVOLUTION["out"]}), "auto"),
    ],
)
def test_a_model_of_images_has_one_mean_a_channel_unless_the_user_says_otherwise(model, per):
    assert nnlab.Experiment(data=nnlab.Digits(), model=model).data.normalization_per == per
    said = nnlab.Digits(normalization_per="input")
    assert nnlab.Experiment(data=said, model=model).data is said
