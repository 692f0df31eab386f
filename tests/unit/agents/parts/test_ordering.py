"""FIFO by origin: early ones wait, and what never comes is told."""

from __future__ import annotations

from agents.api import Deliver, Lost, MessageId, Note
from agents.parts.ordering import LOSSES, WINDOW, Fifo, Unordered


def id(sequence: int, origin: int = 7) -> MessageId:
    return MessageId(origin, sequence)


def test_what_comes_early_waits_for_its_turn() -> None:
    fifo = Fifo()
    assert fifo.add(id(2)) == []
    assert fifo.add(id(1)) == [Deliver(id(1)), Deliver(id(2))]
    assert fifo.next(7) == 3


def test_a_second_copy_does_nothing() -> None:
    fifo = Fifo()
    fifo.add(id(1))
    fifo.add(id(3))
    assert fifo.has(id(1)) and fifo.has(id(3)) and not fifo.has(id(2))
    assert fifo.add(id(1)) == [] and fifo.add(id(3)) == []


def test_origins_do_not_wait_for_each_other() -> None:
    fifo = Fifo()
    fifo.add(id(2, origin=1))
    assert fifo.add(id(1, origin=2)) == [Deliver(id(1, origin=2))]


def test_what_is_given_up_is_lost_and_the_rest_is_delivered_in_order() -> None:
    fifo = Fifo()
    fifo.add(id(2))
    fifo.add(id(5))
    assert fifo.give_up_below(7, 5) == [
        Lost(id(1)),
        Deliver(id(2)),
        Lost(id(3)),
        Lost(id(4)),
        Deliver(id(5)),
    ]
    assert fifo.give_up_below(7, 5) == []


def test_a_gap_without_end_is_told_in_bounded_work() -> None:
    fifo = Fifo()
    fifo.add(id(3))
    done = fifo.give_up_below(7, 2**32 - 1)
    assert done[:2] == [Deliver(id(3)), Note("gap", 2**32 - 1 - LOSSES - 1 - 1)]
    assert len(done) == LOSSES + 2
    assert fifo.next(7) == 2**32 - 1


def test_ones_own_stream_goes_on_after_a_restart() -> None:
    fifo = Fifo()
    fifo.resume(id(3))
    assert fifo.add(id(3)) == [Deliver(id(3))]
    fifo.resume(id(2))
    assert fifo.next(7) == 4


def test_a_number_too_far_ahead_is_not_reached() -> None:
    fifo = Fifo()
    assert fifo.reaches(id(WINDOW)) and not fifo.reaches(id(WINDOW + 1))


def test_without_order_nothing_waits_and_no_copy_is_delivered_twice() -> None:
    order = Unordered()
    far = id(WINDOW + 5)
    assert order.reaches(far) and order.add(far) == [Deliver(far)]
    assert order.add(id(2)) == [Deliver(id(2))] and order.has(id(2)) and not order.has(id(1))
    assert order.give_up_below(7, 3) == [] and order.add(far) == []
    assert order.add(id(1)) == [Deliver(id(1))]
