"""Tests of testbed.conservation: each way in which a datagram can go, and none at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.accounts import AgentTerms, HostTerms, Loss, PortTerms, RouterTerms, Terms
from testbed.balance import DROPPED, REFUSED, Balance
from testbed.conservation import balances, explain, unasked
from tests.unit.testbed.shaping.fakes import graph_of
from topologies.elements import PERFECT
from topologies.graph import Graph

GRAPH = graph_of(PERFECT)

# h1 sends 100 to h2 below the other router: 10 are lost on the way down, 20 by h2's own loss, 3
# find its socket full, 1 a closed port. h1 sends itself 5.
H1 = HostTerms(sent=105, looped=5, read=5)
H2 = HostTerms(read=66, no_port=1, errors=3, offered=90, lost=Loss(20, 20))
R0 = RouterTerms({("r1", "r2"): 100}, ports={"d-r2": PortTerms(Loss(10, 10))})
R1 = RouterTerms({("s1", "up"): 100})
R2 = RouterTerms({("up", "s2"): 90})
AGENTS = {0: AgentTerms(105, 5), 1: AgentTerms(0, 66)}


def terms(
    h1: HostTerms = H1,
    h2: HostTerms = H2,
    r0: RouterTerms = R0,
    r1: RouterTerms = R1,
    r2: RouterTerms = R2,
) -> Terms:
    return Terms({"h1": h1, "h2": h2}, {"r0": r0, "r1": r1, "r2": r2})


def found(got: Terms, agents: dict[int, AgentTerms] | None = None) -> list[tuple[str, int]]:
    return [(each.place, each.packets) for each in explain(GRAPH, got, agents)]


def test_losses_that_are_counted_are_explained() -> None:
    assert found(terms(), AGENTS) == []


def test_there_is_a_balance_for_every_agent_subnet_link_and_host() -> None:
    assert [balance.place for balance in balances(GRAPH, terms(), AGENTS)] == [
        "h1, sending",
        "h1, receiving",
        "h2, sending",
        "h2, receiving",
        "s1 to r1",
        "r1 to s1",
        "s2 to r2",
        "r2 to s2",
        "r0 to r1",
        "r1 to r0",
        "r0 to r2",
        "r2 to r0",
        "h1, arriving",
        "h2, arriving",
        "network",
    ]


def test_the_kernels_terms_are_compared_without_agents_too() -> None:
    assert found(terms()) == []
    assert found(terms(h2=replace(H2, read=64))) == [("h2, arriving", 2)]


@pytest.mark.parametrize(
    ("got", "agents", "expected"),
    [
        (terms(), {**AGENTS, 0: AgentTerms(104, 5)}, [("h1, sending", 1), ("network", -1)]),
        (terms(), {**AGENTS, 1: AgentTerms(0, 65)}, [("h2, receiving", 1), ("network", 1)]),
        (terms(h1=replace(H1, sent=107)), AGENTS, [("h1, sending", 2), ("s1 to r1", 2)]),
        (terms(r1=RouterTerms({("s1", "up"): 99})), AGENTS, [("s1 to r1", 1), ("r1 to r0", -1)]),
        (terms(r2=RouterTerms({("up", "s2"): 91})), AGENTS, [("r2 to s2", 1), ("r0 to r2", -1)]),
        (terms(h2=replace(H2, offered=95)), AGENTS, [("r2 to s2", -5), ("h2, arriving", 5)]),
        (terms(h2=replace(H2, errors=0)), AGENTS, [("h2, arriving", 3), ("network", 3)]),
        (terms(h2=replace(H2, no_port=2)), AGENTS, [("h2, arriving", -1), ("network", -1)]),
        (terms(h2=replace(H2, lost=Loss())), AGENTS, [("h2, arriving", 20), ("network", 20)]),
        (terms(r0=replace(R0, ports={})), AGENTS, [("r0 to r2", 10), ("network", 10)]),
    ],
)
def test_a_term_that_is_off_is_found_where_it_is_off(
    got: Terms, agents: dict[int, AgentTerms], expected: list[tuple[str, int]]
) -> None:
    assert found(got, agents) == expected


def test_drops_of_devices_explain_as_many_as_there_were() -> None:
    lossy = replace(H2, read=60)
    agents = {**AGENTS, 1: AgentTerms(0, 60)}
    assert found(terms(h2=replace(lossy, dropped_down=6)), agents) == []
    assert found(terms(h2=replace(lossy, dropped_down=4)), agents) == [
        ("h2, arriving", 2),
        ("network", 2),
    ]


def test_what_a_router_refused_explains_as_many_as_there_were() -> None:
    ways = {("s1", "up"): 100}
    sent = replace(H1, sent=110)
    agents = {**AGENTS, 0: AgentTerms(110, 5)}
    assert found(terms(h1=sent, r1=RouterTerms(ways, refused=5)), agents) == []
    assert found(terms(h1=sent, r1=RouterTerms(ways, refused=4)), agents) == [
        ("s1 to r1", 1),
        ("network", 1),
    ]


def test_what_is_lost_unasked_is_explained_and_complained_of() -> None:
    """6 are missing at h2, whose devices dropped 7 packets, and 5 at r1, which refused as many."""
    got = terms(
        h1=replace(H1, sent=110),
        h2=replace(H2, read=60, dropped_down=7),
        r1=RouterTerms({("s1", "up"): 100}, refused=5),
    )
    assert found(got, {0: AgentTerms(110, 5), 1: AgentTerms(0, 60)}) == []
    refused, dropped = unasked(GRAPH, got, {})
    assert refused == (
        "s1 to r1: 5 datagrams were lost that nobody asked to lose: at most 5 refused by r1; "
        "the remedy is the topology's own routes at the router"
    )
    assert dropped.startswith(
        "h2, arriving: 6 datagrams were lost that nobody asked to lose: at most 7 dropped by "
        "devices of h2; the remedy is a longer round"
    )
    # A fault took h2's link down, and one the link above r1.
    assert unasked(GRAPH, got, {}, {"h2"}) == [refused]
    assert unasked(GRAPH, got, {}, {"h2", "r1", "r0"}) == []


def test_what_devices_drop_beside_datagrams_is_nobody_s_loss() -> None:
    """A bridge's IGMP report, say: where no datagram is missing, none was lost."""
    got = terms(h2=replace(H2, dropped_down=4), r1=replace(R1, refused=2))
    assert unasked(GRAPH, got, {}) == []
    asked = replace(H2, read=60, dropped_down=6, lost=Loss(20, 20, emptied=6))
    assert unasked(GRAPH, terms(h2=asked), {}) == []
    unread = replace(terms(h2=replace(H2, read=60, dropped_down=6)), room=6)
    assert unasked(GRAPH, unread, {1: 1}) == []


