"""C5: half of the packets lost is like half the fan-out: about twice the rounds.

In the number of messages the factor is exactly 2, and so it is in continuous time. In synchronous
rounds it is less, since growth is by 1 + b q a round: 1.84 at 64 nodes and b = 1, 1.83 in the
limit. So the form holds (a constant factor, T still O(log N)) and the constant depends on the
timing.

Runs on hosts are in `free` timing: form, messages, the factor, and twice the fan-out at 50% loss
against the plain one are judged from them; synchronous rounds belong to the engines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, arm, conditions
from testbed.judging.selection import Arm, dissemination
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import REFUTED, Finding
from testbed.tables import RunTables
from testbed.theory.asymptotics import push_slope
from testbed.theory.chain import mean
from testbed.theory.push_chain import push_chain

FORM, HALVED, MESSAGES = "form", "half the fan-out", "messages"
HALVED_FREE = "half the fan-out: free"
CONSTANT, ROUNDS, FREE = "constant", "constant: rounds", "constant: free"

PROTOCOL = "push"
LOSS, NODES = 0.5, 64
SIZES = (16, 32, 64, 128, 256, 512)
RUNS, GROWTH_RUNS, FREE_RUNS = 4000, 200, 2000

CLAIM = Claim(
    id="C5",
    title="50% packet loss: as with half the fan-out, twice the rounds",
    statement=(
        "When half of the packets are lost, push behaves as if its fan-out were halved: the time "
        "is still O(log N), about twice as many rounds for the same reliability."
    ),
    source='lecture, "Fault-tolerance": 50% packet loss: b replaced with b/2, twice as many '
    "rounds; CLAIMS C5",
    assumptions=(
        "each datagram is lost by itself with probability 1/2, end to end",
        "nobody stops; a factor belongs to its timing, fan-out and size",
    ),
    parts={
        FORM: Part(
            margin=Interval(-math.inf, rules.EXPONENT_SUPPORTS),
            reason="as C1: log N has the exponent 0.2..0.35 at these sizes, sqrt N has 0.5",
            plot="half_the_packets_die",
        ),
        HALVED: Part(
            margin=Interval(0.95, 1.05),
            reason="2b at 50% loss against b without; a halving itself costs 84%",
        ),
        MESSAGES: Part(
            margin=Interval(1.9, 2.1),
            reason="5% about the 2 of the coupon collector, which holds for any timing",
            plot="half_the_packets_die",
        ),
        CONSTANT: Part(
            margin=Interval(1.9, 2.1),
            reason="5% about the lecture's 2; synchronous rounds give 1.84 and 1.70 (b = 1, 2)",
            expected=REFUTED,
        ),
        ROUNDS: Part(
            margin=Interval(0.97, 1.03),
            reason="of the exact chain's factor; 2 is 9% and more away",
        ),
        FREE: Part(
            margin=Interval(1.85, 2.15),
            reason="2 in continuous time; free timers give 2.05 at 64 nodes, synchronous "
            "rounds 1.84",
            plot="half_the_packets_die",
        ),
        HALVED_FREE: Part(
            margin=Interval(0.9, 1.1),
            reason="the reference gives 1.02 (128 nodes) to 1.09 (8), since what is left of 4 a "
            "round comes less evenly than 2 a round; a halving itself costs 104%",
            plot="half_the_packets_die",
        ),
    },
    refuted_if="form: as C1; the others: the interval of the factor lies outside its margin",
    evidence=("emulated", "simulated"),
    estimator="ratio of mean times (or messages) of independent runs with and without loss, by "
    "the delta method, on hosts the geometric mean over the sizes; form: as C1",
    expect=(
        "synchronous: [ln n/ln(1+bq) + ln n/(bq)] over the same at q = 1: 1.83, 1.73, 1.62 for b = "
        "1, 2, 4 in the limit, 1.84, 1.70, 1.58 at N = 64",
        "free or Poisson timers: 2.0; 2.05 at N = 64, b = 1",
        "messages: 2 under any timing and fan-out",
    ),
    family="fault tolerance",
    experiments=("half_the_packets_die",),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Exact factors for synchronous rounds, limits for the others."""
    fan_out, sizes = int(conditions["fan_out"]), conditions["sizes"]
    lossy = [_exact(n, fan_out, LOSS) for n in sizes]
    middle = sizes[len(sizes) // 2]
    pairs = [Estimate(time, 1e-9) for time in lossy]
    return {
        FORM: stats.exponent(sizes, pairs).value if len(sizes) > 1 else math.nan,
        HALVED: _exact(middle, 2 * fan_out, LOSS) / _exact(middle, fan_out, 0.0),
        MESSAGES: 2.0,
        CONSTANT: _exact(middle, fan_out, LOSS) / _exact(middle, fan_out, 0.0),
        ROUNDS: 1.0,
        FREE: 2.0,
        HALVED_FREE: 1.0,
    }


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    arms = [
        arm
        for arm in dissemination(tables, stand_in.get(PROTOCOL, PROTOCOL))
        if arm.conditions["retention"] == "forever"
        and arm.conditions["timing"] == "free"
        and arm.conditions["replacement"]
        and not arm.conditions["faults"]
        and float(arm.conditions["loss_ratio"]) in (0.0, LOSS)
    ]
    networks: dict[str, list[Arm]] = {}
    for each in arms:
        networks.setdefault(repr((each.conditions["evidence"], each.parameters)), []).append(each)
    found = [finding for alike in networks.values() for finding in assess(alike)]
    because = "no runs of push with and without 50% loss that spread for ever"
    return found or CLAIM.not_run(HALVED_FREE, because=because)


def assess(arms: Sequence[Arm]) -> list[Finding]:
    """The findings on arms with and without loss, of one evidence and network.

    The factor of the times is that of the smallest fan-out: at b = 4 the last of 64 nodes is
    reached in little more than two rounds, and the grain of the rounds shows (1.91).
    """
    clean = {arm.conditions["fan_out"]: arm for arm in arms if not arm.conditions["loss_ratio"]}
    lossy = {arm.conditions["fan_out"]: arm for arm in arms if arm.conditions["loss_ratio"]}
    both = sorted(clean.keys() & lossy.keys())
    if not both:
        return []
    b = both[0]
    grown = rules.log_growth(lossy[b])
    predicted = _reference_exponent(lossy[b])
    found = [CLAIM.finding(FORM, lossy[b], **grown.report(predicted))]
    found.append(_pooled(FREE, lossy[b], [(lossy[b], clean[b])], "rounds_to_all", predicted=2.0))
    if 2 * b in lossy:
        pair = [(lossy[2 * b], clean[b])]
        found.append(_pooled(HALVED_FREE, lossy[2 * b], pair, "rounds_to_all", predicted=1.0))
    pairs = [(lossy[each], clean[each]) for each in both]
    found.append(_pooled(MESSAGES, lossy[b], pairs, "sends_to_last_infection", predicted=2.0))
    return found


def _reference_exponent(arm: Arm) -> float:
    if len(arm.sizes) < 2:
        return math.nan
    samples = (rules.reference_sample(n, arm.conditions, topology_aware=False) for n in arm.sizes)
    return stats.exponent(arm.sizes, [stats.mean(each.rounds_to_all) for each in samples]).value


def _pooled(
    part: str, shown: Arm, pairs: Sequence[tuple[Arm, Arm]], column: str, *, predicted: float
) -> Finding:
    """The geometric mean, over sizes and pairs, of one arm's mean over the other's."""
    low, high = CLAIM.parts[part].margin
    blocks = tuple(dict.fromkeys(text for pair in pairs for arm in pair for text in arm.blocks()))
    ratios = dict(_ratios(pairs, column))
    wanted = sum(len(set(over.sizes) & set(under.sizes)) for over, under in pairs)
    runs = sum(arm.runs for pair in pairs for arm in pair)
    unit = {FREE: "mean T at 50% loss over that without"}.get(
        part, "mean T at 2b and 50% loss over that at b without"
    )
    if part == MESSAGES:
        unit = "messages to the last infection, over those without"
    if blocks or len(ratios) < wanted or not ratios:
        blocks = blocks or ("a run left nodes unreached, so its time is infinite",)
        return CLAIM.finding(part, shown, predicted=predicted, unit=unit, blocks=blocks)
    pooled = rules.pooled_ratio(list(ratios.values()))
    return CLAIM.finding(
        part,
        shown,
        predicted=predicted,
        measured=pooled,
        unit=unit,
        p_support=pooled.p_within(low, high),
        p_refute=pooled.p_outside(low, high),
        runs=runs,
        notes=(", ".join(f"{name}: {ratio.value:.2f}" for name, ratio in ratios.items()),),
    )


def _ratios(pairs: Sequence[tuple[Arm, Arm]], column: str) -> Iterator[tuple[str, Estimate]]:
    for over, under in pairs:
        for nodes in sorted(set(over.sizes) & set(under.sizes)):
            lossy, clean = over.values(column, nodes), under.values(column, nodes)
            if min(len(lossy), len(clean)) > 1 and np.isfinite([*lossy, *clean]).all():
                name = (
                    f"N={nodes}" if len(pairs) == 1 else f"b={over.conditions['fan_out']} N={nodes}"
                )
                yield name, stats.ratio(stats.mean(lossy), stats.mean(clean))


def model(engines: Engines) -> list[Finding]:
    findings = [_form(engines), _halved(engines)]
    for fan_out in (1, 2):
        factor, runs = _factor(engines, fan_out)
        stated = conditions(fan_out=fan_out, loss_ratio=LOSS, sizes=[NODES])
        exact = predict(stated)[CONSTANT]
        limit = push_slope(fan_out, LOSS) / push_slope(fan_out)
        findings += [
            CLAIM.modelled(
                CONSTANT,
                stated,
                factor,
                predicted=exact,
                unit="mean T at 50% loss over that without",
                refutation=f"in synchronous rounds the factor is {factor.value:.2f} and not 2",
                runs=runs,
                notes=(f"towards {limit:.2f} for large N",),
            ),
            CLAIM.modelled(
                ROUNDS,
                stated,
                factor.scaled(1 / exact),
                predicted=1.0,
                unit="the factor, over the exact chain's",
                runs=runs,
            ),
        ]
    clean, lossy = (engines.free(FREE_RUNS, nodes=NODES, loss_ratio=q) for q in (0.0, LOSS))
    stated = conditions(timing="free", loss_ratio=LOSS, sizes=[NODES])
    for part, unit, over, under in (
        (FREE, "mean T at 50% loss over that without", lossy.rounds_to_all, clean.rounds_to_all),
        (MESSAGES, "messages to the last infection, over those without", lossy.sends, clean.sends),
    ):
        measured = stats.ratio(stats.mean(over), stats.mean(under))
        findings.append(
            CLAIM.modelled(part, stated, measured, predicted=2.0, unit=unit, runs=2 * len(over))
        )
    return findings


def _form(engines: Engines) -> Finding:
    stated = conditions(loss_ratio=LOSS, sizes=list(SIZES))
    times = {n: engines.rounds(GROWTH_RUNS, nodes=n, loss_ratio=LOSS).rounds_to_all for n in SIZES}
    grown = arm(stated, times)
    return CLAIM.finding(FORM, grown, **rules.log_growth(grown).report(predict(stated)[FORM]))


def _halved(engines: Engines) -> Finding:
    twice = engines.rounds(RUNS, nodes=NODES, fan_out=2, loss_ratio=LOSS)
    once = engines.rounds(RUNS, nodes=NODES)
    measured = stats.ratio(stats.mean(twice.rounds_to_all), stats.mean(once.rounds_to_all))
    predicted = _exact(NODES, 2, LOSS) / _exact(NODES, 1, 0.0)
    stated = conditions(fan_out=2, loss_ratio=LOSS, sizes=[NODES])
    return CLAIM.modelled(
        HALVED,
        stated,
        measured,
        predicted=predicted,
        unit="mean T at b = 2 and 50% loss, over that at b = 1 without",
        runs=twice.runs + once.runs,
    )


def _factor(engines: Engines, fan_out: int) -> tuple[Estimate, int]:
    lossy = engines.rounds(RUNS, nodes=NODES, fan_out=fan_out, loss_ratio=LOSS)
    clean = engines.rounds(RUNS, nodes=NODES, fan_out=fan_out)
    measured = stats.ratio(stats.mean(lossy.rounds_to_all), stats.mean(clean.rounds_to_all))
    return measured, lossy.runs + clean.runs


@lru_cache(maxsize=64)
def _exact(nodes: int, fan_out: int, loss_ratio: float) -> float:
    chain = push_chain(nodes, fan_out, replacement=True, loss_ratio=loss_ratio)
    return mean(chain.rounds_to_all())
