"""Turns what agents and routers wrote down into the tables of a run directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from agents import trace
from agents.trace import Event
from agents.wire import Reason
from testbed.accounts import AgentTerms
from testbed.counters import Count
from testbed.tables import COLUMNS
from topologies.graph import Graph

RECORD = np.dtype(trace.DTYPE)
EVENTS = [event.name for event in Event]
SAMPLE_COLUMNS = COLUMNS["counters"]
BATCH_COLUMNS = ("batch", "cell", "runs", "rounds", "core_packets", "first_run")


def records_of(data: bytes) -> tuple[npt.NDArray[Any], int]:
    """The records that one trace holds, and how many are torn or of an event that there is not."""
    size = len(data) // RECORD.itemsize
    whole = np.frombuffer(data, dtype=RECORD, count=size)
    known = (whole["event"] >= 1) & (whole["event"] <= len(EVENTS))
    torn = (len(data) % RECORD.itemsize != 0) + size - int(np.count_nonzero(known))
    return whole[known], torn


def read_traces(folder: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32], int]:
    """All records below a folder, the host of each, and how many records were torn.

    An agent that is killed while it writes tears its last record; more than one torn record a host
    cannot be, and is worth a look at the disk. A record of an event that there is not counts, too.
    """
    paths = sorted(folder.glob("*.trace"), key=lambda path: int(path.stem))
    return joined((int(path.stem), path.read_bytes()) for path in paths)


def joined(
    traces: Iterable[tuple[int, bytes]],
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32], int]:
    """As `read_traces`, of hosts and their traces."""
    parts, hosts, torn = [np.empty(0, RECORD)], [np.empty(0, np.int32)], 0
    for host, data in traces:
        records, more = records_of(data)
        parts.append(records)
        hosts.append(np.full(len(records), host, dtype=np.int32))
        torn += more
    return np.concatenate(parts), np.concatenate(hosts), torn


def read_events(folder: Path, runs: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The table `events` of the traces below a folder, and the number of torn records.

    Times count from the start of the run; a record of no run (a datagram of another one, say)
    keeps run 0 and the time of the monotonic clock.
    """
    records, hosts, torn = read_traces(folder)
    return frame(records, hosts, runs.set_index("run")["start_ns"]), torn


def deliveries(events: pd.DataFrame) -> pd.DataFrame:
    """Every delivery, the sources' own included: in a run that is no stream, first receipts."""
    delivered = events[events["event"] == "deliver"]
    return delivered[list(COLUMNS["deliveries"])].reset_index(drop=True)


def agent_terms(folder: Path, kills: Mapping[int, int]) -> dict[int, AgentTerms]:
    """What each agent's own trace says of its datagrams, by node."""
    records, hosts, _ = read_traces(folder)
    return terms_of(records, hosts, kills)


def terms_of(
    records: npt.NDArray[Any], hosts: npt.NDArray[np.int32], kills: Mapping[int, int]
) -> dict[int, AgentTerms]:
    """The same, of records and their hosts."""
    kinds, reasons = records["event"], records["reason"]
    dropped = (kinds == Event.drop) & (reasons != Reason.send_error)
    read = np.isin(kinds, [Event.receive, Event.duplicate]) | dropped
    nodes = int(hosts.max(initial=-1)) + 1
    sent = np.bincount(hosts[kinds == Event.send], minlength=nodes)
    received = np.bincount(hosts[read], minlength=nodes)
    exits = kinds == Event.exit
    # Read when it was too late to be used, and so recorded as a number only.
    late = np.bincount(hosts[exits], weights=records["sequence"][exits], minlength=nodes)
    return {
        node: AgentTerms(int(sent[node]), int(received[node] + late[node]), kills.get(node, 0))
        for node in range(nodes)
    }


def count_rows(counts: Sequence[Count], level: int) -> list[dict[str, Any]]:
    """Counts of a router as rows of the table `counters`; level 0 is the core."""
    return [
        {
            "router": count.router,
            "level": level,
            "input": count.input,
            "output": count.output,
            "type": count.type,
            "packets": count.packets,
            "bytes": count.bytes,
        }
        for count in counts
    ]


def span_rows(
    before: Sequence[Count], after: Sequence[Count], batch: int, stop_ns: int
) -> list[dict[str, Any]]:
    """The core's counts at the start of a batch and at its end.

    What was not counted yet at the start has a row with 0 there, so that the difference shows it.
    """
    known = {(count.input, count.output, count.type) for count in before}
    new = [
        replace(count, packets=0, bytes=0)
        for count in after
        if (count.input, count.output, count.type) not in known
    ]
    return [
        {"batch": batch, "time_ns": time_ns, **row}
        for time_ns, counts in ((0, [*before, *new]), (stop_ns, after))
        for row in count_rows(counts, level=0)
    ]


def host_rows(graph: Graph) -> pd.DataFrame:
    """The hosts of a network: who is where."""
    return pd.DataFrame(
        {
            "node": [host.node for host in graph.hosts],
            "name": [host.name for host in graph.hosts],
            "subnet": [host.subnet for host in graph.hosts],
            "address": [str(host.address) for host in graph.hosts],
        }
    )


def frame(
    records: npt.NDArray[Any], hosts: npt.NDArray[np.int32], start_ns: pd.Series[int]
) -> pd.DataFrame:
    """The table `events` of some records, their hosts, and when each run started."""
    known = np.isin(records["run"], start_ns.index.to_numpy())
    # What calibration drew is never judged; what belongs to no run at all is worth keeping.
    kept = known | np.isin(records["event"], [Event.drop, Event.error, Event.exit])
    records, hosts, known = records[kept], hosts[kept], known[kept]
    run = np.where(known, records["run"], 0).astype(np.int32)
    origin_ns = start_ns.reindex(records["run"]).fillna(0).to_numpy().astype(np.int64)
    return pd.DataFrame(
        {
            "run": run,
            "time_ns": records["time_ns"] - origin_ns,
            "host": hosts,
            "event": pd.Categorical.from_codes(
                records["event"].astype(np.int8) - 1, categories=pd.Index(EVENTS)
            ),
            **{name: records[name] for name in COLUMNS["events"][4:]},
            "reason": records["reason"],
        }
    )
