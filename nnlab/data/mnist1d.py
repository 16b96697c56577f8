"""`Mnist1d`: signals of 40 numbers that stand for ten digits, drawn by formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.image_shapes import NORMALIZED_PER
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.errors import UserError
from nnlab.hyperparameters import static

# The outlines of the digits 0 to 9, at 12 moments.
OUTLINES = """
    5 6 6.5 6.75 7 7 7 7 6.75 6.5 6 5
    5 3 3 3.4 3.8 4.2 4.6 5 5.4 5.8 5 5
    5 6 6.5 6.5 6 5.25 4.75 4 3.5 3.5 4 5
    5 6 6.5 6.5 6 5 5 6 6.5 6.5 6 5
    5 4.4 3.8 3.2 2.6 2.6 5 5 5 5 5 5
    5 3 3 3 3 5 6 6.5 6.5 6 4.5 5
    5 4 3.5 3.25 3 3 3 3 3.25 3.5 4 5
    5 7 7 6.6 6.2 5.8 5.4 5 4.6 4.2 5 5
    5 4 3.5 3.5 4 5 5 4 3.5 3.5 4 5
    5 4 3.5 3.5 4 5 5 5 5 4.7 4.3 5
"""
SIGNAL_SCALE = 6.0  # by which standardised outlines are divided
NOISE_CORRELATION = 2.0  # moments: the width of the Gaussian that smooths noise
NEVER_ZERO = 1e-8  # added to a digit, so that only its padding is 0
MOST_EXAMPLES = 1_000_000
MOST_MOMENTS = 10_000
LARGEST_SEED = 2**32 - 1  # that the generator takes


@dataclass(frozen=True)
class Mnist1d(Data):
    """MNIST-1D: ten digits as signals (1, 40), drawn on the spot, the first four fifths to train.

    Each is an outline of 12 moments that is padded with zeros, stretched to 72, scaled, rotated in time and
    sheared; correlated noise stands in place of the zeros, white noise everywhere. The numbers are those of
    the published generator (PyPI's `mnist1d`, whose names the settings have) for the same seed. A whole data
    set has mean 0 and standard deviation 1.

    Greydanus and Kobak 2024, "Scaling down deep learning with MNIST-1D".

    >>> Mnist1d(n=200).load()
    Dataset(200 x 1 x 40, 10 classes)
    """

    name: ClassVar[str] = "mnist1d"
    drawn: ClassVar[bool] = True
    n: int = static(5000, low=20, high=MOST_EXAMPLES)
    train_split: float = static(0.8, above=0, below=1)
    padding: tuple[int, int] = static((36, 60), low=0, high=MOST_MOMENTS)
    scale_coeff: float = static(0.4, low=0, below=np.inf)
    max_translation: int = static(48, low=1, high=MOST_MOMENTS)
    corr_noise_scale: float = static(0.25, low=0, below=np.inf)
    iid_noise_scale: float = static(0.02, low=0, below=np.inf)
    shear_scale: float = static(0.75, low=0, below=np.inf)
    shuffle_seq: bool = static(False)
    final_seq_length: int = static(40, low=2, high=MOST_MOMENTS)
    normalization: str = static("standard", choices=NORMALIZATION_NAMES)
    normalization_per: str = static("channel", choices=NORMALIZED_PER)
    seed: int = static(42, low=0, high=LARGEST_SEED)

    def read(self):
        self._refuse_wrong()
        # numpy's oldest generator, whose numbers the published data are.
        rng = np.random.RandomState(self.seed)
        outlines = standard_outlines()
        y = np.repeat(np.arange(10), self.n // 10)
        x = np.stack([self._signal(outlines[digit], rng) for digit in y])
        order = rng.permutation(self.n)
        x, y = x[order], y[order]
        if self.shuffle_seq:
            x = x[:, rng.permutation(self.final_seq_length)]
        x = (x - x.mean()) / x.std()
        test = np.arange(int(self.n * self.train_split), self.n)
        names = tuple(f"t{moment}" for moment in range(x.shape[1]))
        return Dataset(
            x, y, tuple("0123456789"), names, test, labels="integer", target_names=("digit",),
            shape=(1, x.shape[1]),
        )  # fmt: skip

    def _signal(self, outline: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """(final_seq_length,) one example. The order of the draws is the published one."""
        from scipy.ndimage import gaussian_filter1d

        low, high = self.padding
        zeros = low + int(rng.rand() * (high - low + 1))
        x = _resampled(np.concatenate([outline + NEVER_ZERO, np.zeros(zeros)]), len(outline) + high)
        x = x * (1 + self.scale_coeff * (rng.rand() - 0.5))
        x = np.roll(x, rng.choice(self.max_translation))
        noise = gaussian_filter1d(self.corr_noise_scale * rng.randn(len(x)), NOISE_CORRELATION)
        x = np.where(x != 0, x, noise) + self.iid_noise_scale * rng.randn(len(x))
        x = x - self.shear_scale * (rng.rand() - 0.5) * np.linspace(-0.5, 0.5, len(x))
        return _resampled(x, self.final_seq_length)

    def _refuse_wrong(self) -> None:
        low, high = self.padding
        if low > high:
            raise UserError(f"data.padding = {list(self.padding)}: expected the fewest zeros, then the most")
        if self.n % 10:
            lower = self.n - self.n % 10
            raise UserError(
                f"data.n = {self.n}: each of ten digits has as many examples; take {lower} or {lower + 10}"
            )
        if not 0 < int(self.n * self.train_split) < self.n:
            raise UserError(
                f"data.train_split = {self.train_split:g} of data.n = {self.n} leaves no example to train, "
                f"or none to test"
            )


def standard_outlines() -> np.ndarray:
    """(10, 12): the outlines, standardised, each beginning at 0."""
    x = np.array([line.split() for line in OUTLINES.split("\n") if line.strip()], float)
    x -= x.mean(1, keepdims=True)
    x /= x.std(1, keepdims=True)
    x -= x[:, :1]
    return x / SIGNAL_SCALE


def _resampled(x: np.ndarray, count: int) -> np.ndarray:
    """The signal at `count` moments, linear in between."""
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(x)), x)
