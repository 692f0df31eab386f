"""C15: SRM and RMTP still cost O(N) acknowledgements, negative or positive.

Counted as requests sent for one packet that all receivers lost, in a star, at a fixed C2, by the
protocol in runs and by an engine; in runs where each receiver loses packets by itself, as the share
of the multicasts that provoke a request and a repair at all, each of which every member hears; and
as RMTP's status messages in the whole network, while the source multicasts. What a source of RMTP
hears of them is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed import metrics
from testbed.judging import naks, rules, selection, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines
from testbed.judging.selection import Arm
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.measures import srm_losses, statuses
from testbed.tables import RunTables
from testbed.theory import srm_star

FORM, CONSTANT, PROVOKED = "requests: form", "requests: constant", "control"
SIZED, RMTP = "requests: each size", "RMTP"
C2 = 2.0
SIZES = (64, 128, 256, 512, 1024)
RUNS = 400

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
        "control: each of N-1 receivers loses a packet by itself, with a probability p of 0.1",
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
        SIZED: Part(
            margin=Interval(0.85, 1.15),
            reason="of 1 + (G-1)/C2 - C2^-(G-1) in runs, at every size: were it sqrt G through the "
            "middle one of 6, 12, 24, it would be 26% off at the smallest, 29% at the largest",
            plot="nak_implosion",
        ),
        PROVOKED: Part(
            margin=Interval(0.75, 1.25),
            reason="of the share 1 - (1-p)^(N-1) of multicasts that are asked for in runs, at each "
            "size: 0.52, 0.79 and 0.96 at 8, 16 and 32 nodes; were it alike at all sizes, it would "
            "be 36% off at the smallest, 26% at the largest",
        ),
        RMTP: Part(
            margin=Interval(0.9, 1.1),
            reason="exponent in N of the status messages in the whole network; of N-1 it is 1.05 "
            "over 8 to 64, and 0.5 were they as few as sqrt N",
            plot="rmtp_status",
        ),
    },
    refuted_if="the interval of the exponent or of the ratio lies outside its margin",
    evidence=("emulated", "simulated"),
    estimator="each size: mean requests over the losses of a size, a loss being a replicate since "
    "its timers are drawn afresh, over the formula, the worst size; so is the share of the "
    "multicasts that are asked for, a multicast being a replicate; log-log slope of the mean "
    "requests (or status messages) over the sizes, unweighted; their ratio to the formula, "
    "geometric mean",
    expect=(
        "fixed C2: O(G) requests, slope 1/C2; C2 ~ sqrt G: O(sqrt G)",
        "independent losses: 1 - (1-p)^(N-1) of the packets, towards all of them",
        "RMTP: N-1 status messages per period in all, those of its top level at the sender",
    ),
    family="tree-based multicast",
    experiments=("nak_implosion", "nak_provoked", "rmtp_status"),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The exact exponents over `sizes`; the rest are ratios to their formulas."""
    sizes = conditions["sizes"]
    exact = [Estimate(srm_star.requests(n, C2), 1e-9) for n in sizes]
    return {
        FORM: stats.exponent(sizes, exact).value,
        CONSTANT: 1.0,
        SIZED: 1.0,
        PROVOKED: 1.0,
        RMTP: stats.exponent(sizes, [Estimate(n - 1.0, 1e-9) for n in sizes]).value,
    }


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    srm, rmtp = (stand_in.get(name, name) for name in (srm_losses.PROTOCOL, statuses.PROTOCOL))
    findings = [assess_sizes(arm) for arm in naks.lost_by_all(tables, srm) if naks.plain(arm)]
    if not findings:
        missing = "no run of srm, nothing switched off, in which all lost a packet"
        findings += CLAIM.not_run(SIZED, because=missing)
    chance = [assess_provoked(arm) for arm in naks.lost_by_chance(tables, srm) if naks.plain(arm)]
    missing = "no run of srm in which each receiver loses packets by itself"
    findings += chance or CLAIM.not_run(PROVOKED, because=missing)
    frames = [selection.marked(metrics.per_run(t), t, i) for i, t in enumerate(tables)]
    reports = [f[f["status_per_message"].notna()] for f in frames]
    growth = [assess_status(arm) for arm in selection.arms(reports, rmtp)]
    return [*findings, *(growth or CLAIM.not_run(RMTP, because="no stream of rmtp"))]


