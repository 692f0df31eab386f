"""No decoder fails on hostile input in another way than it says; benchmarks/fuzz.py goes on."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzzing import TARGETS, mutated


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_takes_what_it_was_made_for(name: str) -> None:
    for sample in TARGETS[name].corpus:
        TARGETS[name].feed(sample)


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
