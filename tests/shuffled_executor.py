"""`Shuffled`: an executor that trains jobs in this process, and does with their outcomes what networks do."""

import random

from nnlab.errors import MachineFault
from nnlab.jobs.executor import Finished
from nnlab.jobs.outcome import Outcome
from nnlab.jobs.running import run


class Shuffled:
    """Trains some waiting job, whichever, at each `collect`, and gives outcomes in any order: again those
    that were given before, and some that nobody has asked for. The first `broken` outcomes are damaged.
    The machine breaks after so many jobs."""

    def __init__(self, seed: int = 0, slots: int = 3, broken: int = 0, breaks_after: float = float("inf")):
        self.random, self.count, self.broken = random.Random(seed), slots, broken
        self.breaks_after = breaks_after
        self.seconds = {"moving": 0.0}
        self.data: dict[str, bytes] = {}
        self.waiting: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        self.outcomes: dict[str, bytes] = {}
        self.submitted: list[str] = []
        self.most_waiting = 0
        self.closed = False

    def slots(self) -> int:
        return self.count

    def put_data(self, key: str, content: bytes) -> None:
        assert key not in self.data
        self.data[key] = content

    def submit(self, name: str, job: bytes, data) -> None:
        assert set(data) <= self.data.keys()
        self.submitted.append(name)
        if name not in self.outcomes:
            self.waiting[name] = job, tuple(data)
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def collect(self, seconds: float) -> list[Finished]:
        late = [
            Finished(name, outcome) for name, outcome in self.outcomes.items() if self.random.random() < 0.3
        ]
        late.append(Finished("999999-00-0-of-somebody-else", b"?"))
        for _ in range(self.random.randint(1, 2)):
            if self.waiting:
                late.append(self._train(self.random.choice([*self.waiting])))
        self.random.shuffle(late)
        return late

    def _train(self, name: str) -> Finished:
        if self.breaks_after <= 0:
            raise MachineFault("the cluster is gone")
        self.breaks_after -= 1
        job, keys = self.waiting.pop(name)
        outcome = run(job, {key: self.data[key] for key in keys}.__getitem__)
        if self.broken:
            self.broken -= 1
            damaged = [b"", outcome[: len(outcome) // 2], b"nonsense" + outcome, Outcome().to_bytes()]
            return Finished(name, self.random.choice(damaged))
        self.outcomes[name] = outcome
        return Finished(name, outcome)

    def drop(self, names) -> None:
        for name in names:
            self.waiting.pop(name, None)
            self.outcomes.pop(name, None)

    def close(self) -> None:
        self.closed = True
