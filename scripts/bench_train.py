"""Time nnlab beside plain torch, a DataLoader loop, JAX and scikit-learn on equal work, on the CPU.

    python -m pip install -r scripts/bench-requirements.txt
    python scripts/bench_train.py steady                       # one model, ms per epoch
    python scripts/bench_train.py steady --work all --mnist FOLDER
    python scripts/bench_train.py rows --rows 64 --sample 16   # 64 models; torch runs 16 of them
    python scripts/bench_train.py process                      # whole processes, 50 epochs
    python scripts/bench_train.py --device cuda --mnist FOLDER # on a GPU: see bench_gpu.py

Equal work: the same examples, batch size, epochs and steps, the short last batch kept, validation
loss and accuracy after every epoch, float32, Adam at 1e-3, a relu perceptron with Glorot weights.
Times include drawing the weights. The rivals take turns, for a busy machine changes speed from
minute to minute: only the ratios inside one table mean anything. An absent rival is skipped.
"""

import argparse
import functools
import gzip
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path

import numpy as np

TOLERANCE = 0.3  # points of validation accuracy within which rivals count as doing the same work


@dataclass(frozen=True, eq=False)
class Work:
    """One training job; compared by identity, so that it can key a cache."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    epochs: int
    arrays: tuple[np.ndarray, ...]  # x (N, F), y (N,), validation x and y
    threads: int | None  # of the torch rivals; None measures and takes the quicker count
    warmups: int = 1  # untimed runs of each rival; more of them steady the mean accuracy


@dataclass(frozen=True)
class Row:
    """One model: its seed and its own hyperparameters."""

    seed: int = 0
    lr: float = 1e-3
    l2: float = 0.0  # penalty l2 / 2 ||weights||^2, biases excepted
    dropout: float = 0.0  # share of hidden units dropped, inverted


def digits_work(args, epochs):
    """The 1797 digits: 60% to train on, 20% to validate, standardised by training statistics."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    train, valid, _ = np.split(np.random.default_rng(0).permutation(len(x)), [1078, 1438])
    mean, std = x[train].mean(0), x[train].std(0)
    x = ((x - mean) / np.where(std > 0, std, 1)).astype(np.float32)
    arrays = (x[train], y[train], x[valid], y[valid])
    return Work("digits", (64, 64, 10), 64, args.epochs or epochs, arrays, args.threads, 13)


def mnist_work(args, epochs):
    """MNIST in [0, 1]: the first 50,000 training images, validated on the other 10,000."""

    def idx(name, offset):
        packed = (Path(args.mnist) / f"train-{name}-ubyte.gz").read_bytes()
        return np.frombuffer(gzip.decompress(packed), np.uint8, offset=offset)

    x = idx("images-idx3", 16).reshape(-1, 784).astype(np.float32) / 255
    y = idx("labels-idx1", 8).astype(np.int64)
    arrays = (x[:50_000], y[:50_000], x[50_000:], y[50_000:])
    return Work("mnist", (784, 256, 256, 10), 128, args.epochs or epochs, arrays, args.threads)


def initial_layers(work, seed):
    """Glorot uniform weights (fan_in, fan_out) and zero biases, the same for every rival."""
    rng = np.random.default_rng(seed)
    for fan_in, fan_out in zip(work.sizes, work.sizes[1:], strict=False):
        bound = np.float32(np.sqrt(6 / (fan_in + fan_out)))
        weight = bound * (2 * rng.random((fan_in, fan_out), np.float32) - 1)
        yield weight, np.zeros(fan_out, np.float32)


def draw_rows(count, seed):
    """`count` trials of a sweep; as in a sweep they share a seed: one batch order serves all."""
    rng = np.random.default_rng(0)
    lrs, l2s = 10 ** rng.uniform(-3.5, -2, count), 10 ** rng.uniform(-6, -3, count)
    columns = np.stack([lrs, l2s, rng.uniform(0, 0.5, count)], 1)
    return [Row(seed, *column) for column in columns.tolist()]


# The rivals: run(work, rows) -> validation loss and accuracy, (rows, epochs, 2)


