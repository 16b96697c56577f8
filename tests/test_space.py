"""Search spaces: Hydra's sweep grammar as domains, grid points, refinement, and error messages."""

import itertools
import math
import time

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.commands import grammar
from nnlab.errors import Advice, UserError
from nnlab.search.domains import Choice, Interval, Steps
from nnlab.search.optuna_conversion import to_distribution
from nnlab.search.refine import refine_space
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, Trial


def read(text):
    return grammar.domain_of(OverridesParser.create().parse_override(f"key={text}"))


GRAMMAR = {
    "a,b,c": Choice(("a", "b", "c")),
    "choice(0.1,0.01)": Choice((0.1, 0.01)),
    "null,true,2,1.5,x,'a b'": Choice((None, True, 2, 1.5, "x", "a b")),
    "choice([32],[64,64])": Choice(([32], [64, 64])),
    "[32],[64,64]": Choice(([32], [64, 64])),
    "choice({a:1},{a:[2,3]})": Choice(({"a": 1}, {"a": [2, 3]})),
    "float(choice(1,2))": Choice((1.0, 2.0)),
    "sort(3,1,2)": Choice((1, 2, 3)),
    "sort(3,1,2,reverse=true)": Choice((3, 2, 1)),
    "range(4)": Steps(0, 1, 4),
    "range(1,9,2)": Steps(1, 2, 4),
    "range(1,8,2)": Steps(1, 2, 4),
    "range(5,1,-2)": Steps(5, -2, 2),
    "range(0,1,0.1)": Steps(0, 0.1, 10),
    "range(0.1,0.4,0.1)": Steps(0.1, 0.1, 3),
    "interval(0,1)": Interval(0.0, 1.0),
    "interval(-1.5,1.5)": Interval(-1.5, 1.5),
    "int(interval(1,3))": Interval(1, 3, whole=True),
    "tag(log,interval(1e-4,1e-1))": Interval(1e-4, 1e-1, log=True),
    "tag(points5,interval(0,1))": Interval(0.0, 1.0, laid=5),
    "tag(log,points3,interval(1,100))": Interval(1.0, 100.0, log=True, laid=3),
    "tag(log,int(interval(1,1000)))": Interval(1, 1000, log=True, whole=True),
    "tag(log,range(1,9))": Interval(1, 8, log=True, whole=True),
}
LABELS = {  # a domain -> all that it has
    "range(1,9,2)": (1, 3, 5, 7),
    "range(5,1,-2)": (5, 3),
    "range(0,1,0.1)": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "range(0.1,0.4,0.1)": (0.1, 0.2, 0.3),
    "int(interval(1,3))": (1, 2, 3),
    "choice([32],[64,64])": ("[32]", "[64, 64]"),
    "null,true,2,1.5,x,'a b'": (None, True, 2, 1.5, "x", "a b"),
}
WRONG = {  # text -> words of the sentence
    "range(3,1)": ["empty"],
    "range(1,1)": ["empty"],
    "range(1000000000000)": ["1,000,000,000,000 numbers", "too long", "interval"],
    "interval(1,0)": ["from 1 to 0 is empty"],
    "interval(1,1)": ["one value"],
    "int(interval(1.2,1.4))": ["one value"],
    "tag(log,interval(0,1))": ["from 0 to 1", "zero"],
    "tag(log,interval(-1,1))": ["from -1 to 1", "zero"],
    "tag(log,range(0,4))": ["zero"],
    "tag(log,range(1,9,2))": ["steps of 1"],
    "tag(log,range(0.5,9))": ["whole numbers"],
    "interval(0,inf)": ["finite"],
    "a,b,a": ["a is given twice"],
    "choice(1,1.0)": ["twice"],
    "choice([1],[1])": ["[1] is given twice"],
    "tag(lgo,interval(1,2))": ["unknown tag 'lgo'", "log"],
    "tag(log,choice(1,2))": ["unknown tag 'log'"],
    "tag(points5,range(1,9))": ["unknown tag 'points5'"],
    "tag(points1,interval(1,2))": ["1 points", "at least 2"],
}