def assess_sizes(arm: Arm) -> Finding:
    """Requests for what all lost, over the formula."""
    c2 = float(arm.options["c2"])
    formula = {n: srm_star.requests(n, c2) for n in arm.sizes}
    unit = "first requests over 1 + (G-1)/C2 - C2^-(G-1)"
    return _each_size(SIZED, arm, "requests", formula, unit)


def assess_provoked(arm: Arm) -> Finding:
    """The share of the multicasts that somebody asks for, over the chance that somebody lost it."""
    formula = {n: srm_star.provoked(n, float(arm.conditions["loss_ratio"])) for n in arm.sizes}
    heard = {n: arm.values("heard", n) for n in arm.sizes}
    words = ", ".join(f"N={n}: {each.mean():.1f}" for n, each in heard.items() if len(each))
    return _each_size(
        PROVOKED,
        arm,
        "asked",
        formula,
        "share of multicasts asked for over 1 - (1-p)^(N-1)",
        f"copies of requests and repairs heard, all members, per multicast: {words}",
    )


def _each_size(
    part: str, arm: Arm, column: str, formula: Mapping[int, float], unit: str, *notes: str
) -> Finding:
    """Means over the formula within the margin at every size (intersection-union)."""
    blocks = (*arm.blocks(), *_too_few(arm, sizes=3, span=4))
    if blocks:
        return CLAIM.finding(part, arm, blocks=blocks)
    margin = CLAIM.parts[part].margin
    ratios = {n: stats.mean(arm.values(column, n)).scaled(1 / formula[n]) for n in arm.sizes}
    worst = max(ratios, key=lambda n: abs(ratios[n].value - 1))
    outside = min(ratio.p_outside(*margin) for ratio in ratios.values())
    return CLAIM.finding(
        part,
        arm,
        predicted=1.0,
        measured=ratios[worst],
        unit=f"{unit} (the worst size, {worst} nodes)",
        p_support=max(ratio.p_within(*margin) for ratio in ratios.values()),
        p_refute=min(1.0, len(ratios) * outside),
        notes=(", ".join(f"N={n}: {ratio.value:.2f}" for n, ratio in ratios.items()), *notes),
    )


def assess_status(arm: Arm) -> Finding:
    """The exponent of RMTP's status messages in N."""
    blocks = (*arm.blocks(), *_too_few(arm, sizes=3, span=8))
    if blocks:
        return CLAIM.finding(RMTP, arm, blocks=blocks)
    means = {n: stats.mean(arm.values("status_per_message", n)) for n in arm.sizes}
    source = {n: arm.values("source_status_per_message", n).mean() for n in arm.sizes}
    exponent, margin = stats.exponent(list(means), list(means.values())), CLAIM.parts[RMTP].margin
    return CLAIM.finding(
        RMTP,
        arm,
        predicted=predict({**arm.conditions, "sizes": arm.sizes})[RMTP],
        measured=exponent,
        unit="exponent of status messages per multicast in N",
        p_support=exponent.p_within(*margin),
        p_refute=exponent.p_outside(*margin),
        notes=(
            ", ".join(f"N={n}: {mean.value:.1f}" for n, mean in means.items()),
            "at the source: " + ", ".join(f"N={n}: {heard:.1f}" for n, heard in source.items()),
        ),
    )


def _too_few(arm: Arm, *, sizes: int, span: int) -> tuple[str, ...]:
    if len(arm.sizes) >= sizes and max(arm.sizes) >= span * min(arm.sizes):
        return ()
    return (f"sizes {arm.sizes}: needs {sizes} or more, the largest {span} times the smallest",)


def model(engines: Engines) -> list[Finding]:
    sent = {n: stats.mean(engines.star(RUNS, group=n, c2=C2).sent) for n in SIZES}
    runs = engines.runs(RUNS)
    stated = {"protocol": "srm", "topology": "star", "c2": C2, "sizes": list(SIZES)}
    predicted = predict(stated)
    ratios = [mean.scaled(1 / srm_star.requests(n, C2)) for n, mean in sent.items()]
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
    ]
