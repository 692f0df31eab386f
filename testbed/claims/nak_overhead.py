"""C15: SRM and RMTP still cost O(N) acknowledgements, negative or positive.

Counted as requests sent for one packet that all receivers lost, in a star, at a fixed C2; and as
the chance that a packet provokes a request and a repair at all, each of which every member hears.
RMTP's status messages need its protocol, which is not here yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines
from testbed.judging.stats import Estimate, Interval, Proportion
from testbed.judging.verdict import Finding
from testbed.theory import srm_star

FORM, CONSTANT, PROVOKED, RMTP = "requests: form", "requests: constant", "control", "RMTP"
C2 = 2.0
SIZES = (64, 128, 256, 512, 1024)
RUNS = 400
LOSS = 0.01

CLAIM = Claim(
    id="C15",
    title="SRM and RMTP still cost O(N) ACKs or NAKs",
    statement=(
        "Suppression and designated receivers do not take the overhead away: requests for one "
        "packet grow in proportion to the group at fixed timers, nearly every packet of a large "
        "group provokes a request and a repair that all members hear, and status messages do so."
    ),
    source='lecture, "Tree-based Multicast Protocols": still cause an O(N) ACK/NAK overhead; Floyd '
    "et al. 1997; CLAIMS C15",
    assumptions=(
        "requests: a star of equal delays in which all lose the packet; timers uniform on C2 d, "
        "C2 = 2; no backoff",
        "control: each of N-1 receivers loses a packet by itself, with probability 0.01",
    ),
    parts={
        FORM: Part(
            margin=Interval(0.9, 1.1),
            reason="exponent of the requests in the group's size; sqrt G, which C2 growing like "
            "sqrt G gives, has 0.5",
        ),
        CONSTANT: Part(
            margin=Interval(0.98, 1.02),
            reason="of 1 + (G-1)/C2 - C2^-(G-1), exact; the paper's approximation is smaller by "
            "1/C2, 1.5% at 64",
        ),
        PROVOKED: Part(
            margin=Interval(0.95, math.inf),
            reason="packets of 1024 nodes that provoke a request: all N-1 hear it and its repair",
        ),
        RMTP: Part(
            margin=Interval(0.9, 1.1),
            reason="exponent in N of the status messages in the whole network",
        ),
    },
    refuted_if="the interval of the exponent, of the ratio or of the share lies outside its margin",
    evidence=("simulated",),
    estimator="log-log slope of the mean requests over the sizes, unweighted; their ratio to the "
    "formula, geometric mean; share of packets that some receiver lost [Clopper-Pearson]",
    expect=(
        "fixed C2: O(G) requests, slope 1/C2; C2 ~ sqrt G: O(sqrt G)",
        "independent losses: 1 - (1-p)^(N-1) of the packets, towards all of them",
        "RMTP: N-1 status messages per period in all, those of its top level at the sender",
    ),
    family="tree-based multicast",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The exact exponent over `sizes`, ratios, and the share of packets of the largest group."""
    sizes = conditions["sizes"]
    exact = [Estimate(srm_star.requests(n, C2), 1e-9) for n in sizes]
    return {
        FORM: stats.exponent(sizes, exact).value,
        CONSTANT: 1.0,
        PROVOKED: srm_star.provoked(max(sizes), LOSS),
        RMTP: 1.0,
    }


def model(engines: Engines) -> list[Finding]:
    sent = {n: stats.mean(engines.star(RUNS, group=n, c2=C2).sent) for n in SIZES}
    runs = engines.runs(RUNS)
    stated = {"protocol": "srm", "topology": "star", "c2": C2, "sizes": list(SIZES)}
    predicted = predict(stated)
    ratios = [mean.scaled(1 / srm_star.requests(n, C2)) for n, mean in sent.items()]
    lost = engines.losses(10 * RUNS, receivers=SIZES[-1] - 1, loss_ratio=LOSS)
    share = Proportion(int(np.count_nonzero(lost)), len(lost))
    return [
        CLAIM.modelled(
            FORM,
            stated,
            stats.exponent(SIZES, list(sent.values())),
            predicted=predicted[FORM],
            unit="exponent of requests in the group's size",
            runs=runs * len(SIZES),
        ),
        CLAIM.modelled(
            CONSTANT,
            stated,
            rules.pooled_ratio(ratios),
            predicted=1.0,
            unit="requests over 1 + (G-1)/C2 - C2^-(G-1)",
            runs=runs * len(SIZES),
            notes=(", ".join(f"G={n}: {mean.value:.1f}" for n, mean in sent.items()),),
        ),
        CLAIM.modelled(
            PROVOKED,
            {**stated, "loss_ratio": LOSS, "sizes": [SIZES[-1]]},
            share,
            predicted=predicted[PROVOKED],
            unit="share of packets that provoke a request",
            runs=share.trials,
        ),
        *CLAIM.skipped(RMTP, because="the protocol RMTP is not there yet"),
    ]