def test_a_killed_agent_may_leave_datagrams_unread_and_events_unrecorded() -> None:
    unread = replace(terms(h2=replace(H2, read=50)), room=16)
    assert found(unread, {**AGENTS, 1: AgentTerms(0, 50, kills=1)}) == []
    assert found(unread, {**AGENTS, 1: AgentTerms(0, 49, kills=1)}) == []
    assert found(unread, {**AGENTS, 1: AgentTerms(0, 48, kills=1)}) == [
        ("h2, receiving", 1),
        ("network", 1),
    ]
    assert found(terms(), {**AGENTS, 0: AgentTerms(104, 5, kills=1)}) == []


def test_what_no_socket_held_is_not_explained_by_a_kill() -> None:
    vanished = replace(terms(h2=replace(H2, read=50)), room=5)
    agents = {**AGENTS, 1: AgentTerms(0, 50)}
    # The network's balance takes one event of each kill for unrecorded.
    for kills, here, everywhere in ((1, 11, 10), (2, 6, 4)):
        assert found(vanished, {**agents, 1: AgentTerms(0, 50, kills)}) == [
            ("h2, arriving", here),
            ("network", everywhere),
        ]
    assert found(vanished, {**agents, 1: AgentTerms(0, 50, kills=4)}) == []
    # Nor by the kill of another host's agent.
    killed = {0: AgentTerms(105, 5, kills=4), 1: AgentTerms(0, 50)}
    assert found(vanished, killed) == [("h2, arriving", 16)]


def test_losses_of_an_unknown_kind_are_bounded_by_what_else_was_sent() -> None:
    # Of 25 packets lost at most 5 were something else, so at least 20 were datagrams.
    unknown = replace(H2, lost=Loss(None, 25), offered_other=5)
    assert found(terms(h2=unknown), AGENTS) == []
    assert found(terms(h2=replace(unknown, offered_other=4)), AGENTS) == [
        ("h2, arriving", -1),
        ("network", -1),
    ]
    assert found(terms(h2=replace(unknown, lost=Loss(None, 19))), AGENTS) == [
        ("h2, arriving", 1),
        ("network", 1),
    ]


