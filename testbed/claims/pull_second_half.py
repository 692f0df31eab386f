"""C10: the second half of pull takes O(log log N) rounds; with loss it does not.

From half on the uninfected fraction squares each round (k = 1), so log2 ln N rounds are left. Any
fixed loss puts a floor under what a round leaves: log N again. At sizes of hundreds log log N and
log N can't be told apart; the exact chain on the numbers of nodes can be sampled at 2^30, where
they can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from testbed.judging import growth, rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import REFUTED, Finding
from testbed.theory.pull_chain import answered

FORM, CONTRAST, LOSSY, FLOOR = "form", "against push", "form: loss", "constant: loss"

SIZES = tuple(2**power for power in range(10, 31, 4))
SMALL = (64, 128, 256, 512)
RUNS, LOSSY_RUNS, SMALL_RUNS = 200, 100, 1000
LOSS = 0.5

CLAIM = Claim(
    id="C10",
    title="the second half of pull takes O(log log N) rounds",
    statement=(
        "Once half of the nodes have the multicast, pull reaches the rest in O(log log N) rounds, "
        "where push takes O(log N)."
    ),
    source='lecture, "Pull Gossip: Analysis": second half of pull gossip finishes in time '
    "O(log(log(N)); Doerr & Kostrygin, ICALP 2017; CLAIMS C10",
    assumptions=(
        "synchronous rounds, everyone asked answers; k = 1",
        "the lecture says nothing of loss: the statement is held against 50% as well, request "
        "and answer each (legs = 2)",
    ),
    parts={
        FORM: Part(
            margin=Interval(0.7, 1.3),
            reason="rounds per log2 ln N; growth by log N over these sizes would give 10 and more",
        ),
        CONTRAST: Part(
            margin=Interval(0.3, math.inf),
            reason="push's second half grows by 0.8 rounds with each doubling of 64..512 nodes, "
            "pull's by 0.2",
        ),
        LOSSY: Part(
            margin=Interval(0.7, 1.3),
            reason="the same margin under loss: theory says 30 rounds per log2 ln N",
            expected=REFUTED,
        ),
        FLOOR: Part(
            margin=Interval(0.9, 1.1),
            reason="of 1 / log2 (1/e') rounds per doubling, what a round leaves being e' = 3/4",
        ),
    },
    refuted_if="the interval of the slope lies outside its margin; form: or log N fits better than "
    "log log N",
    evidence=("simulated",),
    estimator="least-squares slope of the mean rounds from half to all, over log2 ln N or log2 N, "
    "unweighted; Akaike's criterion between log log N and log N",
    expect=(
        "no loss: 2.1 to 3.3 rounds for N = 16..512, 5 at 2^30",
        "loss: 1/log2(1/e') rounds per doubling, e' = 1 - (1-loss)^legs: 2.4 for both legs, 1 for "
        "one, at 50%",
    ),
    family="pull",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Slopes: per log2 ln N without loss, of push less pull per doubling, and under loss."""
    sizes = conditions["sizes"]
    per_doubling = -1 / math.log2(1 - answered(LOSS, 2))
    x = [math.log2(math.log(n)) for n in sizes]
    lossy = [Estimate(per_doubling * math.log2(n), 1e-9) for n in sizes]
    return {
        FORM: 1.0,
        CONTRAST: math.log(2) - 0.17,
        LOSSY: stats.slope(x, lossy).value,
        FLOOR: 1.0,
    }


def model(engines: Engines) -> list[Finding]:
    return [_form(engines), _contrast(engines), *_lossy(engines)]


def _form(engines: Engines) -> Finding:
    tails = {n: _tail(engines, RUNS, n, "pull") for n in SIZES}
    lead = _lead(tails)
    stated = conditions("pull", sizes=list(SIZES))
    doubt = f"log log N beats log N by dAIC {lead:.1f} only, not {rules.DELTA_AIC:g}"
    return CLAIM.modelled(
        FORM,
        stated,
        _slope(tails, lambda n: math.log2(math.log(n))),
        predicted=predict(stated)[FORM],
        unit="rounds of the second half per log2 ln N",
        runs=engines.runs(RUNS) * len(SIZES),
        doubts=() if lead > rules.DELTA_AIC else (doubt,),
        notes=(f"log log N beats log N by dAIC {lead:.0f}", _words(tails)),
    )


def _contrast(engines: Engines) -> Finding:
    tails = {p: {n: _tail(engines, SMALL_RUNS, n, p) for n in SMALL} for p in ("push", "pull")}
    each = {p: _slope(tail, math.log2) for p, tail in tails.items()}
    stated = conditions("pull", sizes=list(SMALL))
    return CLAIM.modelled(
        CONTRAST,
        stated,
        stats.combine([1.0, -1.0], [each["push"], each["pull"]]),
        predicted=predict(stated)[CONTRAST],
        unit="rounds per doubling of N that push's second half grows more than pull's",
        runs=2 * engines.runs(SMALL_RUNS) * len(SMALL),
        notes=(f"push {each['push'].value:.2f}, pull {each['pull'].value:.2f} per doubling",),
    )


def _lossy(engines: Engines) -> list[Finding]:
    tails = {n: _tail(engines, LOSSY_RUNS, n, "pull", LOSS) for n in SIZES}
    stated = conditions("pull", loss_ratio=LOSS, legs=2, sizes=list(SIZES))
    predicted = predict(stated)
    growing = _slope(tails, lambda n: math.log2(math.log(n)))
    doubling = _slope(tails, math.log2)
    runs = engines.runs(LOSSY_RUNS) * len(SIZES)
    floor = -1 / math.log2(1 - answered(LOSS, 2))
    return [
        CLAIM.modelled(
            LOSSY,
            stated,
            growing,
            predicted=predicted[LOSSY],
            unit="rounds of the second half per log2 ln N",
            refutation=f"under loss the second half grows by {doubling.value:.2f} rounds with each "
            "doubling of N: O(log N)",
            runs=runs,
            notes=(f"log log N beats log N by dAIC {_lead(tails):.0f}", _words(tails)),
        ),
        CLAIM.modelled(
            FLOOR,
            stated,
            doubling.scaled(1 / floor),
            predicted=1.0,
            unit=f"rounds per doubling of N, over {floor:.2f}",
            runs=runs,
        ),
    ]


def _tail(
    engines: Engines, runs: int, nodes: int, protocol: str, loss_ratio: float = 0.0
) -> Estimate:
    """Mean rounds from half to all, half and all of the same run."""
    drawn = engines.rounds(runs, nodes=nodes, protocol=protocol, loss_ratio=loss_ratio)
    return stats.mean(drawn.rounds_to_all - drawn.rounds_to_half)


def _slope(tails: Mapping[int, Estimate], of: Any) -> Estimate:
    return stats.slope([of(n) for n in tails], list(tails.values()))


def _lead(tails: Mapping[int, Estimate]) -> float:
    laws = growth.fit(list(tails), list(tails.values()))
    return float(np.clip(laws["log N"].aic - laws["log log N"].aic, -9999, 9999))


def _words(tails: Mapping[int, Estimate]) -> str:
    return ", ".join(f"N=2^{round(math.log2(n))}: {t.value:.2f}" for n, t in tails.items())
