"""C13 on runs as hosts would leave them: right ones are supported, wrong ones are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testbed.claims import centralized
from testbed.judging import verdict
from testbed.judging.selection import Arm
from testbed.judging.verdict import INCONCLUSIVE, REFUTED, SUPPORTED

RATE_MBIT, BYTES, ROUND_S = 0.5, 136.0, 0.5
PACKET_S = 8 * BYTES / (RATE_MBIT * 1e6)


def arm(
    sends: float = 1.0,
    acks: float = 1.0,
    packet_s: float = PACKET_S,
    sizes: tuple[int, ...] = (8, 16, 32, 64),
) -> Arm:
    """Twelve runs of each size; `sends` and `acks` are over N-1."""
    rng = np.random.default_rng(1)
    frames = []
    for n in sizes:
        late_s = 0.03 + (n - 2) * packet_s + rng.normal(0, 1e-4, 12)
        columns = {"source_data_per_message": sends * (n - 1), "t_last": late_s / ROUND_S}
        columns["source_heard_control_per_message"] = acks * (n - 1)
        frames.append(pd.DataFrame({"nodes": n, **columns}))
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.assign(voided=False, unhealthy="", data_bytes=BYTES, round_s=ROUND_S)
    conditions = {"evidence": "emulated", "topology": "two_subnets", "loss_ratio": 0.0}
    return Arm("centralized", conditions, rows, {"mode": "ack", "rate_mbit": RATE_MBIT})


def verdicts(given: Arm) -> dict[str, str]:
    return {row.part: row.verdict for row in verdict.settle(centralized.assess(given), {})}


def test_a_sender_of_n_minus_1_at_its_pace_supports_c13() -> None:
    assert set(verdicts(arm()).values()) == {SUPPORTED}


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("load", arm(sends=1.02)),
        ("implosion", arm(acks=0.98)),
        ("latency", arm(packet_s=1.2 * PACKET_S)),
    ],
)
def test_a_wrong_run_refutes_its_part_alone(part: str, wrong: Arm) -> None:
    found = verdicts(wrong)
    assert found.pop(part) == REFUTED
    assert set(found.values()) == {SUPPORTED}


def test_few_sizes_are_not_judged() -> None:
    assert set(verdicts(arm(sizes=(8, 16))).values()) == {INCONCLUSIVE}