@pytest.mark.parametrize("text", GRAMMAR)
def test_grammar(text):
    assert repr(read(text)) == repr(GRAMMAR[text])  # equal, and 1 is not 1.0


@pytest.mark.parametrize("text", LABELS)
def test_labels(text):
    points = tuple(read(text).points(None))
    assert points == LABELS[text] and [*map(type, points)] == [*map(type, LABELS[text])]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told(text):
    with pytest.raises(UserError) as error:
        read(text)
    message = str(error.value)
    assert message.startswith(f"key={text}: ") and "\n" not in message
    assert all(word in message for word in WRONG[text]), message


@given(st.integers(-20, 20), st.integers(1, 9), st.integers(0, 4), st.integers(1, 60))
def test_steps_are_pythons_range_without_drift(start, step, digits, count):
    unit = 10**digits
    steps = Steps(start / unit, step / unit, count)
    exact = [k / unit for k in range(start, start + step * count, step)]  # each rounded once
    assert list(steps.labels) == exact
    assert [steps.value(x * (1 + 1e-15)) for x in exact] == exact


@pytest.mark.parametrize("text", [text for text in GRAMMAR if not text.startswith(("a,", "sort"))])
def test_both_ends_are_in_the_grid_and_in_what_optuna_knows(text):
    domain = read(text)
    points, known = domain.points(4), to_distribution(domain)
    for label in points:
        assert known._contains(known.to_internal_repr(label))
    if isinstance(domain, Interval):
        assert (points[0], points[-1]) == (domain.low, domain.high) == (known.low, known.high)
        assert known.log == domain.log
    elif isinstance(domain, Steps):
        assert {known.low, known.high} == {min(domain.labels), max(domain.labels)}
        assert round((known.high - known.low) / known.step) == domain.count - 1 if domain.count > 1 else True
    else:
        assert known.choices == domain.labels


def test_points_of_an_interval():
    assert Interval(0.0, 1.0).points(5) == (0, 0.25, 0.5, 0.75, 1)
    assert Interval(1e-4, 1e-1, log=True).points(4) == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1), rel=1e-12)
    assert Interval(0.0, 1.0, laid=3).points(9) == (0, 0.5, 1)  # what it says itself goes before
    assert Interval(1, 3, whole=True).points(9) == (1, 2, 3)
    assert Interval(1, 1000, log=True, whole=True).points(4) == (1, 10, 100, 1000)
    assert Interval(0.0, 1.0).points(None) is None


# ---- words: a value, as the line of `nnlab train` has it, is read as itself

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
)  # fmt: skip
values = st.one_of(scalars, st.lists(scalars, max_size=3))


@given(values)
@settings(max_examples=300, deadline=None)
def test_a_written_value_is_read_as_itself(value):
    read = OverridesParser.create().parse_override(grammar.override_for("key", value))
    assert not read.is_sweep_override()
    again = grammar.to_python(read.value())
    assert again == value and type(again) is type(value)
    if isinstance(value, list):
        assert [*map(type, again)] == [*map(type, value)]


# ---- cells

A, B, C = Choice(("sgd", "momentum", "adam")), Interval(0.0, 1.0), Steps(1, 1, 4)
OWN = {"optimizer.gamma": ("momentum",), "optimizer.beta": ("adam",)}


def has(key, chosen):
    return key not in OWN or chosen["optimizer"] in OWN[key]


CONDITIONAL = Space(
    {"optimizer.gamma": C, "optimizer": A, "lr": Choice((0.1, 0.2)), "optimizer.beta": C},
    frozenset({"optimizer"}), has,
)  # fmt: skip


def test_cells_of_a_plain_space_are_the_product_and_the_last_key_is_the_fastest():
    space = Space({"a": A, "b": B, "c": C})
    product = itertools.product(A.values, (0.0, 0.5, 1.0), (1, 2, 3, 4))
    assert list(space.cells(3)) == [dict(zip("abc", cell, strict=True)) for cell in product]
    assert space.count(3) == 36 and space.count() is None and not space.conditional


