"""The fidelity gate: reasons why a run must not be judged.

Emulation lies when the processor is full. A run is voided when its agents were late (p99 of tick
lateness, of receive lag or of the start at or above a tenth of the round), when the packets of its
links or a step of its faults were, when a send was refused that no fault made impossible, or when
an agent died that no fault killed. A datagram that is unexplained, that a device or a router lost
or that found a full socket cannot be laid to one run: it voids all runs of its session.
Processor pressure and steal are reported and gate nothing: on the reference machine they did not
tell good runs from bad ones, while lateness did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import errorcode
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agents.wire import Reason

MAX_LATE_SHARE = 0.10
"""Of the round. Late by a tenth of a round shifts a dissemination time of seven rounds by 1.4%,
inside every margin that a claim registers."""

MAX_VOIDED_SHARE = 0.05
"""Of a cell's runs. Above it the survivors are no longer a fair sample."""

GATES = {
    "tick_p99_s": ("rounds", ("tick",)),
    "receive_p99_s": ("receipts", ("receive", "duplicate")),
    "start_p99_s": ("starts", ("start",)),
}
"""What is gated: the word for it, and the events whose lateness it is."""

REMEDY = (
    "a longer round (--set run.round_s=...), fewer datagrams_per_s or nodes, or an idle machine"
)

FAILED = "failed: "
"""What the report of an exception in a protocol has, and no other reason."""

REMEDY_OF_FAILURES = "to mend the protocol; `testbed check` finds the shortest way to its error"
LATE_ALONE = re.compile(r"((^|; )[\w ]+ \d+ ms late( at p99)?, limit \d+ ms)+")
"""Reasons as `late` words them, and no other."""


def spoilt(state: Mapping[str, Any], runs: pd.DataFrame) -> bool:
    """Whether runs may not be judged, and lateness is all that speaks against any of them.

    Then the machine was busy with something else, which tells nothing of what would have been
    measured. A death, an error or an unexplained datagram does, and must be looked into.
    """
    reasons = runs.loc[runs["voided"], "reasons"]
    late = all(LATE_ALONE.fullmatch(reason) for reason in reasons)
    return not state["ok"] and not state["unexplained"] and late


def void_runs(runs: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Adds `tick_p99_s`, `receive_p99_s`, `start_p99_s`, `voided` and `reasons` to a table of runs.

    `events.value` is, in nanoseconds, the lateness of a `tick` or `start` and the receive lag of a
    `receive` or `duplicate`. What happens while a protocol warms up is not judged: many idle
    receipts that are on time would cover for those of the run. A run without a round and without a
    receipt is voided: nothing shows that it was on time.
    """
    judged = runs.copy()
    counting = events[(events["time_ns"] >= 0) | (events["event"] == "start")]
    for name, (_, kinds) in GATES.items():
        judged[name] = judged["run"].map(_p99(counting, kinds)).astype(float)
    refusals = _refusals(events)
    before = judged["reasons"] if "reasons" in judged else [""] * len(judged)
    judged["reasons"] = [
        "; ".join(filter(None, (said, refusals.get(row["run"]), _late(row))))
        for said, row in zip(before, judged.to_dict("records"), strict=True)
    ]
    judged["voided"] = judged["reasons"] != ""
    return judged


def _p99(events: pd.DataFrame, kinds: tuple[str, ...]) -> pd.Series[float]:
    chosen = events[events["event"].isin(kinds)]
    seconds: pd.Series[float] = chosen.groupby("run")["value"].quantile(0.99) / 1e9
    return seconds


def _late(run: Mapping[Any, Any]) -> str:
    found = []
    if not any(np.isfinite(run[name]) for name in ("tick_p99_s", "receive_p99_s")):
        found.append("neither a round nor a receipt was recorded")
    for name, (word, _) in GATES.items():
        found.append(late(word, run[name], run["round_s"]))
    return "; ".join(filter(None, found))


def late(what: str, late_s: float, round_s: float, *, at: str = " at p99") -> str:
    """That something was late by too much of a round; nothing when it was not."""
    limit_s = MAX_LATE_SHARE * round_s
    if not late_s >= limit_s:  # nor where nothing is known
        return ""
    return f"{what} {late_s * 1e3:.0f} ms late{at}, limit {limit_s * 1e3:.0f} ms"


def _refusals(events: pd.DataFrame) -> dict[int, str]:
    """What is said of the sends that the sender's own kernel refused, by run."""
    refused = events[(events["event"] == "drop") & (events["reason"] == Reason.send_error)]
    said = {}
    for run, mine in refused.groupby("run"):
        node, errno = (int(mine[name].mode()[0]) for name in ("host", "value"))
        said[int(str(run))] = (
            f"{len(mine)} sends refused, mostly at node {node} ({errorcode.get(errno, errno)})"
        )
    return said


@dataclass(frozen=True)
class Pressure:
    """Totals of the machine since boot, in seconds; the difference of two belongs to a run."""

    waiting_s: float
    """Some task waited for a processor (/proc/pressure/cpu); nan where the kernel lacks it."""
    steal_s: float
    """The hypervisor ran something else, summed over processors."""

    @classmethod
    def now(cls) -> Pressure:
        return cls(_waiting_s(), _steal_s())

    def since(self, earlier: Pressure) -> dict[str, float]:
        return {
            "cpu_waiting_s": self.waiting_s - earlier.waiting_s,
            "cpu_steal_s": self.steal_s - earlier.steal_s,
        }


def _waiting_s() -> float:
    try:
        line = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:
        return float("nan")
    return int(line.rpartition("total=")[2]) / 1e6


def _steal_s() -> float:
    ticks_per_s = 100  # USER_HZ, fixed by the kernel's interface on all architectures in use
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / ticks_per_s


def summarize(
    runs: pd.DataFrame, unexplained: Sequence[str], notes: dict[str, Any]
) -> dict[str, Any]:
    """The document `health.json`: whether the whole may be judged, and what was seen.

    A cell of which more than 5% of the runs are voided makes the whole not ok; so does any
    datagram that the conservation of packets leaves unexplained.
    """
    reasons = list(unexplained)
    for _, cell in runs.groupby("cell"):
        share = cell["voided"].mean()
        if share > MAX_VOIDED_SHARE:
            first = cell.iloc[0]
            why = next(filter(None, cell["reasons"]))
            if any((text.partition(": ")[2] or text) in why for text in unexplained):
                continue  # it voids every cell of its network, and is among the reasons already
            remedy = REMEDY_OF_FAILURES if FAILED in why else REMEDY
            reasons.append(
                f"{first['protocol']}, {first['nodes']} nodes, loss {first['loss_ratio']}: "
                f"{share:.0%} of {len(cell)} runs voided, e.g. {why}; the remedy is {remedy}"
            )
    return {
        "ok": not reasons,
        "reasons": reasons,
        "unexplained": list(unexplained),
        "runs": len(runs),
        "voided": int(runs["voided"].sum()),
        **{name: float(runs[name].max()) for name in GATES},
        **notes,
    }


def merged(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The health of several run directories taken together."""
    return {
        "ok": all(each["ok"] for each in documents),
        "reasons": [reason for each in documents for reason in each["reasons"]],
        "unexplained": [text for each in documents for text in each["unexplained"]],
        "runs": sum(each["runs"] for each in documents),
        "voided": sum(each["voided"] for each in documents),
        **{name: max((each[name] for each in documents), default=0.0) for name in GATES},
    }
