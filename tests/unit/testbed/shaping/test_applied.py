"""Tests of testbed.shaping.applied: what is held is compared with what was asked for."""

from __future__ import annotations

import pytest

from testbed.errors import ShapingError
from testbed.shaping.applied import MOST_LINKS, Shaping
from testbed.shaping.interface import Shaped, ports
from tests.unit.testbed.shaping.fakes import Fake, FakeNet, graph_of
from topologies.elements import Impairment
from topologies.graph import Graph
from topologies.impairments import parse

R0, R1, R2 = 0, 1, 2  # the descriptors that FakeNet gives
GRAPH = graph_of(Impairment(loss_ratio=0.3), across=Impairment(loss_ratio=0.1))


def shaping(backend: Fake, graph: Graph = GRAPH) -> Shaping:
    return Shaping(FakeNet(graph), backend, list(ports(graph)))


def test_each_port_is_shaped_in_its_router() -> None:
    backend = Fake("fake")
    applied = shaping(backend)
    applied.apply()
    third, tenth = Impairment(loss_ratio=0.3), Impairment(loss_ratio=0.1)
    assert backend.holds == {
        R0: {"d-r1": tenth, "d-r2": tenth},
        R1: {"p0": third, "up": tenth},
        R2: {"up": tenth},
    }
    assert applied.backend == "fake"


def test_what_was_dropped_before_it_was_forgiven_is_no_complaint() -> None:
    backend = Fake("fake")
    applied = shaping(backend)
    fresh = applied._backend
    assert isinstance(fresh, Fake)
    fresh.overflows = {"r1": 7, "r2": 0}
    (complaint,) = applied.complaints()
    assert complaint.startswith("r1: the kernel dropped 7 packets that fake had no time for; use")
    applied.forgive()
    assert applied.complaints() == []
    fresh.overflows = {"r1": 9, "r2": 0}
    assert [each.split(";")[0] for each in applied.complaints()] == [
        "r1: the kernel dropped 2 packets that fake had no time for"
    ]


def test_a_ratio_that_is_not_held_is_an_error() -> None:
    with pytest.raises(ShapingError, match=r"^r1 p0 \(towards h1\): wanted loss_ratio = 0.3"):
        shaping(Fake("fake", distortion=1e-5), graph_of(Impairment(loss_ratio=0.3))).apply()


def test_a_ratio_within_the_resolution_is_no_error() -> None:
    shaping(Fake("fake", distortion=9e-7)).apply()


@pytest.mark.parametrize(("ratio", "distortion"), [(1.0, -1e-9), (1e-9, -1e-9)])
def test_zero_and_one_are_held_exactly(ratio: float, distortion: float) -> None:
    graph = graph_of(Impairment(loss_ratio=ratio))
    with pytest.raises(ShapingError, match="the kernel says"):
        shaping(Fake("fake", distortion=distortion), graph).apply()


def test_a_port_that_is_not_held_is_an_error() -> None:
    backend = Fake("fake")
    applied = shaping(backend)
    applied.apply()
    del backend.holds[R2]["up"]
    with pytest.raises(ShapingError, match=r"r2 up .*wanted loss_ratio = 0.1, .* says 0.0"):
        applied.check()


def test_a_port_that_nobody_asked_for_is_an_error() -> None:
    backend = Fake("fake")
    applied = shaping(backend)
    applied.apply()
    backend.holds[R2]["p1"] = Impairment(loss_ratio=0.2)
    with pytest.raises(ShapingError, match="r2 p1: nothing was asked for"):
        applied.check()


COUNTED = {
    R0: {"d-r1": Shaped(90, 10, 10), "d-r2": Shaped(95, 5, 5)},
    R1: {"p0": Shaped(70, 30, 30), "up": Shaped(80, 20, 20)},
    R2: {"up": Shaped(0, 0, 0)},
}


def test_counts_are_summed_by_ratio() -> None:
    backend = Fake("fake")
    applied = shaping(backend)
    backend.shaped = COUNTED
    assert applied.by_ratio() == {0.1: (35, 300), 0.3: (30, 100)}
    assert applied.dropped()["r1", "p0"] == 30
    assert applied.passed()["r1", "p0"] == 70


def test_ports_that_were_changed_count_for_no_ratio() -> None:
    backend = Fake("fake")
    applied = shaping(backend)
    backend.shaped = COUNTED
    applied.change("r1", "up", Impairment(loss_ratio=0.9))
    applied.change("r1", "up", Impairment(loss_ratio=0.1))
    assert applied.by_ratio() == {0.1: (15, 200), 0.3: (30, 100)}


@pytest.mark.parametrize("field", ["burst_packets=3", "duplicate_ratio=0.1", "queue_packets=9"])
def test_only_independent_losses_are_tested(field: str) -> None:
    backend = Fake("fake")
    applied = shaping(backend, graph_of(Impairment(loss_ratio=0.3, **parse(field))))
    backend.shaped = {R1: {"p0": Shaped(70, 30, 30)}}
    assert applied.by_ratio() == {0.3: (30, 100)}
    assert applied.by_ratio(independent=True) == {}


def test_without_a_backend_there_is_nothing_to_count() -> None:
    applied = Shaping(FakeNet(GRAPH), None, [])
    applied.apply()
    assert (applied.backend, applied.counted(), applied.by_ratio()) == ("none", {}, {})


def test_a_wait_is_as_long_as_in_the_worst_weather() -> None:
    later = {("r1", "p0"): (Impairment(delay_ms=100, jitter_ms=25),)}
    applied = Shaping(FakeNet(GRAPH), Fake("fake"), list(ports(GRAPH, later)))
    assert applied.longest_s == pytest.approx(0.2 * MOST_LINKS)


def test_ports_that_lost_packets_uncounted_are_left_out_of_the_achieved_loss() -> None:
    backend = Fake("fake")
    backend.shaped = {
        R0: {"d-r1": Shaped(90, 10, 10), "d-r2": Shaped(50, 9, 9, emptied=40)},
        R1: {"p0": Shaped(70, 30, 30), "up": Shaped(0, 0, 0)},
        R2: {"up": Shaped(0, 0, 0)},
    }
    assert shaping(backend).by_ratio() == {0.3: (30, 100), 0.1: (10, 100)}
