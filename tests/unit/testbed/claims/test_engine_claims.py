"""Claims that the engines judge: the registered verdict on a right sample, another on a wrong one.

Each wrong sample is a protocol, a network or an estimator that does something else than the claim
says: every part of every claim is shown to notice one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from testbed import claims
from testbed.claims import log_is_low
from testbed.judging.engines import Engines
from testbed.judging.verdict import NOT_RUN, SUPPORTED, VERIFIED, settle
from testbed.simulator import reference, srm_star
from testbed.simulator.outcome import Outcome
from testbed.simulator.rounds.median import Told
from testbed.simulator.rounds.rumor import RumorOutcome
from testbed.theory import k_ary_tree

MODELLED = [name for name in claims.names() if hasattr(claims.load(name), "model")]
Conditions = dict[str, Any]
Change = Callable[[Conditions], Conditions]


class Wrong(Engines):
    """Draws from other conditions than a claim asks for: by engine, what becomes of them.

    `late` adds a round before the first.
    """

    def __init__(self, late: int = 0, **changes: Change) -> None:
        super().__init__(seed=5, factor=0.1)  # what is wrong is wrong by much
        self.changes, self.late = changes, late

    def changed(self, engine: str, asked: Conditions) -> Conditions:
        return self.changes[engine](asked) if engine in self.changes else asked

    def rounds(self, runs: int, *, keep_nodes: bool = False, **conditions: Any) -> Outcome:
        changed = self.changed("rounds", conditions)
        drawn = super().rounds(runs, keep_nodes=keep_nodes, **changed)
        if not self.late:
            return drawn
        first = np.repeat(drawn.infected[:, :1], self.late, axis=1)
        return dataclasses.replace(drawn, infected=np.hstack([first, drawn.infected]))

    def free(self, runs: int, **conditions: Any) -> reference.Sample:
        return super().free(runs, **self.changed("free", conditions))

    def rumor(self, runs: int, **conditions: Any) -> RumorOutcome:
        return super().rumor(runs, **self.changed("rumor", conditions))

    def median(self, runs: int, *, nodes: int) -> Told:
        told = super().median(runs, nodes=nodes)
        if "median" not in self.changes:
            return told
        wrong = float(self.changes["median"]({"nodes": nodes})["transmissions"])
        noise = told.transmissions / told.transmissions.mean()
        return dataclasses.replace(told, transmissions=wrong * noise)

    def star(self, runs: int, **conditions: Any) -> srm_star.Requests:
        return super().star(runs, **self.changed("star", conditions))


def to(**values: Any) -> Change:
    """Other values, whatever was asked for."""
    return lambda asked: {**asked, **values}


def without(name: str) -> Change:
    return lambda asked: {key: value for key, value in asked.items() if key != name}


def times(name: str, factor: float) -> Change:
    """Another value where that condition was asked for at all."""
    return lambda asked: {**asked, name: asked[name] * factor} if name in asked else asked


def lost_again(chance: float) -> Change:
    """Datagrams are lost once more, with that chance."""

    def change(asked: Conditions) -> Conditions:
        kept = (1 - asked.get("loss_ratio", 0.0)) * (1 - chance)
        return {**asked, "loss_ratio": 1 - kept}

    return change


def more_targets(asked: Conditions) -> Conditions:
    return {**asked, "fan_out": asked.get("fan_out", 1) + 1}


def as_loss(asked: Conditions) -> Conditions:
    """Half of the nodes failed turns into half of the packets lost."""
    return {**without("crashed")(asked), "loss_ratio": 0.5}


def growing_timers(asked: Conditions) -> Conditions:
    return {**asked, "c2": asked["group"] ** 0.5 / 4}


def as_a_logarithm(asked: Conditions) -> Conditions:
    """Transmissions that grow as N log N, as without a rule."""
    return {"transmissions": asked["nodes"] * math.log(asked["nodes"])}


def impatient(asked: Conditions) -> Conditions:
    return {**asked, "k": 1}


MUTANTS: list[tuple[str, str, Engines]] = [
    ("C2", "form", Wrong(rounds=lost_again(0.3))),
    ("C2", "constant: rounds", Wrong(late=1)),
    ("C2", "constant: free", Wrong(free=lost_again(0.3))),
    ("C3", "bound", Wrong(rounds=more_targets)),
    ("C3", "mean", Wrong(free=lost_again(0.3))),
    ("C4", "rounds: IPv4", Wrong(rounds=lost_again(0.5))),
    ("C5", "form", Wrong(rounds=to(own_rounds=2))),
    ("C5", "half the fan-out", Wrong(rounds=times("loss_ratio", 1.5))),
    ("C5", "constant: rounds", Wrong(rounds=times("loss_ratio", 1.5))),
    ("C5", "constant: free", Wrong(free=times("loss_ratio", 1.5))),
    ("C5", "messages", Wrong(free=times("loss_ratio", 1.5))),
    ("C6", "reach", Wrong(rounds=to(own_rounds=2))),
    ("C6", "half the group", Wrong(rounds=without("crashed"))),
    ("C6", "against loss", Wrong(rounds=as_loss)),
    ("C7", "loss alone", Wrong(rounds=to(own_rounds=1))),
    ("C7", "infect and die", Wrong(rounds=lost_again(0.2))),
    ("C7", "crashes", Wrong(rounds=times("crash_ratio", 2))),
    ("C7", "decay", Wrong(rounds=without("sources"))),
    ("C8", "form", Wrong(rounds=to(crash_ratio=0.4))),
    ("C8", "constant", Wrong(late=1)),
    ("C8", "bound", Wrong(rounds=more_targets)),
    ("C9", "exponent", Wrong(rounds=more_targets)),
    ("C9", "recurrence", Wrong(rounds=lost_again(0.1))),
    ("C9", "with loss", Wrong(rounds=to(legs=1))),
    ("C10", "form", Wrong(rounds=lost_again(0.3))),
    ("C10", "against push", Wrong(rounds=to(protocol="push"))),
    ("C10", "constant: loss", Wrong(rounds=to(legs=1))),
    ("C15", "requests: form", Wrong(star=growing_timers)),
    ("C15", "requests: constant", Wrong(star=to(suppression=False))),
    ("C16", "storm", Wrong(star=to(c2=2.0))),
    ("C16", "random delays", Wrong(star=times("c2", 2))),
    ("C16", "backoff", Wrong(star=without("backoff"))),
    ("C16", "suppression", Wrong(star=to(suppression=True))),
    ("C17", "form", Wrong(rumor=impatient)),
    ("C17", "traffic", Wrong(rumor=to(limit=1))),
    ("C17", "published", Wrong(rumor=to(feedback=False))),
    ("C18", "form", Wrong(free=to(rounds=1))),
    ("C18", "messages", Wrong(free=lost_again(0.3))),
    ("C19", "form", Wrong(rounds=to(protocol="push"))),
    ("C19", "constant", Wrong(rounds=to(protocol="pull"))),
    ("C19", "with loss", Wrong(rounds=to(legs=1))),
    ("C19", "transmissions", Wrong(median=as_a_logarithm)),
]

LIKE_THE_LECTURE: list[tuple[str, str, Engines]] = [
    ("C5", "constant", Wrong(rounds=times("loss_ratio", 1.12))),
    ("C10", "form: loss", Wrong(rounds=without("loss_ratio"))),
]


@pytest.fixture(scope="module")
def right() -> Engines:
    return Engines(seed=7)


def verdicts(name: str, engines: Engines) -> dict[str, set[str]]:
    """The verdicts of each part, one for each set of conditions."""
    found: dict[str, set[str]] = {}
    for row in claims.judge([name], [], None, engines):
        found.setdefault(row.part, set()).add(row.verdict)
    return found


@pytest.mark.parametrize("name", MODELLED)
def test_a_right_sample_gets_the_registered_verdict(name: str, right: Engines) -> None:
    for row in claims.judge([name], [], None, right):
        if row.runs:  # the other parts are judged from runs on hosts
            word = VERIFIED if row.evidence != "arithmetic" else SUPPORTED
            assert row.verdict == (word if row.expected == SUPPORTED else row.expected), row


@pytest.mark.parametrize(("claim", "part", "wrong"), MUTANTS, ids=lambda x: getattr(x, "id", None))
def test_a_wrong_sample_refutes_the_part(claim: str, part: str, wrong: Engines) -> None:
    assert "refuted" in verdicts(claim, wrong)[part]


@pytest.mark.parametrize(("claim", "part", "wrong"), LIKE_THE_LECTURE)
def test_what_is_expected_to_be_refuted_would_hold_if_it_were_so(
    claim: str, part: str, wrong: Engines
) -> None:
    wrong.factor = 1.0
    assert VERIFIED in verdicts(claim, wrong)[part]


def test_every_part_meets_a_wrong_sample() -> None:
    """But those that are refuted as it is; arithmetic, trees and runs have tests of their own."""
    parts = {
        (claim.id, part)
        for claim in (claims.load(name).CLAIM for name in MODELLED)
        for part, registered in claim.parts.items()
        if registered.expected == SUPPORTED
    }
    on_hosts = {(row.claim, row.part) for row in claims.judge(MODELLED, []) if row.part != "all"}
    exact = {("C4", "figures"), ("C14", "depth"), ("C14", "load"), ("C14", "failure")}
    assert parts - on_hosts - exact == {(claim, part) for claim, part, _ in MUTANTS}


def test_a_wrong_figure_refutes_the_table_of_logarithms(right: Engines) -> None:
    found = log_is_low.model(right, {10**6: 20, 10**9: 40})
    row = settle(found, claims.registered(), claims.families())[0]
    assert (row.part, row.verdict) == ("figures", "refuted")


@pytest.mark.parametrize(
    ("function", "part"), [("depth", "depth"), ("most_children", "load"), ("cut_off", "failure")]
)
def test_a_wrong_tree_is_refuted(
    function: str, part: str, right: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = getattr(k_ary_tree, function)
    monkeypatch.setattr(k_ary_tree, function, lambda *given: true(*given) + 1)
    assert verdicts("C14", right)[part] == {"refuted"}


def test_a_stand_in_is_not_judged_by_the_model_of_another(right: Engines) -> None:
    rows = claims.judge(["C2"], [], {"push": "mine"}, right)
    assert [(row.verdict, row.part) for row in rows] == [(NOT_RUN, "all")]
    assert "the engines do not know mine" in rows[0].reasons[0]
