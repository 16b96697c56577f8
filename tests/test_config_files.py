"""Other people's configuration files: each is composed, or refused in one sentence within seconds."""

import os

import pytest

from nnlab.cli import main

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a0: &a0 {k0: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}], k{i}: 1}}\n" for i in range(1, 12)
)
FILES = {
    "laughs": LAUGHS,
    "merges": MERGES,
    "mergeself": "a: &a {<<: *a, b: 1}\n",
    "emptyint": "epochs: !!int ''\n",
    "emptyfloat": "epochs: !!float ''\n",
    "noescape": 'metric: "\\UFFFFFFFF"\n',
    "nobool": "refit: !!bool x\n",
    "notime": "epochs: !!timestamp x\n",
    "self": "optimizer: &a {lr: *a}\n",
    "selflist": "x: &a [*a]\n",
    "circle": "defaults: [/experiment/circle]\n",
    "circle2": "defaults: [circle]\n",
    "deep": "model: {hidden: " + "[" * 400 + "4" + "]" * 400 + "}\n",
    "deep2": "model: {hidden: " + "[" * 20000 + "4" + "]" * 20000 + "}\n",
    "deepmap": "".join(" " * i + "a:\n" for i in range(400)),
    "intkey": "1: 2\n",
    "nullkey": "null: 2\n",
    "listkey": "? [a,b]\n: 2\n",
    "boolkey": "true: 1\n",
    "nested": "optimizer: {1: 2}\n",
    "dup": "epochs: 1\nepochs: 2\n",
    "tab": "optimizer:\n\tlr: 1\n",
    "tag": "epochs: !!python/object/apply:os.system ['touch x']\n",
    "path": "data: {path: !!python/object/apply:pathlib.Path [a]}\n",
    "set": "epochs: !!set {a: null}\n",
    "binary": "epochs: !!binary aGVsbG8=\n",
    "ts": "epochs: !!timestamp 2001-01-01\n",
    "badts": "epochs: !!timestamp 2001-99-99\n",
    "omap": "epochs: !!omap [a: 1]\n",
    "date": "epochs: 2001-01-01\n",
    "refs": "".join(f"v{i}: ${{v{i + 1}}}${{v{i + 1}}}\n" for i in range(40)) + "v40: x\n",
    "refloop": "epochs: ${seed}\nseed: ${epochs}\n",
    "refself": "epochs: ${epochs}\n",
    "badref": "epochs: ${\n",
    "env": "epochs: ${oc.env:HOME}\n",
    "resolver": "epochs: ${nosuch:1}\n",
    "decode": "epochs: ${oc.decode:'[1,'}\n",
    "create": "epochs: ${oc.create:${hydra:}}\n",
    "list": "- a\n- b\n",
    "scalar": "hello\n",
    "number": "5\n",
    "empty": "",
    "null": "null\n",
    "utf": b"\xff\xfe\xfa",
    "nul": b"a: \x00b\n",
    "bom": b"\xef\xbb\xbfepochs: 1\n",
    "utf16": "epochs: 1\n".encode("utf-16"),
    "defaults": "defaults: 5\n",
    "defaults2": "defaults: [5]\n",
    "defaults3": "defaults: [{a: {b: c}}]\n",
    "defaults4": "defaults:\n - override /optimizer: nosuch\n",
    "defaults5": "defaults:\n - optimizer@x.y: sgd\n",
    "defaults6": "defaults: [~]\n",
    "defaults7": "defaults: [../../../../etc/passwd]\n",
    "defaults8": "defaults: [{optimizer: [sgd,adam]}]\n",
    "defaults9": "defaults: ['${epochs}']\n",
    "pkg": "# @package a.b.c\nepochs: 1\n",
    "pkg2": "# @package _global_.x\nepochs: 1\n",
    "pkg3": "# @package ${x}\nepochs: 1\n",
    "pkg4": "# @package _group_ @package x\nepochs: 1\n",
    "big": "a: " + "x" * 3_000_000 + "\n",
    "bignum": "epochs: " + "9" * 5000 + "\n",
    "bignum2": "epochs: " + "9" * 400 + "\n",
    "hydra": "hydra: 5\n",
    "hydra2": "hydra: {run: {dir: /tmp/x}}\n",
    "hydra3": "hydra: {mode: MULTIRUN, sweeper: {params: {seed: 'range(0,100000000)'}}}\n",
    "hydra4": "hydra: {mode: 7}\n",
    "hydra5": "hydra: {sweeper: {params: [1]}, mode: MULTIRUN}\n",
    "hydra6": "hydra: {sweeper: {params: {1: 2}}, mode: MULTIRUN}\n",
    "hydra7": "hydra: {job: {name: '${seed}'}, runtime: {choices: 5}}\n",
    "hydra8": "hydra: {searchpath: [file:///tmp]}\n",
    "hydra9": "hydra: null\n",
    "hydra10": "hydra: {sweeper: null, mode: MULTIRUN}\n",
    "hydra11": "hydra: {overrides: null}\n",
    "hydra12": "hydra: {help: null}\n",
    "opt": "optimizer: 5\n",
    "opt2": "optimizer: null\n",
    "opt3": "optimizer: [1]\n",
    "opt4": "optimizer: {name: []}\n",
    "opt5": "optimizer: {_target_: os.system}\n",
    "model": "model: {hidden: {a: b}}\n",
    "missing": "epochs: ???\n",
    "data": "data: null\n",
    "reg": "regularizer: 5\n",
    "colon": "epochs: 'a: b: c'\n",
    "inf": "optimizer: {lr: .inf}\n",
    "nan": "optimizer: {lr: .nan}\n",
    "ninf": "optimizer: {clip_norm: -.inf}\n",
    "space": "space: 5\n",
}


