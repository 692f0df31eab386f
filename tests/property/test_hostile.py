"""No decoder fails on hostile input in another way than it says; benchmarks/fuzz.py goes on."""

from __future__ import annotations

import struct
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import registry
from agents.parts import srm_sessions
from benchmarks import fuzz
from tests.fuzzing import TARGETS, Target, mutated


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_takes_what_it_was_made_for(name: str) -> None:
    target = TARGETS[name]
    for sample in target.corpus:
        target.feed(sample)
    if target.feed_all is not None:
        target.feed_all(target.corpus)


@pytest.mark.parametrize("name", registry.names())
def test_every_kind_of_message_is_among_the_samples(name: str) -> None:
    kinds = sorted(registry.load(name).messages)
    assert {sample[0] for sample in TARGETS[f"messages of {name}"].corpus} == {*range(len(kinds))}


def test_a_node_that_fails_on_a_message_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage must get as far as the code that reads bodies."""
    monkeypatch.setattr("agents.parts.srm_sessions.unpack", srm_sessions.HEAD.unpack)
    with pytest.raises(struct.error):
        for sample in TARGETS["messages of srm"].corpus:
            TARGETS["messages of srm"].feed(sample)


def test_an_input_on_which_a_decoder_hangs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "SLOW_S", 0.05)

    def hang(data: bytes) -> None:
        while data == b"bad":
            with suppress(Exception):  # as decoders that take any error of a library for a damage
                sum(range(1000))

    assert fuzz.failing(Target(hang, [b"good"]), [b"good", b"bad"]) == b"bad"


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_decoder_answers_whatever_it_is_given(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    chosen = data.draw(st.sampled_from(["bytes", "changed", "changed", "changed"]))
    if chosen == "bytes":
        target.feed(data.draw(st.binary(max_size=300)))
    else:
        sample = data.draw(st.sampled_from(list(target.corpus)))
        target.feed(mutated(sample, Random(data.draw(st.integers(0, 2**32)))))
