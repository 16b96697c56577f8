"""The pages of --help: for commands, groups, choices and keys, with each key's meaning and allowed values."""

import re
import subprocess
import sys

import pytest

from nnlab.catalogue import Catalogue
from nnlab.cli import main
from nnlab.commented_yaml import parse_comments
from nnlab.data.labels import MOST_INFERRED_CLASSES
from nnlab.data.normalization import LINEAR_LIMIT
from nnlab.paths import CONFIG_DIR
from nnlab.search.settings import DEFAULT_TRIALS
from nnlab.search.sweep import LARGEST_BATCH

COMMANDS = ("train", "sweep", "check")
CHOICES = [
    (group, choice) for group in Catalogue("sweep").groups for choice in Catalogue("sweep").choices(group)
]  # fmt: skip


def shown(capsys, *argv) -> str:
    assert main([*argv, "--help"]) == 0
    return capsys.readouterr().out


def test_numbers_in_the_meanings_are_those_of_the_code():
    """What a comment says of a default that is decided elsewhere."""
    meanings = {
        name: key.meaning for c in COMMANDS for name, key in Catalogue(c, ["data=csv"]).all_keys().items()
    }
    for source in Catalogue("train").choices("data"):
        meaning = Catalogue("train").choice_keys("data", source)["data.normalization"].meaning
        assert f"pulled in beyond {LINEAR_LIMIT:g} deviations" in meaning, source
    assert f"up to {MOST_INFERRED_CLASSES} whole numbers" in meanings["data.task"]
    assert f"auto: {DEFAULT_TRIALS}," in meanings["trials"] and f"up to {LARGEST_BATCH}" in meanings["batch"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_is_explained_within_80_columns(command, capsys):
    page, keys = shown(capsys, command), Catalogue(command).all_keys()
    assert max(map(len, page.splitlines())) < 80 and "$" not in page.replace("run${hydra.job.num}", "")
    flat = " ".join(page.split())
    for key in keys.values():
        assert f"\n  {key.name}" in page and len(key.meaning.split()) > 1, key.name
        assert key.meaning in flat and (not str(key.field) or f"({key.field})" in flat), key.name
    assert page.startswith(f"nnlab {command}: ") and page.index("Usage:") < page.index("epochs=50")


def test_what_differs_between_commands_stands_first(capsys):
    assert shown(capsys, "sweep").index("trials=auto") < 3200 > shown(capsys, "check").index("only=null")
    for command, foreign in (
        ("train", "sampler="),
        ("train", "only="),
        ("check", "pruner="),
        ("sweep", "only="),
    ):
        assert f"\n  {foreign}" not in shown(capsys, command)


@pytest.mark.parametrize("group, choice", CHOICES, ids=[f"{g}={c}" for g, c in CHOICES])
def test_every_choice_has_a_page_and_every_key_of_it_a_meaning(group, choice, capsys):
    page = shown(capsys, "sweep", f"{group}={choice}")
    assert page.startswith(f"{group}={choice}\n\n  ") and len(page.split()) > 4
    assert max(map(len, page.splitlines())) < 80 and ">>>" not in page
    keys = {} if group in ("experiment", "space") else Catalogue("sweep").choice_keys(group, choice)
    for key in keys.values():
        assert key.meaning and f"\n  {key.name}" in page, key.name
        assert key.field is not None, key.name


@pytest.mark.parametrize("group", Catalogue("sweep").groups)
def test_every_group_has_a_page_with_a_sentence_for_each_choice(group, capsys):
    page = shown(capsys, "sweep", group)
    assert max(map(len, page.splitlines())) < 80
    for choice in Catalogue("sweep").choices(group):
        (line,) = [
            line for line in page.splitlines() if line.startswith(f"  {choice} ") or line == f"  {choice}"
        ]
        assert len(line.split()) > 1 or len(choice) > 24, choice


@pytest.mark.parametrize("arguments, phrases", [
    (["optimizer=adam"], ["m <- beta1 m + (1 - beta1) g", "optimizer.beta1=0.9", "at least 0 and below 1"]),
    (["optimizer=adam", "optimizer.lr=0.5"], ["optimizer.lr=0.5"]),
    (["schedule=cosine"], ["schedule.floor=0.0", "as a share of lr"]),
    (["regularizer=l1"], ["never biases", "exactly 0", "small_weights"]),
    (["refit"], ["refit=false", "second time", "validation examples"]),
    (["lr"], ["optimizer.lr=3e-3"]),
    (["experiment=lecture/mlp"], ["Shows: over 95%", "epochs=20"]),
    (["data=csv"], ["data.target=null", "text, or null"]),
    (["model.activation"], ["a list has one for each", "identity, relu, leaky_relu"]),
])  # fmt: skip
def test_pages(arguments, phrases, capsys):
    page = " ".join(shown(capsys, "train", *arguments).split())
    assert [phrase for phrase in phrases if phrase not in page] == [] and "Usage" not in page


@pytest.mark.parametrize("arguments, message", [
    (["momentum"], "did you mean optimizer=momentum?"), (["adam"], "did you mean optimizer=adam?"),
    (["zeros"], "did you mean init=zeros?"), (["none"], "did you mean split=none or regularizer=none"),
    (["early_stopping"], "write stopping=patience"), (["learning_rate"], "'optimizer.lr'"),
    (["schedule.every"], "write schedule=step"),
    (["schedule.step_size"], "write schedule=step schedule.every"),
    (["qqqqq"], "allowed: data, dtype, init, loss, model"),
    (["optimzer"], "no group and no key is called 'optimzer'; did you mean 'optimizer'?"),
    (["optimizer=adm"], "did you mean 'adam'"), (["optimizer.lrr=1"], "unknown key 'optimizer.lrr'"),
    (["epochs=(1"], "cannot read 'epochs=(1'"), (["-cd", "nowhere"], "that folder does not exist"),
])  # fmt: skip
def test_wrong_words(arguments, message, capsys):
    assert main(["train", *arguments, "--help"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_help_lists_has_a_page(command, capsys):
    listed = re.findall(r"^  ([\w.]+)=", shown(capsys, command), re.M)
    assert "epochs" in listed and ("hydra.run.dir" in listed or command != "train")
    for word in listed:
        assert len(shown(capsys, command, word).split()) > 2, word


@pytest.mark.parametrize("group", Catalogue("sweep").groups)
def test_no_sentence_of_a_group_is_cut(group, capsys):
    page = shown(capsys, "sweep", group)
    assert "..." not in page and not re.search(r"\bal\.$", page, re.M)


def test_what_an_init_is_stands_in_its_sentence(capsys):
    page = " ".join(shown(capsys, "train", "init").split())
    assert "variance 2 / inputs of a layer" in page and "variance 2 / (inputs + outputs of a layer)" in page


def test_the_first_page_fits_a_terminal(capsys):
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) < 80


def test_a_folder_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("# Fast.\nname: sgd\nlr: 0.7  # as fast as can be\n")
    page = shown(capsys, "train", "-cd", ".", "optimizer=mine")
    assert "optimizer.lr=0.7" in page and "as fast as can be (above 0)" in page and "clip" not in page
    assert "Fast." in shown(capsys, "train", "-cd", ".", "optimizer")


def test_comments_of_a_file():
    text = "# @package _global_\n# Head,\n# in two.\na: 'x # y'   # one\n  #  no more\n"
    text += "b:\n  c: 1 # two\n       # lines\n# other\n"
    assert parse_comments(text) == ("Head,\nin two.", {"a": "one", "b.c": "two lines"})


FILES = {f"{file.parent.name}/{file.name}": file for file in CONFIG_DIR.rglob("*.yaml")}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_no_line_of_a_comment_is_lost(file):
    """One that is not under the comment that it continues would be."""
    text = file.read_text()
    head, comments = parse_comments(text)
    meanings = " ".join([head.replace("\n", " "), *comments.values()])
    continued = re.findall(r"^ {8,}# *(.*?) *$", text, re.MULTILINE)
    assert [line for line in continued if line not in meanings] == []


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from nnlab.cli import main\n"
        "for words in ([], ['optimizer=adam'], ['optimizer']): main(['train', *words, '--help'])\n"
        "print(*{'torch', 'optuna', 'sklearn', 'scipy', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stderr == "\n"
