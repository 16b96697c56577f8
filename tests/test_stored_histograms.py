"""Histograms by epoch, read back from event files, also from those that are damaged, odd or a stranger's."""

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.types_pb2 import DT_FLOAT

import nnlab
from nnlab import UserError
from nnlab.cli import main
from nnlab.records import stored_histograms
from nnlab.records.epoch_histograms import EpochHistograms
from nnlab.records.events import EventFile, tfrecord
from nnlab.records.stored_histograms import read_histograms

VALUES = np.random.default_rng(0).normal(size=(3, 1000)).cumsum(0)
TAGS = "parameters/hidden1.weight", "activations/relu1"


@pytest.fixture
def folder(tmp_path):
    """Three epochs of two histograms each, among scalars and a text."""
    file = EventFile(tmp_path)
    for epoch, values in enumerate(VALUES, start=1):
        file.scalars(epoch, {"loss/train": 1.0})
        file.text("note", "<b>")
        file.histograms(
            epoch, {tag: np.histogram(values * sign, 30) for tag, sign in zip(TAGS, (1, -1), strict=True)}
        )
        file.histograms(epoch, {"other/tag": np.histogram(values, 3)})
    file.close()
    return tmp_path


def content_of(folder):
    (file,) = folder.iterdir()
    return file, file.read_bytes()


def test_what_was_written_is_read(folder):
    read = read_histograms(folder)
    assert set(read) == {*TAGS}
    for tag, sign in zip(TAGS, (1, -1), strict=True):
        assert read[tag].epochs.tolist() == [1, 2, 3]
        for k, values in enumerate(VALUES):
            counts, edges = np.histogram(values * sign, 30)
            np.testing.assert_array_equal(read[tag].counts[k], counts)
            np.testing.assert_array_equal(read[tag].edges[k], edges)


def test_quantiles_and_shares_are_those_of_the_values(folder):
    histograms, bin_width = read_histograms(folder)[TAGS[0]], np.ptp(VALUES, axis=1) / 30
    shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    assert (abs(histograms.quantiles(shares) - np.quantile(VALUES, shares, axis=1)) < bin_width).all()
    limits = np.linspace(VALUES.min(), VALUES.max(), 10)
    between = histograms.shares_between(limits)
    exact = np.stack([np.histogram(values, limits)[0] / len(values) for values in VALUES], axis=1)
    np.testing.assert_allclose(between, exact, atol=0.05)
    np.testing.assert_allclose(between.sum(0), 1)


def test_an_epoch_without_a_finite_value_has_no_quantiles():
    empty = EpochHistograms(np.array([1]), np.zeros((1, 2)), np.array([[0.0, 0.5, 1.0]]))
    assert np.isnan(empty.quantiles([0.5])).all() and not empty.shares_between(np.linspace(0, 1, 4)).any()


def test_of_many_epochs_some_are_read(tmp_path):
    file = EventFile(tmp_path)
    for epoch in range(1, 201):
        file.histograms(epoch, {TAGS[0]: ([epoch], [0, 1])})
    file.close()
    read = read_histograms(tmp_path)[TAGS[0]]
    assert len(read.epochs) == stored_histograms.EPOCHS_READ and {*read.epochs[[0, -1]]} == {1, 200}
    np.testing.assert_array_equal(read.counts[:, 0], read.epochs)


def test_of_an_epoch_that_is_there_twice_the_later_one_counts(folder):
    file, _ = content_of(folder)
    later = EventFile(folder)
    later.histograms(2, {TAGS[0]: ([7], [0, 1])})
    later.close()
    later.path.rename(file.with_name("events.out.tfevents.9999999999.later"))
    with pytest.raises(UserError, match="more bins in one epoch than in another"):
        read_histograms(folder)
    file.unlink()
    assert read_histograms(folder)[TAGS[0]].counts.tolist() == [[7]]


def test_a_half_record_at_the_end_is_skipped(folder):
    file, content = content_of(folder)
    for cut in (1, 5, 100, len(content) // 2, len(content) - 3):
        file.write_bytes(content[:-cut])
        assert all(len(h.epochs) <= 3 for h in read_histograms(folder).values())
    file.write_bytes(b"")
    assert read_histograms(folder) == {}


def test_no_damaged_byte_goes_unseen_and_none_is_an_accident(folder):
    """Whatever byte is another: what is read is as it was, or one sentence says where the damage is. (A
    record that no longer says that it is a histogram is none.)"""
    file, content = content_of(folder)
    whole, damaged = read_histograms(folder), 0
    for place in range(0, len(content), 41):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :])
        try:
            read = read_histograms(folder)
        except UserError as e:
            damaged += 1
            assert str(file) in str(e) and "is damaged: at byte" in str(e)
        else:
            for tag, histograms in read.items():
                places = np.searchsorted(whole[tag].epochs, histograms.epochs)
                np.testing.assert_array_equal(histograms.counts, whole[tag].counts[places])
                np.testing.assert_array_equal(histograms.edges, whole[tag].edges[places])
    assert damaged > 50


