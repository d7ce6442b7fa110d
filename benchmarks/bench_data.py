"""The data path: looking at clips, decoding, filling caches, starting again, handing batches to the loop.

Each number stands beside what it is measured against, taken in turns in the same run. decord takes part where it is
installed.

    python benchmarks/bench_data.py [--parts inspect,decode,fill,start,batches] [--clips 1000] [--write FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import data_parts
from data_clips import headline

PARTS = {
    "inspect": data_parts.inspect_clips,
    "decode": data_parts.decode_clips,
    "fill": data_parts.fill_cache,
    "start": data_parts.start,
    "batches": data_parts.batches,
}


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    lines = [headline(sys.argv)]
    for name in arguments.parts.split(","):
        with tempfile.TemporaryDirectory() as folder:
            lines += ["", f"### {name}", "", *PARTS[name](Path(folder), data_parts.Size.of(arguments))]
    report = "\n".join(lines) + "\n"
    print(report)
    if arguments.write:
        with arguments.write.open("a", encoding="utf-8") as file:
            file.write(report)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="which measurements, of " + ", ".join(PARTS))
    parser.add_argument("--clips", type=int, default=1000, help="clips of the data set that is started")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each pair that is compared")
    parser.add_argument("--write", type=Path, help="add the report to a file")
    parser.add_argument("--tiny", action="store_true", help="everything small: a test of the program only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
