"""Every protocol of the folder keeps its promises, whatever the network and the nodes do.

New files are included on the day they appear. What each check is worth is shown by mutants: a
protocol that drops the check for duplicates, sends nothing again, or delivers as it comes.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agents import registry
from agents.wire import MAX_BODY, Dialect, Packet, decode, encode
from testbed.checking import examine
from testbed.checking.schedule import CALM_S, Crash, Schedule

NAMES = registry.names()
VARIANTS = [
    (name, values)
    for name in NAMES
    for values in examine.variants(registry.load(name), Schedule(nodes=9))
]
times = st.floats(0.0, CALM_S)


@st.composite
def crashes(draw: st.DrawFn) -> Crash:
    at_s = draw(times)
    back = draw(st.one_of(st.none(), times))
    return Crash(draw(st.integers(0, 8)), at_s, None if back is None else at_s + back)


schedules = st.builds(
    Schedule,
    seed=st.integers(0, 10**6),
    nodes=st.integers(2, 9),
    subnets=st.integers(1, 3),
    loss_ratio=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    duplicate_ratio=st.sampled_from([0.0, 0.5]),
    delay_s=st.sampled_from([0.0, 0.01, 0.5]),
    late_s=st.sampled_from([0.0, 0.05]),
    multicasts=st.lists(st.tuples(times, st.integers(0, 2)), min_size=1, max_size=8).map(
        lambda found: tuple(sorted(found))
    ),
    crashes=st.lists(crashes(), max_size=3).map(tuple),
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(schedule=schedules)
def test_a_protocol_keeps_its_promises(name: str, schedule: Schedule) -> None:
    assert examine.wrong(registry.load(name), schedule) == []


@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=str)
@settings(max_examples=25, deadline=None)
@given(schedule=schedules)
def test_it_keeps_them_with_other_options_as_far_as_these_leave_them(
    name: str, values: dict[str, Any], schedule: Schedule
) -> None:
    plugin = registry.load(name)
    assume(examine.fits(plugin, schedule, values))
    assert examine.wrong(plugin, schedule, values) == []


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(schedule=schedules)
def test_strange_datagrams_neither_stop_it_nor_make_it_invent(
    name: str, schedule: Schedule
) -> None:
    plugin = registry.load(name)
    assert examine.hostile_wrong(plugin, schedule) == []


U32 = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_message_class_survives_the_wire_with_any_fields(
    name: str, data: st.DataObject
) -> None:
    plugin = registry.load(name)
    for kind in plugin.messages.values():
        message = data.draw(
            st.builds(kind, U32, U32, st.integers(0, 0xFFFF), U32, st.binary(max_size=MAX_BODY))
        )
        datagram = encode(message, run=1, protocol=plugin.number, sender=2, sent_ns=3)
        runs = {1: Dialect(plugin.number, plugin.messages)}
        assert decode(datagram, runs) == Packet(1, 2, 3, message)
        assert type(kind.DATA) is bool
