"""`Words`: documents of two classes as bags of words, of which the rare ones tell the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.data.synthetic import MOST_ELEMENTS, MOST_EXAMPLES
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.streams import stream


@dataclass(frozen=True)
class Words(Data):
    """Documents of two classes, each a line of 0 and 1: which of d words it has. Rare words tell its class.

    The frequencies f_1 > ... > f_d of the words fall geometrically from `most` to `least`. The first d -
    `telling` words are as frequent in both classes. Of the others each has a class of its own, in turn, and

        P(x_j = 1 | its class)   = (1 + purity) f_j
        P(x_j = 1 | the other)   = (1 - purity) f_j

    Words are independent given the class, so logistic regression is the right model, with the weight
    log((1 + purity) / (1 - purity)) for a rare word that tells, nearly, and 0 for a word that does not. A
    share `train_split` of the documents, the first ones, is there to learn from; the others are the test set.

    In the manner of the simulation of Wager, Wang and Liang 2013, "Dropout training as adaptive
    regularization": few documents, and signals that are seldom there.

    >>> Words(n=100).load()
    Dataset(100 x 120, 2 classes)
    """

    name: ClassVar[str] = "words"
    drawn: ClassVar[bool] = True
    n: int = static(1000, low=10, high=MOST_EXAMPLES)
    d: int = static(120, low=2, high=1_000_000)
    telling: int = static(60, low=0, high=1_000_000)
    most: float = static(0.5, above=0, high=0.5)
    least: float = static(0.02, above=0, high=0.5)
    purity: float = static(0.95, low=0, high=1)
    train_split: float = static(0.8, above=0, below=1)
    normalization: str = static("none", choices=NORMALIZATION_NAMES)

    def read(self):
        self._refuse_wrong()
        rng = stream(self.seed, "data", self.name)
        y = rng.integers(2, size=self.n)
        side = np.zeros(self.d)  # -1: the word is of the first class, 1: of the second
        side[self.d - self.telling :] = np.where(np.arange(self.telling) % 2, 1, -1)
        probability = self.frequencies() * (1 + self.purity * np.outer(2 * y - 1, side))  # (n, d)
        x = (rng.random((self.n, self.d)) < probability).astype(float)
        names = tuple(f"word {j}" for j in range(1, self.d + 1))
        test = np.arange(self._train_count(), self.n)
        return Dataset(x, y, ("first", "second"), names, test)

    def frequencies(self) -> np.ndarray:
        """(d,) the share of all documents that have each word."""
        return np.geomspace(self.most, self.least, self.d)

    def _train_count(self) -> int:
        return int(self.n * self.train_split)

    def _refuse_wrong(self) -> None:
        if self.n * self.d > MOST_ELEMENTS:
            raise UserError(
                f"data.n = {self.n} and data.d = {self.d} are {self.n * self.d:,} numbers; allowed are "
                f"{MOST_ELEMENTS:,}"
            )
        if self.telling > self.d:
            raise UserError(
                f"data.telling = {self.telling}: of data.d = {self.d} words that many cannot tell the class; "
                f"allowed are 0 to {self.d}"
            )
        if self.least > self.most:
            raise UserError(
                f"data.least = {self.least:g} is above data.most = {self.most:g}; the rarest word is at most "
                f"as frequent as the commonest"
            )
        if not 0 < self._train_count() < self.n:
            raise UserError(
                f"data.train_split = {self.train_split:g} of data.n = {self.n} leaves no example to train, "
                f"or none to test"
            )
