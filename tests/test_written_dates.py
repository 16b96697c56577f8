"""How columns of text write dates: every form, compared with datetime; typed columns have the same parts."""

import calendar
import datetime as dt
import math
import random

import numpy as np
import pyarrow as pa
import pytest

from nnlab.tables.dates import DATE_PATTERNS, FORM_EXAMPLES, fitting_forms, likelier_order, parse_dates

# form -> strftime; each is read alone, and with a time behind it
WRITTEN = {
    "ymd": ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"),
    "compact": ("%Y%m%d",),
    "dmy": ("%d.%m.%Y", "%d/%m/%y", "%d-%m-%Y"),
    "mdy": ("%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y"),
    "d month y": ("%d %b %Y", "%d-%b-%y", "%d %B %Y", "%A, %d %b %Y"),
    "month d y": ("%b %d, %Y", "%B %d %Y", "%a %b %d, %Y"),
    "y month d": ("%Y %b %d", "%Y-%B-%d"),
}
MONTHS = {"ym": "%Y-%m", "month y": "%b %Y", "my": "%m/%Y"}
TIMES = {"T%H:%M:%S": 1, " %H:%M": 60, " %I:%M %p": 60, "T%H:%M:%SZ": 1, " %H:%M:%S.250000+02:00": 1}


def moments(count: int, seed: int = 0) -> list[dt.datetime]:
    draw = random.Random(seed)
    begin = dt.datetime(1970, 1, 1)
    times = [begin + dt.timedelta(seconds=draw.randrange(98 * 365 * 86400)) for _ in range(count)]
    return [*times, dt.datetime(2000, 2, 29, 23, 59, 59), dt.datetime(1969, 12, 31), dt.datetime(1972, 2, 29)]


def expected(moment: dt.datetime) -> dict[str, float]:
    days = (moment.date() - dt.date(1970, 1, 1)).days
    return {
        "year": moment.year, "month": moment.month, "day": moment.day, "weekday": moment.weekday(),
        "hour": moment.hour, "minute": moment.minute, "days": days,
        "seconds": 3600 * moment.hour + 60 * moment.minute + moment.second,
    }  # fmt: skip


def assert_parts(cells, form, times):
    values = parse_dates(cells, form)
    for part in values:
        np.testing.assert_array_equal(values[part], [expected(time)[part] for time in times], err_msg=part)


@pytest.mark.parametrize("form, pattern", [(form, p) for form, patterns in WRITTEN.items() for p in patterns])
def test_dates_have_their_parts(form, pattern):
    times = [time.replace(hour=0, minute=0, second=0) for time in moments(200)]
    if "%y" in pattern:
        times = [time for time in times if 1969 <= time.year <= 2068]
    cells = pa.array([time.strftime(pattern) for time in times])
    assert form in fitting_forms(cells)
    assert_parts(cells, form, times)


@pytest.mark.parametrize("suffix, unit", TIMES.items())
def test_dates_with_times(suffix, unit):
    times = [time.replace(second=time.second if unit == 1 else 0) for time in moments(100)]
    cells = pa.array([time.strftime(f"%Y-%m-%d{suffix}") for time in times])
    assert fitting_forms(cells) == ["ymd"]
    assert_parts(cells, "ymd", times)


@pytest.mark.parametrize("form", MONTHS)
def test_months(form):
    times = [dt.datetime(time.year, time.month, 1) for time in moments(50)]
    cells = pa.array([time.strftime(MONTHS[form]) for time in times])
    assert form in fitting_forms(cells)
    assert_parts(cells, form, times)


def test_quarters():
    values = parse_dates(pa.array(["2024Q1", "2024-Q4"]), "quarter")
    assert values["month"].tolist() == [1, 10] and values["day"].tolist() == [1, 1]
    assert fitting_forms(pa.array(["Q3 2024"])) == ["quarter y"]


def test_typed_columns_have_the_same_parts():
    times = moments(100)
    for unit in ("s", "ms", "us", "ns"):
        assert_parts(pa.array(times, pa.timestamp(unit)), "", times)
    days = [time.replace(hour=0, minute=0, second=0) for time in times]
    for type_ in (pa.date32(), pa.date64()):
        assert_parts(pa.array([time.date() for time in days], type_), "", days)
    clock = parse_dates(pa.array([time.time() for time in times], pa.time64("us")))
    assert clock["hour"].tolist() == [time.hour for time in times]
    assert clock["minute"].tolist() == [time.minute for time in times]


def test_a_time_zone_keeps_the_clock_on_the_wall():
    noon = dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)
    values = parse_dates(pa.array([noon], pa.timestamp("us", "Europe/Rome")))
    assert values["hour"][0] == 14
    assert parse_dates(pa.array(["2024-07-01T14:00:00+02:00"]), "ymd")["hour"][0] == 14


@pytest.mark.parametrize("form", DATE_PATTERNS)
def test_what_is_not_a_date(form):
    cells = ["2024-13-01", "2023-02-29", "31.4.2024x", "10.2.3.4", "12.5", "May", "", "25:00", "1:2", "abc"]
    assert np.isnan(parse_dates(pa.array([*cells, None]), form)["days"]).all()


def test_days_of_each_month():
    cells, valid = [], []
    for year in (1900, 2000, 2023, 2024):
        for month in range(0, 14):
            last = calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0
            for day in (0, 1, 28, 29, 30, 31, 32):
                cells.append(f"{year}-{month:02}-{day:02}")
                valid.append(1 <= day <= last)
    assert np.isfinite(parse_dates(pa.array(cells), "ymd")["days"]).tolist() == valid


@pytest.mark.parametrize(
    "cells, form",
    [
        (["01/02/2024", "03/04/2024", "05/01/2024"], "mdy"),  # as pandas reads them
        (["01/02/2024", "13/02/2024"], "dmy"),
        (["01/02/2024", "02/13/2024"], "mdy"),
        (["01.02.2024", "03.04.2024"], "dmy"),
        (["01/02/2024", "02/02/2024", "01/03/2024"], "dmy"),  # the rows are in this order
    ],
)
def test_day_or_month_first(cells, form):
    cells = pa.array(cells)
    assert likelier_order(cells, fitting_forms(cells)) == form


def test_twelve_hours():
    values = parse_dates(pa.array(["12:00 AM", "12:30 pm", "1:05 p.m.", "13:00 PM"]), "time")
    hours = values["hour"]
    assert hours[:3].tolist() == [0, 12, 13] and math.isnan(hours[3])


@pytest.mark.parametrize("form", DATE_PATTERNS)
def test_the_example_of_a_form_is_of_it(form):
    assert form in fitting_forms(pa.array([FORM_EXAMPLES[form]]))
    assert [*FORM_EXAMPLES] == [*DATE_PATTERNS]
