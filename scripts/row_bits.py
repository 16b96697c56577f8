"""Reports which computations of a stack give the same bits as a single row, on this machine and torch.

    python scripts/row_bits.py products --seconds 600     # random shapes, layouts, K and threads
    python scripts/row_bits.py convolutions --seconds 600 # random networks of images, in both layouts
    python scripts/row_bits.py library --seconds 60       # torch.bmm itself, as the library divides it
    python scripts/row_bits.py jobs --seconds 600         # whole fits up to MNIST's sizes, and beyond

All but `library` are to find no difference; what that finds is why nnlab divides products itself.
Other processors are pretended by MKL_ENABLE_INSTRUCTIONS=AVX2 or SSE4_2, and ATEN_CPU_CAPABILITY=avx2 or
default.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from nnlab.runtime.threads import computing

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import bits  # noqa: E402
import image_bits  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("products", "convolutions", "library", "jobs"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    r, end = random.Random(args.seed), time.monotonic() + args.seconds
    compared, different, example, shapes_seen = Counter(), Counter(), {}, 0
    while time.monotonic() < end:
        shapes_seen += 1
        if args.what == "jobs":
            found = list(bits.jobs(r))
        elif args.what == "convolutions":
            found = list(image_bits.convolutions(r, large=r.random() < 0.3))
        else:
            with computing():
                found = list(bits.products(r, args.what == "library"))
        for key, sizes, same in found:
            compared[key] += 1
            if not same:
                different[key] += 1
                example.setdefault(key, sizes)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}: {shapes_seen:,} shapes,")
    print(f"{sum(compared.values()):,} comparisons, {sum(different.values()):,} differences")
    for key in sorted(different):
        print(f"  {different[key]:6,} of {compared[key]:6,}  {', '.join(key)}: such as {example[key]}")
    return min(1, sum(different.values())) if args.what != "library" else 0


if __name__ == "__main__":
    sys.exit(main())
