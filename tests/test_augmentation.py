"""Augmentation: what each box does to an image, by its distribution; and in jobs, of images and of none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import one_thread  # noqa: F401
from scipy import stats

import nnlab
from nnlab.autodiff.augmentation import Cutout, Noise, RandomFlip, RandomShift
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.input_augmentation import augmentation_boxes
from nnlab.autodiff.operators import TorchOperators
from nnlab.experiment import stack_graph
from nnlab.prediction.portable import PortableModel
from nnlab.regularizers import AUGMENTATIONS, REGULARIZERS
from nnlab.streams import uniforms
from nnlab.testing import numeric
from nnlab.testing.rows import trained

COUNT = 10_000
DIGITS = nnlab.Experiment(
    data=nnlab.Digits(limit=300), model=nnlab.MLP(hidden=(8,)), epochs=2, batch_size=32, threads=1
)
STRONG = {"shift": 2, "flip": 0.5, "cutout": 3, "input_noise": 0.4}


def changed(box, image: torch.Tensor, strength: float, count=COUNT) -> torch.Tensor:
    """(count, H, W): what becomes of an image, with the uniform numbers of a stream."""
    with_strength = numeric.LARGEST_RATES | {box.strength: strength}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numeric, "LARGEST_RATES", with_strength)
        b = numeric.bind(box, [(1, *image.shape)], 1, count)
    b.ctx.uniforms = uniforms((1, *b.ctx.noise_shape), image, 0, "test")
    x = image[None, None, :, :, None].expand(1, 1, -1, -1, count)
    return b.fprop(x)[0, 0].movedim(-1, 0).clone()


def test_every_shift_is_as_likely_and_repeats_the_edge():
    image = torch.arange(20.0, dtype=torch.float64).view(4, 5)
    padded = np.pad(image.numpy(), 2, mode="edge")
    moved = {(i, j): padded[2 - i : 6 - i, 2 - j : 7 - j] for i in range(-2, 3) for j in range(-2, 3)}
    images, counts = np.unique(changed(RandomShift(), image, 2).numpy(), axis=0, return_counts=True)
    assert {image.tobytes() for image in images} == {m.tobytes() for m in moved.values()}
    assert len(counts) == 25 and stats.chisquare(counts).pvalue > 0.001


def test_a_shift_by_more_than_the_image_is_its_edge():
    image = torch.arange(6.0, dtype=torch.float64).view(2, 3)
    assert np.isin(changed(RandomShift(), image, 50, 200).numpy(), image.numpy()).all()


@pytest.mark.parametrize("p", [0.2, 1.0])
def test_images_are_mirrored_with_probability_p(p):
    image = torch.arange(6.0, dtype=torch.float64).view(2, 3)
    images = changed(RandomFlip(), image, p)
    is_mirrored = (images == image.flip(1)).all(2).all(1)
    assert (is_mirrored | (images == image).all(2).all(1)).all()
    assert abs(float(is_mirrored.double().mean()) - p) < 4 * (p * (1 - p) / COUNT) ** 0.5 + 1e-9


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_a_square_around_a_random_point_is_cut_out(n):
    height, width = 5, 6
    images = changed(Cutout(), torch.ones(height, width, dtype=torch.float64), n).numpy()
    squares = {}
    for row in range(height):
        for column in range(width):
            square = np.ones((height, width))
            square[max(0, row - n // 2) : row - n // 2 + n, max(0, column - n // 2) : column - n // 2 + n] = 0
            squares[square.tobytes()] = squares.get(square.tobytes(), 0) + COUNT / (height * width)
    seen, counts = np.unique(images, axis=0, return_counts=True)
    assert {image.tobytes() for image in seen} == set(squares)
    expected = [squares[image.tobytes()] for image in seen]
    assert len(seen) == 1 or stats.chisquare(counts, expected).pvalue > 0.001


def test_noise_is_normal():
    z = (changed(Noise(), torch.full((2, 2), 5.0, dtype=torch.float64), 0.4) - 5) / 0.4
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 0.001
    assert abs(np.corrcoef(z.reshape(-1, 4).numpy().T) - np.eye(4)).max() < 0.05


def test_the_ends_of_the_unit_interval_give_finite_noise():
    for dtype, largest in ((torch.float32, 5.5), (torch.float64, 8.5)):
        b = numeric.bind(Noise(), [(2,)], 1, 1, dtype=dtype)
        b.ctx.uniforms = torch.tensor([0, 1 - torch.finfo(dtype).eps / 2], dtype=dtype).view(1, 2, 1)
        z = b.fprop(torch.zeros(1, 2, 1, dtype=dtype)) / numeric.LARGEST_RATES["input_noise"]
        assert -largest < z[0, 0, 0] < -5 and 5 < z[0, 1, 0] < largest


def test_of_vectors_only_numbers_get_noise():
    b = numeric.bind(Noise(numbers=2), [(5,)], 1, 4)
    y = b.fprop(torch.zeros(1, 5, 4, dtype=torch.float64))
    assert (y[:, :2] != 0).all() and not y[:, 2:].any()


@pytest.mark.parametrize("box", [RandomShift(), RandomFlip(), Cutout(), Noise()], ids=lambda box: box.name)
def test_a_row_without_strength_keeps_its_images(box):
    """The last row of `bind`; and all where nothing is trained."""
    b = numeric.bind(box, [(2, 4, 5)], 3, 20)
    x = torch.randn(3, 2, 4, 5, 20, dtype=torch.float64)
    y = b.fprop(x)
    assert torch.equal(y[2], x[2]) and not torch.equal(y[0], x[0])
    assert numeric.bind(box, [(2, 4, 5)], 3, 6, training=False).bound is None


# ---- jobs


def test_each_has_a_name_that_combines():
    assert set(AUGMENTATIONS) <= set(REGULARIZERS)
    combined = nnlab.Experiment(regularizer=["l2", *AUGMENTATIONS]).regularizer
    assert combined.augmentations == AUGMENTATIONS and combined.l2 == 1e-3


def test_a_stack_of_different_strengths_is_its_rows():
    """One graph for all, in which rows without a strength draw nothing that changes them."""
    strengths = [{}, STRONG, {"shift": 1}, {"input_noise": 0.1, "flip": 1.0}, {"cutout": 5}]
    rows = [replace(DIGITS, regularizer=nnlab.Regularizer(**s), seed=n % 2) for n, s in enumerate(strengths)]
    assert len({row.structure for row in nnlab.fit(*rows).rows}) == 1
    together = trained(rows)
    assert together == [trained([row])[0] for row in rows]
    assert len({repr(result) for result in together}) == len(rows)


def test_nothing_is_changed_that_is_evaluated():
    """With a learning rate near 0, strong augmentation leaves validation and test as they are."""
    still = replace(DIGITS, optimizer=nnlab.SGD(lr=1e-30), epochs=1)
    results = [
        nnlab.fit(replace(still, regularizer=nnlab.Regularizer(**s))).run().results[0] for s in ({}, STRONG)
    ]
    assert results[0].test == results[1].test
    model = nnlab.load(nnlab.fit(replace(DIGITS, regularizer=nnlab.Regularizer(**STRONG))).run())
    x = model.experiment.data.load().x[:20]
    assert np.array_equal(model.predict(x), model.predict(x))


def test_a_file_has_none_of_it():
    model = nnlab.load(nnlab.fit(replace(DIGITS, regularizer=nnlab.Regularizer(**STRONG))).run())
    x = torch.from_numpy(model.experiment.data.load().x[:20].astype("float32").reshape(20, 1, 8, 8))
    outputs = PortableModel(model, model.rows_for(0), "float32").outputs(TorchOperators(), x)
    _, expected = model.answers(x.flatten(1).numpy(), 0)
    assert np.allclose(outputs["probabilities"].numpy(), expected, atol=1e-6)


def test_only_what_is_asked_for_is_in_the_graph():
    spec = DIGITS.load().spec
    assert [n.name for n in DIGITS.graph(spec).nodes][:2] == ["input", "input_dropout"]
    regularizer = nnlab.Regularizer(cutout=3, shift=1)
    augmented = replace(DIGITS, regularizer=regularizer).graph(spec)
    assert [n.name for n in augmented.nodes][:4] == ["input", "input_shift", "input_cutout", "input_dropout"]
    assert augmented.layout() == DIGITS.graph(spec).layout()
    rows = nnlab.fit(DIGITS, replace(DIGITS, regularizer=regularizer)).rows
    assert [n.name for n in stack_graph(rows, spec).nodes] == [n.name for n in augmented.nodes]


def test_a_graph_with_a_box_of_its_own_gets_no_other():
    graph = Graph((1, 8, 8))
    graph.add("mine", RandomShift(), graph.input)
    boxes = augmentation_boxes(["shift", "flip"], graph, (1, 8, 8), 64)
    assert list(boxes) == ["input_flip"]
    behind = graph.behind(boxes)
    assert [(n.name, n.inputs) for n in behind.nodes] == [("input", ()), ("input_flip", (0,)), ("mine", (1,))]


@pytest.mark.parametrize("name", ["shift", "flip", "cutout"])
def test_vectors_are_no_images(name):
    e = replace(DIGITS, data=nnlab.Iris(), regularizer=name)
    with pytest.raises(
        nnlab.UserError, match=f"regularizer.{name} = .* data 'iris' is a vector of 4 numbers"
    ):
        nnlab.fit(e)


def test_vectors_may_have_noise():
    noisy = replace(DIGITS, data=nnlab.Iris(), regularizer="input_noise")
    plain = replace(noisy, regularizer=nnlab.Regularizer())
    losses = [nnlab.fit(e).run().results[0].test["loss"] for e in (noisy, plain)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    "settings", [{"shift": -1}, {"shift": 1.5}, {"flip": 1.1}, {"cutout": 0.5}, {"input_noise": -1}]
)
def test_strengths_have_their_range(settings):
    (name,) = settings
    with pytest.raises(nnlab.UserError, match=f"regularizer.{name} = .*: expected"):
        nnlab.Regularizer(**settings)


@pytest.mark.parametrize("name, most", [("shift", 7), ("cutout", 14)])
def test_strengths_that_leave_nothing_of_an_image(name, most):
    """The largest that is allowed leaves something of some image of 8 x 8, and one more of none."""
    image = torch.rand(8, 8) + 1
    box = {"shift": RandomShift(), "cutout": Cutout()}[name]
    if name == "cutout":
        assert changed(box, image, most).any() and not changed(box, image, most + 1).any()
    with_strength = [replace(DIGITS, regularizer=nnlab.Regularizer(**{name: n})) for n in (most + 1, most, 0)]
    spec = DIGITS.load().spec
    with_strength[1].graph(spec)
    message = f"regularizer.{name} = {most + 1} .*8 x 8.*0 to {most}"
    for refuses in (lambda: with_strength[0].graph(spec), lambda: nnlab.fit(with_strength)):
        with pytest.raises(nnlab.UserError, match=message):
            refuses()
