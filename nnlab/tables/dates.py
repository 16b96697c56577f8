"""How a column of text writes dates and times, and their parts as numbers.

2024-01-31    2024-01-31T13:45:00Z    2024/1/31 1:45 PM    20240131    2024-01    2024Q1
31.1.2024    31/01/24    1/31/2024    31 Jan 2024    Jan 31, 2024    January 2024    13:45:10
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.tables.cells import encoded_if_few
from nnlab.tables.user_types import DAY_MONTH_ORDERS

MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = (
    r"(?:(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?:Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?)"
)
_WEEKDAY = r"(?:(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)[a-z]*[.,]?\s+)?"
_MONTH = r"(?P<name>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))[a-zA-Z]{0,6}\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_YEARS = r"(?P<year>\d{4}|'?\d{2})"
# Each may be followed by a time. The name of a form is kept with the column: new cells are read alike.
_PATTERNS = {
    "ymd": rf"{_YEAR}(?:-(?P<month>\d{{1,2}})-|/(?P<month2>\d{{1,2}})/|\.(?P<month3>\d{{1,2}})\.){_DAY}",
    "compact": r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
    "dmy": rf"(?P<day>\d{{1,2}})\s*[-/. ]\s*(?P<month>\d{{1,2}})\s*[-/. ]\s*{_YEARS}",
    "mdy": rf"(?P<month>\d{{1,2}})\s*[-/. ]\s*(?P<day>\d{{1,2}})\s*[-/. ]\s*{_YEARS}",
    "d month y": rf"{_DAY}[-/. ]*{_MONTH}[-/., ]*{_YEARS}",
    "month d y": rf"{_MONTH}[-/. ]*{_DAY}[-/., ]+{_YEARS}",
    "y month d": rf"{_YEAR}[-/. ]*{_MONTH}[-/. ]*{_DAY}",
    "month y": rf"{_MONTH}[-/., ]*{_YEARS}",
    "ym": r"(?P<year>\d{4})[-/](?P<month>\d{1,2})",
    "my": r"(?P<month>\d{1,2})[-/](?P<year>\d{4})",
    "quarter": r"(?P<year>\d{4})[- ]?[Qq](?P<quarter>[1-4])",
    "quarter y": r"[Qq](?P<quarter>[1-4])[-/ ]*(?P<year>\d{4})",
}
TIME_ONLY = "time"
DATE_PATTERNS = {
    name: rf"^{_WEEKDAY}{pattern}(?:(?:\s*[T,]\s*|\s+){_TIME})?$" for name, pattern in _PATTERNS.items()
} | {TIME_ONLY: rf"^{_TIME}$"}
FORM_EXAMPLES = {  # of each form, for sentences
    "ymd": "2024-12-31", "compact": "20241231", "dmy": "31/12/2024", "mdy": "12/31/2024",
    "d month y": "31 Dec 2024", "month d y": "Dec 31, 2024", "y month d": "2024 Dec 31",
    "month y": "Dec 2024",
    "ym": "2024-12", "my": "12/2024", "quarter": "2024Q4", "quarter y": "Q4 2024", TIME_ONLY: "13:45",
}  # fmt: skip
# A year of two digits: 69 is 1969, 68 is 2068, as in POSIX.
CENTURY_TURN = 69
FIRST_YEAR, LAST_YEAR = 1000, 2999
SECONDS_OF_A_DAY = 86400
CELLS_TRIED = 20  # before all: most columns have no dates
DATE_TYPES = (pa.types.is_date, pa.types.is_timestamp, pa.types.is_time)


def fitting_forms(cells: pa.Array) -> list[str]:
    """The forms in which all of these cells are dates; none of them is null."""
    sample = cells.slice(0, CELLS_TRIED)
    if not len(cells) or not pc.all(pc.match_substring_regex(sample, r"\d")).as_py():
        return []
    return [form for form in DATE_PATTERNS if all(_are_all_dates(some, form) for some in (sample, cells))]


def _are_all_dates(cells: pa.Array, form: str) -> bool:
    return bool(np.isfinite(_days_of(cells, form)[0]).all())


def parse_dates(column: pa.Array, form: str = "") -> dict[str, np.ndarray]:
    """part, or "seconds" of the day -> (n,) float64: NaN where the cell is null, or not a date of this form.

    Cells of text have a `form`; those of a type of dates need none. Times are those of the clock on the wall
    there: an offset from UTC is not counted.
    """
    if not form:
        return _typed_parts(column)
    if (encoded := encoded_if_few(column)) is None:
        return _parts(*_days_of(column, form))
    # A null cell has the index -1, of the last part, which is NaN.
    index = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    different = pa.concat_arrays([encoded.dictionary, pa.nulls(1, encoded.dictionary.type)])
    return {part: values[index] for part, values in parse_dates(different, form).items()}


def seconds_since_1970(parts: dict[str, np.ndarray]) -> np.ndarray:
    """(n,) of the parts of dates; of times alone those of the day."""
    return SECONDS_OF_A_DAY * parts["days"] + parts["seconds"]


def likelier_order(cells: pa.Array, forms: list[str]) -> str:
    """The form that is meant. If the day or the month may be first, it is the one by which the rows are in
    order; else the day before a point, and the month before other marks, as in pandas.
    """
    if not {*DAY_MONTH_ORDERS} <= set(forms):
        return forms[0]
    in_order = [form for form in DAY_MONTH_ORDERS if _rises(parse_dates(cells, form)["days"])]
    if len(in_order) == 1:
        return in_order[0]
    return "dmy" if pc.any(pc.match_substring_regex(cells, r"^\d+\.")).as_py() else "mdy"


def _rises(days: np.ndarray) -> bool:
    return bool((np.diff(days[np.isfinite(days)]) >= 0).all())


def _days_of(cells: pa.Array, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970-01-01 and seconds of the day, NaN where a cell is not a date."""
    fields = pc.extract_regex(cells, DATE_PATTERNS[form])
    group = {f.name: fields.field(i) for i, f in enumerate(fields.type)}
    matches = ~np.asarray(fields.is_null())

    def number(*names: str, default: float = 0.0) -> np.ndarray:
        texts = [pc.if_else(pc.not_equal(group[n], ""), group[n], None) for n in names if n in group]
        if not texts:
            return np.full(len(cells), default)
        text = pc.coalesce(*texts, pa.scalar(str(default)))
        return pc.replace_substring(text, "'", "").cast(pa.float64()).to_numpy(zero_copy_only=False)

    seconds, is_time = _seconds(group, number)
    if form == TIME_ONLY:
        return np.where(matches & is_time, 0.0, np.nan), seconds
    days = _days(_year(group, number), _month(group, number), number("day", default=1))
    return np.where(matches & is_time, days, np.nan), seconds


