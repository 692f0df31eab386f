"""How surely `validate --quick` gives the registered verdicts on claims that the engines judge.

Whole validations with different seeds; counts how often every part of a claim comes out as its file
expects, and what that costs.

    python benchmarks/engine_power.py --validations 40
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed import claims
from testbed.judging.engines import Engines
from testbed.judging.stats import Proportion
from testbed.judging.verdict import NOT_RUN, SUPPORTED, VERIFIED, Verdict


def as_registered(row: Verdict) -> bool:
    accepted = {row.expected, NOT_RUN} | ({VERIFIED} if row.expected == SUPPORTED else set())
    return row.verdict in accepted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    asked = parser.parse_args()
    names = [name for name in claims.names() if hasattr(claims.load(name), "model")]
    good: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    start = time.process_time()
    for seed in range(asked.seed, asked.seed + asked.validations):
        rows = claims.judge(names, [], None, Engines(seed))
        wrong = [row for row in rows if not as_registered(row)]
        missed.update(f"{row.claim} {row.part}: {row.verdict}" for row in wrong)
        good.update({row.claim for row in rows} - {row.claim for row in wrong})
    seconds = (time.process_time() - start) / asked.validations
    print("| claim | as registered | 95% |\n|---|---|---|")
    for claim in (claims.load(name).CLAIM.id for name in names):
        share = Proportion(good[claim], asked.validations)
        low, high = share.interval(0.95)
        print(f"| {claim} | {share.value:.4f} | {low:.4f}..{high:.4f} |")
    print(f"\n{asked.validations} validations, {seconds:.1f} s of processor time each")
    for what, count in missed.items():
        print(f"{what}: {count}")


if __name__ == "__main__":
    main()
