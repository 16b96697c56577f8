"""The table and the sentences of a comparison: what each says, and that no line is too long or untrue."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from compared_arms import a_pair, compared, random_comparison, random_values

from nnlab.records.arms_table import arms_table, further_quantities, letter_ranges, shown_names
from nnlab.records.compared_quantity import ComparedQuantity, gain_of, round_alike
from nnlab.records.comparison_words import comparison_lines, notes, seeds_to_suggest, sentences, wrapped
from nnlab.records.pair_sentences import CLAIM_LEVEL, PairSentences, p_words
from nnlab.records.text_columns import LINE_WIDTH
from nnlab.statistics.comparison import Arm, Comparison, compare_arms
from nnlab.statistics.scores import Scores

ERROR = ComparedQuantity("test_error")
OPTIMIZERS = [f"optimizer={name}" for name in ("adam", "momentum", "rmsprop", "adagrad", "sgd")]
UNDECIDED = {
    "difference": -0.002, "low": -0.008, "high": 0.004, "p": 0.5, "p_holm": 0.5, "verdict": "undecided",
}  # fmt: skip
A_DIVERGED_PAIR = {
    "difference": None, "low": None, "high": None, "n": 0, "p": None, "p_holm": 0.008, "p_diverged": 0.008,
    "diverged_b": 8, "decided_by": "diverged", "verdict": "diverged",
}  # fmt: skip
# What is known of a pair -> the whole sentence.
SENTENCES = {
    "better": (
        {}, "adam is better than sgd by 1.2 points (95% interval 0.6 to 1.8; p = 0.004, 10 seeds)"
    ),
    "better, beside noise": (
        {"effect": 2.13},
        "adam is better than sgd by 1.2 points (95% interval 0.6 to 1.8; p = 0.004, 10 seeds), 2.1 times "
        "the noise between seeds",
    ),
    "undecided": (
        UNDECIDED | {"more_seeds": 31},
        "no difference shown between adam and sgd: 0.2 points (95% interval -0.4 to 0.8; p = 0.5, 10 seeds); "
        "31 more seeds would decide it at this effect",
    ),
    "one more seed": (
        UNDECIDED | {"more_seeds": 1, "effect": 0.4},
        "no difference shown between adam and sgd: 0.2 points (95% interval -0.4 to 0.8; p = 0.5, 10 seeds); "
        "1 more seed would decide it at this effect, 0.40 times the noise between seeds",
    ),
    "no number of seeds": (
        UNDECIDED | {"more_seeds": None},
        "no difference shown between adam and sgd: 0.2 points (95% interval -0.4 to 0.8; p = 0.5, 10 seeds); "
        "10,000 more seeds would not decide it at this effect",
    ),
    "equal means": (
        UNDECIDED
        | {"more_seeds": None, "difference": 0.0, "low": -0.006, "high": 0.006, "p": 1.0, "p_holm": 1.0},
        "no difference shown between adam and sgd: 0.0 points (95% interval -0.6 to 0.6; p = 1, 10 seeds)",
    ),
    "the mean of the pairs is the other way": (
        UNDECIDED | {"difference": 0.002, "low": -0.004, "high": 0.008, "more_seeds": None, "n": 8,
                     "diverged_b": 2, "decided_by": "diverged"},
        "no difference shown between sgd and adam: 0.2 points (95% interval -0.4 to 0.8; p = 0.5 in "
        "McNemar's exact test, 8 seeds); sgd diverged in 2 of 10 seeds",
    ),
    "identical": (
        {"difference": 0.0, "low": None, "high": None, "p": None, "p_holm": None, "constant": True,
         "more_seeds": None, "decided_by": None, "verdict": "identical"},
        "no difference: adam and sgd have the same test error in all 10 seeds",
    ),
    "the same where neither diverged": (
        {"difference": 0.0, "low": None, "high": None, "p": None, "p_holm": None, "constant": True, "n": 8,
         "diverged_a": 2, "diverged_b": 2, "more_seeds": None, "decided_by": None, "verdict": "identical"},
        "no difference: adam and sgd have the same test error in 8 seeds, and both diverged in the other 2",
    ),
    "what the number of seeds is computed from": (
        UNDECIDED | {"more_seeds": 31, "effect": 0.12, "paired_effect": 0.153},
        "no difference shown between adam and sgd: 0.2 points (95% interval -0.4 to 0.8; p = 0.5, 10 seeds); "
        "31 more seeds would decide it at this effect, 0.15 standard deviations of the differences",
    ),
    "too few for signs": (
        A_DIVERGED_PAIR | {"units": 4, "diverged_b": 4, "p_holm": 0.125, "verdict": "undecided",
                           "more_seeds": 2},
        "no difference shown between adam and sgd: no seed has values of both (p = 0.12 in McNemar's exact "
        "test); 2 more seeds like these would decide it; sgd diverged in 4 of 4 seeds",
    ),
    "one seed": (
        {"units": 1, "n": 1, "low": None, "high": None, "p": None, "p_holm": None, "constant": True,
         "least_p": 1.0, "more_seeds": None, "decided_by": None, "verdict": "undecided"},
        "no difference shown between adam and sgd: 1.2 points in 1 seed, of which there is no interval",
    ),
    "the same in all": (
        {"low": None, "high": None, "p": None, "p_sign": 0.002, "p_holm": 0.002, "constant": True,
         "decided_by": "sign"},
        "adam is better than sgd by 1.2 points, the same in all 10 seeds, p = 0.002 in a sign test",
    ),
    "one diverged": (
        {"n": 9, "diverged_b": 1},
        "adam is better than sgd by 1.2 points (95% interval 0.6 to 1.8; p = 0.004, 9 seeds); "
        "sgd diverged in 1 of 10 seeds",
    ),
    "diverged": (
        A_DIVERGED_PAIR,
        "adam is better than sgd: sgd diverged in 8 of 10 seeds, adam in none "
        "(p = 0.008 in McNemar's exact test)",
    ),
    "diverged, both": (
        A_DIVERGED_PAIR | {"diverged_a": 1, "diverged_b": 9},
        "adam is better than sgd: sgd diverged in 9 of 10 seeds, adam in 1 "
        "(p = 0.008 in McNemar's exact test)",
    ),
    "nothing in common": (
        A_DIVERGED_PAIR | {"units": 2, "diverged_a": 1, "diverged_b": 1, "p_holm": 1.0,
                           "verdict": "undecided", "more_seeds": None},
        "no difference shown between adam and sgd: no seed has values of both (p = 1 in McNemar's exact "
        "test); adam diverged in 1 of 2 seeds, sgd diverged in 1 of 2 seeds",
    ),
}  # fmt: skip


@pytest.mark.parametrize("numbers, sentence", SENTENCES.values(), ids=SENTENCES)
def test_what_is_said_of_a_pair(numbers, sentence):
    comparison = compared(a_pair(**numbers))
    assert PairSentences(comparison, ERROR).sentence(comparison.pairs[0]) == sentence


@pytest.mark.parametrize("name, task, larger, said", [
    ("test_error", "classification", False, "1.2 points"),
    ("test_accuracy", "classification", True, "1.2 points"),
    ("val_loss", "classification", False, "0.012"), ("test_rmse", "regression", False, "0.012"),
    ("val_error", "regression", False, "0.012"), ("test_r2", "regression", True, "0.012"),
    ("test_roc_auc", "classification", True, "0.012"), ("test_mape", "regression", False, "1.2 points"),
])  # fmt: skip
def test_units(name, task, larger, said):
    sign = -1 if larger else 1
    pair = a_pair(
        difference=-0.012 * sign,
        low=min(-0.018 * sign, -0.006 * sign),
        high=max(-0.018 * sign, -0.006 * sign),
    )
    comparison, quantity = compared(pair, larger_is_better=larger), ComparedQuantity(name, task)
    (sentence,) = sentences(comparison, quantity)
    assert sentence.startswith(f"adam is better than sgd by {said} (95% interval ")
    targets_unit = "target's unit" in " ".join(notes(comparison, quantity))
    assert targets_unit == (task == "regression" and name in ("test_rmse", "val_error"))


def test_steps_to_a_target_are_counted():
    quantity = ComparedQuantity("steps")
    pair = a_pair(difference=-120.0, low=-180.0, high=-60.0, n=8, diverged_b=2)
    (sentence,) = sentences(compared(pair), quantity)
    assert sentence.startswith("adam is better than sgd by 120 steps (95% interval 60 to 180;")
    assert sentence.endswith("sgd did not reach the target in 2 of 10 seeds")


def test_holm_alone_keeps_a_pair_from_being_shown():
    pairs = [
        a_pair(p=0.02, p_holm=0.06, verdict="undecided", more_seeds=3),
        a_pair("adam", "nag"),
        a_pair("sgd", "nag"),
    ]
    first = sentences(compared(*pairs), ERROR)[0]
    assert "p = 0.06 by Holm, p = 0.02 of this pair alone, 10 seeds)" in first


def test_the_other_methods_of_two_arms():
    pair = a_pair(
        bootstrap_low=-0.017, bootstrap_high=-0.007, p_sign=0.002, p_wilcoxon=0.004, superiority=0.95
    )
    assert sentences(compared(pair), ERROR)[1] == (
        "by other methods: bootstrap interval 0.7 to 1.7, sign test p = 0.002, Wilcoxon's p = 0.004, "
        "adam is better in 95% of the pairs, ties by half"
    )


def test_a_column_has_the_same_decimals_unless_its_sizes_differ_much():
    rmse = ComparedQuantity("test_rmse", "regression")
    assert rmse.values([70.2755, 116.21, None]) == ["70.3", "116.2", "-"]
    ends = [(60.78, 79.77), (None, None), (87.9, 144.51)]
    assert rmse.intervals(ends) == ["60.8 to 79.8", "-", "87.9 to 144.5"]
    assert rmse.values([0.9041, 5518.0]) == ["0.9041", "5,518"]
    assert ERROR.values([0.0321, 0.5]) == ["3.21%", "50.00%"]
    assert ERROR.intervals([(0.0295, 0.0347)]) == ["2.95 to 3.47"]


def test_few_pairs_cannot_give_a_small_p():
    of_five = compared(a_pair(units=5, n=5, least_p=0.0625))
    assert "5 pairs cannot give less than p = 0.0625 in a sign or Wilcoxon test" in [*notes(of_five, ERROR)]
    assert "sign" not in " ".join(notes(compared(a_pair()), ERROR))


def ranked(units: int, arms: int, diverged: int = 0) -> Comparison:
    """Each arm ahead of the next in every seed, by ranks; the last without a value in so many seeds."""
    names = [f"optimizer=o{n}" for n in range(arms)]
    values = {name: (np.arange(units) + 100.0 * n)[:, None, None] for n, name in enumerate(names)}
    values[names[-1]][:diverged] = np.inf
    return compare_arms(Scores(values, by_ranks=True))


@pytest.mark.parametrize("units, arms, least, needed", [
    (6, 3, "0.0938", 7), (4, 2, "0.125", 6), (3, 5, "1", 9), (7, 3, None, 0), (6, 2, None, 0),
])  # fmt: skip
def test_how_many_seeds_can_decide_by_ranks(units, arms, least, needed):
    comparison, steps = ranked(units, arms), ComparedQuantity("steps")
    said = " ".join(notes(comparison, steps))
    assert ("can decide nothing" in said) == (least is not None)
    assert "cannot give less" not in said
    if least:
        assert (
            f" is at least {least}; {needed} seeds can" in said
            and f"{units} seeds can decide nothing" in said
        )
        assert ("by Holm" in said) == (arms > 2)
        assert f"{needed - units} more seed" in " ".join(sentences(comparison, steps))
        assert {pair.verdict for pair in ranked(needed, arms).pairs} == {"better"}


def test_arms_of_which_none_reached_the_target():
    comparison, steps = ranked(4, 2), ComparedQuantity("steps")
    never = compare_arms(Scores({name: np.full((4, 1, 1), np.inf) for name in "abc"}, by_ranks=True))
    alone = compare_arms(Scores({name: np.full((4, 1, 1), np.inf) for name in "ab"}, by_ranks=True))
    assert sentences(alone, steps) == ["no difference: neither a nor b reached the target in any of 4 seeds"]
    assert "no difference: neither a nor b reached the target in any of 4 seeds" in sentences(never, steps)
    many = compare_arms(Scores({name: np.full((4, 1, 1), np.inf) for name in "abcdefgh"}, by_ranks=True))
    assert "no difference: neither a nor 7 other arms reached the target" in sentences(many, steps)
    same = compare_arms(Scores({name: np.ones((4, 1, 1)) for name in "abcdefgh"}))
    assert "no difference: 7 other arms have the same test error as a" in sentences(same, ERROR)
    assert "identical" not in " ".join(sentences(comparison, steps))


def test_that_more_seeds_are_a_matter_of_power_is_said_once():
    undecided = [a_pair(a, b, **UNDECIDED | {"more_seeds": 31}) for a, b in itertools.combinations("abc", 2)]
    assert sum("80% (power)" in note for note in notes(compared(*undecided), ERROR)) == 1
    assert "power" not in " ".join(notes(compared(a_pair()), ERROR))


def test_of_many_arms_what_is_shown_and_a_count_of_the_rest():
    comparison = random_comparison([f"lr={n}" for n in range(20)], step=0.001)
    best = comparison.arms[0].name
    verdicts = [comparison.pair(best, arm.name).verdict for arm in comparison.arms[1:]]
    claims, rest = verdicts.count("better"), verdicts.count("undecided")
    assert claims > 8 and rest > 1, "both kinds"
    lines = sentences(comparison, ERROR)
    assert sum(line.startswith(f"{best} is better than ") for line in lines) == 8
    assert f"{best} differs from {claims - 8} other arm" in " ".join(lines)
    assert any(line.startswith(f"no difference shown between {best} and {rest} other arms") for line in lines)
    other = [pair for pair in comparison.pairs if best not in (pair.a, pair.b)]
    shown = sum(pair.verdict == "better" for pair in other)
    assert f"of the 171 pairs without the best arm, {shown} differ: see their groups" in lines


@pytest.mark.parametrize(
    "p", [0.05, 0.0499, 0.04996, 0.050004, 0.0502, 0.9996, 1.0, 0.001, 0.00099, 0.0010004, 0.5]
)
def test_a_p_value_stays_on_its_side(p):
    shown = float(p_words(p).split()[-1])
    assert (shown <= CLAIM_LEVEL) == (p <= CLAIM_LEVEL) and (shown == 1) == (p == 1)
    assert p_words(p).startswith("p < ") == (p < 0.001)


def test_an_interval_that_excludes_0_is_seen_to():
    assert round_alike([1.0, 0.004, 1.996], 1) == ["1.000", "0.004", "1.996"]
    assert round_alike([1.0, -0.004, 2.004], 1) == ["1.0", "0.0", "2.0"]


def test_the_command_of_more_seeds():
    undecided = compared(a_pair(**UNDECIDED | {"more_seeds": 31}))
    lines = comparison_lines({"test_error": undecided}, "test_error", folder="outputs/a b")
    assert lines[-1] == "  more seeds         nnlab compare 'outputs/a b' seeds=+31"
    assert "seeds=" not in " ".join(comparison_lines({"test_error": undecided}, "test_error"))
    for numbers in ({}, UNDECIDED | {"more_seeds": 5000}, UNDECIDED | {"more_seeds": None}):
        assert seeds_to_suggest(compared(a_pair(**numbers))) is None
    assert seeds_to_suggest(compared(a_pair(**SENTENCES["one seed"][0]))) == 9
    assert seeds_to_suggest(compared(a_pair(**UNDECIDED | {"more_seeds": 31}), unit="split")) is None


def test_names_stay_apart():
    long = "data.path=/" + "a" * 200
    names = [long, f"{long} ", "x\x1b[2J", f"{long}2"]
    shown = shown_names(names)
    assert len(set(shown.values())) == 4 and max(map(len, shown.values())) < LINE_WIDTH - 4
    assert "\x1b" not in "".join(shown.values())


def test_common_words_and_long_keys_of_names_are_left_out_where_they_are_long():
    names = [f"optimizer=momentum optimizer.momentum=0.{n} model.hidden=[512,512]" for n in (5, 9)]
    assert list(shown_names(names).values()) == ["momentum=0.5", "momentum=0.9"]


def test_many_letters_are_ranges():
    assert letter_ranges("abcdefghij") == "abcdefghij" and letter_ranges("abcdefghijkmo") == "a-kmo"


COUNTS, DESIGNS = (2, 3, 7), {
    "seeds": {}, "three": {"seeds": 3}, "one": {"seeds": 1}, "diverging": {"diverged": 0.3},
    "folds": {"seeds": 1, "folds": 5}, "repeats": {"seeds": 2, "repeats": 3, "folds": 2, "overlap": 0.25},
    "unknown overlap": {"seeds": 1, "folds": 5, "overlap": None}, "alike": {"noise": 0.0, "step": 0.0},
    "constant": {"noise": 0.0}, "huge": {"step": 1e12}, "tiny": {"step": 1e-12, "noise": 1e-13},
    "all diverged": {"diverged": 1.0},
}  # fmt: skip
NAMES = {
    "short": "optimizer=o{}", "long": "optimizer=adam optimizer.lr=0.00{} model.hidden=[1024,1024,1024]",
    "longer than a line": "data.path=/" + "folder/" * 20 + "{}",
    "other keys": "model.activation=relu k{}=1",
}  # fmt: skip


@pytest.mark.parametrize(
    "count, design, name",
    [*itertools.product(COUNTS, DESIGNS, NAMES), *((20, "diverging", n) for n in NAMES)],
)
def test_every_line_fits_and_is_about_numbers(count, design, name):
    names = [NAMES[name].format(n) for n in range(count)]
    options = DESIGNS[design]
    comparison = random_comparison(names, **options)
    further = dict.fromkeys(("val_loss", "test_accuracy", "final:val_loss"), comparison)
    for task, measure in (("classification", "test_error"), ("regression", "test_rmse")):
        lines = comparison_lines({measure: comparison, **further}, measure, task, "outputs/x", "digits")
        text = "\n".join(lines)
        copied = [line for line in lines if "nnlab compare" in line]
        assert all(len(line) <= LINE_WIDTH for line in lines), text
        assert len(copied) <= 1 and not re.search(r"\b(nan|inf|None)\b", text), text
        table = "\n".join(arms_table(comparison, ComparedQuantity(measure, task), {}))
        shown = shown_names([arm.name for arm in comparison.arms])
        values = [re.escape(word.split("=")[-1]) for label in shown.values() for word in label.split()[-1:]]
        assert all(re.search(rf"(?<![\w.]){value}(?![\w])", table) for value in values), table


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("larger", [False, True])
def test_what_is_called_better_is(design, larger):
    """Whatever the values are: the first of a sentence has the better mean in the units of both."""
    options = dict(DESIGNS[design])
    overlap = options.pop("overlap", 0.0)
    names = [f"optimizer=o{n}" for n in range(5)]
    values = random_values(names, seed=3, **options)
    comparison = compare_arms(Scores(values, larger, overlap))
    write = PairSentences(comparison, ERROR)
    for pair in comparison.pairs:
        gain, sentence = gain_of(pair, larger), write.sentence(pair)
        if pair.n and pair.verdict != "identical":
            means = [np.mean(each) for each in _in_common(values, gain.first, gain.second)]
            better_by = means[0] - means[1] if larger else means[1] - means[0]
            assert better_by >= -1e-9 * abs(means[0])
        assert ("is better than" in sentence) == (pair.verdict in ("better", "diverged")), sentence
        if "is better than" in sentence:
            assert pair.p_holm <= CLAIM_LEVEL
            assert gain.low is None or gain.low > 0
        else:
            assert sentence.startswith("no difference")


def _in_common(values, a, b):
    """Means of folds by unit, of the units in which neither has a row without a value."""
    seeds, repeats, folds = values[a].shape
    per_unit = (0, (1, 2)) if repeats == 1 and (seeds > 1 or folds == 1) else (None, 0)
    tables = [values[a], values[b]]
    if per_unit[0] is None:
        tables = [table.reshape(seeds, -1).T for table in tables]
    else:
        tables = [table.reshape(seeds, -1) for table in tables]
    kept = np.isfinite(tables[0]).all(1) & np.isfinite(tables[1]).all(1)
    return [table[kept] for table in tables]


def test_a_sentence_never_ends_a_line_within_a_p_value():
    for padding in range(40):
        lines = wrapped("x" * padding + " word" * 12 + " p = 0.012 by Holm, p < 0.001")
        assert not any(re.search(r"\bp( [=<])?$", line) for line in lines)


def test_arms_of_further_quantities_are_found_by_name():
    names = OPTIMIZERS[:3]
    errors = random_comparison(names)
    losses = replace(errors, arms=tuple(replace(arm, mean=float(arm.n)) for arm in reversed(errors.arms[1:])))
    table = arms_table(errors, ERROR, {ComparedQuantity("val_loss"): losses})
    assert "10.0000" in table[-1] and table[2 if "validation" in table[0] else 3].rstrip().endswith(
        ("-", "10.0000")
    )


def test_the_complement_of_the_measure_comes_last():
    names = ["test_error", "test_accuracy", "test_f1_macro", "val_loss", "train_loss"]
    assert further_quantities(names) == ["val_loss", "test_f1_macro", "train_loss", "test_accuracy"]


def test_an_arm_without_a_value():
    arms = (Arm("a", 0.1, 0.05, 0.15, 0.02, 3, 0, "a"), Arm("b", None, None, None, None, 0, 3, "b"))
    comparison = Comparison(
        arms, (a_pair("a", "b", **A_DIVERGED_PAIR | {"units": 3, "diverged_b": 3}),), False, "seed"
    )
    assert arms_table(comparison, ERROR)[-1].split() == ["b", "-", "-", "0", "3"]


def test_what_verdicts_cover_stands_below_the_sentences():
    about = "other seeds on this one split, not new data: split.repeats=10 would"
    comparison = replace(compared(a_pair()), about=about)
    lines = " ".join(" ".join(comparison_lines({"test_error": comparison}, "test_error")).split())
    assert f"verdicts cover {about}" in lines
    assert "verdicts cover" not in " ".join(
        comparison_lines({"test_error": compared(a_pair())}, "test_error")
    )
