"""What a network gets of examples as the data have them, by ONNX's operators: see `nnlab.data.encoders`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlab.autodiff.operators import Operators
from nnlab.data.columns import MISSING_CODE, UNKNOWN_CODE
from nnlab.data.encoding import Encoding
from nnlab.errors import UserError

FAR_DEVIATIONS = 1e9  # deviations beyond which r / sqrt(1 + r^2) is 1 in float64


@dataclass(frozen=True)
class PortableInputs:
    """The inputs of rows with these normalisers, (K, d, B), of raw examples (d_raw, B); (1, d, B) where all
    encode and normalise alike.

    dtype  of the network
    """

    encoding: Encoding
    normalizers: list[dict[str, np.ndarray]]
    dtype: str

    def inputs(self, op: Operators, x):
        """`network_inputs` of every row."""
        encoding = self.encoding
        if not encoding.columns:
            return self._normalized(op, self._centered(op, x))
        numbers, codes, plain = (
            _gather(op, x, positions)
            for positions in (encoding.number_positions, encoding.code_positions, encoding.plain_positions)
        )
        parts = []
        if numbers is not None:
            filled = self._filled(op, self._centered(op, numbers))
            parts.append(self._normalized(op, filled))
        if encoding.flag_positions:
            flags = op.IsNaN(_gather(op, x, encoding.flag_positions))
            parts.append(self._seen(op, flags, slice(None, len(encoding.flag_positions))))
        slots = None if codes is None else self._slots(op, codes)
        column_of_place, slot_of_place = encoding.one_hot_places
        if slot_of_place:
            slot = op.constant(np.array(slot_of_place)[None, :, None])
            parts.append(op.Cast(op.Equal(_gather(op, slots, column_of_place, axis=1), slot), to=self.dtype))
        if plain is not None:
            parts.append(self._seen(op, plain, slice(len(encoding.flag_positions), None)))
        if encoding.embedded:
            parts.append(op.Cast(_gather(op, slots, encoding.embedded_codes, axis=1), to=self.dtype))
        return op.Concat(*parts, axis=1)

    def _centered(self, op: Operators, x):
        """Numbers (d, B) minus their centers, (K, d, B): in float64, then cast."""
        z = op.Sub(op.Cast(x, to="float64"), op.constant(self._stacked("center"), name="center"))
        return op.Cast(z, to=self.dtype)

    def _filled(self, op: Operators, z):
        fill = self._stacked("fill") - self._stacked("center")
        return op.Where(op.IsNaN(z), self._constant(op, fill, "fill"), z)

    def _normalized(self, op: Operators, z):
        """`normalize_inputs` of every row."""
        mean, scale, center = (self._stacked(name) for name in ("mean", "scale", "center"))
        if (mean != center).any() or (scale != 1).any():
            shift, factor = (self._constant(op, v) for v in (mean - center, 1 / scale))
            z = op.Mul(op.Sub(z, shift), factor)
        return self._clipped(op, z)

    def _clipped(self, op: Operators, z):
        """`smooth_clip_`, or the `bounded_clip_` of old runs; beyond an infinite limit nothing is clipped."""
        limits = np.array([float(normalizer.get("linear", np.inf)) for normalizer in self.normalizers])
        if np.isinf(limits).all():
            return z
        bounded = {"bound" in normalizer for normalizer in self.normalizers}
        if len(bounded) > 1:
            raise UserError("the rows clip their inputs in different ways: export one of them, row=0")
        limits = (limits[:1] if (limits == limits[0]).all() else limits)[:, None, None]
        inner = op.Max(op.Min(z, self._constant(op, limits)), self._constant(op, -limits))
        excess = op.Sub(z, inner)
        if bounded == {True}:
            excess = op.Max(op.Min(excess, FAR_DEVIATIONS), -FAR_DEVIATIONS)
            beyond = op.Div(excess, op.Sqrt(op.Add(op.Mul(excess, excess), 1)))
        else:
            beyond = op.Mul(op.Sign(excess), op.Log(op.Add(op.Abs(excess), 1)))
        return op.Add(inner, beyond)

    def _slots(self, op: Operators, codes):
        """The slots (K, categories, B) of codes (categories, B); those that no category has are unknown."""
        counts = [column.codes for column in self.encoding.code_columns]
        last = op.constant(np.array(counts)[:, None] - 1, codes)
        first = op.constant(np.array([0, *itertools.accumulate(counts[:-1])])[:, None], codes)
        codes = op.Where(op.IsNaN(codes), float(MISSING_CODE), codes)
        for is_unknown in (op.Greater(codes, last), op.Less(codes, 0)):
            codes = op.Where(is_unknown, float(UNKNOWN_CODE), codes)
        table = op.constant(
            self._of_rows("slots").astype(np.int64), name="slots"
        )  # (K, codes of all categories)
        return op.Gather(table, op.Cast(op.Add(codes, first), to="int64"), axis=1)

    def _seen(self, op: Operators, values, which: slice):
        """Flags or n-grams (n, B), (K, n, B): 0 of those that the training examples of a row do not have."""
        seen = self._constant(op, self._of_rows("seen")[:, which, None])
        return op.Mul(seen, op.Cast(values, to=self.dtype))

    def _stacked(self, name: str) -> np.ndarray:
        """A statistic of the numbers, (K, d, 1)."""
        return self._of_rows(name)[:, : self.encoding.numbers, None].astype(np.float64)

    def _of_rows(self, name: str) -> np.ndarray:
        """A fitted array of the rows, (K, ...); of the first, where all are alike."""
        return np.stack([n[name] for n in (self.normalizers[:1] if self._are_alike else self.normalizers)])

    @cached_property
    def _are_alike(self) -> bool:
        first, *others = self.normalizers
        names = ("center", "mean", "scale", *(("fill", "slots", "seen") if self.encoding.columns else ()))
        return all((other[name] == first[name]).all() for other in others for name in names)

    def _constant(self, op: Operators, array: np.ndarray, name: str = ""):
        return op.constant(array.astype(self.dtype), name=name)


def _gather(op: Operators, x, positions: tuple[int, ...], axis: int = 0):
    """The lines of x at these positions; None where there are none."""
    return op.Gather(x, op.constant(np.array(positions, np.int64)), axis=axis) if positions else None
