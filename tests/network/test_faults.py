"""Each kind of fault on real hosts: it does what it says, and every datagram is accounted for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from testbed import experiment, results, shaping
from testbed.emulation import emulate
from testbed.metrics import per_run
from testbed.progress import Progress
from testbed.simulation import simulate
from testbed.tables import RunTables
from tests.network.faulty import FILE, busy, fault, heard, run, signalled, span, steps, voided_for
from topologies import two_subnets

pytestmark = [pytest.mark.network, pytest.mark.in_lab]


def test_the_dead_do_nothing_and_the_others_get_the_multicast(tmp_path: Path) -> None:
    tables = run(tmp_path, fault(kind="kill", at_round=0, nodes=0.5), "run.repeats=12")
    assert tables.health["unexplained"] == []
    assert len(tables.manifest["timelines"]) == 2
    for timeline in tables.manifest["timelines"]:
        (kill,) = timeline["played"]
        assert len(kill["nodes"]) == 4
        assert -2e9 < kill["at_ns"] < 0, "before the start"
        mine = tables.events[tables.events["run"].isin(timeline["runs"])]
        assert not mine["host"].isin(kill["nodes"]).any()
        dead = tables.runs[tables.runs["run"].isin(timeline["runs"])]["faulty"]
        assert all(list(each) == kill["nodes"] for each in dead)
    assert (tables.runs["survivors"] == 4).all()
    assert per_run(tables)["rounds_to_all"].max() < 15
    # The second batch has its own victims: those of the first are alive again.
    first, second = (set(t["played"][0]["nodes"]) for t in tables.manifest["timelines"])
    assert first != second


def test_a_node_that_starts_again_gets_the_multicast_again(tmp_path: Path) -> None:
    tables = run(
        tmp_path,
        fault(kind="kill", at_round=4, nodes=[1], for_rounds=3),
        linger=8,
    )
    assert tables.health["unexplained"] == []
    kill, restart = steps(tables)
    assert (kill["do"], restart["do"]) == ("kill", "restart")
    assert busy(tables, 1, span(kill)[1] / 1e9, span(restart)[0] / 1e9).empty
    assert not busy(tables, 1, 0.0, 1.6).empty
    again = tables.deliveries[tables.deliveries["host"] == 1].groupby("run").size()
    assert (again == 2).all(), "once in each life"
    assert (tables.runs["survivors"] == 8).all()
    assert not voided_for(tables, [1]), list(tables.runs["reasons"])


def test_a_stopped_agent_is_silent_and_its_lateness_is_excused(tmp_path: Path) -> None:
    tables = run(tmp_path, fault(kind="pause", at_round=3, nodes=[1], for_rounds=3), linger=8)
    assert tables.health["unexplained"] == []
    pause, resume = steps(tables)
    assert busy(tables, 1, signalled(pause) / 1e9, span(resume)[0] / 1e9).empty
    ticks = tables.events[(tables.events["host"] == 1) & (tables.events["event"] == "tick")]
    assert ticks["value"].max() > 0.6e9, "it serves what it has missed"
    assert not voided_for(tables, [1]), list(tables.runs["reasons"])


def test_a_slow_node_is_stopped_most_of_the_time(tmp_path: Path) -> None:
    slow = fault(kind="slow", at_s=0, nodes=[1], share=0.25, period_s=0.2)
    tables = run(tmp_path, slow, linger=5)
    assert tables.health["unexplained"] == []
    times_ns = busy(tables, 1, 0.2, 1.0)["time_ns"]
    turns = steps(tables)
    asleep = [  # the last of all need not have been continued
        (span(pause)[1] + 5e6, span(resume)[0])
        for pause, resume in zip(turns[::2], turns[1::2], strict=False)
    ]
    assert len(times_ns) > 20
    assert sum(times_ns.between(*each).sum() for each in asleep) < 0.1 * len(times_ns)
    assert sum(until - since for since, until in asleep) > 0.6 * asleep[-1][1]
    assert not voided_for(tables, [1]), list(tables.runs["reasons"])


def test_a_link_that_is_down_carries_nothing_either_way(tmp_path: Path) -> None:
    down = fault(kind="link_down", at_round=0, nodes=[1], for_rounds=5)
    tables = run(tmp_path, down, linger=3)
    assert tables.health["unexplained"] == []
    assert tables.deliveries["host"].eq(1).sum() == 6
    mine = tables.deliveries[tables.deliveries["host"] == 1]
    assert mine["time_ns"].min() > 2.0e9


def test_a_flapping_link_carries_datagrams_in_its_turns_only(tmp_path: Path) -> None:
    """Down for the first half of every 0.8 s; what crosses is what came while it was up."""
    flap = fault(kind="flap", at_s=0.4, nodes=[1], share=0.5, period_s=0.8, for_s=2.4)
    tables = run(tmp_path, flap, linger=8)
    assert tables.health["unexplained"] == []
    turns = [step["do"] for step in steps(tables)]
    assert turns == ["down", "up"] * 3
    mine = heard(tables)
    came_ns = mine.loc[mine["host"] == 1, "came_ns"]
    spans = [span(step) for step in steps(tables)]
    inside = [
        came_ns.between(down[1], up[0]).sum()
        for down, up in zip(spans[::2], spans[1::2], strict=True)
    ]
    between = [
        came_ns.between(up[1], down[0]).sum()
        for up, down in zip(spans[1::2], [*spans[2::2], (4e9, 4e9)], strict=True)
    ]
    assert inside == [0, 0, 0]
    assert min(between) > 0, between
    assert not voided_for(tables, [1]), list(tables.runs["reasons"])


@pytest.mark.parametrize("where", [{"nodes": [1]}, {"router": "r2"}], ids=["host", "router"])
def test_what_waits_for_a_link_that_goes_down_is_accounted_for(
    tmp_path: Path, where: dict[str, object]
) -> None:
    """Each link holds its packets for 60 ms, so that some wait whenever this one goes down."""
    delays = "[topology.two_subnets]\naccess_delay_ms = 60\ncore_delay_ms = 60\n"
    if shaping.choose(two_subnets.build(access_delay_ms=60)) is None:
        pytest.skip("no backend delays here")
    flap = fault(kind="flap", at_s=0.4, share=0.5, period_s=0.4, for_s=2.4, **where)
    tables = run(tmp_path, delays + flap, "run.repeats=12", "run.concurrent=12", linger=8)
    assert tables.health["unexplained"] == []
    (facts,) = tables.manifest["boots"]
    assert facts["stranded"] > 0 or facts["backend"] == "netem"  # which has a bound of it only
    mine = tables.deliveries[tables.deliveries["host"] == 1]
    assert mine["run"].nunique() == 12, "the link works again, and so do all others"
    assert not voided_for(tables, {1, 4, 5, 6, 7}), list(tables.runs["reasons"])


def test_a_router_s_link_parts_two_subnets(tmp_path: Path) -> None:
    tables = run(tmp_path, fault(kind="link_down", at_round=0, router="r2"))
    assert tables.health["unexplained"] == []
    assert (tables.runs["survivors"] == 4).all()
    for _, mine in tables.deliveries.groupby("run"):
        assert len({host // 4 for host in mine["host"]}) == 1


def test_links_change_with_the_weather(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("time_s,link,loss_ratio\n0,h2,1\n1.6,h2,0\n")
    tables = run(tmp_path, fault(kind="weather", at_round=1, profile="day.csv"), linger=9)
    assert tables.health["unexplained"] == []
    assert [step["nodes"] for step in steps(tables)] == [[0], [1]]
    changed, again = (span(step) for step in steps(tables))
    mine = heard(tables)
    came_ns = mine.loc[mine["host"] == 1, "came_ns"]
    assert not came_ns.between(changed[1], again[0]).any()
    assert came_ns.between(again[1], again[1] + 1e9).any()


def test_weather_delays_what_is_sent_from_then_on(tmp_path: Path) -> None:
    if shaping.choose(two_subnets.build(access_delay_ms=60)) is None:
        pytest.skip("no backend delays here")
    (tmp_path / "day.csv").write_text("time_s,link,delay_ms\n0,h2>,50\n1.2,h2>,250\n")
    tables = run(tmp_path, fault(kind="weather", at_s=0, profile="day.csv"), linger=5)
    assert tables.health["unexplained"] == []
    _, (changed_ns, since_ns) = (span(step) for step in steps(tables))
    events = tables.events
    before, after = [], []
    for (_, target), sent in events[
        (events["event"] == "send") & (events["host"] == 1) & (events["peer"] != 1)
    ].groupby(["run", "peer"]):
        heard = events[events["event"].isin(["receive", "duplicate"]) & (events["peer"] == 1)]
        mine = heard[(heard["run"] == sent["run"].iloc[0]) & (heard["host"] == target)]
        # One after the other, since a delay that grows lets none overtake.
        for out_ns, in_ns in zip(sent["time_ns"], mine["time_ns"] - mine["value"], strict=False):
            if out_ns > since_ns:
                after.append(in_ns - out_ns)
            elif out_ns < changed_ns:
                before.append(in_ns - out_ns)
    assert min(before) > 49e6 and sorted(before)[len(before) // 2] < 240e6
    assert len(after) > 20 and min(after) > 249e6


def test_a_partition_holds_until_it_is_healed(tmp_path: Path) -> None:
    parted = fault(kind="partition", at_round=0, for_rounds=6, sets=[[0, 1, 4]], source="any")
    tables = run(tmp_path, parted, linger=2)
    assert tables.health["unexplained"] == []
    side = tables.deliveries["host"].isin([0, 1, 4])
    source = tables.deliveries[tables.deliveries["hop"] == 0].set_index("run")["host"]
    same = side == tables.deliveries["run"].map(source).isin([0, 1, 4])
    assert tables.deliveries.loc[~same, "time_ns"].min() > 2.4e9
    assert tables.deliveries.loc[same, "time_ns"].max() < 4.8e9
    assert (tables.runs["survivors"] == 8).all()


@pytest.mark.parametrize("where", [{"router": "r0"}, {"nodes": "s2"}], ids=["router", "subnet"])
def test_the_loss_of_a_fault_is_what_was_asked_for(tmp_path: Path, where: dict[str, str]) -> None:
    lossy = fault(kind="loss", at_round=0, loss_ratio=0.5, **where)
    tables = run(tmp_path, lossy, "run.repeats=24", "run.concurrent=12", linger=10)
    assert tables.health["unexplained"] == []
    crossing = tables.events["host"].floordiv(4) != tables.events["peer"].floordiv(4)
    if "nodes" in where:
        sent = tables.events[(tables.events["event"] == "send") & (tables.events["peer"] >= 4)]
        came = tables.events[
            tables.events["event"].isin(["receive", "duplicate"]) & (tables.events["host"] >= 4)
        ]
    else:
        sent = tables.events[crossing & (tables.events["event"] == "send")]
        came = tables.events[crossing & tables.events["event"].isin(["receive", "duplicate"])]
    share = 1 - len(came) / len(sent)
    # Binomial, at least 1,000 datagrams: five standard deviations are 0.08.
    assert len(sent) > 1000
    assert share == pytest.approx(0.5, abs=0.08)


def test_churn_is_survived(tmp_path: Path) -> None:
    churn = fault(
        kind="churn", nodes=[*range(3, 8)], leave_ratio=0.1, away_rounds=1.5, for_rounds=8
    )
    tables = run(tmp_path, churn)
    assert tables.health["unexplained"] == []
    done = {step["do"] for step in steps(tables)}
    assert done == {"kill", "restart"}
    assert not voided_for(tables, range(3, 8)), list(tables.runs["reasons"])


CLOCK = '''"""Push that notes in each round what its clock says."""

from agents.api import Note
from agents.protocols.push import Push, PushRumour


class Watcher(Push):
    """Notes the time."""

    MESSAGES = (PushRumour,)

    def on_round(self, k, now):
        return [*super().on_round(k, now), Note("now", now)]
'''


def test_a_clock_that_is_stepped_is_seen_by_the_protocol_alone(tmp_path: Path) -> None:
    mine = tmp_path / "push.py"
    mine.write_text(CLOCK)
    path = tmp_path / "mine.toml"
    several = [
        fault(kind="clock_step", at_s=0, nodes=[2], seconds=-50),
        fault(kind="clock_step", at_round=3, nodes=[1], seconds=100),
        fault(kind="kill", at_round=4, nodes=[1, 2], for_rounds=2),
    ]
    path.write_text(FILE.format(faults="".join(several), linger=4))
    # In batches, so that the second one begins on the agents of the first.
    loaded = experiment.load(
        str(path), protocols=[str(mine)], settings=("run.repeats=4", "run.concurrent=2")
    )
    runs = [
        results.load(emulate(loaded, seed=3, folder=tmp_path / "emulated", progress=Progress())),
        results.load(simulate(loaded, seed=3, folder=tmp_path / "sim", progress=Progress())),
    ]
    for tables in runs:
        notes = tables.events[tables.events["event"] == "note"]
        ahead = notes["value"] - notes["time_ns"] / 1e9
        stepped = (notes["host"] == 1) & (notes["time_ns"] > 1.3e9)
        before = (notes["host"] == 1) & (notes["time_ns"] < 1.1e9)
        assert stepped.any() and before.any()
        for reborn_ns in (1.3e9, 2.5e9):
            assert (notes["time_ns"][stepped] > reborn_ns).any()
        assert ahead[stepped].between(99.9, 100.1).all()
        at_first = notes["host"] == 2
        assert ahead[at_first].between(-50.1, -49.9).all()
        assert ahead[~(at_first | stepped) & ((notes["host"] != 1) | before)].abs().max() < 0.1
        assert not voided_for(tables, [1, 2]), list(tables.runs["reasons"])


def due(tables: RunTables) -> pd.Series[int]:
    """When each round was due, by run, host and round."""
    ticks = tables.events[tables.events["event"] == "tick"]
    since = (ticks["time_ns"] - ticks["value"]).astype("int64")
    since.index = pd.MultiIndex.from_frame(ticks[["run", "host", "round"]])
    return since


def test_twins_have_the_same_faults_and_rounds(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    several = (
        fault(kind="kill", at_round=0, nodes=2)
        + fault(kind="pause", between_rounds=[1, 3], nodes=2, for_rounds=2)
        + fault(kind="partition", at_round=2, for_rounds=2, sets=[0.5], source="any")
        + fault(kind="link_down", at_round=1, nodes=1, for_rounds=1)
    )
    path.write_text(FILE.format(faults=several, linger=0))
    loaded = experiment.load(str(path))
    hosts = results.load(emulate(loaded, seed=4, folder=tmp_path / "hosts", progress=Progress()))
    twin = results.load(simulate(loaded, seed=4, folder=tmp_path / "twin", progress=Progress()))
    assert hosts.health["unexplained"] == []
    for mine, other in zip(hosts.manifest["timelines"], twin.manifest["timelines"], strict=True):
        assert mine["steps"] == other["steps"]
        planned = [(step["do"], step["nodes"]) for step in mine["steps"]]
        assert [(step["do"], step["nodes"]) for step in mine["played"]] == planned
        for step, played in zip(mine["steps"], mine["played"], strict=True):
            early_ns = 2e9 if step["at_s"] == 0 else 0
            assert -early_ns < played["at_ns"] - step["at_s"] * 1e9 < 0.4e9, "in its round"
    for column in ("seed", "survivors"):
        assert list(hosts.runs[column]) == list(twin.runs[column])
    assert [list(each) for each in hosts.runs["faulty"]] == [
        list(each) for each in twin.runs["faulty"]
    ]
    one, other = due(hosts), due(twin)
    shared = one.index.intersection(other.index)
    assert len(shared) > 100
    assert one[shared].equals(other[shared])


def test_a_partition_takes_effect_within_10_ms_at_every_host(tmp_path: Path) -> None:
    """From the decision to cut to the last datagram that any host hears from the other side.

    Of three cuts one may meet a machine that is busy; nothing is heard once it is done.
    """
    cuts = [
        fault(kind="partition", at_round=start, for_rounds=1, sets=["s2"], source="any")
        for start in (3, 5, 7)
    ]
    more = ("grid.nodes=32", "run.repeats=12", "run.concurrent=12")
    tables = run(tmp_path, "".join(cuts), *more, linger=4)
    assert tables.health["unexplained"] == []
    (timeline,) = tables.manifest["timelines"]
    spans = [span(step) for step in timeline["played"]]
    mine = heard(tables)
    across = mine[mine["host"].floordiv(16) != mine["peer"].floordiv(16)]
    came_ns = across["came_ns"]
    took_ns = []
    for (began, done), (joined, _) in zip(spans[::2], spans[1::2], strict=True):
        assert came_ns.between(began - 0.3e9, began).sum() > 100, "the two sides do talk until then"
        assert not came_ns.between(done, joined).any()
        inside = came_ns[came_ns.between(began, joined)]
        took_ns.append(inside.max() - began if len(inside) else 0)
    assert min(took_ns) < 10e6
    assert set(across[came_ns > spans[-1][1]]["host"]) == set(range(32)), "and afterwards"
