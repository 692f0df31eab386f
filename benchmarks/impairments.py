"""What each shaping backend of this kernel gives, against what it was asked for; and its limits.

    .venv/bin/python benchmarks/impairments.py [--backend NAME] [--only PART ...] [--ratio X ...]
        [--quick] [--json]

Parts: loss, bursts, jitter, correlation, order (reordering, duplication, corruption), rate (and
the queue limit), limits. Each figure has n and the interval that chance allows (familywise error
1e-4 over all of a backend). Two bounds are the project's: 0.002 from the loss asked for, with so
many datagrams that chance exceeds it as seldom; delays to 0.5 ms at the median and 2 ms at p99, at
5,000 packets a second, beyond that interval. Limits are the highest rate tried that is borne, what
gave out above it (the sender, who cannot keep pace, or the backend), and what the backend adds to a
constant delay, where it gives one. With each figure is how many datagrams a second were sent,
at the least: where it is to hold at more, or the backend complains of itself, its part is
inconclusive. The exit status is 1 when a figure is wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the conformance suite is a test's

from testbed import lab, shaping
from testbed.shaping import pick
from tests.network import weather
from tests.network.weather import Figure, Run
from topologies.impairments import Distribution, Impairment

RATIOS = (0.01, 0.05, 0.2, 0.5, 0.9)
TESTS = 20
PER_S = {"nftables": 60_000.0, "netem": 40_000.0, "nfqueue": 8_000.0}
BIAS = 0.002
"""How far from the ratio asked for a loss may be: `weather.enough` says how many datagrams show it.
2.9 million for the five ratios: a minute with nftables, 6 minutes with nfqueue."""
DELAYED_PER_S = 5_000
TRIED_PER_S = tuple(1000 * k for k in (5, 8, 10, 12, 15, 20, 30, 40, 60, 80, 120))

Part = Callable[[Run, int], list[Figure]]
"""A measurement; the number divides how much is sent."""


def loss(run: Run, less: int, ratios: Sequence[float] = RATIOS) -> list[Figure]:
    found = []
    for ratio in ratios:
        count = weather.enough(ratio, BIAS, TESTS) // less
        (figure,) = weather.of_loss(run, ratio, count, PER_S[run.backend], TESTS)
        found += [figure, bias(figure, less)]
    return found


def bias(loss: Figure, less: int) -> Figure:
    """The distance of a loss from the ratio asked for, with the project's bound."""
    off, within = loss.measured - loss.asked, BIAS * math.sqrt(less)
    return Figure(f"bias at {loss.asked:g}", 0, off, off - within, off + within, loss.n)


