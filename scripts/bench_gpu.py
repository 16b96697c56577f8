"""Time nnlab's steps on a GPU beside a tuned loop, that loop as a CUDA graph, and JAX, on equal work.

    python scripts/bench_train.py --device cuda --mnist FOLDER      # without MNIST: the digits alone

One command, one table, under five minutes, and no package index: an absent rival is skipped. The work is that
of bench_train.py: lr and l2 differ from row to row, all rows share their batch order, and every epoch ends
with the loss and accuracy of the validation set. What counts is an epoch of training that is under way:
neither compiling nor recording, of which the first epochs are, nor the test at the end.

loop    plain torch with fused Adam, one row after another: a few rows are timed, and multiplied
graph   the same loop, each step replayed as a CUDA graph
jax     all rows vmapped, all epochs in one compiled program
nnlab   all rows as one stack; `compiled` is what it does where the planned work pays for a compiler

With --rows and --dropout other stacks of MNIST. On a CPU (--device cpu, two rows of digits) it is only tried.
"""

import contextlib
import functools
import subprocess
import time
from dataclasses import dataclass, replace

import numpy as np
from bench_train import (
    Row,
    digits_work,
    draw_rows,
    initial_layers,
    jax_program,
    mnist_work,
    nnlab_parts,
    run_jax,
    torch_validate,
)

SAMPLE = 2  # rows that the loops train
EPOCHS = {"digits": 30, "mnist": 6}
FIRST_EPOCHS = 3  # in which is compiled and recorded


@dataclass(frozen=True)
class Measured:
    """`ms` an epoch of all rows takes, the accuracy that was reached, and GB of the GPU's memory."""

    ms: float
    accuracy: float
    memory: float = float("nan")


# ---- rivals: (work, rows, precision) -> Measured


def run_loop(work, rows, precision, device, captured=False):
    """Row after row, SAMPLE of them."""
    import torch

    with tf32_if(precision, torch):
        curves = [list(torch_epochs(work, row, device, captured)) for row in rows[:SAMPLE]]
    seconds = [[epoch[0] for epoch in curve[1:]] for curve in curves]
    accuracy = np.mean([curve[-1][2] for curve in curves])
    return Measured(1e3 * np.median(seconds) * len(rows), accuracy, peak(torch))


def torch_epochs(work, row, device, captured):
    """One model: (seconds, validation loss, accuracy) of every epoch."""
    import torch
    from torch.nn import functional as F

    torch.manual_seed(row.seed)
    x, y, *validation = (torch.from_numpy(array).to(device) for array in work.arrays)
    layers = [tuple(torch.from_numpy(p).to(device) for p in pair) for pair in initial_layers(work, row.seed)]
    weights, biases = ([p.requires_grad_() for p in kind] for kind in zip(*layers, strict=True))
    groups = [{"params": weights, "weight_decay": row.l2}, {"params": biases}]
    adam = torch.optim.Adam(groups, lr=row.lr, fused=True, capturable=captured)

    def logits(h, dropout=0.0):
        for weight, bias in layers[:-1]:
            h = torch.addmm(bias, h, weight).relu()
            h = F.dropout(h, dropout) if dropout else h
        return torch.addmm(layers[-1][1], h, layers[-1][0])

    def step(index):
        adam.zero_grad(set_to_none=False)
        F.cross_entropy(logits(x[index], row.dropout), y[index]).backward()
        adam.step()

    step = Replayed(torch, step, device) if captured else step
    for _ in range(work.epochs):
        begun = time.perf_counter()
        for index in torch.randperm(len(x), device=device).split(work.batch):
            step(index)
        loss, accuracy = torch_validate(logits, *validation)
        yield time.perf_counter() - begun, loss, accuracy


class Replayed:
    """A step on indices as CUDA graphs, one for each size of a batch: called three times, then recorded."""

    def __init__(self, torch, step, device):
        self.torch, self.step, self.device = torch, step, device
        self.calls, self.graphs = {}, {}

    def __call__(self, index):
        size = len(index)
        self.calls[size] = self.calls.get(size, 0) + 1
        if self.calls[size] <= 3:
            stream = self.torch.cuda.Stream()
            stream.wait_stream(self.torch.cuda.current_stream())
            with self.torch.cuda.stream(stream):
                self.step(index)
            self.torch.cuda.current_stream().wait_stream(stream)
            return
        if size not in self.graphs:
            static, graph = index.clone(), self.torch.cuda.CUDAGraph()
            with self.torch.cuda.graph(graph):
                self.step(static)
            self.graphs[size] = static, graph
        static, graph = self.graphs[size]
        static.copy_(index)
        graph.replay()


def run_jax_rows(work, rows, precision, device):
    import jax

    jax.config.update(
        "jax_default_matmul_precision", "float32" if precision == "float32" else "tensorfloat32"
    )
    jax_program.cache_clear()
    with contextlib.redirect_stdout(None):
        run_jax(work, rows)  # compiles
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        curve = run_jax(work, rows)
        times.append(time.perf_counter() - begun)
    memory = jax.devices()[0].memory_stats() or {}
    gb = memory.get("peak_bytes_in_use", np.nan) / 1e9
    return Measured(1e3 * min(times) / work.epochs, curve[:SAMPLE, -1, 1].mean(), gb)


