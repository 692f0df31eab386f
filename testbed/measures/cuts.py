"""Streams in which nodes are killed: what the network was before, who is cut off after, until when.

A node is *cut off* when it delivers nothing of what is sent after the first kill of a run, until a
tree begins to mend itself: until a node asks another to be its parent. Where none does, that is
until the end of the run. Who should be is computed from the numbers of the nodes, not asked of the
protocol: the group stands in a complete K-ary tree from the source on.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from agents.parts.tree_messages import TreeAttach
from testbed.measures import streams
from testbed.tables import RunTables
from testbed.theory import k_ary_tree


def kills(tables: RunTables) -> dict[int, tuple[int, tuple[int, ...]]]:
    """When the first kill of a run was, in nanoseconds from its start, and who was hit."""
    found = {}
    for timeline in tables.manifest.get("timelines", ()):
        steps = [s for s in timeline.get("played") or timeline["steps"] if s["do"] == "kill"]
        for run in timeline["runs"] if steps else ():
            step = steps[0]
            at_ns = step["at_ns"] if "at_ns" in step else round(step["at_s"] * 1e9)
            found[run] = (int(at_ns), tuple(step["nodes"]))
    return found


def of_source(runs: pd.DataFrame) -> pd.Series[bool]:
    """Whether the faults of each run kill its source, not only nodes after it."""
    return runs["faults"].astype(str).str.contains(r"kill source(?!\+)")


def sent_before(tables: RunTables) -> pd.DataFrame:
    """`streams.multicasts` that were sent before the first kill of their run, if there was one."""
    sent = streams.multicasts(tables)
    at = {run: at_ns for run, (at_ns, _) in kills(tables).items()}
    return sent[sent["sent_ns"] < sent["run"].map(at).fillna(math.inf)]


def before(tables: RunTables, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a frame that are of multicasts sent before the first kill."""
    if streams.streams(tables).empty:
        return frame.iloc[:0]
    names = pd.MultiIndex.from_frame(sent_before(tables)[streams.NAME].astype("int64"))
    mine = pd.MultiIndex.from_frame(frame[streams.NAME].astype("int64"))
    return frame[mine.isin(names)]


def mended(tables: RunTables) -> dict[int, float]:
    """When a node first asked another to be its parent after the kill; infinite if none did."""
    at = {run: at_ns for run, (at_ns, _) in kills(tables).items()}
    events = tables.events
    asked = events[(events["event"] == "send") & (events["type"] == TreeAttach.TYPE)]
    asked = asked[asked["time_ns"] >= asked["run"].map(at).astype(float)]
    first = asked.groupby("run")["time_ns"].min()
    return {run: float(first.get(run, math.inf)) for run in at}


def trees(tables: RunTables) -> pd.DataFrame:
    """A row a run of a K-ary tree with a kill: run, below, cut, wrong, multicasts, until_s.

    `below` are the nodes below the victims, `cut` those that were cut off, `wrong` the nodes that
    are in one of the two sets only, or lack for ever what they should have; `multicasts` how many
    were sent until the tree began to mend itself, `until_s` seconds after the kill.
    """
    killed, until = kills(tables), mended(tables)
    sent, pairs = streams.multicasts(tables), streams.pairs(tables)
    pairs = pairs.merge(sent, on=streams.NAME)
    rows = []
    for _, run in streams.streams(tables).iterrows():
        options = json.loads(str(run["options"]))
        mine = sent[sent["run"] == run["run"]]
        if run["run"] in killed and options.get("tree") == "kary" and len(mine):
            own = pairs[pairs["run"] == run["run"]]
            when = killed[run["run"]], until[run["run"]]
            rows.append({"run": run["run"], **_tree(run, options["k"], mine, own, *when)})
    return pd.DataFrame(rows, columns=["run", "below", "cut", "wrong", "multicasts", "until_s"])


def _tree(
    run: pd.Series[Any],
    arity: int,
    sent: pd.DataFrame,
    pairs: pd.DataFrame,
    kill: tuple[int, tuple[int, ...]],
    until_ns: float,
) -> dict[str, float]:
    at_ns, victims = kill
    origin, nodes = int(sent["origin"].iloc[0]), int(run["nodes"])
    below = below_victims(nodes, arity, origin, victims)
    others = set(range(nodes)) - set(victims) - {origin}
    after = sent[(sent["sent_ns"] >= at_ns) & (sent["sent_ns"] < until_ns)]
    came = pairs[pairs["sequence"].isin(after["sequence"])]
    in_time = came[came["sent_ns"] + came["delay_s"] * 1e9 < until_ns]
    cut = others - set(in_time["host"])
    whole = came.groupby("host").size() == len(after)
    lacking = others - below - set(whole[whole].index)
    return {
        "below": len(below),
        "cut": len(cut),
        "wrong": len((cut ^ below) | lacking),
        "multicasts": len(after),
        "until_s": (until_ns - at_ns) / 1e9,
    }


def below_victims(nodes: int, arity: int, origin: int, victims: tuple[int, ...]) -> set[int]:
    """Who is below the victims in the tree of an origin; not the victims themselves."""
    found = {
        (origin + place) % nodes
        for victim in victims
        for place in k_ary_tree.below(nodes, arity, (victim - origin) % nodes)
    }
    return found - set(victims)