def test_a_key_that_a_choice_does_not_have_is_no_part_of_its_trials():
    expected = [
        {"optimizer": o, "optimizer.gamma": g, "lr": lr, "optimizer.beta": b}
        for o in A.values
        for g in (C.labels if o == "momentum" else [None])
        for lr in (0.1, 0.2)
        for b in (C.labels if o == "adam" else [None])
    ]
    expected = [{k: v for k, v in cell.items() if v is not None} for cell in expected]
    cells = list(CONDITIONAL.cells())
    assert cells == expected and len(cells) == CONDITIONAL.count() == 2 + 8 + 8
    assert [list(cell) for cell in cells] == [list(cell) for cell in expected]  # keys in order, too
    assert CONDITIONAL.conditional and CONDITIONAL.always == ["optimizer", "lr"]


spaces = st.dictionaries(
    st.sampled_from(["a", "b", "g", "h", "g.x", "g.y", "h.x"]),
    st.one_of(
        st.integers(1, 3).map(lambda n: Choice(tuple("uvw"[:n]))),
        st.integers(1, 4).map(lambda n: Steps(0.5, 0.25, n)),
        st.integers(2, 4).map(lambda n: Interval(1, n, whole=True)),
    ),
    min_size=1,
)


@given(spaces, st.sets(st.tuples(st.sampled_from("gh"), st.sampled_from("uvw"), st.sampled_from("xy"))))
def test_counts_are_enumerations(domains, absent):
    groups = frozenset(k for k in domains if k in "gh" and isinstance(domains[k], Choice))

    def has(key, chosen):
        group, _, key_in_group = key.partition(".")
        return (group, chosen.get(group), key_in_group) not in absent

    space = Space(domains, groups, has)
    cells = [tuple(sorted(cell.items())) for cell in space.cells()]
    assert len(set(cells)) == len(cells) == space.count()
    every = itertools.product(*(domains[k].points(None) for k in domains))
    brute = {
        tuple(sorted((k, v) for k, v in zip(domains, row, strict=True)
                     if k in groups or has(k, {g: dict(zip(domains, row, strict=True))[g] for g in groups})))
        for row in every
    }  # fmt: skip
    assert set(cells) == brute


def test_a_continuous_range_needs_points():
    with pytest.raises(UserError, match="b is any number from 0 to 1: a grid needs a number of points"):
        Space({"a": A, "b": B}).cells()


@pytest.mark.parametrize("huge", [Interval(1, 10**12, whole=True), Interval(1, 10**12, True, True)])
def test_a_huge_space_is_counted_and_refused_at_once(huge):
    start, space = time.perf_counter(), Space({"a": huge, "b": A})
    assert space.count() == 3 * 10**12
    with pytest.raises(UserError, match="3,000,000,000,000 cells"):
        space.cells()
    assert to_distribution(huge).high == 10**12
    assert time.perf_counter() - start < 1


# ---- refine


def a_trial(number, value, **params):
    return Trial(number, params, COMPLETE, (value,), (None,), 1, 1)


def test_refined_ranges():
    space = Space(
        {"lr": Interval(1e-4, 1.0, log=True), "p": Interval(0.0, 1.0), "n": Interval(1, 99, whole=True),
         "s": Steps(0.0, 0.1, 11), "c": Choice(("x", "y", "z"))}
    )  # fmt: skip
    trials = [
        a_trial(
            i, float(i), lr=10 ** (-2 - i / 10), p=0.5 + i / 100, n=50 + i, s=(3 + i % 2) / 10, c="xy"[i % 2]
        )
        for i in range(5)
    ] + [a_trial(9 + i, 100.0 + i, lr=0.9, p=0.01, n=1, s=1.0, c="z") for i in range(40)]
    domains = refine_space(space, trials, (1,), grid=False).domains
    low, high = 10**-2.4, 10**-2.0
    assert domains["lr"].low == pytest.approx(low * 10**-0.4) and domains["lr"].high == pytest.approx(
        high * 10**0.4
    )
    assert (domains["p"].low, domains["p"].high) == pytest.approx((0.4, 0.64))
    assert (domains["n"].low, domains["n"].high) == (math.floor(50 - 9.8), math.ceil(54 + 9.8))
    assert domains["s"].labels == (0.2, 0.3, 0.4, 0.5) and domains["c"].values == ("x", "y")
    for key, domain in domains.items():
        ends = domain.points(2)
        for label in ends:
            assert to_distribution(space.domains[key])._contains(
                to_distribution(space.domains[key]).to_internal_repr(label)
            )


