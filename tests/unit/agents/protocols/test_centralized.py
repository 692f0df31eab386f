"""The origin sends to each of the others, and again to those that do not acknowledge."""

from __future__ import annotations

from typing import Any

import pytest

from agents import registry
from agents.api import Actions, Deliver, Lost, MessageId, Note, Send, SetTimer, View
from agents.options import OptionError, make
from agents.protocols.centralized import LOW, PACE, Centralized, CentralizedAck, CentralizedData
from agents.seeds import derive
from testbed.checking.examine import options as chosen
from testbed.checking.schedule import Schedule
from testbed.checking.world import World

FIRST = MessageId(1, 1)


def node(me: int = 1, nodes: int = 8, **options: Any) -> Centralized:
    made = make(Centralized.Options, options)
    return Centralized(View(me, (range(nodes),)), made, derive(1, me, "targets"))


def sends(actions: Actions) -> list[Send]:
    return [action for action in actions if isinstance(action, Send)]


def data(sequence: int, low: int = 1, origin: int = 1) -> CentralizedData:
    return CentralizedData(origin, sequence, body=LOW.pack(low) + b"payload")


@pytest.mark.parametrize("nodes", [2, 9, 64])
@pytest.mark.parametrize(("mode", "acks"), [("ack", 1), ("fire_and_forget", 0)])
def test_without_loss_each_receiver_costs_one_send_and_one_acknowledgement(
    nodes: int, mode: str, acks: int
) -> None:
    plugin = registry.load("centralized")
    schedule = Schedule(nodes=nodes, multicasts=((0.0, 0), (0.1, 0), (0.2, 1)))
    world = World(plugin, chosen(plugin, schedule, {"mode": mode}), schedule)
    world.advance(30.0)
    assert world.sends.get(CentralizedData.TYPE) == 3 * (nodes - 1)
    assert world.sends.get(CentralizedAck.TYPE, 0) == acks * 3 * (nodes - 1)


def test_receivers_are_in_random_order_or_in_that_of_the_list() -> None:
    def order(**options: Any) -> list[Any]:
        return [send.to for send in sends(node(**options).multicast(b"", 0.0))]

    assert order(order="list") == [0, 2, 3, 4, 5, 6, 7]
    assert sorted(order()) == order(order="list") != order()


def test_who_does_not_acknowledge_hears_it_again_and_is_given_up() -> None:
    maker = node(nodes=3, max_tries=2)
    maker.multicast(b"payload", 0.0)
    maker.on_message(CentralizedAck(*FIRST), 0, 0.1)
    send, timer = maker.on_timer("rto/2/1/1", 1.0)
    assert isinstance(send, Send) and send.to == 2 and send.message == data(1)
    assert isinstance(timer, SetTimer)
    assert maker.on_timer("rto/2/1/1", 3.0) == [Note("gave_up", 2)]
    assert maker.payloads == {}


def test_a_copy_is_acknowledged_every_time_and_delivered_once() -> None:
    hearer = node(me=2)
    ack = Send(1, CentralizedAck(1, 1, 1))
    assert hearer.on_message(data(1), 1, 0.0) == [Deliver(FIRST), ack]
    assert hearer.on_message(data(1), 1, 0.1) == [ack]


def test_what_the_origin_gave_up_is_lost() -> None:
    hearer = node(me=2)
    done = hearer.on_message(data(3, low=3), 1, 0.0)
    assert list(done)[:3] == [Lost(FIRST), Lost(MessageId(1, 2)), Deliver(MessageId(1, 3))]


def test_copies_name_the_oldest_that_may_still_come() -> None:
    maker = node(nodes=3, order="list")
    maker.multicast(b"", 0.0)
    maker.on_message(CentralizedAck(*FIRST), 0, 0.1)
    lows = [LOW.unpack(send.message.body) for send in sends(maker.multicast(b"", 0.2))]
    assert lows == [(2,), (1,)]


def test_at_a_rate_one_copy_follows_the_other() -> None:
    # 28 + 40 + 4 + 928 bytes at 1 Mbit/s are 8 ms
    maker = node(nodes=4, rate_mbit=1.0, mode="fire_and_forget")
    now, times, actions = 0.0, [], maker.multicast(bytes(928), 0.0)
    for _ in range(3):
        times.append(round(now, 6))
        assert len(sends(actions)) == 1
        waits = [a for a in actions if isinstance(a, SetTimer) and a.name == PACE]
        now = waits[0].at if waits else now
        actions = maker.on_timer(PACE, now)
    assert times == [0.0, 0.008, 0.016] and sends(actions) == []


def test_a_timer_that_a_clock_has_rounded_down_is_in_time() -> None:
    maker = node(nodes=4, rate_mbit=1.0 / 3, mode="fire_and_forget")
    maker.multicast(bytes(1000), 0.0)
    assert len(sends(maker.on_timer(PACE, maker.free_at - 4e-10))) == 1


def test_a_pause_is_not_made_up_for_but_a_late_timer_is() -> None:
    maker = node(nodes=4, rate_mbit=1.0, mode="fire_and_forget")
    maker.multicast(bytes(928), 0.0)
    assert len(sends(maker.on_timer(PACE, 0.017))) == 2
    assert len(sends(maker.multicast(bytes(928), 5.0))) == 1


def test_data_that_its_origin_did_not_send_is_noted() -> None:
    assert node(me=2).on_message(data(1), 3, 0.0) == [Note("not_from_origin", 3)]


def test_a_number_that_no_stream_reaches_is_not_acknowledged() -> None:
    assert node(me=2).on_message(data(2**31), 1, 0.0) == [Note("too_far_ahead", 2**31)]


def test_an_impossible_wait_is_refused_before_a_run() -> None:
    with pytest.raises(OptionError, match="rto_max_ms"):
        Centralized.check(make(Centralized.Options, {"rto_max_ms": 1.0}), 8)
