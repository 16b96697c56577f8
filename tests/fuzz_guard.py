"""Runs a reader on a mutated file in a guarded process, with limits on its time, memory, files and errors.

A reader may return a value, or raise a `UserError` or `MachineFault` of one line. Anything else is a fault:
another exception or warning, a signal, too many seconds or bytes, a file opened outside of the input's
folder, a link followed out of it, anything written, any code run. Cases run in forks, many in each; the seed
of a case is all that is needed to repeat it.
"""

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import stat
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from mutations import mutated, replace_by_another_kind

from nnlab.errors import Advice, MachineFault, UserError, visible

ROOT = Path(__file__).parent.parent
CPU_SECONDS, WALL_SECONDS = 5, 120  # of a call
CASES_OF_A_FORK = 2000
CRASHED = 70  # exit code of a fork in which the guard itself failed
MEMORY = 700 * 2**20  # bytes beside what the process has: a gzip file may fill what there is
LONGEST_SENTENCE = 1500  # characters
OTHER_KIND_SHARE = 0.1  # of the cases: a link, a pipe, a folder in the place of a file
LIBRARIES = {str(ROOT), sys.prefix, sys.base_prefix, *filter(None, sys.path)}
READABLE = (
    *LIBRARIES,
    *map(os.path.realpath, LIBRARIES),
    "/proc/",
    "/sys/",
    "/usr/",
    "/etc/localtime",
    os.devnull,
)
WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
WRITING_EVENTS = {
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown",
    "os.truncate", "os.utime", "os.setxattr",
}  # fmt: skip
EXECUTING_EVENTS = {
    "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "socket.connect",
    "socket.getaddrinfo", "pickle.find_class",
}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Something of nnlab that reads files of strangers.

    inputs  valid inputs to mutate, each a dict: name of a file -> content
    calls   takes a folder with such an input, gives the calls that read it, each by itself
    """

    name: str
    inputs: list[dict[str, bytes]]
    calls: Callable[[Path, Random], Iterator[Callable]]
    writes: bool = False  # within the folder
    follows_links: bool = False  # since its user typed the path
    reads_anywhere: bool = False  # the data of a run lie elsewhere


@dataclass
class Case:
    """What came of one mutated input."""

    seed: int
    values: int = 0  # calls that returned
    refusals: int = 0  # calls that raised a sentence
    seconds: float = 0.0  # of the processor
    fault: str = ""


class TooLong(BaseException):
    """Of a case: `Exception` would be caught on the way."""


class Watch:
    """What a process touches while a case runs, by Python's audit events."""

    def __init__(self):
        self.folder: str | None = None  # of the case; None between cases
        self.reader: Reader | None = None
        self.offences: list[str] = []

    def __call__(self, event: str, args: tuple) -> None:
        if self.folder is None:
            return
        if event == "open" and not isinstance(args[0], int) and args[0] is not None:
            self._opened(os.fsdecode(args[0]), args[2])
        elif event in WRITING_EVENTS:
            paths = [os.fsdecode(a) for a in args if isinstance(a, str | bytes | os.PathLike)]
            if not (self.reader.writes and all(map(self._inside, paths))):
                self.offences.append(f"writes: {event} {paths}")
            if event == "os.truncate" and any(map(_has_another_name, paths)):
                self.offences.append(f"writes to {paths}, a hard link")
        elif event in EXECUTING_EVENTS:
            self.offences.append(f"executes: {event} {args!r:.200}")
        elif event == "exec":
            file = args[0].co_filename
            if not file.startswith((*READABLE, "<frozen", "<string>")):
                self.offences.append(f"executes: code of {file}")

    def _opened(self, path: str, flags: int) -> None:
        if flags & WRITING_FLAGS and path != os.devnull:
            if not (self.reader.writes and self._inside(path)):
                self.offences.append(f"writes to {path}")
            elif _has_another_name(path):
                self.offences.append(f"writes to {path}, a hard link")
            return
        if path.startswith(READABLE) or self.reader.reads_anywhere and not self._inside_lexically(path):
            return
        if not self._inside(path):
            self.offences.append(f"reads {path}, outside of its folder")
        elif not self.reader.follows_links and _has_another_name(path):
            self.offences.append(f"reads {path}, a hard link")

    def _inside_lexically(self, path: str) -> bool:
        """Whether it is called like a file of the folder, wherever a link leads."""
        return os.path.abspath(path).startswith(self.folder + os.sep)

    def _inside(self, path: str) -> bool:
        full_path, folder = os.path.realpath(path), self.folder
        if self.reader.follows_links:
            full_path, folder = os.path.abspath(path), os.path.dirname(folder)
        return full_path == folder or full_path.startswith(folder + os.sep)


def _has_another_name(path: str) -> bool:
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return stat.S_ISREG(status.st_mode) and status.st_nlink > 1
    return False


