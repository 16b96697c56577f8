"""The picture `masks`: dropout's masks are those of training, in both passes."""

import numpy as np
import pytest

from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.cli import main
from nnlab.data.batches import training_order
from nnlab.experiment import Row
from nnlab.pictures import picture
from nnlab.pictures.base import shown_runs
from nnlab.pictures.dropout_passes import shown_passes
from nnlab.pictures.last_training import last_training
from nnlab.pictures.masks import as_image

JOBS = {
    "digits": ["data=digits", "data.limit=150", "model.hidden=[12]", "regularizer.dropout=0.5",
               "regularizer.input_dropout=0.2", "epochs=4"],
    "cnn": ["data=digits", "data.limit=150", "model=cnn", "model.blocks=[3,pool]", "model.hidden=[7]",
            "regularizer.dropout=0.3", "epochs=2", "regularizer.shift=1"],
    "weights": ["data=iris", "model.hidden=[9,6]", "regularizer.dropconnect=0.4", "epochs=3", "seeds=2"],
    "table": ["data=iris", "model.hidden=[8,8]", "regularizer.dropout=0.25", "model.normalization=batch",
              "epochs=1", "batch_size=7"],
    "refit": ["data=iris", "model.hidden=[8]", "regularizer.dropout=0.25", "epochs=3", "refit=true"],
}  # fmt: skip


@pytest.fixture(scope="module", params=JOBS)
def trained(request, tmp_path_factory):
    """The passes of a run; and (class, mask) of every forward pass of a box of dropout in its training."""
    drawn, folder = [], tmp_path_factory.mktemp(request.param) / "run"

    def spied(box, ctx, x, fprop=Dropout.fprop):
        y = fprop(box, ctx, x)
        drawn.append((type(box), ctx.mask[0].double().numpy().copy()))
        return y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dropout, "fprop", spied)
        assert main(["train", *JOBS[request.param], "show=[masks]", f"hydra.run.dir={folder}"]) == 0
        in_training = list(drawn)  # and, behind these, what the picture drew itself
    (run,) = shown_runs({"": folder})
    return run, shown_passes(run), in_training


def test_the_masks_are_those_that_training_drew(trained):
    run, passes, drawn = trained
    e, (fold, _) = run.stored.experiment, last_training(run, 0)
    row, first_row = (Row(e, passes.seed, f) for f in (fold, run.fold(0)))
    example, boxes = int(row.fold.train[0]), len(passes.boxes)
    drawn = drawn[first_row.steps * e.epochs * boxes * e.refit :]  # without those before a refit
    for line, epoch in enumerate(passes.drawn):
        position = training_order(row, epoch).tolist().index(example)
        step, place = divmod(position, row.batch)
        first = ((epoch - 1) * row.steps + step) * boxes
        for box, (kind, mask) in zip(passes.boxes, drawn[first : first + boxes], strict=True):
            expected = mask if kind is DropConnect else mask[..., place]
            assert box.passes[line].mask.tolist() == expected.tolist()


def test_both_passes_have_the_same_mask_and_its_mean_is_1(trained):
    _, passes, _ = trained
    for box in passes.boxes:
        *draws, mean, test = box.passes
        assert len(draws) == len(passes.drawn)
        kept = 1 / (1 - box.p)
        for value in draws:
            assert np.isin(value.mask, np.array([0, kept], np.float32).astype(float)).all()
            np.testing.assert_allclose(value.y, value.x * value.mask, rtol=1e-6)
            assert (value.dy is None) == (box.kind == "inputs")
            if value.dy is not None:
                np.testing.assert_allclose(value.dx, value.dy * value.mask, rtol=1e-6)
                assert (value.dx[value.mask == 0] == 0).all() and value.dy.any()
        spread = np.sqrt(box.p / (1 - box.p) / mean.mask.size / passes.epochs)
        assert abs(mean.mask.mean() - 1) < 5 * spread
        assert (test.mask == 1).all() and (test.x == test.y).all() and test.dy is None


def test_the_test_pass_is_the_trained_network(trained):
    """Its last masked value, through the layers behind it, is what `nnlab.load` predicts with."""
    run, passes, _ = trained
    box = passes.boxes[-1]
    if box.kind != "units":
        weights = run.stored.weights[0][f"{box.name}.weight"]
        return np.testing.assert_array_equal(box.passes[-1].y, weights.astype(float))
    W, b = (run.stored.weights[0][f"output.{name}"].astype(float) for name in ("weight", "bias"))
    example = run.dataset.x[last_training(run, 0)[0].train[:1]]
    outputs = run.model.outputs(example, row=0)[0]
    np.testing.assert_allclose(W @ box.passes[-1].y + b[:, 0], outputs, rtol=1e-4, atol=1e-5)


def test_values_are_drawn_whatever_their_shape(trained):
    run, passes, _ = trained
    assert (run.stored.path / "masks.png").read_bytes().startswith(b"\x89PNG")
    for box in passes.boxes:
        image = as_image(box.passes[0].mask, box)
        assert image.ndim == 2 and np.isfinite(image).sum() == box.passes[0].mask.size


def test_at_most_three_runs_are_drawn_below_each_other(tmp_path):
    job = ["data=iris", "model.hidden=[5]", "regularizer.dropconnect=0.4", "epochs=1", "show=[masks]"]
    assert main(["train", *job, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    (run,) = shown_runs({"": tmp_path / "run"})
    one, four = (tmp_path / "run" / "masks.png").read_bytes(), picture("masks").draw([run] * 4)
    heights = [int.from_bytes(png[20:24]) for png in (one, four)]
    assert int.from_bytes(one[16:20]) == 1200 and 2.5 * heights[0] < heights[1] < 3 * heights[0]


def test_a_job_that_drops_nothing_is_refused_before_training(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["train", "data=iris", "show=[masks]", f"hydra.run.dir={folder}"]) == 2
    said = capsys.readouterr().err
    assert "show = 'masks'" in said and "dropout = 0" in said and not folder.exists()
