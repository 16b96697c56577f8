"""Execution of `tune=32`: a sweep for each arm, in tuning/ below the comparison, then its best settings.

These sweeps train no winner: that is what the runs of the arms are, on the seeds that are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nnlab.commands import early_end, folders, sweep_command, sweep_request
from nnlab.commands.command_line import CommandLine, key_of
from nnlab.commands.compare_arms import Arrangement
from nnlab.commands.compare_words import ComparePlan
from nnlab.commands.composing import ComposedRun, open_composer
from nnlab.commands.continued_sweep import with_folders_quoted
from nnlab.commands.early_end import EndedEarly
from nnlab.commands.grammar import override_for
from nnlab.commands.prepared_sweep import PreparedSweep, prepare_sweep
from nnlab.commands.run_folders import folder_names
from nnlab.commands.sweep_request import SweepRequest
from nnlab.commands.sweep_writer import SweepWriter
from nnlab.commands.tuning_words import SEED_KEYS, Tuning
from nnlab.commands.winner import best_entry
from nnlab.commands.word_lists import compose_runs
from nnlab.errors import UserError
from nnlab.records.locking import open_locked
from nnlab.records.sweep_console import SweepConsole, plan_lines
from nnlab.records.sweep_folder import LOCK_FILE, SWEEP_FILE, SweepFolder
from nnlab.records.terminal import Terminal
from nnlab.records.text import metric_label, shell_line
from nnlab.records.tuning_file import TUNING_FOLDER, TuningFile, is_being_tuned, write_tuning
from nnlab.records.tuning_text import FIRST_TRIALS, TunedArm, space_lines
from nnlab.search.domains import Interval
from nnlab.search.sweep import AllTrialsFailed
from nnlab.search.trial import FAILED, Trial, rank_trials
from nnlab.training.data_cache import DataCache


@dataclass(frozen=True)
class PreparedTuning:
    """The sweeps of a comparison, one for each of its runs, and what these are called."""

    tuning: Tuning
    jobs: list[PreparedSweep]
    places: list[tuple[str, str]]  # arm, data set
    names: list[str]  # for the screen: the arm, and on which data set if there are several
    folders: list[str]  # below TUNING_FOLDER

    def notes(self) -> list[str]:
        """Advice on what the tuning has seen of the examples that arms are compared on, and on trials that
        are too few to learn from."""
        sweep, measure = self.jobs[0].sweep, self.tuning.measure
        e, notes = sweep.first_candidate.experiment, []
        if measure == "auto" and not all(len(fold.test) for fold in sweep.cache.folds(e)):
            measure = "val_error"
        if measure == "steps" or measure.startswith("val_"):
            notes.append(
                f"{measure} is of the validation examples, by which the settings of each arm were chosen, "
                f"so it is a little too good; measure=test_error is of examples that chose nothing"
            )
        sampler, trials = sweep.search.sampler, self.tuning.trials
        key = next((key for key in FIRST_TRIALS if sampler.learns and hasattr(sampler, key)), None)
        if key and trials <= (first := getattr(sampler, key)):
            notes.append(
                f"tune={trials}: {sampler.name} chooses by results only after its first {first} trials "
                f"(sampler.{key}), so that none of these are chosen by it; write tune={2 * first}, or "
                f"sampler=random"
            )
        if (repeats := getattr(e.split, "repeats", 1)) > 1:
            notes.append(
                f"split.repeats = {repeats}: each repeat tests examples that validate in others, so that "
                f"test numbers of tuned arms are a little too good, of all arms alike"
            )
        return notes

    def lines(self) -> list[str]:
        """What is about to be searched, and how."""
        search, task = self.jobs[0].sweep.search, self.jobs[0].task
        goal = f"{'least' if search.signs[0] > 0 else 'largest'} {metric_label(search.objectives[0], task)}"
        title = (
            f"tuning {len(self.jobs)} {'arms' if self.names == [a for a, _ in self.places] else 'sweeps'}: "
            f"{self.tuning.trials} trials each by {search.sampler.name}, for the {goal}, at seed "
            f"{self.tuning.seed}"
        )
        domains = {key: domain for job in self.jobs for key, domain in job.sweep.space.domains.items()}
        missing = {
            key: list(dict.fromkeys(
                arm for (arm, _), job in zip(self.places, self.jobs, strict=True)
                if key not in job.sweep.space.domains
            ))
            for key in domains
        }  # fmt: skip
        return [title, *space_lines(domains, missing)]

    def plans(self) -> list[str]:
        """What each sweep would cost."""
        lines = []
        for name, job in zip(self.names, self.jobs, strict=True):
            lines += [f"  {name}", *("  " + line for line in plan_lines(job.plan) if line)]
        return lines


def prepare_tuning(plan: ComparePlan, arrangement: Arrangement, begun: Path | None = None) -> PreparedTuning:
    """The sweeps, ready to start, or to go on in the folder of a comparison that was `begun`. Raises
    `UserError` for whatever would stop one of them later."""
    tuning, subfolders = plan.tuning, folder_names(list(plan.runs))
    caches: dict[str, DataCache] = {}  # arms on the same data load them once
    several = len(arrangement.data) > 1
    names = [f"{arm} on {data}" if several else arm for arm, data in arrangement.places]
    jobs = []
    for request, name, subfolder in zip(tuning.requests, names, subfolders, strict=True):
        cache = caches.setdefault(repr(request.settings["data"]), DataCache())
        try:
            _refuse_unvalidated(request, tuning.trials)
            if begun:
                request = _resumed(request, begun / TUNING_FOLDER / subfolder)
            jobs.append(prepare_sweep(request, cache))
            _refuse_part_of_grid(jobs[-1], tuning.trials)
        except UserError as e:
            raise UserError(f"tuning {name}: {e}") from e
    return PreparedTuning(tuning, jobs, arrangement.places, names, subfolders)


def _resumed(request: SweepRequest, path: Path) -> SweepRequest:
    """The request that goes on with the sweep in the folder; where there is none, that of a new one."""
    if not (path / SWEEP_FILE).exists():
        return request
    resumed = sweep_request.read(with_folders_quoted(CommandLine("sweep", (f"resume={path}",))))
    if resumed.sweep_json["words"] != list(request.line.overrides):
        raise UserError(f"'{path}' holds a sweep of other words than the comparison's")
    return resumed


def _refuse_unvalidated(request: SweepRequest, trials: int) -> None:
    """Raise `UserError` where there is nothing to rank trials by."""
    if request.search.objective == "auto" and request.settings["split"]["name"] == "none":
        raise UserError(f"split=none holds back no examples to validate {trials} trials: take split=holdout")


def _refuse_part_of_grid(job: PreparedSweep, trials: int) -> None:
    """Raise `UserError` where only the first cells of a grid would be tried, which are one corner of it."""
    cells = job.sweep.max_trials if job.sweep.search.sampler.enumerates else 0
    if cells > trials:
        raise UserError(
            f"its grid has {cells} cells, and tune={trials} would try one corner of them; write "
            f"tune={cells}, or sampler=random"
        )


def tune(prepared: PreparedTuning, plan: ComparePlan, folder: Path) -> tuple[list[ComposedRun], dict]:
    """Search for each arm; its runs with the settings that won, and the entry `tuning` of compare.json."""
    tuned: list[TunedArm] = []
    terminal, width = Terminal(), max(map(len, prepared.names))
    terminal.title(prepared.lines()[0])
    for line in prepared.lines()[1:]:
        terminal.line(line)
    terminal.line("")
    count = len(plan.runs)
    with (
        early_end.reporting_what_is_saved(lambda: _describe_saved(len(tuned), count, folder)),
        _tuning_folder(folder, plan.line) as parent,
    ):
        for number in range(count):
            tuned.append(_tune_arm(prepared, number, parent))
            job, name = prepared.jobs[number], prepared.names[number]
            for line in tuned[-1].line(name, width, job.task, prepared.tuning.trials):
                terminal.line(line)
    terminal.line("")
    return _compose_tuned(prepared.tuning, plan.runs, tuned), _entry(prepared, tuned)


@contextmanager
def _tuning_folder(folder: Path, line: CommandLine) -> Iterator[Path]:
    """The folder of the sweeps, a new one with the words by which they go on, or that of earlier ones; no
    other process goes on with it meanwhile."""
    parent = folder / TUNING_FOLDER
    if not is_being_tuned(folder):
        folders.make_folder_in_multirun(folder, TUNING_FOLDER)
        config_dir = line.config_dir and str(Path(line.config_dir).absolute())
        write_tuning(folder, TuningFile(line.overrides, config_dir))
    with closing(open_locked(parent / LOCK_FILE, "nnlab compare")):
        yield parent


def _describe_saved(ended: int, count: int, folder: Path) -> str:
    return (
        f"{ended} of {count} sweeps have ended, every finished batch is kept in '{folder / TUNING_FOLDER}', "
        f"and nothing is compared yet; to go on: {shell_line(['nnlab', 'compare', str(folder)])}"
    )


def _tune_arm(prepared: PreparedTuning, number: int, parent: Path) -> TunedArm:
    """Search for one arm, in its folder. Raises `EndedEarly` if no trial trains to its end."""
    job, (arm, data), subfolder = prepared.jobs[number], prepared.places[number], prepared.folders[number]
    path = parent / subfolder
    if job.request.resume_folder is None:
        folders.remove_unstarted(path)  # of a process that was killed before the sweep began
        folders.make_folder_in_multirun(parent, subfolder)
    best = _search(job, path)
    trials = job.sweep.trials
    failed = sum(trial.state == FAILED for trial in trials)
    if best is None:
        reasons = [trial.reason for trial in trials if trial.reason]
        commonest = max(sorted({*reasons}), key=reasons.count, default="")
        why = f", most of them so: {commonest}" * bool(commonest)
        raise EndedEarly(
            f"tuning {prepared.names[number]}: none of {len(trials)} trials was trained to its end{why}; "
            f"they are in '{path}'",
            1,
        )
    return TunedArm(
        arm=arm,
        data=data,
        folder=f"{TUNING_FOLDER}/{subfolder}",
        objective=job.sweep.search.objectives[0],
        value=best.values[0],
        trial=best.number,
        trials=len(trials),
        failed=failed,
        params=best.params,
        words=tuple(override_for(key, v) for key, v in job.sweep.space.values(best.params).items()),
        searched=job.request.definition.texts,
        ends=_ends_of_ranges(job, best),
    )


def _ends_of_ranges(job: PreparedSweep, best: Trial) -> dict[str, str]:
    """The numbers of the best trial that lie at an end of their range, and at which."""
    domains = job.sweep.space.domains
    ranges = {key: domains[key] for key in best.params if isinstance(domains.get(key), Interval)}
    ends = {key: domain.end_near(best.params[key]) for key, domain in ranges.items()}
    return {key: end for key, end in ends.items() if end}


def _search(job: PreparedSweep, path: Path) -> Trial | None:
    """Train the trials into the folder; the best of them."""
    sweep, hopeless = job.sweep, ""
    with SweepFolder(path) as folder, sweep_command.closing_ledger(job):
        writer = SweepWriter(folder, job)
        with SweepConsole(
            sweep.search, sweep.count, sweep.epochs, job.task, sweep.trials, has_lines=False
        ) as console:
            try:
                sweep_command.train_trials(job, writer, console)
            except AllTrialsFailed as why:
                hopeless = str(why)
        writer.close_board()
        best = next(iter(rank_trials(sweep.trials, sweep.search.signs)), None)
        outcome = {"best": best_entry(best, job.train_line(best))} if best else {}
        writer.close(outcome, console.counts(), {}, hopeless)
    return best


def _compose_tuned(
    tuning: Tuning, runs: Sequence[ComposedRun], tuned: Sequence[TunedArm]
) -> list[ComposedRun]:
    """The runs with the words that won, and their own seeds; each is called as its arm was typed."""
    words = []
    for run, request, best in zip(runs, tuning.requests, tuned, strict=True):
        won = request.definition.trials.overrides(best.params)  # of the request, whose device is not chosen
        words.append([word for word in won if key_of(word) not in SEED_KEYS])
        words[-1] += [word for word in run.overrides if key_of(word) in SEED_KEYS]
    with open_composer(tuning.train) as composer:
        composed = compose_runs(tuning.train, [composer.read(each) for each in words], composer)
    return [replace(new, overrides=run.overrides) for new, run in zip(composed, runs, strict=True)]


def _entry(prepared: PreparedTuning, tuned: Sequence[TunedArm]) -> dict:
    """`tuning` of compare.json."""
    settings = prepared.tuning.requests[0].settings
    arms: dict[str, dict] = {}
    for each in tuned:
        arms.setdefault(each.arm, {})[each.data] = each.to_json()
    return {
        "trials": prepared.tuning.trials,
        "seed": prepared.tuning.seed,
        "sampler": settings["sampler"],
        "arms": arms,
    }
