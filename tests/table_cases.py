"""Small tables of the kinds that packages ship, as pandas' to_csv writes them."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A table: its target, and a function of the row number and a generator for each column."""

    target: str
    columns: dict[str, Callable]
    types: str  # of the columns but the target, by their first letters
    rows: int = 90
    separator: str = ","

    def text(self, seed: int = 0) -> str:
        draw, file = random.Random(seed), io.StringIO()
        writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
        writer.writerow(self.columns)
        for i in range(self.rows):
            writer.writerow([cell(i, draw) for cell in self.columns.values()])
        return file.getvalue()


def count(i, r):
    return i + 1


def one_of(*values):
    return lambda i, r: r.choice(values)


def normal(mean, deviation, digits=1):
    return lambda i, r: round(r.gauss(mean, deviation), digits)


def whole(low, high):
    return lambda i, r: r.randint(low, high)


def with_holes(cell, share, marker=""):
    return lambda i, r: marker if r.random() < share else cell(i, r)


def written(template, cell):
    return lambda i, r: template.format(cell(i, r))


def day(pattern):
    return lambda i, r: pattern.format(d=1 + i % 28, m=1 + i // 28 % 12, y=2012 + i // 336)


def comma(cell):
    return lambda i, r: str(cell(i, r)).replace(".", ",")


TABLES = {
    "iris": Case("Species", {  # an R table with its row names
        "rownames": count, "Sepal.Length": normal(5.8, 0.8), "Petal.Width": normal(1.2, 0.7),
        "Species": one_of("setosa", "versicolor", "virginica"),
    }, "inn"),
    "penguins": Case("species", {  # an index of pandas, holes
        "": lambda i, r: i, "species": one_of("Adelie", "Gentoo"), "island": one_of("Dream", "Biscoe"),
        "bill": with_holes(normal(40, 5), 0.1), "sex": one_of("male", "female", ""),
        "year": whole(2007, 2009),
    }, "icncn"),
    "titanic": Case("Survived", {  # names, and cabins that are mostly missing
        "PassengerId": count, "Survived": whole(0, 1), "Pclass": whole(1, 3),
        "Name": lambda i, r: f"Person{i}, Mr. A", "Sex": one_of("male", "female"),
        "Age": with_holes(whole(1, 80), 0.2), "Ticket": one_of("A/5 21", "PC 17", "113"),
        "Cabin": one_of("", "", "C85"),
    }, "inicncc"),
    "churn": Case("Churn", {  # keys, a blank in place of a number
        "customerID": lambda i, r: f"{r.randrange(10**4):04}-{i:05}", "Partner": one_of("Yes", "No"),
        "tenure": whole(0, 72), "Contract": one_of("Monthly", "One year", "Two year"),
        "TotalCharges": with_holes(normal(2000, 500, 2), 0.05, " "), "Churn": one_of("Yes", "No"),
    }, "ibncn"),
    "houses": Case("price", {  # currencies, units, codes with leading zeros
        "id": lambda i, r: 7000 + 13 * i, "price": written("$ {:,}", whole(80_000, 900_000)),
        "zip": one_of("01234", "98052"), "area": written("{} m²", normal(90, 30)),
        "heating": one_of("gas", "oil", "NA"),
    }, "icnc", separator=";"),
    "german": Case("Preis", {  # decimal commas, dates with points, names with brackets
        "Datum": day("{d:02}.{m:02}.{y}"), "Größe (cm)": comma(normal(150, 30)),
        "Preis": comma(normal(4, 1, 2)), "Art": one_of("rot", "blau"),
    }, "dnc", separator=";"),
    "weather": Case("weather", {  # a time series
        "": lambda i, r: i, "date": day("{y}-{m:02}-{d:02}"), "precipitation": normal(3, 1),
        "weather": one_of("rain", "sun", "fog"),
    }, "idn"),
    "flights": Case("arr_delay", {  # many categories, times of the day, holes in the target
        "carrier": one_of("UA", "AA", "B6"), "tailnum": written("N{}UA", whole(100, 130)),
        "dep_time": lambda i, r: f"{r.randint(5, 22)}:{r.randint(0, 59):02}",
        "arr_delay": with_holes(whole(-30, 120), 0.1, "NA"),
        "time_hour": day("{y}-{m:02}-{d:02}T05:00:00Z"),
    }, "ccdd", rows=150),
    "visits": Case("visits", {  # counts
        "visits": lambda i, r: min(15, int(r.expovariate(0.4))), "plan": one_of("free", "paid"),
        "income": normal(30_000, 9_000, 0), "health": one_of("good", "poor", "fair"),
    }, "cnc", rows=150),
    "films": Case("US", {  # True and False, written dates, columns of one value and of none
        "Title": lambda i, r: f"Film {chr(65 + i % 26)}{i}", "US": one_of("True", "False"),
        "Released": lambda i, r: f"{r.choice(['Jun', 'Dec'])} {1 + i % 28:02} {1990 + i % 20}",
        "Runtime": with_holes(written("{} min", whole(80, 180)), 0.2), "Country": one_of("USA"),
        "Notes": one_of(""),
    }, "idncc"),
}  # fmt: skip
INITIALS = {"n": "number", "c": "category", "b": "boolean", "d": "date", "i": "identifier"}