def _year(group: dict, number) -> np.ndarray:
    year, digits = number("year"), pc.utf8_length(pc.replace_substring(group["year"], "'", ""))
    century = np.where(year >= CENTURY_TURN, 1900, 2000)
    return np.where(digits.to_numpy(zero_copy_only=False) == 2, year + century, year)


def _month(group: dict, number) -> np.ndarray:
    if "name" in group:
        index = pc.index_in(pc.utf8_lower(group["name"]), pa.array(MONTH_NAMES))
        return index.fill_null(-1).to_numpy(zero_copy_only=False) + 1.0
    if "quarter" in group:
        return 3 * number("quarter") - 2
    return number("month", "month2", "month3")


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Days since 1970-01-01, NaN where the calendar has no such day."""
    is_valid = (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (month >= 1) & (month <= 12)
    months = np.where(is_valid, (year - 1970) * 12 + month - 1, 0).astype(np.int64)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    next_first = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    is_valid &= (day >= 1) & (day <= next_first - first)
    return np.where(is_valid, first + day - 1, np.nan)


def _seconds(group: dict, number) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of the day, and whether they are a time of it."""
    hour, minute, second = number("hour"), number("minute"), number("second")
    if "half" in group:
        half = pc.utf8_lower(pc.utf8_slice_codeunits(group["half"], 0, 1))
        is_half = pc.is_in(half, pa.array(["a", "p"])).to_numpy(zero_copy_only=False)
        is_pm = pc.fill_null(pc.equal(half, "p"), False).to_numpy(zero_copy_only=False)
        is_valid = ~is_half | (hour >= 1) & (hour <= 12)
        hour = np.where(is_half, hour % 12 + 12 * is_pm, hour)
    else:
        is_valid = np.ones(len(hour), bool)
    return 3600 * hour + 60 * minute + second, is_valid & (hour < 24) & (minute < 60) & (second < 61)


def _typed_parts(column: pa.Array) -> dict[str, np.ndarray]:
    type_ = column.type
    if pa.types.is_time(type_):
        seconds = pc.divide(column.cast(pa.time64("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
        return _parts(*(_numpy(values) for values in (pc.multiply(seconds, 0.0), seconds)))
    if pa.types.is_timestamp(type_) and type_.tz:
        column = pc.local_timestamp(column)
    micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    seconds = _numpy(micros.cast(pa.float64())) / 1e6
    days = np.floor(seconds / SECONDS_OF_A_DAY)
    return _parts(days, seconds - SECONDS_OF_A_DAY * days)


def _numpy(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False).astype(np.float64)


def _parts(days: np.ndarray, seconds: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of a date, with NaN where days is NaN."""
    is_date = np.isfinite(days)
    date = np.where(is_date, days, 0).astype(np.int64).astype("datetime64[D]")
    months = date.astype("datetime64[M]")
    month = months.astype(np.int64)
    seconds = np.where(np.isfinite(seconds), seconds, 0)
    parts = {
        "year": 1970 + month // 12,
        "month": month % 12 + 1,
        "day": (date - months.astype("datetime64[D]")).astype(np.int64) + 1,
        "weekday": (date.astype(np.int64) + 3) % 7,  # Monday is 0: 1970-01-01 was a Thursday
        "hour": seconds // 3600,
        "minute": seconds % 3600 // 60,
        "days": days,
        "seconds": seconds,
    }
    return {name: np.where(is_date, values, np.nan) for name, values in parts.items()}


def is_date_type(type_: pa.DataType) -> bool:
    """Whether a typed format says that a column has dates or times."""
    return any(is_type(type_) for is_type in DATE_TYPES)