def train_torch(work, row, device="cpu"):
    """Plain torch, tuned: functional, fused Adam, batches gathered as is quicker, no DataLoader."""
    import torch
    from torch.nn import functional as F

    torch.manual_seed(row.seed)
    x, y, *validation = (torch.from_numpy(array).to(device) for array in work.arrays)
    layers = [tuple(torch.from_numpy(p).to(device) for p in pair) for pair in initial_layers(work, row.seed)]
    weights, biases = ([p.requires_grad_() for p in kind] for kind in zip(*layers, strict=True))
    groups = [{"params": weights, "weight_decay": row.l2}, {"params": biases}]
    adam = torch.optim.Adam(groups if row.l2 else weights + biases, lr=row.lr, fused=True)

    def batches(order):
        if x.nbytes > 2**23:  # a second copy would not stay in cache: gather at each step
            return ((x[index], y[index]) for index in order.split(work.batch))
        return zip(x[order].split(work.batch), y[order].split(work.batch), strict=True)

    def logits(h, dropout=0.0):
        for weight, bias in layers[:-1]:
            h = torch.addmm(bias, h, weight).relu()
            h = F.dropout(h, dropout) if dropout else h
        return torch.addmm(layers[-1][1], h, layers[-1][0])

    for _ in range(work.epochs):
        for bx, by in batches(torch.randperm(len(x), device=device)):
            adam.zero_grad()
            F.cross_entropy(logits(bx, row.dropout), by).backward()
            adam.step()
        yield torch_validate(logits, *validation)


def train_loader(work, row):
    """The textbook loop: nn.Sequential, TensorDataset and DataLoader, Adam as it comes."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(row.seed)
    x, y, *validation = map(torch.from_numpy, work.arrays)
    batches = DataLoader(TensorDataset(x, y), batch_size=work.batch, shuffle=True)
    model = torch_modules(work, row)
    criterion, adam = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=row.lr)
    for _ in range(work.epochs):
        model.train()
        for bx, by in batches:
            adam.zero_grad()
            loss = criterion(model(bx), by)
            loss.backward()
            adam.step()
        model.eval()
        yield torch_validate(model, *validation)


def torch_modules(work, row):
    """The perceptron as nn.Sequential, with the dropout of the row if it has any."""
    import torch
    from torch import nn

    modules = []
    for weight, bias in initial_layers(work, row.seed):
        if modules:
            modules += [nn.ReLU(), nn.Dropout(row.dropout)] if row.dropout else [nn.ReLU()]
        modules.append(nn.Linear(*weight.shape))
        modules[-1].load_state_dict({"weight": torch.tensor(weight.T), "bias": torch.tensor(bias)})
    return nn.Sequential(*modules)


def torch_validate(logits, x, y):
    """Validation loss and accuracy, the whole set in one call."""
    import torch

    with torch.inference_mode():
        out = logits(x)
        loss = torch.nn.functional.cross_entropy(out, y)
        return loss.item(), (out.argmax(1) == y).float().mean().item()


@functools.cache
def quickest_threads(work, train):
    """The thread count, 1 or every core, with which `train` is quicker here; says which."""
    import torch

    seconds = {count: [] for count in sorted({1, os.cpu_count()})}
    for _ in range(3):
        for count, times in seconds.items():
            torch.set_num_threads(count)
            start = time.perf_counter()
            list(train(replace(work, epochs=1), Row()))
            times.append(time.perf_counter() - start)
    handicap = {1: 0.95}  # what is as quick on one thread suffers less from a busy neighbour
    best = min(seconds, key=lambda count: np.median(seconds[count]) * handicap.get(count, 1))
    found = (f"{1e3 * np.median(times):.1f} ms on {n}" for n, times in seconds.items())
    print(f"{train.__name__}, {work.name}, an epoch: {', '.join(found)} thread(s); takes {best}")
    return best


def run_torch(work, rows, train=train_torch):
    """Train the rows one after another."""
    import torch

    torch.set_num_threads(work.threads or quickest_threads(work, train))
    return np.array([list(train(work, row)) for row in rows])


def run_loader(work, rows):
    """Train the rows one after another with the textbook loop; it knows lr alone."""
    return run_torch(work, rows, train_loader)


def jax_logits(layers, h, key, dropout):
    """The perceptron's logits; no dropout where `key` is None."""
    import jax

    for i, (weight, bias) in enumerate(layers[:-1]):
        h = jax.nn.relu(h @ weight + bias)
        if key is not None:
            keep = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, h.shape)
            h = keep * h / (1 - dropout)
    return h @ layers[-1][0] + layers[-1][1]