def test_a_stretch_of_time_is_the_difference_of_two_readings() -> None:
    before = terms(
        h1=HostTerms(sent=5, looped=5, read=5),
        h2=HostTerms(),
        r0=RouterTerms(ports={"d-r2": PortTerms()}),
        r1=RouterTerms(),
        r2=RouterTerms(),
    )
    added = terms().since(before)
    assert added.hosts["h1"] == HostTerms(sent=100)
    assert added.hosts["h2"] == H2
    assert added.routers["r0"] == R0
    assert found(added, {0: AgentTerms(100, 0), 1: AgentTerms(0, 66)}) == []


def test_in_a_switched_subnet_hosts_reach_each_other_past_the_router() -> None:
    graph = Graph("lan", GRAPH.routers, GRAPH.subnets, GRAPH.hosts, GRAPH.links, lan="switched")
    assert explain(graph, terms(), AGENTS) == []
    bridged = replace(H1, sent=107, read=7, offered=2)
    agents = {**AGENTS, 0: AgentTerms(107, 7)}
    assert explain(graph, terms(h1=bridged), agents) == []
    assert [each.place for each in explain(GRAPH, terms(h1=bridged), agents)] == [
        "s1 to r1",
        "r1 to s1",
    ]


def test_a_complaint_says_how_many_and_where_to() -> None:
    (complaint, _) = explain(GRAPH, terms(h2=replace(H2, errors=0)), AGENTS)
    assert str(complaint) == (
        "h2, arriving: 3 datagrams vanished: 90 offered against "
        "20 lost by shaping + 66 read + 1 no port"
    )


def test_datagrams_from_nowhere_hint_at_another_program() -> None:
    (complaint, *_) = explain(GRAPH, terms(h2=replace(H2, no_port=2)), AGENTS)
    assert "1 datagrams came from nowhere" in str(complaint)
    assert str(complaint).endswith("does another program send UDP here?")


@pytest.mark.parametrize(
    ("came", "went", "at_most", "unexplained"),
    [(10, 10, 0, 0), (10, 9, 0, 1), (10, 9, 1, 0), (10, 9, 5, 0), (9, 10, 5, -1), (10, 4, 5, 1)],
)
def test_a_bound_explains_no_more_than_itself_and_nothing_backwards(
    came: int, went: int, at_most: int, unexplained: int
) -> None:
    balance = Balance("x", {"came": came}, {"went": went}, {"maybe": at_most})
    assert balance.unexplained == unexplained
    balance = Balance("x", {"came": came}, {"went": went}, unasked={(DROPPED, "h1"): at_most})
    assert balance.unexplained == unexplained


@pytest.mark.parametrize(
    ("missing", "spared", "lost"),
    [(0, "", 0), (-1, "", 0), (2, "", 0), (3, "", 1), (9, "", 7), (9, "h1", 3), (6, "h1", 0)],
)
def test_what_is_asked_for_explains_first(missing: int, spared: str, lost: int) -> None:
    """2 at most by a fault, 4 by the devices of h1, 3 by r1."""
    unasked = {(DROPPED, "h1"): 4, (REFUSED, "r1"): 3}
    balance = Balance("x", {"came": 10}, {"went": 10 - missing}, {"maybe": 2}, unasked=unasked)
    assert balance.lost({spared}) == lost


def test_what_a_link_s_queue_lost_uncounted_may_be_missing_and_nothing_may_come_of_it() -> None:
    """`emptied` is a bound of what vanished; 10 more than were sent are from elsewhere."""
    lost = replace(H2.lost, emptied=12)
    fewer = replace(H2, read=56, lost=lost)
    assert found(terms(h2=fewer), {**AGENTS, 1: AgentTerms(0, 56)}) == []
    more = replace(H2, read=76, lost=lost)
    assert found(terms(h2=more), {**AGENTS, 1: AgentTerms(0, 76)}) == [
        ("h2, arriving", -10),
        ("network", -10),
    ]
    across = replace(R0, ports={"d-r2": PortTerms(Loss(4, 4, emptied=6))})
    assert found(terms(r0=across), AGENTS) == []
    up = replace(H1, sent=110, lost_up=Loss(emptied=5))
    assert found(terms(h1=up), {**AGENTS, 0: AgentTerms(110, 5)}) == []