def test_a_refined_grid_has_as_many_points_between_the_neighbours_of_the_best():
    space = Space({"lr": Choice((0.1, 0.01, 0.001)), "n": Choice(("x", "y"))})
    trials = [a_trial(i, abs(math.log10(lr) + 2), lr=lr, n="x") for i, lr in enumerate((0.1, 0.01, 0.001))]
    with pytest.warns(Advice, match="lr: 3 points from 0.001 to 0.1 would be .* again: 5 are laid"):
        domain = refine_space(space, trials, (1,), grid=True).domains["lr"]
    assert domain.values == pytest.approx(LOG(0.001, 0.1, 5), rel=1e-3)  # three would be the same again
    best_at_end = refine_space(space, [a_trial(0, 0.0, lr=0.1, n="x")], (1,), grid=True).domains["lr"]
    assert (best_at_end.values[0], best_at_end.values[-1]) == (0.01, 0.1) and len(best_at_end.values) == 3


LOG, EVEN = np.geomspace, np.linspace
GRIDS = {  # a domain, the points of the grid, the best, what is laid around it
    "log": (Interval(1e-4, 1.0, log=True), 13, 0.1, LOG(10 ** (-4 / 3), 10 ** (-2 / 3), 13)),
    "even": (Interval(0.0, 1.0), 11, 0.3, EVEN(0.2, 0.4, 11)),
    "at its end": (Interval(0.0, 1.0), 11, 1.0, EVEN(0.9, 1.0, 11)),
    "its own points": (Interval(0.0, 1.0, laid=5), 13, 0.25, EVEN(0.0, 0.5, 5)),
    "nobody said": (Interval(0.0, 1.0), None, 0.25, EVEN(0.0, 0.5, 5)),
    "whole": (Interval(0, 100, whole=True), 11, 30, EVEN(20, 40, 11)),
    "whole, log": (Interval(1, 256, log=True, whole=True), 9, 16, LOG(8, 32, 9)),
    "range": (Steps(0.0, 0.1, 6), 3, 0.2, EVEN(0.1, 0.3, 6)),
    "range of whole": (Steps(9, -2, 5), 3, 3, EVEN(1, 5, 5)),
    "written, log": (Choice((0.1, 0.01, 0.001)), 9, 0.1, LOG(0.01, 0.1, 3)),
    "written, even": (Choice((0.1, 0.5, 0.9)), 9, 0.9, EVEN(0.5, 0.9, 3)),
    "powers of two": (Choice((16, 32, 64, 128)), 9, 64, LOG(32, 128, 4)),
    "negative": (Choice((-1.0, 0.0, 1.0)), 9, -1.0, EVEN(-1.0, 0.0, 3)),
}
AGAIN = {  # the same, where as many points would be the grid again
    "two": (Interval(1.0, 3.0), 2, 1.0, EVEN(1.0, 3.0, 3)),
    "two, log": (Interval(1e-3, 1e-1, log=True), 2, 0.1, LOG(1e-3, 1e-1, 3)),
    "written, two": (Choice((0.1, 0.001)), 9, 0.1, LOG(0.001, 0.1, 3)),
    "written, three": (Choice((-1.0, 0.0, 1.0)), 9, 0.0, EVEN(-1.0, 1.0, 5)),
    "every whole number": (Interval(4, 40, whole=True), None, 4, EVEN(4, 5, 2)),
    "every whole number, log": (Interval(4, 64, log=True, whole=True), None, 4, EVEN(4, 5, 2)),
    "every whole number, inside": (Interval(1, 9, whole=True), 9, 3, EVEN(2, 4, 3)),
}


@pytest.mark.parametrize("domain, points, chosen, laid", GRIDS.values(), ids=GRIDS)
def test_a_refined_grid_of_every_kind_of_domain(domain, points, chosen, laid):
    check_refined(domain, points, chosen, laid)


