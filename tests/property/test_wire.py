"""Whatever arrives, decoding answers with a packet or a reason and never raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import registry
from agents.api import Message
from agents.registry import Plugin
from agents.wire import MAX_BODY, Dialect, Packet, Reason, decode, encode

U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))


class Ping(Message):
    __slots__ = ()
    TYPE = 0xA0


messages = st.builds(
    Ping, origin=U32, sequence=U32, hop=U16, round=U32, body=st.binary(max_size=MAX_BODY)
)


@st.composite
def datagrams(draw: st.DrawFn) -> tuple[bytes, dict[int, Dialect], Packet]:
    message, run, protocol = draw(messages), draw(U32), draw(U16)
    sender, sent_ns = draw(U32), draw(U64)
    data = encode(message, run=run, protocol=protocol, sender=sender, sent_ns=sent_ns)
    runs = {run: Dialect(protocol, {Ping.TYPE: Ping})}
    return data, runs, Packet(run, sender, sent_ns, message)


@given(datagrams())
def test_round_trip(case: tuple[bytes, dict[int, Dialect], Packet]) -> None:
    data, runs, packet = case
    assert decode(data, runs) == packet


PLUGINS = [registry.load(name) for name in registry.names()]
KINDS = [(plugin, kind) for plugin in PLUGINS for kind in plugin.messages.values()]


@pytest.mark.parametrize(("plugin", "kind"), KINDS, ids=lambda each: getattr(each, "__name__", ""))
@given(origin=U32, sequence=U32, hop=U16, round=U32, body=st.binary(max_size=MAX_BODY))
def test_every_kind_of_message_of_every_protocol_comes_back_the_same(
    plugin: Plugin, kind: type[Message], **fields: Any
) -> None:
    message = kind(**fields)
    data = encode(message, run=1, protocol=plugin.number, sender=2, sent_ns=3)
    found = decode(data, {1: Dialect(plugin.number, plugin.messages)})
    assert isinstance(found, Packet) and type(found.message) is kind
    assert found == Packet(1, 2, 3, message)


@given(datagrams(), st.data())
def test_any_flipped_bit_is_caught(
    case: tuple[bytes, dict[int, Dialect], Packet], data: st.DataObject
) -> None:
    datagram, runs, _ = case
    bit = data.draw(st.integers(0, 8 * len(datagram) - 1))
    flipped = bytearray(datagram)
    flipped[bit // 8] ^= 1 << bit % 8
    assert isinstance(decode(bytes(flipped), runs), Reason)


def test_every_bit_of_one_datagram_is_covered() -> None:
    runs = {5: Dialect(77, {Ping.TYPE: Ping})}
    datagram = encode(Ping(1, 2, 3, 4, b"body"), run=5, protocol=77, sender=6, sent_ns=7)
    for bit in range(8 * len(datagram)):
        flipped = bytearray(datagram)
        flipped[bit // 8] ^= 1 << bit % 8
        assert isinstance(decode(bytes(flipped), runs), Reason), f"bit {bit}"


@given(st.binary(max_size=1500))
def test_arbitrary_bytes_get_a_reason(data: bytes) -> None:
    assert isinstance(decode(data, {0: Dialect(0, {0: Ping})}), Reason)


@given(datagrams(), st.integers(0, 1400))
def test_a_cut_datagram_is_truncated(
    case: tuple[bytes, dict[int, Dialect], Packet], size: int
) -> None:
    datagram, runs, _ = case
    if size < len(datagram):
        assert decode(datagram[:size], runs) is Reason.truncated
