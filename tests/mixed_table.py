"""A table of every type of column in memory, whose validation and test examples may be changed."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from hydra.core.config_store import ConfigStore

from nnlab.data.columns import Column
from nnlab.data.dataset import Data, Dataset
from nnlab.data.encoding import Encoding
from nnlab.hyperparameters import static

ZIPS = tuple(f"z{i:02}" for i in range(12))
COLUMNS = (
    Column("zip", "category", categories=ZIPS, embedded=True, missing=True),
    Column("age", "number", missing=True),
    Column("id", "identifier"),
    Column("plan", "category", categories=("gold", "iron", "silver"), missing=True),
    Column("left", "boolean", categories=("no", "yes")),
    Column("words", "text", buckets=2),
    Column("income", "number"),
    Column("since", "date", parts=("year", "days"), missing=True),
)
ENCODING = Encoding(COLUMNS)
POSITION = {name: i for i, (name, _) in enumerate(ENCODING.raw)}


def raw_examples(count: int, seed: int = 0) -> np.ndarray:
    """(count, d_raw): some of the numbers and categories missing, one category rare."""
    random = np.random.default_rng(seed)
    x = np.zeros((count, ENCODING.raw_width))
    values = {
        "zip": random.choice([0, *range(2, 14)], count),
        "age": random.normal(40, 10, count),
        "plan": random.choice([0, 2, 3, 4], count, p=[0.1, 0.5, 0.38, 0.02]),
        "left": random.choice([2, 3], count),
        "words #0": random.integers(3, size=count),
        "words #1": random.integers(9, size=count),  # beyond where numbers are clipped
        "income": np.exp(random.normal(10, 1, count)),
        "since year": random.choice(range(2000, 2020), count),
        "since days": random.choice(range(11_000, 18_000), count),
    }
    for name, column in values.items():
        x[:, POSITION[name]] = column
    x[random.random(count) < 0.1, POSITION["age"]] = np.nan
    x[random.random(count) < 0.05, POSITION["since year"] :] = np.nan
    return x


def targets(x: np.ndarray) -> np.ndarray:
    """(N,) 0 or 1: of an older person, a plan and a place."""
    age = np.nan_to_num(x[:, POSITION["age"]], nan=40)
    score = (age - 40) / 10 + (x[:, POSITION["plan"]] == 2) - (x[:, POSITION["zip"]] % 3 == 0)
    return (score > 0.3).astype(int)


def changed_examples(x: np.ndarray, indices: tuple[int, ...]) -> np.ndarray:
    """x with these examples as different as they can be: far out, missing, of another category."""
    x, indices = x.copy(), np.array(indices, int)
    for i, (name, kind) in enumerate(ENCODING.raw):
        v = x[indices, i]
        if kind == "number":
            x[indices, i] = np.where(np.isnan(v), 1e9, np.where(indices % 2, np.nan, -1e9 * (1 + indices)))
        elif kind == "plain":
            x[indices, i] = v + 5
        else:
            codes = next(column.codes for column in COLUMNS if column.name == name)
            x[indices, i] = (v + 1 + indices) % codes  # among them missing, and not in the vocabulary
    return x


@dataclass(frozen=True)
class Mixed(Data):
    """The table. `changed` examples are others (see `changed_examples`); their targets are what they were."""

    name: ClassVar[str] = "mixed"
    n: int = static(240, low=1)
    numbers: bool = static(False)
    rare: int = static(1, low=1)
    one_hot: bool = static(False)  # all categories
    target_normalization: str = static("standard", choices=("standard", "none"))
    changed: tuple[int, ...] = static(())

    def read(self):
        x = raw_examples(self.n)
        y, changed = targets(x), changed_examples(x, self.changed)
        columns = tuple(replace(c, embedded=c.embedded and not self.one_hot) for c in COLUMNS)
        about = {"columns": columns, "keys": np.array([f"c{i:03}" for i in range(self.n)]), "key_name": "id"}
        if self.numbers:
            income = x[:, POSITION["income"]]
            return Dataset(changed, np.log(income)[:, None] + y[:, None], **about)
        return Dataset(changed, y, ("stay", "go"), target_names=("left us",), **about)


@contextmanager
def installed_mixed(folder: Path, monkeypatch):
    """`data=mixed` as a plug-in of a package in that folder, which becomes the working directory."""
    monkeypatch.chdir(folder)
    info = folder / "site" / "mixed-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mixed\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[nnlab.data]\nmixed = mixed_table:Mixed")
    monkeypatch.syspath_prepend(str(folder / "site"))
    yield
    ConfigStore.instance().repo.get("data", {}).pop("mixed.yaml", None)
