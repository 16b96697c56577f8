"""Every command line in README and docs is valid, as a shell passes it on."""

import re
import shlex
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest

from nnlab import cli
from nnlab.catalogue import RUN_COMMANDS, Catalogue
from nnlab.commands import (
    compare_folder_words,
    compare_words,
    compared_samplers,
    multirun,
    sweep_definition,
)
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.parsing import parse_command_line
from nnlab.commands.reproduce_command import compose, plan_of
from nnlab.commands.reproduce_request import read_request
from nnlab.experiment import Experiment
from nnlab.reproduction.table_file import table_names

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = re.compile(r"[A-Z]{4,}|\.\.\.|<|SHELL|\|")  # FOLDER, GROUP=CHOICE, ...
FROM_PACKAGES = (
    "bent",
    "sign_momentum",
    "rademacher",
    "-cd mine",
)  # docs/extending.md, run by test_extending.py


def documented() -> list[str]:
    """What follows `nnlab` in code spans and indented lines, without comments."""
    command_lines = []
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for line in file.read_text(encoding="utf-8").splitlines():
            indented = re.match(r"    (?:\$ )?(nnlab .*)", line)
            command_lines += [indented[1]] if indented else re.findall(r"`(nnlab [^`]*)`", line)
    lines = (re.sub(r"\s+#.*|; .*", "", line).strip() for line in command_lines)
    return sorted({line for line in lines if line.split()[1:2] and line.split()[1] in cli.COMMANDS})


LINES = documented()
WHOLE = [
    line for line in LINES
    if not PLACEHOLDER.search(line) and not any(name in line for name in FROM_PACKAGES)
]  # fmt: skip


def test_they_were_found():
    assert len(WHOLE) > 50 and {line.split()[1] for line in WHOLE} == set(cli.COMMANDS)


def test_the_table_of_groups_has_every_choice():
    text = (ROOT / "README.md").read_text("utf-8").partition("\n## Groups and choices\n")[2]
    table = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text.partition("\n## ")[0], re.MULTILINE))
    catalogue = Catalogue("sweep")
    for group in catalogue.groups:
        named = re.split("[,;] (?:lecture/: )?", table[group])
        assert sorted(named) == sorted(choice.removeprefix("lecture/") for choice in catalogue.choices(group))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_words_reach_nnlab_as_they_are_written(shell, tmp_path):
    """In zsh an open bracket that is no file's pattern ends the command."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    command = [shell, "-f", "-c"] if shell == "zsh" else [shell, "--norc", "-c"]
    for line in LINES:
        if re.search(r"[<|]", line):
            continue
        process = subprocess.run(
            [*command, f"nnlab() {{ printf '%s\\n' \"$@\"; }}; {line}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert process.stdout.splitlines() == shlex.split(line)[1:] and not process.stderr, (
            line,
            process.stderr,
        )


def write_named_files(folder: Path) -> None:
    """README's network, by the names of files that its commands read."""
    text = (ROOT / "README.md").read_text("utf-8").partition("\n    # net.yaml\n")[2]
    lines = list(takewhile(lambda line: line.startswith("    "), text.splitlines()))
    assert len(lines) > 5, "README shows no net.yaml"
    for name in ("net.yaml", "a.yaml", "b.yaml"):
        (folder / name).write_text("\n".join(lines), "utf-8")


@pytest.mark.parametrize("line", WHOLE)
def test_nnlab_takes_them(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_named_files(tmp_path)
    command, *arguments = shlex.split(line)[1:]
    if command in ("board", "report", "work"):  # of folders, which are not there
        return
    if {"--help", "--cfg"} & set(arguments):
        assert cli.main([command, *arguments]) == 0
        return
    if command == "compare" and (not arguments or compare_folder_words.names_folders(arguments)):
        return
    request, _ = parse_command_line(command, arguments)
    if command == "sweep":
        reads = [sweep_definition.read(each) for each in compared_samplers.split(request).values()]
        runs = [read.run for read in reads]
        for read in reads:
            wanted, there = read.run.settings["trials"], read.trials.space.count()
            assert wanted == "auto" or there is None or wanted <= there, f"{there} trials and not {wanted}"
    elif command == "reproduce":
        asked = read_request(request)
        if asked.settings.version is None:  # the tables, or one of them, without training
            assert asked.settings.table in (None, *table_names())
            return
        runs = compose(plan_of(asked), asked)
    elif command == "compare":
        runs = compare_words.read(request).runs
    else:
        runs = multirun.composed_runs(request)
    for run in runs:
        if command in RUN_COMMANDS:
            assert not arguments or run.settings["run"] and run.settings.get("data", "none needed")
            continue
        command = "train" if command == "reproduce" else command
        Experiment.from_config(experiment_settings(run.settings, command))