LINES = {
    "experiment": ["train", "-cd", "conf", "experiment=it", "data=iris", "epochs=1", "model.hidden=[4]"],
    "resolved": ["train", "-cd", "conf", "experiment=it", "--cfg", "job", "--resolve"],
    "primary": ["train", "-cd", "conf", "-cn", "it", "data=iris", "--cfg", "job"],
    "space": ["sweep", "-cd", "conf", "space=it", "data=iris", "epochs=1", "plan=true"],
}


def write(name: str, text) -> None:
    text = text if isinstance(text, bytes) else text.encode()
    for place, head in (
        ("experiment/", b"# @package _global_\n"),
        ("space/", b""),
        ("", b"defaults: [train, _self_]\n"),
    ):
        plain = b"@package" not in text and b"defaults" not in text and text[:1].isalnum()
        os.makedirs(f"conf/{place}", exist_ok=True)
        with open(f"conf/{place}it.yaml", "wb") as file:
            file.write(head + text if plain else text)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_configuration_or_refused_in_a_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(name, FILES[name])
    others = [what for what in LINES if what != "experiment"]
    for what in ("experiment", others[[*FILES].index(name) % len(others)]):  # the others in turn
        argv = LINES[what]
        before = set(tmp_path.rglob("*"))
        code = main(argv)
        stderr = capsys.readouterr().err
        assert code in (0, 2) and "Traceback" not in stderr, stderr
        errors = [line for line in stderr.splitlines() if ": advice: " not in line]
        assert len(errors) == (code == 2) and sum(map(len, errors)) < 700, stderr
        assert code == 0 or set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link to nothing"])