@pytest.mark.parametrize("domain, points, chosen, laid", AGAIN.values(), ids=AGAIN)
def test_a_refined_grid_is_never_the_same_again_without_a_word(domain, points, chosen, laid):
    with pytest.warns(Advice, match="x: .* the grid") as caught:
        check_refined(domain, points, chosen, laid)
    tried = len(domain.points(points)) if isinstance(domain, Interval) else 0
    assert ("are all there are" in str(caught[0].message)) == (tried > 2)


def check_refined(domain, points, chosen, laid):
    space = Space({"x": domain, "y": Choice(("a", "b"))})
    trials = [
        a_trial(i, abs(x - chosen), x=x, y="a")
        for i, x in enumerate(domain.points(points) or domain.points(5))
    ]
    domains = refine_space(space, trials, (1,), True, points).domains
    values, whole = domains["x"].values, all(isinstance(v, int) for v in domain.points(3))
    assert values == tuple(laid.round()) if whole else values == pytest.approx(tuple(laid), rel=1e-3)
    assert all(isinstance(v, int) == whole for v in values) and domains["y"].values == ("a",)


OTHER = {  # points before, now, the best, what is laid
    "fewer": (7, 4, 1e-2, LOG(10**-2.5, 10**-1.5, 4)),
    "more": (7, 13, 1e-2, LOG(10**-2.5, 10**-1.5, 13)),
    "at the end": (7, 4, 1e-4, LOG(1e-4, 10**-3.5, 4)),
    "nearest in the logarithm": (4, 7, 10**-1.6, LOG(1e-3, 1e-1, 7)),  # 0.025 is nearer to 0.01 than to 0.1
}


@pytest.mark.parametrize("before, now, chosen, laid", OTHER.values(), ids=OTHER)
def test_another_count_lies_between_the_neighbours_of_the_grid_before(before, now, chosen, laid):
    space = Space({"x": Interval(1e-4, 1e-1, log=True)})
    domain = refine_space(space, [a_trial(0, 0.0, x=chosen)], (1,), True, before, now).domains["x"]
    assert domain.values == pytest.approx(tuple(laid), rel=1e-3)


MIXED = [(1.0, 2.0, math.inf), (16, 32, "full"), (True, False), (None, 1)]


@pytest.mark.parametrize("labels", MIXED, ids=str)
def test_a_refined_grid_keeps_the_best_of_what_are_not_all_numbers(labels):
    trials = [a_trial(i, float(i), x=label) for i, label in enumerate(labels)]
    refined = refine_space(Space({"x": Choice(labels)}), trials[:1], (1,), True, 7)
    assert refined.domains["x"] == Choice(labels[:1])


def test_a_refined_grid_of_a_key_that_only_some_trials_have():
    space = Space({"g": Choice(("sgd", "momentum")), "gamma": Interval(0.0, 1.0)}, frozenset({"g"}),
                  lambda key, chosen: key == "g" or chosen["g"] == "momentum")  # fmt: skip
    trials = [a_trial(0, 0.0, g="sgd"), a_trial(1, 1.0, g="momentum", gamma=0.5)]
    domains = refine_space(space, trials, (1,), True, 5).domains
    assert domains["gamma"].values == pytest.approx((0.25, 0.375, 0.5, 0.625, 0.75))
    assert domains["g"].values == ("sgd", "momentum")
    alone = refine_space(space, [*trials[:1], *(a_trial(i, 0.5, g="sgd") for i in range(2, 6)), trials[1]],
                    (1,), True, 5)  # fmt: skip
    assert set(alone.domains) == {"g"}


def test_nothing_to_refine():
    with pytest.raises(UserError, match="nothing to refine"):
        refine_space(Space({"a": A}), [], (1,), grid=False)


def test_points_are_a_grids_alone():
    """A sampler that draws takes any number of an interval, whatever points a grid would have on it."""
    space = Space({"lr": Interval(0.1, 1.0, laid=4), "n": Interval(1, 9, whole=True, laid=3)})
    assert space.count() == 12 and space.without_points().count() is None
    assert Space({"n": Interval(1, 9, whole=True, laid=3)}).without_points().count() == 9
