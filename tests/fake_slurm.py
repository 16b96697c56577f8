"""A Slurm of one machine, as far as nnlab and submitit ask it: sbatch, srun, squeue and scancel on the PATH.

`install(folder)` writes them there. A job is a process group of the script that was submitted, in `jobs/ID`:
its name and the number of its process. Each command is this file, called by the command's name.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "scancel")


def install(folder: Path) -> Path:
    """Write the commands into a folder, which is to be on the PATH."""
    (folder / "jobs").mkdir(parents=True)
    for command in COMMANDS:
        file = folder / command
        file.write_text(f"#!{sys.executable} -SE\n" + Path(__file__).read_text())
        file.chmod(0o755)
    return folder


def sbatch(jobs: Path, script: str) -> None:
    text = Path(script).read_text()
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)='?([^'\n]*)", text, re.MULTILINE))
    if options.get("partition", "small") != "small":
        sys.exit(
            f"sbatch: error: invalid partition specified: {options['partition']}\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified"
        )
    # A job inherits nothing of who submits it, as little as from Slurm's daemon.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    number = len({job.name.split("_")[0] for job in jobs.iterdir()}) + 1
    last = re.match(r"0-(\d+)", options.get("array", ""))
    for task in range(int(last[1]) + 1) if last else [None]:
        job = f"{number}" if task is None else f"{number}_{task}"
        own = {"SLURM_JOB_ID": f"{number}"}
        if task is not None:
            own |= {"SLURM_ARRAY_JOB_ID": f"{number}", "SLURM_ARRAY_TASK_ID": f"{task}"}
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(
            ["bash", script], env=os.environ | own, stdin=nowhere, stdout=nowhere, stderr=nowhere,
            start_new_session=True,
        )  # fmt: skip
        (jobs / job).write_text(f"{options['job-name']} {process.pid}")
    print(f"Submitted batch job {number}")


def srun(jobs: Path, *line: str) -> None:
    words = list(line)
    job = os.environ["SLURM_JOB_ID"]
    names = {"%j": job, "%t": "0", "%A": job, "%a": os.environ.get("SLURM_ARRAY_TASK_ID", "")}
    while (word := words.pop(0)).startswith("-"):
        if word in ("--output", "--error"):
            path = re.sub("%.", lambda found: names[found[0]], words.pop(0))
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1 if word == "--output" else 2)
    os.execvp(word, [word, *words])


def living(jobs: Path, wanted: tuple[str, ...]) -> dict[str, int]:
    """The process groups of the jobs with the wanted name that have not ended, by job."""
    name = next(word.removeprefix("--name=") for word in wanted if word.startswith("--name="))
    found = {}
    for job in jobs.iterdir():
        of, group = job.read_text().split()
        try:
            state = Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if of == name and state != "Z":
            found[job.name] = int(group)
    return found


def squeue(jobs: Path, *line: str) -> None:
    print("\n".join("RUNNING|None" for _ in living(jobs, line)))


def scancel(jobs: Path, *line: str) -> None:
    if "--state=PENDING" in line:  # none ever is
        return
    for group in living(jobs, line).values():
        os.killpg(group, signal.SIGTERM)


if __name__ == "__main__":
    command = Path(sys.argv[0]).name
    globals()[command](Path(sys.argv[0]).parent / "jobs", *sys.argv[1:])
