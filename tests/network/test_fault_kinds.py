"""On hosts: faults that end others, times of all sorts, who is hit, and faults of routers."""

from __future__ import annotations

from math import log
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import binomtest

from testbed import experiment, results
from testbed.emulation import emulate
from testbed.progress import Progress
from testbed.simulation import simulate
from tests.network.faulty import FILE, busy, fault, heard, run, signalled, span, steps

pytestmark = [pytest.mark.network, pytest.mark.in_lab]


def test_restart_resume_link_up_and_heal_end_what_other_faults_began(tmp_path: Path) -> None:
    """Rounds of 0.4 s: all that begins at 0.4 s ends at 2 s, the partition at 2.8 s."""
    begin = [
        fault(kind="kill", at_round=1, nodes=[1]),
        fault(kind="pause", at_round=1, nodes=[2]),
        fault(kind="link_down", at_round=1, nodes=[3]),
        fault(kind="link_down", at_round=1, router="r2"),
        fault(kind="partition", at_round=1, sets=[[4]], source="any"),
    ]
    end = [
        fault(kind="restart", at_round=5),
        fault(kind="resume", at_round=5, nodes=[2]),
        fault(kind="link_up", at_round=5, nodes=[3]),
        fault(kind="link_up", at_round=5, router="r2"),
        fault(kind="heal", at_round=7),
    ]
    tables = run(tmp_path, "".join(begin + end), linger=2)
    assert tables.health["unexplained"] == []
    begun = {step["fault"]: step for step in steps(tables)[:5]}
    ended_ns = {int(str(step["fault"])) - 5: span(step)[0] for step in steps(tables)[5:]}
    for node, number in ((1, 0), (2, 1)):
        began_s = signalled(begun[number]) / 1e9
        assert busy(tables, node, began_s, ended_ns[number] / 1e9).empty, node
        assert not busy(tables, node, 2.4, 4.0).empty, node
    mine = heard(tables)
    across = mine["host"].floordiv(4) != mine["peer"].floordiv(4)
    for number, which in ((2, mine["host"] == 3), (3, across), (4, mine["host"] == 4)):
        came_ns = mine.loc[which, "came_ns"]
        assert not came_ns.between(span(begun[number])[1], ended_ns[number]).any(), number
        assert (came_ns > ended_ns[number]).any(), number
    assert (tables.runs["survivors"] == 8).all()


def test_faults_that_come_and_go_do_not_undo_those_that_last(tmp_path: Path) -> None:
    """Hosts 1 to 3 are hit for good at 1.2 s, in the midst of turns."""
    turns = {"at_s": 0, "share": 0.5, "period_s": 0.4}
    several = [
        fault(kind="churn", at_s=0, nodes=[1], leave_ratio=0.9, away_rounds=0.5),
        fault(kind="slow", nodes=[2], **turns),
        fault(kind="flap", nodes=[3], **turns),
        fault(kind="kill", at_s=1.2, nodes=[1]),
        fault(kind="pause", at_s=1.2, nodes=[2]),
        fault(kind="link_down", at_s=1.2, nodes=[3]),
        fault(kind="pause", at_s=0.4, nodes=[4]),
        fault(kind="kill", at_s=2.4, nodes=[4]),  # with what it had not read for two seconds
    ]
    tables = run(tmp_path, "".join(several), "run.horizon_rounds=7")
    assert tables.health["unexplained"] == []
    assert all(list(each) == [1, 2, 3, 4] for each in tables.runs["faulty"])
    hearing = heard(tables)
    for node, end in ((1, "kill"), (2, "pause"), (3, "down"), (4, "kill")):
        last = [step for step in steps(tables) if step["nodes"] == [node]][-1]
        assert last["do"] == end, "nothing is done to it afterwards"
        mine_ns = hearing.loc[hearing["host"] == node, "came_ns"]
        assert mine_ns.max() < signalled(last)
    assert hearing["came_ns"].max() > 2.5e9