def test_what_is_no_file_is_no_configuration(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.makedirs("conf/experiment")
    place = "conf/experiment/it.yaml"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        os.mkdir(place)
    else:
        os.symlink("/dev/zero" if kind == "device" else "nowhere", place)
    assert main(LINES["experiment"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "Traceback" not in stderr and not (tmp_path / "outputs").exists()


def test_an_experiment_that_lacks_its_first_line_is_told_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.makedirs("conf/experiment")
    with open("conf/experiment/mine.yaml", "w") as file:
        file.write("epochs: 1\n")
    assert main(["train", "-cd", "conf", "experiment=mine"]) == 2
    assert "# @package _global_" in capsys.readouterr().err


def write_choice(file: str, text: str) -> None:
    os.makedirs(os.path.dirname(f"conf/{file}"), exist_ok=True)
    with open(f"conf/{file}.yaml", "w") as opened:
        opened.write(text)


KEYS_OF_COMMANDS = [  # commands, an experiment's file after its first line, its key, the word instead
    ("train sweep compare", "epochs: 3\ntrials: 3\n", "sets trials", "trials=3"),
    ("sweep", "objective: val_error\n", "sets objective", "objective=val_error"),
    ("train compare", "sampler: random\n", "sets sampler", "sampler=random"),
    ("sweep", "sampler: [grid, random]\n", "sets sampler", "sampler=[grid,random]"),
    ("sweep", "launcher: {name: folder}\n", "sets launcher", "launcher=folder"),
    ("sweep", "launcher: {processes: 3}\n", "sets launcher", "launcher.processes=3"),
    ("sweep", "storage: sqlite:///secret\n", "sets storage", "storage=..."),
    ("sweep", "resume: outputs/sweep/secret\n", "sets resume", "resume=..."),
    ("compare", "measure: val_loss\n", "sets measure", "measure=val_loss"),
    ("graph", "gradient: true\n", "sets gradient", "gradient=true"),
    ("check", "check: {seeds: 2}\n", "sets check", "check.seeds=2"),
    ("train sweep", "defaults: [override /launcher: folder]\n", "overrides launcher", "launcher=..."),
    ("compare", "defaults: [override /sampler: random]\n", "overrides sampler", "sampler=..."),
]


@pytest.mark.parametrize("commands, text, key, word", KEYS_OF_COMMANDS)
def test_what_an_experiment_cannot_say_for_a_command_is_refused(
    commands, text, key, word, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_choice("experiment/mine", f"# @package _global_\n{text}")
    for command in commands.split():
        arms = ["optimizer=sgd,adam"] * (command == "compare")
        assert main([command, "-cd", "conf", "experiment=mine", *arms]) == 2
        stderr = capsys.readouterr().err
        assert stderr.startswith(f"nnlab {command}: experiment=mine: its file {key}, which is no key of an")
        assert stderr.replace("'", "").endswith(f": write {word} on the command line\n")
        assert stderr.count("\n") == 1 and "secret" not in stderr
    assert not (tmp_path / "outputs").exists()


def test_a_file_that_an_experiment_names_is_refused_as_well(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_choice("base", "rows: 3\n")
    write_choice("experiment/first", "# @package _global_\ndefaults: [/base]\n")
    write_choice("experiment/second", "# @package launcher\nprocesses: 3\n")
    write_choice("experiment/third", "# @package _global_\ndefaults: [/launcher: folder]\n")
    for line, file, word in (
        ("sweep experiment=first", "base.yaml", "rows=3"),
        ("sweep experiment=second", "experiment=second", "launcher.processes=3"),
        ("train experiment=third", "experiment=third", "launcher=folder"),
        ("sweep experiment=lecture/mlp,second", "experiment=second", "launcher.processes=3"),
    ):
        assert main([*line.split(), "-cd", "conf"]) == 2
        stderr = capsys.readouterr().err
        assert f"{file}: its file sets" in stderr and f"write {word} on the command line" in stderr
    assert not (tmp_path / "outputs").exists()


def test_files_that_count_stay_allowed(tmp_path, monkeypatch, capsys):
    """An experiment of training keys, a sampler of one's own, and a primary file, which comes last."""
    monkeypatch.chdir(tmp_path)
    write_choice("experiment/mine", "# @package _global_\nepochs: 3\nshow: [curves]\nseeds: 2\n")
    write_choice("sampler/slow", "name: random\nseed: 7\n")
    write_choice("ours", "defaults: [compare, _self_]\nmeasure: val_error\n")
    assert main(["sweep", "-cd", "conf", "experiment=mine", "sampler=slow", "trials=3", "plan=true"]) == 0
    assert "3 trials, 6 rows" in capsys.readouterr().out
    assert main(["compare", "-cd", "conf", "-cn", "ours", "--cfg", "job", "experiment=mine"]) == 0
    assert "measure: val_error" in capsys.readouterr().out
