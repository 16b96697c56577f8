"""MNIST-1D is the published data set, number by number."""

import numpy as np
import pytest

import nnlab
from nnlab.data.mnist1d import standard_outlines

SETTINGS = {
    "as published": {},
    "another seed": {"n": 200, "seed": 7},
    "without noise": {"n": 100, "corr_noise_scale": 0.0, "iid_noise_scale": 0.0, "shear_scale": 0.0},
    "shuffled": {"n": 100, "shuffle_seq": True, "train_split": 0.5},
    "long": {"n": 50, "final_seq_length": 100, "padding": (3, 20), "max_translation": 5, "scale_coeff": 0.9},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_the_published_data_set(name):
    reference = pytest.importorskip("mnist1d.data", reason="pip install mnist1d")
    settings = SETTINGS[name]
    arguments = reference.get_dataset_args()
    vars(arguments).update({"num_samples" if key == "n" else key: v for key, v in settings.items()})
    state = np.random.get_state()[1].copy()
    dataset = nnlab.Mnist1d(**settings).load()
    assert np.array_equal(np.random.get_state()[1], state)  # no global generator was touched
    expected = reference.make_dataset(arguments)
    train = len(expected["x"])
    assert np.array_equal(dataset.test, np.arange(train, len(dataset.x)))
    for values, parts in ((dataset.x, ("x", "x_test")), (dataset.y, ("y", "y_test"))):
        assert np.array_equal(values, np.concatenate([expected[part] for part in parts]))
    assert np.array_equal(standard_outlines(), expected["templates"]["x"])
    assert dataset.spec.shape == (1, dataset.x.shape[1])


def test_a_whole_data_set_is_standardised_and_balanced():
    dataset = nnlab.Mnist1d().load()
    assert dataset.x.shape == (5000, 40) and len(dataset.test) == 1000
    assert (dataset.x.mean(), dataset.x.std()) == pytest.approx((0, 1))
    assert np.bincount(dataset.y).tolist() == [500] * 10


@pytest.mark.parametrize("settings, words", [
    (dict(n=4995), "data.n = 4995: each of ten digits has as many examples; take 4990 or 5000"),
    (dict(padding=(5, 3)), r"data.padding = \[5, 3\]: expected the fewest zeros, then the most"),
    (dict(n=20, train_split=0.01), "leaves no example to train, or none to test"),
])  # fmt: skip
def test_wrong_settings_are_one_sentence(settings, words):
    with pytest.raises(nnlab.UserError, match=words):
        nnlab.Mnist1d(**settings).load()