def jax_epoch(batch, regularised, arrays, hyper, key, state, epoch):
    """One epoch as a scan over its steps, then validation: state -> state, (loss, accuracy)."""
    import jax
    import jax.numpy as jnp
    import optax

    (x, y, vx, vy), (lr, l2, dropout) = arrays, hyper
    adam, entropy = optax.adam(lr), optax.softmax_cross_entropy_with_integer_labels
    order_key, mask_key = jax.random.split(jax.random.fold_in(key, epoch))

    def objective(layers, index, step):
        real = index >= 0  # the last batch is padded with -1
        mask = jax.random.fold_in(mask_key, step) if regularised else None
        loss = entropy(jax_logits(layers, x[index], mask, dropout), y[index])
        penalty = 0.5 * l2 * sum((w**2).sum() for w, _ in layers) if regularised else 0
        return (real * loss).sum() / real.sum() + penalty

    def step(state, batch_and_step):
        layers, memory = state
        updates, memory = adam.update(jax.grad(objective)(layers, *batch_and_step), memory)
        return (optax.apply_updates(layers, updates), memory), None

    steps = -(-len(x) // batch)
    order = jax.random.permutation(order_key, len(x))
    order = jnp.pad(order, (0, steps * batch - len(x)), constant_values=-1).reshape(steps, batch)
    state, _ = jax.lax.scan(step, state, (order, jnp.arange(steps)))
    out = jax_logits(state[0], vx, None, 0)
    return state, jnp.stack([entropy(out, vy).mean(), (out.argmax(1) == vy).mean()])


@functools.cache
def jax_program(work, count, regularised):
    """The data on the device, and `count` rows' compiled initial state and scan over epochs.

    The key is not vmapped: rows share their batch order and the uniforms of their masks.
    """
    import jax
    import optax

    def start(layers):
        return layers, optax.adam(1.0).init(layers)

    def train(arrays, hyper, key, state, epochs):
        epoch = functools.partial(jax_epoch, work.batch, regularised, arrays, hyper, key)
        return jax.lax.scan(epoch, state, epochs)

    arrays, begun = jax.device_put(work.arrays), time.perf_counter()
    layers, hyper, epochs = jax_inputs(work, [Row()] * count)
    start = jax.jit(jax.vmap(start)).lower(layers).compile()
    train = jax.jit(jax.vmap(train, in_axes=(None, 0, None, 0, None)))
    train = train.lower(arrays, hyper, jax.random.key(0), start(layers), epochs[0]).compile()
    print(f"jax: compiled {work.name}, {count} row(s), in {time.perf_counter() - begun:.2f} s")
    return arrays, start, train


def jax_inputs(work, rows):
    """The rows' layers and hyperparameters, stacked; and the epochs of each call of the program:
    one for a single row, so that each can be reported as it ends, all of them for several."""
    pairs = initial_layers(work, rows[0].seed)
    layers = [[np.stack([part] * len(rows)) for part in pair] for pair in pairs]
    hyper = np.float32([(row.lr, row.l2, row.dropout) for row in rows])
    return layers, hyper, np.arange(work.epochs).reshape(-1, 1 if len(rows) == 1 else work.epochs)


def run_jax(work, rows):
    """JAX and optax: the rows vmapped; they must share their seed."""
    import jax

    regularised = any(row.l2 or row.dropout for row in rows)
    arrays, start, train = jax_program(work, len(rows), regularised)
    layers, hyper, calls = jax_inputs(work, rows)
    state, key, curve = start(layers), jax.random.key(rows[0].seed), []
    for epochs in calls:
        state, records = train(arrays, hyper, key, state, epochs)
        curve.append(np.asarray(records))
    return np.concatenate(curve, 1)


def run_sklearn(work, rows):
    """scikit-learn's MLPClassifier, an epoch at a time so that it too validates after each."""
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    (x, y, vx, vy), classes = work.arrays, range(work.sizes[-1])
    sizes = {"hidden_layer_sizes": work.sizes[1:-1], "batch_size": work.batch}
    model, curve = MLPClassifier(**sizes, alpha=0, random_state=rows[0].seed), []
    for _ in range(work.epochs):
        p = model.partial_fit(x, y, classes=classes).predict_proba(vx)
        curve.append((log_loss(vy, p, labels=classes), (p.argmax(1) == vy).mean()))
    return np.array([curve])


@functools.cache
def nnlab_parts(work, tested=None):
    """The work as a data set and a split of nnlab's; it tests on the validation set, or so many of it, which
    the rivals do not."""
    from nnlab.data.sources import Data, Dataset
    from nnlab.data.splits import Fold, Holdout

    x, y, vx, vy = work.arrays
    dataset = Dataset(np.concatenate([x, vx]), np.concatenate([y, vy]), tuple("0123456789"))
    train, validation = np.split(np.arange(len(dataset.x)), [len(x)])

    class Given(Data):
        def load(self):
            return dataset

    class GivenSplit(Holdout):
        def folds(self, dataset):
            return [Fold(train, validation, validation[:tested])]

    return Given(normalization="none"), GivenSplit()


def run_nnlab(work, rows):
    """Nnlab: all rows as one population."""
    import nnlab

    data, split = nnlab_parts(work)
    experiments = [
        nnlab.Experiment(
            data=data, split=split, model=nnlab.MLP(hidden=work.sizes[1:-1]), init=nnlab.GlorotUniform(),
            regularizer=nnlab.Regularizer(l2=row.l2, dropout=row.dropout), optimizer=nnlab.Adam(lr=row.lr),
            epochs=work.epochs, batch_size=work.batch, seed=row.seed, device="cpu",
        )
        for row in rows
    ]  # fmt: skip
    curve = np.empty((len(rows), work.epochs, 2))
    for record in nnlab.fit(*experiments):
        curve[record.rows, record.epoch - 1] = np.stack([record.val_loss, 1 - record.val_error], 1)
    return curve


RIVALS = {  # name: (run, module it needs, modes it takes part in); ratios are to the first
    "torch": (run_torch, "torch", "steady rows process"),
    "loader": (run_loader, "torch", "steady process"),
    "jax": (run_jax, "jax", "steady rows process"),
    "sklearn": (run_sklearn, "sklearn", "process"),
    "nnlab": (run_nnlab, "nnlab", "steady rows"),  # as a process it is its own command
}


# The modes: name -> (run(seed) -> validation accuracy or NaN, what a second counts for)


def model_jobs(mode, work, count, sample):
    """The rivals in this process; every accuracy is over the first `sample` rows."""

    def job(run, trained):
        def accuracy(seed):
            rows = [Row(seed)] if mode == "steady" else draw_rows(count, seed)[:trained]
            return run(work, rows)[:sample, -1, 1].mean()

        return accuracy, 1e3 / work.epochs * count / trained

    if sample < count:
        print(f"torch: trains {sample} of the {count} rows; its time is scaled to all of them")
    runs = {name: run for name, (run, _, modes) in RIVALS.items() if mode in modes}
    return {n: job(run, sample if n == "torch" else count) for n, run in runs.items()}


def process_jobs(work, folder):
    """Whole processes: the rivals, nnlab's command, and the imports for comparison.

    The rivals find the digits in a file, to their advantage: `load_digits` is mostly imports.
    """
    np.savez(Path(folder) / "work.npz", *work.arrays)

    def command(needs, *words):
        def run(seed):
            if util.find_spec(needs) is None:
                raise ImportError(f"there is no module {needs}")
            line = [sys.executable, *(word(seed) if callable(word) else word for word in words)]
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{line} failed:\n{done.stderr}")
            found = re.search(r"^accuracy (\S+)$", done.stdout, re.MULTILINE)
            return float(found[1]) if found else np.nan

        return run, 1e3

    def solo(name, needs):
        def threads(seed):
            train = {"torch": train_torch, "loader": train_loader}.get(name)
            return str(work.threads or quickest_threads(work, train)) if train else "1"

        script = str(Path(__file__).resolve())
        options = ("--epochs", str(work.epochs), "--threads", threads)
        return command(needs, script, "process", "--solo", name, "work.npz", str, *options)

    jobs = {n: solo(n, needs) for n, (_, needs, modes) in RIVALS.items() if "process" in modes}
    nnlab = functools.partial(command, "nnlab.__main__", "-m", "nnlab")
    digits = "from sklearn.datasets import load_digits; load_digits()"
    return jobs | {
        "nnlab train": nnlab("train", "device=cpu", f"epochs={work.epochs}"),
        "nnlab --help": nnlab("--help"),
        "import torch": command("torch", "-c", "import torch"),
        "load_digits": command("sklearn", "-c", digits),
    }


def solo(args):
    """Be one rival on the digits, in a process of its own."""
    name, data, seed = args.solo
    with np.load(data) as file:
        arrays = tuple(file[key] for key in file.files)
    work = Work("digits", (64, 64, 10), 64, args.epochs, arrays, args.threads)
    print("accuracy", RIVALS[name][0](work, [Row(int(seed))])[0, -1, 1])


def take_turns(jobs, rounds, warmups):
    """Warm every job up and time them in turn `rounds` times: {name: times}, {name: accuracies in %}."""
    accuracies, times = {}, {}
    for name, (run, _) in jobs.items():
        try:
            accuracies[name] = [100 * run(rounds + i) for i in range(warmups)]
            times[name] = []
        except (ImportError, AttributeError) as absent:
            print(f"{name}: skipped, {absent}")
    order = deque(times)
    for seed in range(rounds):
        for name in order:
            run, unit = jobs[name]
            start = time.perf_counter()
            accuracies[name].append(100 * run(seed))
            times[name].append(unit * (time.perf_counter() - start))
        order.rotate(1)  # nobody is always the first
    return times, accuracies


def compare(title, jobs, rounds, warmups):
    """Let the jobs take turns, and print the table."""
    print_table(title, *take_turns(jobs, rounds, warmups))


def print_table(title, times, accuracies):
    """Median, range, ratio to the first rival, mean accuracy, and a flag where that strays."""
    first = next(iter(RIVALS))
    base = np.median(times.get(first, np.nan))
    print(f"\n{title}")
    print(f"{'rival':14}{'median ms':>11}  {'min..max':20}{'ratio':>7}  validation accuracy, %")
    for name, ms in times.items():
        spread, points = f"{min(ms):.1f}..{max(ms):.1f}", np.array(accuracies[name])
        line = f"{name:14}{np.median(ms):11.1f}  {spread:20}{np.median(ms) / base:7.2f}"
        if np.isfinite(points).all():
            line += f"  {points.mean():.2f} +- {points.std() / len(points) ** 0.5:.2f}"
            apart = points.mean() - np.mean(accuracies.get(first, points))
            line += f"  UNEQUAL: {apart:+.2f}" if abs(apart) > TOLERANCE else ""
        print(line)
    print()


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", nargs="?", choices=("steady", "rows", "process"))
    parser.add_argument("--device", choices=("cpu", "cuda"), help="the table of bench_gpu.py, on a GPU")
    parser.add_argument("--dropout", type=float, default=0.0, help="with --device: of every row")
    parser.add_argument("--rivals", help="with --device: of bench_gpu.py, loop,graph,jax,...")
    parser.add_argument("--work", choices=("digits", "mnist", "all", "cnn"), default="digits")
    parser.add_argument("--only", nargs="*", help="with --work cnn: these rivals")
    parser.add_argument("--mnist", metavar="FOLDER", help="the gzipped IDX files of MNIST")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, help="default: digits 20 or 50 (process), MNIST 3")
    parser.add_argument("--threads", type=int, help="of the torch rivals; default: the quicker")
    parser.add_argument("--rows", type=int, nargs="*", help="default: 64; on a GPU 1 64 256")
    parser.add_argument("--sample", type=int, help="rows mode: train only so many with torch")
    parser.add_argument("--solo", nargs=3, metavar=("RIVAL", "NPZ", "SEED"), help="used inside")
    args = parser.parse_args()
    if not args.mode and not args.device:
        parser.error("one of steady, rows and process, or --device cuda")
    if args.work in ("mnist", "all") and not args.mnist:
        parser.error("--work mnist and --work all need --mnist FOLDER")
    return args