def run_nnlab_rows(work, rows, precision, device, compiled=False):
    import torch

    import nnlab
    from nnlab.training.fit import Fit

    data, split = nnlab_parts(work)
    experiments = [
        nnlab.Experiment(
            data=data, split=split, model=nnlab.MLP(hidden=work.sizes[1:-1]), init=nnlab.GlorotUniform(),
            regularizer=nnlab.Regularizer(l2=row.l2, dropout=row.dropout), optimizer=nnlab.Adam(lr=row.lr),
            epochs=work.epochs, batch_size=work.batch, seed=row.seed, device=device, precision=precision,
        )
        for row in rows
    ]  # fmt: skip
    fit = Fit(experiments)
    fit.compiles = dict.fromkeys(fit.compiles, compiled)
    seconds, accuracy = [], np.zeros(len(rows))
    for record in fit:
        seconds.append(record.seconds)
        accuracy[record.rows] = 1 - record.val_error
    ms = 1e3 * np.median(np.diff(seconds)[FIRST_EPOCHS - 1 : -1])
    return Measured(ms, accuracy[:SAMPLE].mean(), peak(torch))


RIVALS = {
    "loop": run_loop,
    "graph": functools.partial(run_loop, captured=True),
    "jax": run_jax_rows,
    "nnlab": run_nnlab_rows,
    "nnlab compiled": functools.partial(run_nnlab_rows, compiled=True),
}


# ---- the machine


@contextlib.contextmanager
def tf32_if(precision, torch):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def peak(torch):
    """GB since the last call."""
    if not torch.cuda.is_available():
        return float("nan")
    gb = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return gb


def seconds_of(function, torch, device, count=20):
    """Of a call, many of them in a row."""
    wait = torch.cuda.synchronize if device != "cpu" else lambda: None
    function()
    wait()
    begun = time.perf_counter()
    for _ in range(count):
        function()
    wait()
    return (time.perf_counter() - begun) / count


def ceilings(device):
    """What the machine can do: lines of a copy and of the products of MNIST's first layer."""
    import torch

    rows = 256 if device != "cpu" else 2
    source = torch.zeros(2**28 if device != "cpu" else 2**22, device=device)
    target = torch.empty_like(source)
    copy = 2 * source.nbytes / seconds_of(lambda: target.copy_(source), torch, device)
    a, b = (torch.rand(shape, device=device) for shape in ((rows, 256, 784), (rows, 784, 128)))
    yield f"copy {copy / 1e12:.2f} TB/s"
    for precision in ("float32", "tf32") if device != "cpu" else ("float32",):
        with tf32_if(precision, torch):
            seconds = seconds_of(lambda: torch.bmm(a, b), torch, device)
        rate = 2 * rows * 256 * 784 * 128 / seconds
        yield f"bmm of {rows} x (256 x 784 x 128), {precision}: {rate / 1e12:.1f} TFLOP/s"


def gpu_name(device):
    import torch

    if device == "cpu":
        return "no GPU: this is only a try"
    query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm", "--format=csv,noheader"]
    with contextlib.suppress(OSError):
        more = subprocess.run(query, capture_output=True, text=True).stdout.strip()
        return f"{torch.cuda.get_device_name()} ({more})"
    return torch.cuda.get_device_name()


# ---- the table


def jobs(args):
    """(work, rows, precision) of every block of the table."""
    counts = args.rows or ([1, 64] if args.device != "cpu" else [2])
    digits = replace(digits_work(args, EPOCHS["digits"]), epochs=args.epochs or EPOCHS["digits"])
    for count in counts if not args.rows else ():
        yield digits, stack(count, args.dropout), "float32"
    if args.mnist:
        mnist = mnist_work(args, EPOCHS["mnist"])
        for count in args.rows or [1, 64, 256]:
            for precision in ("float32", "tf32"):
                yield mnist, stack(count, args.dropout), precision


def stack(count, dropout):
    """Rows of their own lr and l2."""
    rows = draw_rows(count, 0) if count > 1 else [Row(l2=1e-4)]
    return [replace(row, dropout=dropout) for row in rows]


def main(args):
    print(gpu_name(args.device))
    for line in ceilings(args.device):
        print(f"  {line}")
    wanted = args.rivals.split(",") if args.rivals else list(RIVALS)
    print(
        f"\n{'work':8}{'rows':>6}  {'precision':10}{'rival':16}{'ms an epoch':>12}{'beside jax':>11}", end=""
    )
    print(f"{'beside loop':>12}{'accuracy':>10}{'GB':>7}")
    for work, rows, precision in jobs(args):
        found = {}
        for name in wanted:
            try:
                found[name] = RIVALS[name](work, rows, precision, args.device)
            except ImportError as absent:
                print(f"{name}: skipped, {absent}")
            except Exception as error:  # one rival's fault is not the others'
                print(f"{name}: failed, {type(error).__name__}: {str(error)[:200]}")
        for name, of in found.items():
            ratios = [of.ms / found[other].ms if other in found else np.nan for other in ("jax", "loop")]
            line = f"{work.name:8}{len(rows):6}  {precision:10}{name:16}{of.ms:12.2f}{ratios[0]:11.2f}"
            print(f"{line}{ratios[1]:12.4f}{100 * of.accuracy:9.2f}%{of.memory:7.2f}", flush=True)
    print(f"\nloop and graph: {SAMPLE} rows timed, and multiplied; memory of jax: the most so far")
