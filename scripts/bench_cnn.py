"""A convolutional network in nnlab, in a tuned loop of torch and in JAX: `bench_train.py MODE --work cnn`.

Two convolutions of 32 and 64 channels, 3 x 3 without padding, max pooling, 128 units; relu, Adam at 1e-3,
batches of 128, 10,000 examples of MNIST (or random images of its size) and 2,000 to validate on.

The loop has what makes torch quicker: channels last, which oneDNN wants, fused Adam, no DataLoader.
"""

from __future__ import annotations

import functools
import gzip
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_train import Row, Work, compare, nnlab_parts, torch_validate

IMAGE = (1, 28, 28)
CHANNELS, KERNEL, POOL, HIDDEN = (32, 64), 3, 2, 128
POOLED = (28 - 2 * (KERNEL - 1)) // POOL  # the side of what the hidden layer reads
SIZES = (CHANNELS[-1] * POOLED**2, HIDDEN, 10)
EXAMPLES, VALIDATED = 10_000, 2_000
VALIDATION_BATCH = 500


def cnn_work(args) -> Work:
    if args.mnist:

        def idx(name, offset):
            packed = (Path(args.mnist) / f"train-{name}-ubyte.gz").read_bytes()
            return np.frombuffer(gzip.decompress(packed), np.uint8, offset=offset)

        x = idx("images-idx3", 16).reshape(-1, 784).astype(np.float32) / 255
        y = idx("labels-idx1", 8).astype(np.int64)
    else:
        random = np.random.default_rng(0)
        y = random.integers(10, size=EXAMPLES + VALIDATED)
        x = random.random((len(y), 784), np.float32) + random.random((10, 784), np.float32)[y]
    arrays = (x[:EXAMPLES], y[:EXAMPLES], *(v[EXAMPLES : EXAMPLES + VALIDATED] for v in (x, y)))
    return Work("cnn", SIZES, 128, args.epochs or 1, arrays, args.threads)


def initial_leaves(seed):
    """Glorot uniform weights, (out, in, kh, kw) and (out, in), and zero biases: the same for every rival."""
    random, channels = np.random.default_rng(seed), (1, *CHANNELS)
    shapes = [(o, i, KERNEL, KERNEL) for i, o in zip(channels, CHANNELS, strict=False)]
    shapes += [(o, i) for i, o in zip(SIZES, SIZES[1:], strict=False)]
    for shape in shapes:
        fan_in, fan_out = (math.prod(shape[2:]) * n for n in (shape[1], shape[0]))
        bound = np.float32(np.sqrt(6 / (fan_in + fan_out)))
        yield bound * (2 * random.random(shape, np.float32) - 1), np.zeros(shape[0], np.float32)


# ---- the rivals: run(work, rows) -> validation loss and accuracy, (rows, epochs, 2)


def train_torch(work, row):
    import torch
    from torch.nn import functional as F

    torch.manual_seed(row.seed)
    x, y, vx, vy = map(torch.from_numpy, work.arrays)
    leaves = [tuple(map(torch.from_numpy, pair)) for pair in initial_leaves(row.seed)]
    leaves[2] = _by_memory(leaves[2][0]), leaves[2][1]
    leaves = [(W.contiguous(memory_format=torch.channels_last) if W.ndim == 4 else W, b) for W, b in leaves]
    parameters = [p.requires_grad_() for pair in leaves for p in pair]
    adam = torch.optim.Adam(parameters, lr=row.lr, fused=True)
    *convolutions, hidden, output = leaves

    def logits(h):
        h = h.view(-1, *IMAGE).contiguous(memory_format=torch.channels_last)
        for W, b in convolutions:
            h = F.conv2d(h, W, b).relu_()
        h = F.max_pool2d(h, POOL).permute(0, 2, 3, 1).flatten(1)  # a view
        return F.linear(F.linear(h, *hidden).relu(), *output)

    def validated():
        batches = zip(vx.split(VALIDATION_BATCH), vy.split(VALIDATION_BATCH), strict=True)
        return np.mean([torch_validate(logits, *batch) for batch in batches], 0)

    for _ in range(work.epochs):
        for index in torch.randperm(len(x)).split(work.batch):
            adam.zero_grad()
            F.cross_entropy(logits(x[index]), y[index]).backward()
            adam.step()
        yield validated()


def _by_memory(W):
    """The hidden layer's weights for images whose channels are last in memory; else those are copied."""
    images = W.unflatten(1, (CHANNELS[-1], POOLED, POOLED))
    return images.permute(0, 2, 3, 1).flatten(1).contiguous()


@functools.cache
def quickest_threads(work) -> int:
    """The thread count with which the loop is quickest."""
    import os

    import torch

    seconds = {}
    for count in sorted({1, os.cpu_count()}):
        torch.set_num_threads(count)
        start = time.perf_counter()
        list(train_torch(replace(work, epochs=1), Row()))
        seconds[count] = time.perf_counter() - start
    best = min(seconds, key=seconds.get)
    print(f"torch: {', '.join(f'{s:.1f} s on {n}' for n, s in seconds.items())} thread(s); takes {best}")
    return best


