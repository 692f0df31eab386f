"""C5, C6 and C7 on runs as hosts would leave them: right ones are supported, wrong ones are not."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from testbed.claims import die_out, node_failure, packet_loss
from testbed.judging import verdict
from testbed.judging.selection import Arm
from testbed.judging.stats import Proportion
from testbed.judging.verdict import INCONCLUSIVE, REFUTED, SUPPORTED, Finding
from testbed.simulator import reference

SIZES = {8: 400, 16: 300, 32: 200, 64: 120, 128: 60}


def arm(
    loss_ratio: float,
    fan_out: int = 2,
    faults: str = "",
    *,
    stated_loss: float | None = None,
    sizes: Mapping[int, int] = SIZES,
    retention: str = "forever",
    **drawn: Any,
) -> Arm:
    """An arm of epidemics that the reference draws; `stated_loss` is what the runs claim."""
    frames = []
    for nodes, runs in sizes.items():
        given = {key: value(nodes) if callable(value) else value for key, value in drawn.items()}
        sample = reference.sample(nodes, fan_out, runs=runs, seed=5, loss_ratio=loss_ratio, **given)
        columns = {"rounds_to_all": sample.rounds_to_all, "reach": sample.reach}
        columns["sends_to_last_infection"] = sample.sends
        frames.append(pd.DataFrame({"nodes": nodes, **columns}))
    conditions = {
        "evidence": "emulated",
        "topology": "two_subnets",
        "subnets": 2,
        "timing": "free",
        "fan_out": fan_out,
        "replacement": True,
        "retention": retention,
        "loss_ratio": loss_ratio if stated_loss is None else stated_loss,
        "faults": faults,
    }
    rows = pd.concat(frames, ignore_index=True).assign(voided=False, unhealthy="", directory=0)
    return Arm("push", conditions, rows)


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {row.part: row.verdict for row in verdict.settle(findings, {})}


@pytest.fixture(scope="module")
def clean() -> Arm:
    return arm(0.0)


def test_half_the_packets_lost_supports_c5(clean: Arm) -> None:
    found = packet_loss.assess([clean, arm(0.5), arm(0.5, 4)])
    assert set(verdicts(found).values()) == {SUPPORTED}
    assert len(found) == 4


def test_less_loss_than_stated_refutes_the_factors_of_c5(clean: Arm) -> None:
    mild = [arm(0.2, b, stated_loss=0.5) for b in (2, 4)]
    rows = verdicts(packet_loss.assess([clean, *mild]))
    assert rows.pop(packet_loss.FORM) == SUPPORTED
    assert set(rows.values()) == {REFUTED}


def test_runs_that_left_nodes_out_have_no_factor(clean: Arm) -> None:
    broken = arm(0.5)
    broken.rows.loc[0, "rounds_to_all"] = np.inf
    rows = verdicts(packet_loss.assess([clean, broken]))
    assert rows[packet_loss.FREE] == INCONCLUSIVE


DEAD = {n: SIZES[n] for n in (32, 64, 128)}


def test_half_the_nodes_dead_supports_c6() -> None:
    dead = arm(0.0, faults=node_failure.HALF_DEAD[0], sizes=DEAD, crashed=lambda n: n // 2)
    rows = verdicts(node_failure.assess(dead, arm(0.5)))
    assert set(rows.values()) == {SUPPORTED}
    assert len(rows) == 3


def test_fewer_dead_than_stated_refute_c6() -> None:
    dead = arm(0.0, faults=node_failure.HALF_DEAD[0], sizes=DEAD, crashed=lambda n: n // 8)
    rows = verdicts(node_failure.assess(dead, arm(0.5)))
    assert rows[node_failure.HALVED_FREE] == rows[node_failure.FASTER_FREE] == REFUTED


def test_survivors_left_out_refute_the_reach_of_c6() -> None:
    dead = arm(0.0, faults=node_failure.HALF_DEAD[0], sizes=DEAD, crashed=lambda n: n // 2)
    dead.rows.loc[dead.rows.index % 4 == 0, "rounds_to_all"] = np.inf
    rows = verdicts(node_failure.assess(dead, arm(0.5)))
    assert rows[node_failure.REACH] == REFUTED
    assert rows[node_failure.FASTER_FREE] == INCONCLUSIVE


def dying(fan_out: int, **drawn: Any) -> Arm:
    return arm(
        0.5, fan_out, sizes={64: 1500}, retention="infect_and_die", replacement=False, **drawn
    )


def crashing(ratio: float) -> Arm:
    return arm(
        0.0, 2, die_out.CRASHES, sizes={64: 1500}, crash_ratio=ratio, replacement=False, horizon=8.0
    )


def first_round(falls: bool) -> Any:
    """Runs that died out by how many their source reached: as q0^m, or as q0 whatever m."""

    def after(_: Arm, infected: int) -> Any:
        chance = 0.236 ** (infected if falls else 1)
        return Proportion(round(700 * chance), 700)

    return after


def test_early_deaths_as_predicted_support_c7() -> None:
    arms = [arm(0.5, b, sizes={64: 800}) for b in (2, 4)]
    arms += [dying(3, rounds=1), dying(4, rounds=1), crashing(0.2)]
    rows = verdicts(die_out.assess(arms, first_round(falls=True)))
    assert set(rows.values()) == {SUPPORTED}
    assert len(rows) == 4


def test_wrong_deaths_refute_each_part_of_c7() -> None:
    arms = [arm(0.5, 2, sizes={64: 800}, rounds=3), dying(3), dying(4), crashing(0.01)]
    rows = verdicts(die_out.assess(arms, first_round(falls=False)))
    assert set(rows.values()) == {REFUTED}
    assert len(rows) == 4


def test_multicasts_that_share_who_is_dead_are_as_independent_as_others() -> None:
    """Given the dead, the law of T does not depend on who they are: one draw of the dead or many.

    The spread of batch means tells: were there a common part, it would exceed that of shuffled
    batches. 40 batches of 25 epidemics each, drawn with one set of dead nodes a batch.
    """
    rng = Random(8)
    times = np.array([_batch(rng) for _ in range(40)])
    between = times.mean(axis=1).var(ddof=1)
    shuffled = np.random.default_rng(1).permuted(times.ravel()).reshape(times.shape)
    expected = shuffled.var(ddof=1) / 25
    # A variance of 40 batches has a relative standard error of sqrt(2/39) = 0.23.
    assert between / expected == pytest.approx(1.0, abs=5 * 0.23)


def _batch(rng: Random) -> list[float]:
    dead = set(rng.sample(range(32), 16))
    return [_time_with_dead(dead, rng) for _ in range(25)]


def _time_with_dead(dead: set[int], rng: Random) -> float:
    """Synchronous push of fan-out 2 from a random survivor until all survivors have it."""
    alive = [node for node in range(32) if node not in dead]
    has, rounds = {rng.choice(alive)}, 0
    while len(has) < len(alive):
        rounds += 1
        hit = {rng.choice([n for n in range(32) if n != me]) for me in has for _ in range(2)}
        has |= hit - dead
    return float(rounds)