def test_who_is_hit_by_share_by_infection_and_by_place(tmp_path: Path) -> None:
    """The source once half have the multicast, and two of the other subnet, one after the other."""
    several = fault(kind="kill", at_infected=0.5, nodes="source") + fault(
        kind="pause", each_round=0.3, nodes=2, within="s2", source="any"
    )
    tables = run(
        tmp_path, several, "run.repeats=2", "run.concurrent=1", "run.horizon_rounds=8", linger=4
    )
    assert tables.health["unexplained"] == []
    for timeline in tables.manifest["timelines"]:
        (which,) = timeline["runs"]
        deliveries = tables.deliveries[tables.deliveries["run"] == which].sort_values("time_ns")
        (kill,) = [step for step in timeline["played"] if step["do"] == "kill"]
        assert kill["nodes"] == [deliveries["host"].iloc[0]], "who has it first is the source"
        assert 0 < kill["at_ns"] - deliveries["time_ns"].iloc[3] < 0.4e9, "within a round"
        pauses = [step for step in timeline["played"] if step["do"] == "pause"]
        assert {node // 4 for step in pauses for node in step["nodes"]} == {1}
        due_ns = [log(1 - gone) / log(0.7) * 0.4e9 for gone in (0.25, 0.75)]
        for pause, each_ns in zip(pauses, due_ns, strict=True):
            assert 0 <= pause["at_ns"] - each_ns < 0.4e9, "within a round"


def test_faults_of_routers_mean_the_same_on_hosts_and_in_the_simulator(tmp_path: Path) -> None:
    """Four routers in a line, a subnet each: r0 loses all, the link from r2 to r1 is down."""
    path = tmp_path / "mine.toml"
    several = fault(kind="loss", at_round=0, loss_ratio=1.0, router="r0")
    several += fault(kind="link_down", at_round=0, router="r2")
    path.write_text(FILE.format(faults=several, linger=0))
    settings = ("grid.topology=chain", "topology.subnets=4", "run.horizon_rounds=5")
    loaded = experiment.load(str(path), settings=settings)
    for carry_out in (emulate, simulate):
        tables = results.load(carry_out(loaded, seed=3, folder=tmp_path, progress=Progress()))
        assert tables.health["unexplained"] == []
        sent = tables.events[tables.events["event"] == "send"]
        for frame, all_of_them in ((sent, False), (heard(tables), True)):
            allowed = [passes(a, b) for a, b in pairs(frame)]
            assert any(allowed) and all(allowed) == all_of_them


def passes(a: int, b: int) -> bool:
    """Nodes 0 and 1 are below r0, 2 and 3 below r1, and so on."""
    return a // 2 != 0 and b // 2 != 0 and a // 4 == b // 4


def pairs(frame: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(frame["host"], frame["peer"], strict=True))


CASTER = '''"""Every node says a word to all in each round."""

from dataclasses import dataclass

from agents.api import Deliver, Message, Protocol, Send


class Word(Message):
    """With the number of its round."""

    __slots__ = ()
    TYPE = 0x9A


@dataclass(frozen=True)
class Options:
    """Nothing to choose."""


class Caster(Protocol):
    """Says words."""

    Options = Options
    MESSAGES = (Word,)
    GROUPS = True

    def multicast(self, payload, now):
        id, kept = self.new_id()
        return [kept, Deliver(id)]

    def on_round(self, k, now):
        return [Send("all", Word(self.view.me, k, 0, k))]
'''


def test_a_router_loses_multicasts_alike_on_hosts_and_in_the_simulator(tmp_path: Path) -> None:
    """The core loses half: each copy that it makes, for all of a subnet or for none."""
    protocol = tmp_path / "caster.py"
    protocol.write_text(CASTER)
    path = tmp_path / "mine.toml"
    path.write_text(
        FILE.format(faults=fault(kind="loss", at_round=0, loss_ratio=0.5, router="r0"), linger=0)
    )
    settings = ("nodes=9", "grid.topology=star", "topology.subnets=3", "run.repeats=1")
    loaded = experiment.load(str(path), protocols=[str(protocol)], settings=settings)
    for carry_out in (emulate, simulate):
        tables = results.load(carry_out(loaded, seed=3, folder=tmp_path, progress=Progress()))
        assert tables.health["unexplained"] == []
        # The last words may still be under way when the run ends.
        names = [(me, k) for me in range(9) for k in range(1, 13)]
        listeners = {name: {name[0]} for name in names}
        words = heard(tables)[["origin", "sequence", "host"]]
        for me, k, host in words.itertuples(index=False):
            if (me, k) in listeners:
                listeners[me, k].add(host)
        passed = []
        for (me, _), there in listeners.items():
            for subnet in range(3):
                came = there & set(range(3 * subnet, 3 * subnet + 3))
                assert len(came) in (0, 3)
                if subnet == me // 3:
                    assert came
                else:
                    passed.append(bool(came))
        assert len(passed) == 216
        assert binomtest(sum(passed), len(passed), 0.5).pvalue > 1e-4
