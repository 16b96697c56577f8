"""File and column names on the command line with any letters, brackets and spaces."""

import shlex
from pathlib import Path

import pytest

from nnlab import tab
from nnlab.catalogue import Catalogue
from nnlab.cli import main
from nnlab.commands.quoting import quote_text
from nnlab.commands.text_values import TextQuoter

NAMES = ["Größe", "größe.csv", "Age (years)", "年龄", "Umsatz [€]", "a{b}", "it's", 'the "x"', "f(x)",
         "é", "σ²", "100 %", "a&b", "x=y", "sum(a, b)", "C:\\temp (1)\\a b", "(", "*",
         "naïve~1", "a;b", "{z}"]  # fmt: skip


def readable(*overrides, several=False, command="train"):
    return TextQuoter(Catalogue(command, list(overrides)), several).quote_texts(overrides)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["data.path", "data.target", "hydra.run.dir"])
def test_a_text_is_taken_as_it_is(key, name):
    assert value_of(key, name) == name


@pytest.mark.parametrize("name", ["[kg]", "true", "1.5", "{a:b}", "[]", "1e3", "0.9", "007", "null", "1_000"])
def test_names_of_the_data_may_look_like_other_values(name):
    assert value_of("data.target", name) == name


def value_of(key, name):
    from nnlab.commands import hydra_overrides

    (word,) = readable(f"{key}={name}")
    (read,) = hydra_overrides.read([word], lambda group: [], False, lambda group: False)
    value = read.value()
    return getattr(value, "text", value)


@pytest.mark.parametrize(
    "word",
    ["data.target=a,b", "data.target=[a,b]", "data.target='Größe'", "data.target=-1", "data.path=null",
     "optimizer.lr=(x)", "model.hidden=[64,", "epochs=1€", "optimizer.lr=uniform(0.1,1)", "data", "", "ü=3",
     "model.activation=relu(", "data.path=${oc.env:HOME}/a.csv", "optimizer=[adam,", "model.hidden=[64,32]",
     "data.label_noise=0.1", "data.limit=true", "picture=false", "data.drop=[notes]", "data.drop=[a,b]"],
)  # fmt: skip
def test_other_words_stay(word):
    assert readable(word) == [word] == readable(word, several=True)


def test_several_texts_stay_several():
    overrides = ["data.target=Größe,b,Age (years, months)"]
    assert readable(*overrides, several=True) == ["data.target='Größe',b,'Age (years, months)'"]
    assert readable("data.target=1e3,b,null", several=True) == ["data.target='1e3',b,'null'"]
    assert readable(*overrides) == [f"data.target={quote_text(overrides[0].partition('=')[2])}"]


def test_commands_take_them_and_their_lines_repeat(tmp_path, monkeypatch, capsys):
    """train, its command.txt, -m, a sweep and its resume, from a path and a column that Hydra cannot read."""
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "meine Daten (1)" / "größe, alt.csv"
    table.parent.mkdir()
    table.write_text("a,Größe (cm)\n" + "".join(f"{i},{i % 7}\n" for i in range(40)), encoding="utf-8")
    overrides = ["data=csv", "data.path=meine Daten (1)/größe, alt.csv", "data.target=Größe (cm)", "epochs=1",
             "data.task=regression"]  # fmt: skip
    assert main(["train", *overrides, "hydra.run.dir=läufe (1)"]) == 0
    line = Path("läufe (1)/command.txt").read_text(encoding="utf-8").strip()
    assert "\"data.target='Größe (cm)'\"" in line and "'\"'\"'" not in line
    assert main([*shlex.split(line)[1:], "hydra.run.dir=again"]) == 0
    weights = [Path(folder, "model.safetensors").read_bytes() for folder in ("läufe (1)", "again")]
    assert weights[0] == weights[1]
    assert main(["train", *overrides]) == 0 and "größe" in next(Path("outputs/train").iterdir()).name
    one, other = "data.target=a,Größe (cm)", overrides[1].replace(", alt", "")
    table.with_name("größe.csv").write_bytes(table.read_bytes())
    assert main(["train", "-m", overrides[0], other, one, *overrides[3:]]) == 0
    assert (
        main(["sweep", overrides[0], other, *overrides[2:], "trials=2", "report=false", "hydra.run.dir=s ü"])
        == 0
    )
    assert main(["sweep", "resume=s ü", "trials=3", "report=false"]) == 0
    winner = Path("s ü/best/command.txt").read_text(encoding="utf-8")
    assert main([*shlex.split(winner)[1:], "hydra.run.dir=winner"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("data.target=a,b", "\"data.target='a,b'\""),
        ("device=1.5", "\"device='1.5'\""),
        ("optimizer.lr=0,1€", "\"optimizer.lr='0,1€'\""),
        ("data.traget=Größe", "unknown key 'data.traget'"),
        ("ü", "'ü' is not KEY=VALUE, such as epochs=20; quote a word that has spaces"),
        ("optimizer=adäm", "did you mean 'adam'?"),
    ],
)
def test_a_refused_word_is_shown_in_quotes(word, shown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "data=csv", word]) == 2
    assert shown in capsys.readouterr().err


def test_tab_offers_files_of_such_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("größe.csv", "a (1).csv", "a,b.csv"):
        Path(name).write_text("a,b\n1,2\n")
    assert tab.completions("nnlab train data=csv data.path=") == [
        "data.path=a (1).csv",
        "data.path=größe.csv",
    ]


@pytest.mark.parametrize(
    "caption", ["Adam, then SGD", "a,b", "[a, b]: see", "It's at 5% (left)", "choice(a,b)", "7", "range(1,3)"]
)
def test_a_caption_is_one_text_whatever_is_in_it(caption):
    from nnlab.commands import hydra_overrides

    for several in (False, True):
        (word,) = readable(f"caption={caption}", several=several)
        (read,) = hydra_overrides.read([word], lambda group: [], several, lambda group: False)
        assert not read.is_sweep_override()
        assert getattr(read.value(), "text", read.value()) == caption
        assert readable(word, several=several) == [word]  # the command that repeats the run