def make_input(reader: Reader, seed: int, folder: Path) -> tuple[Random, str]:
    """Write the mutated input of that seed into the folder; its random generator, and what was done."""
    random = Random(f"{reader.name} {seed}")
    files, inside = random.choice(reader.inputs), folder / "in"
    inside.mkdir(parents=True)
    names = random.sample([*files], min(len(files), random.choice((1, 1, 1, 2))))
    for name, content in files.items():
        file = inside / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(mutated(name, content, random) if name in names else content)
    done = f"{', '.join(names)} mutated"
    if random.random() < OTHER_KIND_SHARE:
        name = random.choice([*files])
        done += f"; {name}: {replace_by_another_kind(inside / name, random, folder / 'outside')}"
    if random.random() < 0.02:
        odd = random.choice(
            ("a\nb", "\x1b[2J", "..a", "x" * 250, "\u202e", " ", "-rf", "curves.jsonl.1", "\udcff")
        )
        (inside / odd).write_bytes(b"x")
        done += f"; beside it {odd!r:.20}"
    return random, done


def attempt(reader: Reader, seed: int, folder: Path, watch: Watch) -> Case:
    """The case of that seed: every call on the mutated input."""
    random, done = make_input(reader, seed, folder)
    _limit_memory()
    case, begin = Case(seed), time.process_time()
    calls = reader.calls(folder / "in", random)
    while not case.fault and (call := next(calls, None)):
        fault = _guarded(call, reader, folder / "in", watch, case)
        case.fault = f"{fault} ({done})" if fault else ""
    case.seconds = time.process_time() - begin
    return case


def _guarded(call: Callable, reader: Reader, folder: Path, watch: Watch, case: Case) -> str:
    """What is wrong with the answer; "" if nothing is."""
    watch.offences.clear()
    watch.reader, watch.folder = reader, os.path.realpath(folder)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    complaint = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Advice)
            warnings.simplefilter("ignore", ResourceWarning)  # Python shows nobody these
            call()
        case.values += 1
    except (UserError, MachineFault) as e:
        case.refusals += 1
        complaint = _wrong_sentence(str(e))
    except TooLong:
        complaint = f"takes more than {CPU_SECONDS} s of the processor, or {WALL_SECONDS} s"
    except BaseException as e:
        complaint = f"{type(e).__name__}: {e!s:.200} at {_place(e)}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        watch.folder = None
    return complaint or "; ".join(watch.offences[:3])


def _wrong_sentence(sentence: str) -> str:
    if not sentence.strip() or "\n" in sentence or visible(sentence) != sentence:
        return f"a sentence that is not one line of print: {sentence!r:.300}"
    if len(sentence) > LONGEST_SENTENCE:
        return f"a sentence of {len(sentence):,} characters: {sentence:.200}"
    return ""


def _place(error: BaseException) -> str:
    """The line of nnlab nearest to where it was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f"{ROOT}/nnlab/" in f.filename]
    return (
        f"{Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno}" if frames else "no line of nnlab"
    )


# ---- Many cases, in forks


def run(reader: Reader, seeds: range, scratch: Path) -> Iterator[Case]:
    """The case of every seed. A fork that dies or hangs is a fault of its last case; another goes on."""
    while seeds:
        results, end = os.pipe()
        child = os.fork()
        if not child:
            os.close(results)
            _work(reader, seeds[:CASES_OF_A_FORK], scratch, end)
        os.close(end)
        for case in _received(results):
            yield case
            seeds = range(case.seed + 1, seeds.stop)
        os.close(results)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        shutil.rmtree(scratch / "case", ignore_errors=True)
        if code and seeds:
            name = signal.Signals(-code).name if code < 0 else f"code {code}"
            yield Case(seeds.start, fault=f"the process ended by {name}")
            seeds = seeds[1:]


def _received(results: int) -> Iterator[Case]:
    """The cases that a fork writes, until it ends or is silent for too long."""
    waiting = b""
    while select.select([results], [], [], 2 * WALL_SECONDS)[0] and (read := os.read(results, 2**16)):
        *lines, waiting = (waiting + read).split(b"\n")
        yield from (Case(**json.loads(line)) for line in lines)


def _use_one_thread() -> None:
    """A fork hangs if it uses the threads that torch had started before it."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _work(reader: Reader, seeds: range, scratch: Path, end: int) -> None:
    """The fork: cases, and never back."""
    try:
        watch = Watch()
        sys.dont_write_bytecode = True
        sys.addaudithook(watch)
        _limit_time()
        _use_one_thread()
        for seed in seeds:
            case = attempt(reader, seed, scratch / "case", watch)
            shutil.rmtree(scratch / "case")
            os.write(end, json.dumps(asdict(case)).encode() + b"\n")
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(CRASHED)


def _limit_time() -> None:
    """Let the timers of `_guarded` interrupt this process."""

    def too_long(*_):
        raise TooLong

    signal.signal(signal.SIGPROF, too_long)
    signal.signal(signal.SIGALRM, too_long)


def _limit_memory() -> None:
    """Bound what this process may take beside what it has."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
