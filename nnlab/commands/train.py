"""`nnlab train`: one experiment, over seeds and folds if asked, into a run folder."""

from pathlib import Path
from typing import Literal

from nnlab.commands import front_door

OWN = ("picture",)  # settings of this command, of which an experiment knows nothing


def main(argv: list[str]) -> int:
    return front_door.run("train", argv, prepare, execute, compare)


def prepare(settings: dict):
    """The fit that the settings describe, its data loaded and split; raises `UserError`."""
    from nnlab.experiment import Experiment
    from nnlab.fitting import Fit

    wants_picture(settings, rows=1)
    return Fit([Experiment.from_config(of_experiment(settings))])


def of_experiment(settings: dict) -> dict:
    """The settings without those that are this command's own."""
    return {key: value for key, value in settings.items() if key not in OWN}


def wants_picture(settings: dict, rows: int) -> bool:
    """Whether to draw the curves: as asked, else where there are several rows. Raises `UserError`."""
    from nnlab.fields import Allowed, checked

    asked = checked(settings.get("picture", "auto"), bool | Literal["auto"], Allowed(), "picture")
    return rows > 1 if asked == "auto" else asked


def execute(fit, folder: Path, settings: dict, command: str) -> int:
    """Train it and record it; 1 if every row diverged."""
    from nnlab.checks.proposal import Course, chance_error, proposal
    from nnlab.records.console import Console
    from nnlab.records.picture import Curves, draw
    from nnlab.records.run_folder import RunFolder
    from nnlab.records.summary import summarize
    from nnlab.records.tensorboard import TensorBoard, row_names

    experiment, rows = fit.experiments[0], len(fit.rows)
    names = row_names([(row.seed, row.fold.repeat, row.fold.number) for row in fit.rows])
    task = fit.datasets[experiment.data].task
    curves = Curves(rows) if wants_picture(settings, rows) else None
    course = Course(rows)
    with (
        RunFolder(folder) as run,
        TensorBoard(folder, of_experiment(settings), rows, names) as board,
        Console(title(fit), rows, experiment.epochs, task) as console,
    ):
        run.start(settings, command)
        readers = [run, board, console, course] + ([curves] if curves else [])
        for record in fit:
            # Curves end with the search for the best epoch: what a refit validates on, it trains on.
            for reader in [run] if record.refit else readers:
                reader.record(record)
        summary = summarize(fit.results)
        run.close(summary, fit.results)
        if curves:
            png = draw(curves, title(fit), task)
            run.picture(png)
            board.picture(curves.epochs, png)
        board.close(summary, fit.results)
        console.close(summary, folder)
        error = chance_error(fit.datasets[experiment.data], [row.fold for row in fit.rows])
        console.note(proposal(course.outcome(error), command))
    return int(summary["rows"]["diverged"] == rows)


def compare(runs: dict[str, Path]) -> None:
    """The runs of `-m` beside each other."""
    from nnlab.records import comparison

    comparison.compare(runs)


def title(fit) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam: 1 row"""
    e, rows = fit.experiments[0], len(fit.rows)
    return f"{job(e, fit.datasets[e.data])}: {rows} row{'s' * (rows > 1)}"


def job(e, dataset) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam"""
    kind = f"{len(dataset.classes)} classes" if dataset.classes else "regression"
    examples, (inputs, outputs) = len(dataset.x), dataset.sizes
    sizes = "-".join(map(str, (inputs, *getattr(e.model, "hidden", ()), outputs)))
    return f"{e.data.name} ({examples} x {inputs}, {kind}), {e.model.name} {sizes}, {e.optimizer.name}"
