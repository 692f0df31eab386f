"""Requests of an SRM star: against the exact formula, and with each mechanism taken away."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.simulator.srm_star import sample
from testbed.theory.srm_star import requests


@pytest.mark.parametrize(("group", "c2", "backoff"), [(2, 2.0, 0), (8, 3.0, 0), (64, 2.0, 2)])
def test_the_mean_is_the_exact_one(group: int, c2: float, backoff: int) -> None:
    sent = sample(4000, group=group, c2=c2, backoff=backoff).sent
    error = sent.std() / np.sqrt(len(sent))
    assert abs(sent.mean() - requests(group, c2 * 2**backoff)) <= 4 * error


def test_without_suppression_every_receiver_asks() -> None:
    drawn = sample(50, group=30, c2=2.0, suppression=False)
    assert (drawn.sent == 29).all()
    assert (drawn.peak < 29).all()


def test_without_randomness_all_ask_at_once() -> None:
    drawn = sample(5, group=30, c2=0.0)
    assert (drawn.peak == 29).all() and (drawn.first == 0).all()


def test_with_suppression_all_requests_are_within_one_delay() -> None:
    drawn = sample(50, group=30, c2=5.0)
    assert (drawn.peak == drawn.sent).all()


def test_the_first_request_comes_early_in_a_large_group() -> None:
    assert sample(4000, group=64, c2=2.0).first.mean() == pytest.approx(2 / 64, rel=0.1)


def test_the_same_arguments_give_the_same_requests() -> None:
    one, other = sample(300, 3, group=9, c2=2.0), sample(300, 3, group=9, c2=2.0)
    assert (one.sent == other.sent).all()


def test_what_is_out_of_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="group = 1"):
        sample(1, group=1, c2=2.0)