def replaced(**changes):
    """A file with one histogram of other content."""
    event = Event(step=1)
    value = event.summary.value.add(tag=TAGS[0])
    value.metadata.plugin_data.plugin_name = "histograms"
    tensor = {"dtype": 2, "double_val": [0, 1, 5], "shape": [1, 3]} | changes
    value.tensor.dtype = tensor["dtype"]
    value.tensor.double_val.extend(tensor["double_val"])
    for size in tensor["shape"]:
        value.tensor.tensor_shape.dim.add(size=size)
    return tfrecord(event.SerializeToString())


@pytest.mark.parametrize("changes, sentence", [
    (dict(dtype=DT_FLOAT), "is not a histogram of 1 to 1,000 bins"),
    (dict(double_val=[0, 1]), "is not a histogram"),
    (dict(double_val=[], shape=[0, 3]), "is not a histogram"),
    (dict(shape=[10**9, 3]), "is not a histogram"),
    (dict(double_val=[0, 1, 5] * 1001, shape=[1001, 3]), "is not a histogram"),
    (dict(double_val=[0, np.nan, 5]), "not numbers from 0"),
    (dict(double_val=[0, 1, -1]), "not numbers from 0"),
    (dict(double_val=[1, 1, 5]), "do not follow one another"),
    (dict(double_val=[0, 1, 5, 2, 3, 5], shape=[2, 3]), "do not follow one another"),
])  # fmt: skip
def test_odd_histograms_are_refused(tmp_path, changes, sentence):
    file = tmp_path / "events.out.tfevents.1"
    file.write_bytes(replaced())
    assert read_histograms(tmp_path)[TAGS[0]].counts.tolist() == [[5]]
    file.write_bytes(replaced(**changes))
    with pytest.raises(UserError, match=sentence):
        read_histograms(tmp_path)


def test_what_is_too_large_or_elsewhere_is_refused(folder, tmp_path, monkeypatch):
    file, content = content_of(folder)
    long = (2**40).to_bytes(8, "little")
    file.write_bytes(long + stored_histograms.masked_checksum(long).to_bytes(4, "little") + content)
    with pytest.raises(UserError, match="is damaged: at byte 0"):
        read_histograms(folder)
    file.write_bytes(content)
    monkeypatch.setattr(stored_histograms, "MOST_FILE_BYTES", 1000)
    with pytest.raises(UserError, match="allowed are 1,000"):
        read_histograms(folder)
    file.rename(folder / "elsewhere")
    file.symlink_to(folder / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        read_histograms(folder)


def run(folder, *words):
    moons = "data=moons", "data.n=100", "histograms=1", "picture=false", "model.hidden=[8]"
    assert main(["train", *moons, *words, f"hydra.run.dir={folder}"]) == 0
    return nnlab.StoredRun(folder)


def test_the_histograms_of_a_run_end_with_its_weights(tmp_path):
    """Those of the last epoch are of the weights that the run has learnt."""
    stored = run(tmp_path / "run", "epochs=3", "metric=last")
    weights, histograms = stored.weights[0], stored.histograms()
    assert stored.rows[0]["best_epoch"] == 3
    for name, array in weights.items():
        of_epochs = histograms[f"parameters/{name}"]
        assert of_epochs.epochs.tolist() == [1, 2, 3]
        np.testing.assert_array_equal(of_epochs.counts[-1], np.histogram(array, 30)[0])
    assert {"activations/hidden1", "activations/relu1", "activations/output"} <= set(histograms)


def test_rows_have_histograms_of_their_own(tmp_path):
    stored = run(tmp_path / "run", "epochs=1", "seeds=22")
    first, second = (stored.histograms(row)["parameters/hidden1.weight"] for row in (0, 1))
    assert (first.edges != second.edges).any()
    with pytest.raises(UserError, match="of the rows 0 to 19"):
        stored.histograms(20)
    folder = next((stored.path / "rows").iterdir())
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    row = int(folder.name.removeprefix("seed"))
    with pytest.raises(UserError, match="behind a link"):
        nnlab.StoredRun(stored.path).histograms(row)
