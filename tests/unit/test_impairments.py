"""benchmarks/impairments.py: which side is said to have given out when limits are sought."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import impairments
from tests.network.weather import Sample, let_go


@pytest.mark.parametrize(
    ("backend", "sender_per_s", "lost_from", "doubts_from", "best", "gave_out"),
    [
        ("nftables", 25_000, 10**6, 10**6, 20_000, "the sender, at 25000"),
        ("nfqueue", 25_000, 10**6, 12_000, 10_000, "the backend at 12000: it was late"),
        ("nfqueue", 25_000, 8_000, 10**6, 5_000, "the backend at 8000: loss: asked 0, measured 0."),
        ("nftables", 25_000, 15_000, 10**6, 12_000, "the backend at 15000: loss: asked 0.1, "),
        ("nfqueue", 10**6, 10**6, 10**6, 120_000, "nothing"),
    ],
)
def test_a_limit_is_laid_to_the_side_that_gave_out(
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    sender_per_s: int,
    lost_from: int,
    doubts_from: int,
    best: int,
    gave_out: str,
) -> None:
    def run(what: Any, count: int, per_s: int, **_: Any) -> Sample:
        kept = count - round(what.loss_ratio * count) - (per_s >= lost_from) * count // 10
        doubts = ("it was late",) if per_s >= doubts_from else ()
        came = tuple(range(kept))
        return Sample(
            tuple(range(count)), 64, came, (20.0,) * kept, came, min(per_s, sender_per_s), doubts
        )

    monkeypatch.setattr(impairments, "Run", lambda _: run)
    found = impairments.limits(backend, 100)
    assert found["packets_per_s"] == best
    assert found["gave_out"].startswith(gave_out)
    assert bool(found["added"]) == (backend == "nfqueue")


@pytest.mark.parametrize(
    ("sent_ns", "most", "times_ns"),
    [
        ((0, 0, 0, 10), None, [10, 20, 30, 40]),
        ((0, 0, 0, 10), 2, [10, 20, 30]),
        ((0, 0, 100, 100), 2, [10, 20, 110, 120]),  # held up for longer than the queue lasts
    ],
)
def test_a_link_with_a_rate_sends_on_what_it_has_and_room_for(
    sent_ns: tuple[int, ...], most: int | None, times_ns: list[float]
) -> None:
    assert let_go(sent_ns, 10, most) == times_ns
