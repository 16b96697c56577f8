"""`nnlab check`: is it the gradient, the data, the initialisation or the learning rate?"""

from pathlib import Path

from nnlab.commands import early_end, hydra_entry, train
from nnlab.commands.folders import withdraw

OWN = (*train.OWN, "only", "check")  # settings of this command, of which an experiment knows nothing


def main(argv: list[str]) -> int:
    return hydra_entry.run("check", argv, prepare, execute)


def prepare(settings: dict):
    """What is to be checked, its data loaded, and by which rungs; raises `UserError`."""
    from nnlab.checks.ladder import chosen
    from nnlab.checks.subject import Budget, Subject
    from nnlab.experiment import Experiment
    from nnlab.hyperparameters import make

    train.wants_picture(settings, rows=2)
    rungs, budget = chosen(settings["only"]), make(Budget, settings["check"], "check")
    experiment = {key: value for key, value in settings.items() if key not in OWN}
    return Subject(Experiment.from_config(experiment), budget), rungs


def execute(prepared, folder: Path, settings: dict, command: str) -> int:
    """A line for each rung as it is done, then the files; 1 if a rung failed."""
    from nnlab.checks.ladder import climb
    from nnlab.records.check_console import CheckConsole
    from nnlab.records.check_picture import PICTURES
    from nnlab.records.run import titled
    from nnlab.records.run_folder import RunFolder

    (subject, rungs), verdicts = prepared, []
    title = titled(subject.experiment, subject.dataset.spec)

    def kept() -> str:
        if not verdicts:
            withdraw(folder)
            return "no rung has said anything yet"
        return f"'{folder}' has what {len(verdicts)} of {len(rungs)} rungs said"

    with early_end.naming(kept), RunFolder(folder) as run, CheckConsole(title, rungs) as console:
        run.start(settings, command)
        for verdict in climb(subject, rungs):
            run.write("check.json", [as_dict(one) for one in [*verdicts, verdict]])
            verdicts.append(verdict)
            console.verdict(verdict)
        for verdict in verdicts if train.wants_picture(settings, rows=2) else []:
            if verdict.rung in PICTURES and verdict.details:  # a rung with nothing to do has none
                run.picture(PICTURES[verdict.rung](verdict.details, title), verdict.rung)
        console.close(folder)
    return int(any(verdict.status == "fail" for verdict in verdicts))


def as_dict(verdict) -> dict:
    """A verdict as check.json has it: the worst finding's fields, all findings, the numbers behind them."""
    findings = [vars(finding) for finding in verdict.findings]
    return {
        "rung": verdict.rung, **findings[0], "findings": findings, "details": verdict.details,
        "seconds": verdict.seconds,
    }  # fmt: skip
