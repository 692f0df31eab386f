"""Tests of testbed.faults.virtual: what a router loses in the event simulator."""

from __future__ import annotations

from agents.api import Action, Actions, NodeId, Send
from testbed.faults import Fault
from testbed.faults.drawing import Drawing
from testbed.faults.virtual import VirtualPlayer
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from tests.scripted import Word, play
from topologies import star

ROUNDS = 40
SUBNETS = [{0, 1, 2}, {3, 4, 5}, {6, 7, 8}]


def heard(fault: Fault, said: Action) -> list[set[NodeId]]:
    """Who has heard what node 0 says in each round, under this fault."""
    network = Network(star.build(hosts=9, subnets=3))

    def script(me: NodeId, call: str, now: float) -> Actions:
        return [said] if (me, call) == (0, "round") else ()

    simulation = Simulation(
        network, play(script, groups=True), {}, seed=1, timing="sync", round_s=1.0, sources=[]
    )
    timeline = Drawing([fault], network.graph, 1.0, ROUNDS).draw(1)
    VirtualPlayer(simulation, [fault], timeline, seed=1, source=0).begin()
    simulation.advance(round((ROUNDS + 0.5) * 1e9))
    found: list[set[NodeId]] = [set() for _ in range(ROUNDS)]
    for node in simulation.nodes:
        for call in node.protocol.calls:  # type: ignore[attr-defined]
            if call[0] == "message":
                found[round(call[1]) - 1].add(node.me)
    return found


def at_router(router: str, loss_ratio: float) -> Fault:
    return Fault("loss", at_s=0.0, router=router, loss_ratio=loss_ratio)


def test_a_router_loses_a_multicast_for_all_behind_an_output_and_each_output_by_itself() -> None:
    rounds = heard(at_router("r0", 0.5), Send("all", Word(0, 1)))
    assert all({1, 2} <= nodes for nodes in rounds)
    ways = [tuple(side <= nodes for side in SUBNETS[1:]) for nodes in rounds]
    assert {*ways} == {(False, False), (False, True), (True, False), (True, True)}
    for nodes, (left, right) in zip(rounds, ways, strict=True):
        behind = (SUBNETS[1] if left else set()) | (SUBNETS[2] if right else set())
        assert nodes == {1, 2} | behind


def test_the_own_subnet_hears_a_multicast_whatever_its_router_loses() -> None:
    assert heard(at_router("r1", 1.0), Send("all", Word(0, 1))) == [{1, 2}] * ROUNDS


def test_a_router_loses_what_one_of_its_hosts_sends_to_another() -> None:
    assert heard(at_router("r1", 1.0), Send(1, Word(0, 1))) == [set()] * ROUNDS
    assert heard(at_router("r2", 1.0), Send(1, Word(0, 1))) == [{1}] * ROUNDS


def test_a_node_loses_multicasts_by_itself_in_its_own_subnet_too() -> None:
    fault = Fault("loss", at_s=0.0, nodes=(1, 3), loss_ratio=1.0)
    assert heard(fault, Send("all", Word(0, 1))) == [{2, 4, 5, 6, 7, 8}] * ROUNDS