def bursts(run: Run, less: int) -> list[Figure]:
    return weather.of_bursts(run, 50_000 // less, 5_000, TESTS)


def jitter(run: Run, less: int) -> list[Figure]:
    found = []
    for form in get_args(Distribution):
        what = Impairment(delay_ms=20, jitter_ms=5, jitter_distribution=form)
        found += weather.of_jitter(run, what, 30_000 // less, DELAYED_PER_S, TESTS)
    return found


def correlation(run: Run, less: int) -> list[Figure]:
    return weather.of_correlation(run, 20_000 // less, 2_000, TESTS)


def order(run: Run, less: int) -> list[Figure]:
    count, per_s, tests = 20_000 // less, 3_000, TESTS
    anywhere = run.backend == "netem"
    return [
        *weather.of_reordering(run, count, per_s, tests),
        *weather.of_copies(run, count, per_s, tests),
        *weather.of_damage(run, count, per_s, tests, anywhere=anywhere),
    ]


def rate(run: Run, less: int) -> list[Figure]:
    count = 5_000 // less
    full = weather.of_rate(run, count, queue_packets=50)
    return [*weather.of_rate(run, count), *full, *weather.of_limit(run)]


PARTS: dict[str, tuple[Part, str]] = {
    "loss": (loss, "loss_ratio"),
    "bursts": (bursts, "burst_packets"),
    "jitter": (jitter, "jitter_ms"),
    "correlation": (correlation, "jitter_correlation"),
    "order": (order, "reorder_ratio"),
    "rate": (rate, "rate_mbit"),
}
"""With the field that a backend must be able to give."""


def limits(backend: str, less: int) -> dict[str, Any]:
    """The highest rate tried that is borne, what gives out above it, and the lateness of 20 ms at
    5,000 a second. A backend without delays loses a tenth instead."""
    delays = can(backend, "delay_ms")
    what = Impairment(delay_ms=20) if delays else Impairment(loss_ratio=0.1)
    best, gave_out = 0, "nothing"
    late: dict[str, float] = {}
    for per_s in TRIED_PER_S:
        run = Run(backend)
        sample = run(what, per_s * 4 // less, per_s, late_ms=weather.P99_MS)
        if delays and per_s == DELAYED_PER_S:
            points = np.quantile(sample.late_ms, [0.5, 0.99, 0.999]) - 20
            late = dict(
                zip(("p50_ms", "p99_ms", "p99.9_ms"), points.round(3).tolist(), strict=True)
            )
        missing = weather.lost(sample)
        lost = weather.share("loss", what.loss_ratio, missing, sample.sent, len(TRIED_PER_S))
        if sample.doubts or not lost.right:
            gave_out = f"the backend at {per_s}: " + "; ".join(sample.doubts or [str(lost)])
            break
        if sample.per_s < weather.PACE * per_s:
            gave_out = f"the sender, at {sample.per_s:.0f}"
            break
        best = per_s
    return {"packets_per_s": best, "gave_out": gave_out, "added": late}


def can(backend: str, field: str) -> bool:
    correlated = 0.5 if field == "jitter_correlation" else 0.0
    what = Impairment(delay_ms=1, jitter_ms=1, jitter_correlation=correlated)
    found = next(each for each in shaping.BACKENDS if each.name == backend)
    return field in found.can and found.refusal(what) is None


def measure(backend: str, parts: list[str], less: int, ratios: Sequence[float]) -> dict[str, Any]:
    figures: list[dict[str, Any]] = []
    doubts: list[str] = []
    for name in parts:
        if name in PARTS and can(backend, PARTS[name][1]):
            part = partial(loss, ratios=ratios) if name == "loss" else PARTS[name][0]
            run = Run(backend)
            for figure in part(run, less):
                # None: what the machine was not up to is neither right nor wrong.
                right = None if run.doubts else figure.right
                per_s = round(run.slowest_per_s)
                figures.append({**asdict(figure), "per_s": per_s, "right": right})
            doubts += [f"{name}: {doubt}" for doubt in run.doubts]
            print(f"{backend}: {name} measured", file=sys.stderr)
    found: dict[str, Any] = {"backend": backend, "figures": figures, "doubts": doubts}
    if "limits" in parts:
        found["limits"] = limits(backend, less)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    names = [backend.name for backend in shaping.BACKENDS]
    parser.add_argument("--backend", choices=names, action="append")
    parser.add_argument("--only", choices=[*PARTS, "limits"], nargs="+")
    parser.add_argument("--ratio", type=float, nargs="+", default=RATIOS, help="of losses")
    parser.add_argument("--quick", action="store_true", help="a tenth of the packets, wider bounds")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    parts = arguments.only or [*PARTS, "limits"]
    results = []
    for backend in shaping.BACKENDS:
        if arguments.backend and backend.name not in arguments.backend:
            continue
        reason = lab.call(partial(pick.probed, backend))
        if reason:
            print(f"{backend.name}: not here: {reason}", file=sys.stderr)
            continue
        less = 10 if arguments.quick else 1
        results.append(lab.call(partial(measure, backend.name, parts, less, arguments.ratio)))
    if arguments.json:
        print(json.dumps({"schema": 1, "backends": results}))
    else:
        table(results)
    return int(any(figure["right"] is False for each in results for figure in each["figures"]))


def table(results: list[dict[str, Any]]) -> None:
    for each in results:
        titles = f"{'asked':>9}{'measured':>11}  interval or bounds        n   sent/s"
        print(f"{each['backend']:<26}{titles}")
        for figure in each["figures"]:
            span = f"{figure['low']:.5g}..{figure['high']:.5g}"
            verdict = {True: "", False: "  WRONG", None: "  inconclusive"}[figure["right"]]
            print(
                f"  {figure['name']:<24}{figure['asked']:>9.4g} {figure['measured']:>10.4g}  "
                f"{span:<20}{figure['n']:>9}{figure['per_s']:>9}{verdict}"
            )
        if "limits" in each:
            found = each["limits"]
            print(f"  borne: {found['packets_per_s']} packets/s; gave out: {found['gave_out']}")
            added = ", ".join(f"{name} {value:g}" for name, value in found["added"].items())
            if added:
                print(f"  added to 20 ms: {added}")
        for doubt in each["doubts"]:
            print(f"  inconclusive: {doubt}")


if __name__ == "__main__":
    sys.exit(main())