def run_torch(work, rows):
    """The rows one after another."""
    import torch

    torch.set_num_threads(work.threads or quickest_threads(work))
    return np.array([list(train_torch(work, row)) for row in rows])


def run_jax(work, rows):
    """The rows vmapped, an epoch as a scan over its steps."""
    import jax
    import jax.numpy as jnp
    import optax

    def logits(leaves, h):
        *convolutions, hidden, output = leaves
        h = h.reshape(-1, *IMAGE[1:], 1)
        for W, b in convolutions:
            dimensions = ("NHWC", "OIHW", "NHWC")
            h = jax.nn.relu(
                jax.lax.conv_general_dilated(h, W, (1, 1), "VALID", dimension_numbers=dimensions) + b
            )
        h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, POOL, POOL, 1), (1, POOL, POOL, 1), "VALID")
        h = h.transpose(0, 3, 1, 2).reshape(len(h), -1)
        return jax.nn.relu(h @ hidden[0].T + hidden[1]) @ output[0].T + output[1]

    x, y, vx, vy = jax.device_put(work.arrays)
    entropy = optax.softmax_cross_entropy_with_integer_labels

    def step(lr, state, index):
        def loss(leaves):
            real = index >= 0  # the last batch is padded with -1
            return (real * entropy(logits(leaves, x[index]), y[index])).sum() / real.sum()

        updates, memory = optax.adam(lr).update(jax.grad(loss)(state[0]), state[1])
        return (optax.apply_updates(state[0], updates), memory), None

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0, None))
    def epoch(lr, state, order):
        state, _ = jax.lax.scan(functools.partial(step, lr), state, order)
        parts = [logits(state[0], part) for part in vx.reshape(-1, VALIDATION_BATCH, vx.shape[1])]
        z = jnp.concatenate(parts)
        return state, jnp.stack([entropy(z, vy).mean(), (z.argmax(1) == vy).mean()])

    leaves = [[np.stack([p] * len(rows)) for p in pair] for pair in initial_leaves(rows[0].seed)]
    state = leaves, jax.vmap(optax.adam(1.0).init)(leaves)
    random, curve = np.random.default_rng(rows[0].seed), []
    steps = -(-len(x) // work.batch)
    for _ in range(work.epochs):
        order = np.pad(random.permutation(len(x)), (0, steps * work.batch - len(x)), constant_values=-1)
        state, record = epoch(np.float32([row.lr for row in rows]), state, order.reshape(steps, work.batch))
        curve.append(np.asarray(record))
    return np.stack(curve, 1)


@functools.cache
def model():
    """The network as a model of nnlab's."""
    import nnlab
    from nnlab.autodiff.activations import ReLU
    from nnlab.autodiff.affine import Affine
    from nnlab.autodiff.convolution import Convolution
    from nnlab.autodiff.graph import Graph
    from nnlab.autodiff.pooling import MaxPool

    class Convolutional(nnlab.MLP):
        def graph(self, shape, outputs, output="identity", layout=None):
            graph = Graph(IMAGE)
            last = graph.input
            for n, channels in enumerate(CHANNELS):
                last = graph.add(f"convolution{n}", Convolution(channels, KERNEL, activation="relu"), last)
                last = graph.add(f"relu{n}", ReLU(), last)
            last = graph.add("pool", MaxPool(POOL), last)
            last = graph.add("hidden_relu", ReLU(), graph.add("hidden", Affine(HIDDEN, "relu"), last))
            graph.add("output", Affine(outputs), last)
            return graph

    return Convolutional()


def run_nnlab(work, rows):
    """All rows as one population."""
    import nnlab

    data, split = nnlab_parts(work, tested=1)
    experiments = [
        nnlab.Experiment(
            data=data, split=split, model=model(), init=nnlab.GlorotUniform(),
            optimizer=nnlab.Adam(lr=row.lr), epochs=work.epochs, batch_size=work.batch,
            seed=row.seed, device="cpu", threads=work.threads or "auto",
        )
        for row in rows
    ]  # fmt: skip
    curve = np.empty((len(rows), work.epochs, 2))
    for record in nnlab.fit(*experiments):
        curve[record.rows, record.epoch - 1] = np.stack([record.val_loss, 1 - record.val_error], 1)
    return curve


RIVALS = {"torch": run_torch, "jax": run_jax, "nnlab": run_nnlab}


def main(args):
    work = cnn_work(args)
    count = (args.rows or [8])[0] if args.mode == "rows" else 1

    def job(run):
        rows = [Row(lr=1e-3 * 0.9**k) for k in range(count)]
        return lambda seed: run(work, [replace(row, seed=seed) for row in rows])[:, -1, 1].mean()

    jobs = {
        name: (job(run), 1e3 / work.epochs)
        for name, run in RIVALS.items()
        if not args.only or name in args.only
    }
    title = f"cnn {CHANNELS} {SIZES}, batch {work.batch}, {count} model(s); ms per epoch"
    compare(title, jobs, args.rounds, 1)
