"""How much quicker several ranks train one row than one process does, which share every batch of it.

    python scripts/bench_ranks.py /data/mnist --ranks 2 --pairs 5

A wide perceptron on MNIST, batches of 4,096, one thread a process. Each pair is one process and then the
ranks, which torchrun starts, one after the other, since a machine's speed changes; the ratios are of the
seconds that the steps of an epoch take, the least of all epochs but the first. `alone` compares the seconds
of the processor in one rank: what remains where every rank has a core to itself.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

MARK = "bench_ranks: "


def train(args) -> None:
    """As one process, or as one of the ranks; rank 0 prints the seconds of its steps."""
    import nnlab
    from nnlab.runtime.ranks import ranks
    from nnlab.training.training import Training

    together = ranks()
    data = nnlab.Idx(path=args.mnist, limit=args.examples)
    e = nnlab.Experiment(
        data=data, model=nnlab.MLP(hidden=(args.hidden,) * 2), batch_size=args.batch,
        epochs=args.epochs, optimizer=nnlab.Momentum(lr=0.1), device="cpu", threads=1,
    )  # fmt: skip
    fit = nnlab.fit(e)
    training = Training(fit.rows, fit.cache.examples(fit.rows[0]), 1, ranks=together)
    wall, processor = [], []
    while len(training):
        training.begin()
        start = time.process_time()
        record, _ = training.epoch()
        processor.append(time.process_time() - start)
        wall.append(record.step_seconds)
    if not together or together.is_first:
        loss = float(record.metrics["train_loss"][0])
        print(MARK + json.dumps([min(wall[1:]), min(processor[1:]), loss]), flush=True)


def seconds(args, ranks: int) -> list[float]:
    """The seconds of an epoch's steps, of the processor's too, and the loss."""
    words = [__file__, *sys.argv[1:], "--train"]
    start = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, *start, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    return json.loads(line.removeprefix(MARK))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", help="a folder with the files of MNIST")
    for name, value in (
        ("ranks", 2), ("pairs", 5), ("batch", 4096), ("hidden", 1024), ("epochs", 3), ("examples", 24_000),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        train(args)
        return
    pairs = []
    for _ in range(args.pairs):
        one, several = seconds(args, 1), seconds(args, args.ranks)
        pairs.append((one[0] / several[0], one[1] / several[1]))
        print(
            f"one process {one[0]:.2f} s an epoch, {args.ranks} ranks {several[0]:.2f} s: "
            f"{pairs[-1][0]:.2f} times as quick; alone {pairs[-1][1]:.2f}; "
            f"loss {one[2]:.6f} and {several[2]:.6f}",
            flush=True,
        )
    wall, alone = (statistics.median(ratios) for ratios in zip(*pairs, strict=True))
    print(f"median: {wall:.2f} times as quick; alone {alone:.2f}")


if __name__ == "__main__":
    main()