def main():
    """Run one mode on the works asked for."""
    args = parse()
    if args.solo:
        return solo(args)
    found = {found.name.lower(): found.version for found in metadata.distributions()}
    names = ("torch", "jax", "optax", "scikit-learn", "nnlab")
    print(f"python {platform.python_version()}; {os.cpu_count()} cores;", end=" ")
    print(*(f"{name} {found.get(name, 'absent')}" for name in names), sep=", ")
    if args.device:
        import bench_gpu

        return bench_gpu.main(args)
    if args.work == "cnn":
        import bench_cnn

        return bench_cnn.main(args)
    if args.mode == "process":
        work = digits_work(args, 50)
        title = f"digits, {work.epochs} epochs as a whole process; ms per process"
        with tempfile.TemporaryDirectory() as folder:
            return compare(title, process_jobs(work, folder), args.rounds, 1)
    makers = {"digits": (digits_work, 20), "mnist": (mnist_work, 3)}
    count = (args.rows or [64])[0] if args.mode == "rows" else 1
    sample = min(args.sample or count, count)
    for name in makers if args.work == "all" else [args.work]:
        work = makers[name][0](args, makers[name][1])
        title = f"{name} {work.sizes}, batch {work.batch}, {count} model(s); ms per epoch"
        jobs = model_jobs(args.mode, work, count, sample)
        compare(title, jobs, args.rounds, work.warmups if args.mode == "steady" else 1)
    return None


if __name__ == "__main__":
    main()
