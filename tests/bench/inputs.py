"""Try all 103 bad inputs through the real command line, and print what came out as a table.

    python tests/bench/inputs.py [NUMBER ...] > table.md

Exit code 1 if anything came out otherwise than it has to.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "helpers"), str(TESTS / "hub")]

from bad_inputs.table import CASES, HEAD, cannot, markdown, try_all  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="cases to try; default: all")
    wanted = set(parser.parse_args().numbers)
    cases = [case for case in CASES if not wanted or case.number in wanted]
    wrong, count, began = 0, 0, time.monotonic()
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for row in try_all(cases, Path(folder)):
            print(markdown(row), flush=True)
            count += 1
            wrong += bool(row.wrong)
    print(f"\n{count} cases tried, {wrong} wrong, {time.monotonic() - began:.0f} s")
    for case in cases:
        if why := cannot(case):
            print(f"not tried here: {case.label}: {why}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
