"""Run directories without a network: tables as an emulated run would leave them.

Disseminations are drawn by the independent reference, core counts binomially. `free_epidemic` may
be swapped for a wrong protocol, to see that the claims notice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from testbed.measures import notes, srm_losses
from testbed.simulator.reference import Epidemic, draw
from testbed.tables import COLUMNS, RunTables

Draw = Callable[..., Epidemic]
ROUND_S = 0.5
RUMOUR = 0x10


def push(nodes: int, fan_out: int, rng: Random) -> Epidemic:
    return draw(nodes, fan_out, rng=rng)


def topology_aware(nodes: int, fan_out: int, rng: Random) -> Epidemic:
    return draw(nodes, fan_out, rng=rng, topology_aware=True)


def push_for_one_round(nodes: int, fan_out: int, rng: Random) -> Epidemic:
    """A wrong push: each node spreads in its first round only."""
    return draw(nodes, fan_out, rng=rng, rounds=1)


def linear_flood(nodes: int, fan_out: int, rng: Random) -> Epidemic:
    """A wrong push: the source alone sends, to one node after the other, b a period."""
    at = [(i + rng.random()) / fan_out for i in range(nodes)]
    sends = [(t, 0, i) for i, t in enumerate(at)][1:]
    return Epidemic([0.0, *at[1:]], [-1] + [0] * (nodes - 1), sends, [0.0] * nodes)


PROTOCOLS: dict[str, Draw] = {"push": push, "topology_aware": topology_aware}


def latency(
    sizes: Iterable[int] = (8, 16, 32, 64, 128),
    repeats: int = 40,
    *,
    protocols: Mapping[str, Draw] = PROTOCOLS,
    fan_out: int = 2,
    seed: int = 1,
    stretch: float = 1.0,
    **columns: Any,
) -> RunTables:
    """Runs from one source each; `stretch` multiplies every time, as a slow machine would.

    Further `columns` overwrite those of `runs`.
    """
    rng, sizes = Random(seed), list(sizes)
    hosts = [
        (boot, node, f"s{1 + 2 * node // nodes}")
        for boot, nodes in enumerate(sizes)
        for node in range(nodes)
    ]
    runs: list[dict[str, Any]] = []
    events: list[tuple[int, int, int, str, int, int]] = []
    deliveries: list[tuple[int, int, int, int]] = []
    cells = [(protocol, nodes) for protocol in protocols for nodes in sizes]
    for cell, (protocol, nodes) in enumerate(cells):
        for _ in range(repeats):
            run = len(runs) + 1
            drawn = protocols[protocol](nodes, fan_out, rng)
            boot = {"boot": sizes.index(nodes)}
            runs.append(_run(run, cell, protocol, nodes, fan_out, "one") | boot | columns)
            at = [_ns(t * stretch) for t in drawn.infected_at]
            deliveries += [
                (run, host, t, drawn.parent[host]) for host, t in enumerate(at) if t is not None
            ]
            events += [
                (run, ns, sender, "send", to, RUMOUR)
                for t, sender, to in drawn.sends
                if (ns := _ns(t * stretch)) is not None
            ]
    return tables(
        runs=pd.DataFrame(runs),
        events=pd.DataFrame(events, columns=["run", "time_ns", "host", "event", "peer", "type"]),
        deliveries=pd.DataFrame(deliveries, columns=["run", "host", "time_ns", "parent"]),
        hosts=pd.DataFrame(hosts, columns=["boot", "node", "subnet"]),
    )


def core_load(
    sizes: Iterable[int] = (16, 32, 64, 128, 256),
    rounds: int = 1000,
    *,
    chances: Mapping[str, Callable[[int], float]] | None = None,
    fan_out: int = 2,
    seed: int = 1,
    **columns: Any,
) -> RunTables:
    """Saturated batches, ten rows a cell; `chances` give P(a send crosses the core) of N nodes."""
    rng = np.random.default_rng(seed)
    chosen = chances or {"push": uniform_chance, "topology_aware": aware_chance}
    runs: list[dict[str, Any]] = []
    batches: list[dict[str, Any]] = []
    cells = [(protocol, nodes) for protocol in chosen for nodes in sizes]
    for cell, (protocol, nodes) in enumerate(cells):
        at_once = 10
        for _ in range(at_once):
            runs.append(_run(len(runs) + 1, cell, protocol, nodes, fan_out, "all") | columns)
        per_row = math.ceil(rounds / at_once / 10)
        for _ in range(10):
            sends = per_row * at_once * nodes * fan_out
            packets = int(rng.binomial(sends, chosen[protocol](nodes)))
            row = (cell, cell, at_once, float(per_row), packets, False)
            batches.append(dict(zip(COLUMNS["batches"], row, strict=True)))
    return tables(runs=pd.DataFrame(runs), batches=pd.DataFrame(batches))


Losses = Iterable[tuple[int, Iterable[float], int]]
"""Nodes that missed it, when requests were sent (in delays), and repairs."""


def recovery(
    runs: Iterable[Losses] = (((3, (2.0, 2.5, 3.5), 1),),) * 2, nodes: int = 4, **columns: Any
) -> RunTables:
    """Runs of SRM with some losses each; the first copy of a multicast takes one delay, 50 ms.

    Who asks is node 1, 2, 3 in turn. Further `columns` overwrite those of `runs`.
    """
    delay_ns = 50_000_000
    rows, events = [], []
    for run, losses in enumerate(runs, 1):
        rows.append(_run(run, 0, "srm", nodes, 0, "one") | columns)
        heard = list(range(1, nodes))
        for sequence, (missed, requests, repairs) in enumerate([(0, (), 0), *losses], 1):
            at = sequence * 40 * delay_ns
            name = {"run": run, "origin": 0, "sequence": sequence, "round": 0}
            events.append({**name, "time_ns": at, "host": 0, "event": "send", "type": 0x30})
            events += [
                {**name, "time_ns": at + delay_ns, "host": h, "event": "receive", "type": 0x30}
                for h in heard[missed:]
            ]
            for place, when in enumerate(requests):
                own = {"time_ns": at + round(when * delay_ns), "host": 1 + place % (nodes - 1)}
                events.append({**name, **own, "event": "send", "type": 0x32})
                noted = {
                    **own,
                    "run": run,
                    "event": "note",
                    "value": when,
                    **notes.fields(srm_losses.DELAY),
                }
                events.append(noted)
            answer = {**name, "time_ns": at + 8 * delay_ns, "host": 0, "type": 0x33}
            events += [{**answer, "event": "send"}] * repairs
    return tables(runs=pd.DataFrame(rows), events=pd.DataFrame(events))


def reporting(runs: int = 2, nodes: int = 8, messages: int = 5, **columns: Any) -> RunTables:
    """Runs of RMTP: each member sends one status a multicast, three of them to the source.

    One status comes before the first multicast, one after the last. Further `columns` overwrite
    those of `runs`.
    """
    rows, events = [], []
    for run in range(1, runs + 1):
        rows.append(_run(run, 0, "rmtp", nodes, 0, "one") | columns)
        for number in range(messages):
            data = {"run": run, "time_ns": number * 100, "origin": 0, "sequence": number + 1}
            events.append({**data, "host": 0, "event": "send", "type": 0x36})
        for number in range(-1, messages):
            for member in range(1, nodes):
                status = {"run": run, "time_ns": number * 100 + 50, "origin": 0, "type": 0x38}
                events.append({**status, "host": member, "event": "send"})
                if member < 4:
                    events.append({**status, "host": 0, "event": "receive"})
    return tables(runs=pd.DataFrame(rows), events=pd.DataFrame(events))


def stream(nodes: int = 4, messages: int = 2) -> RunTables:
    """One run of a stream that every node gets, a datagram and its acknowledgement at a time."""
    columns = {"kind": "stream", "messages": messages, "interval_s": 1.0}
    run = _run(1, 0, "push", nodes, 1, "one") | columns
    events, deliveries = [], []
    for number in range(1, messages + 1):
        name = {"run": 1, "origin": 0, "sequence": number, "time_ns": number * 100}
        events.append({**name, "host": 0, "event": "multicast"})
        for host in range(nodes):
            at = {"time_ns": number * 100 + host, "hop": int(host > 0)}
            deliveries.append({**name, "host": host, **at})
            if host:
                events.append({**name, "host": 0, "event": "send", "type": RUMOUR, "peer": host})
                events.append({**name, "host": host, "event": "send", "type": RUMOUR + 1})
    counters = [
        {"batch": 0, "time_ns": at, "level": 0, "type": kind, "packets": at}
        for at in (0, 9)
        for kind in (RUMOUR, RUMOUR + 1)
    ]
    batch = {"batch": 0, "cell": 0, "runs": 1, "rounds": 1.0, "core_packets": 18, "voided": False}
    return tables(
        runs=pd.DataFrame([run]),
        events=pd.DataFrame(events),
        deliveries=pd.DataFrame(deliveries),
        counters=pd.DataFrame(counters),
        batches=pd.DataFrame([batch]),
    )


def noted(*said: tuple[str, float]) -> RunTables:
    """A stream of three multicasts during which node 2 notes a number under each name."""
    made = stream(messages=3)
    rows = [
        {"run": 1, "time_ns": 5, "host": 2, "event": "note", "value": value, **notes.fields(name)}
        for name, value in said
    ]
    return replace(made, events=pd.concat([made.events, pd.DataFrame(rows)], ignore_index=True))


def uniform_chance(nodes: int) -> float:
    return nodes / 2 / (nodes - 1)


def aware_chance(nodes: int) -> float:
    return 2 / nodes


DATAGRAM_BYTES = 108


def tables(**given: pd.DataFrame) -> RunTables:
    """Run tables with each column of the contract: empty ones for the tables not given."""
    if "events" in given and "bytes" not in given["events"]:
        given["events"] = given["events"].assign(bytes=DATAGRAM_BYTES)
    whole = {}
    for name, columns in COLUMNS.items():
        rows = given.get(name, pd.DataFrame())
        whole[name] = rows.reindex(columns=rows.columns.union(pd.Index(columns), sort=False))
    return RunTables(
        manifest={"experiment": {"name": "synthetic"}, "data_types": [RUMOUR]},
        health={"ok": True, "reasons": []},
        **{**given, **whole},  # a name that is no table is an error
    )


def _run(
    run: int, cell: int, protocol: str, nodes: int, fan_out: int, sources: str
) -> dict[str, Any]:
    return {
        "run": run,
        "cell": cell,
        "protocol": protocol,
        "topology": "two_subnets",
        "nodes": nodes,
        "loss_ratio": 0.0,
        "timing": "free",
        "fan_out": fan_out,
        "replacement": True,
        "retention": "forever",
        "options": "{}",
        "round_s": ROUND_S,
        "subnets": 2,
        "kind": "saturated" if sources == "all" else "dissemination",
        "sources": sources,
        "messages": 1,
        "interval_s": 0.0,
        "faults": "",
        "survivors": nodes,
        "faulty": [],
        "seed": run,
        "boot": 0,
        "start_ns": 0,
        "stop_ns": 0,
        "voided": False,
        "reasons": "",
    }


def _ns(periods: float) -> int | None:
    return round(periods * ROUND_S * 1e9) if math.isfinite(periods) else None
