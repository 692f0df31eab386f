"""What each survivor delivers, when an interior node of the tree is killed in mid-stream.

A panel a protocol, a row a survivor, a dot a delivery: those below the dead node on top. In a tree
that nobody mends their rows end; in one that mends itself they are empty until the orphans have a
new parent, which then makes up for what they missed; gossip has no such rows. The greatest group
is drawn, one run of each; what is said above the panels is of all its runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed import metrics, plotting
from testbed.judging import cuts, streams, variants
from testbed.tables import RunTables

TITLE = "an interior node of the tree dies"
NEEDS = "it needs streams of a tree in which a node is killed: the experiment interior_node_dies"
CLAIMS = ("C14",)
BELOW, OTHERS = "#D55E00", "#0072B2"
WORDS = {"none": "tree, not mended", "ack": "tree that mends itself (ACK)", "nak": "tree (NAK)"}


def draw(tables: Sequence[RunTables]) -> Figure | None:
    for one in tables:
        runs = _runs(one)
        if not runs.empty and (runs["arm"] != "").any():
            return _figure(one, runs)
    return None


def _figure(tables: RunTables, runs: pd.DataFrame) -> Figure:
    numbers = table([tables])
    nodes = int(runs.loc[runs["protocol"] == "tree", "nodes"].max())
    mine = numbers[numbers["nodes"] == nodes]
    figure, axes = plotting.canvas(len(mine), width=1.6 + 3.1 * len(mine), height=4.9)
    panels = axes if isinstance(axes, list) else [axes]
    for panel, (_, row) in zip(panels, mine.iterrows(), strict=True):
        arm = runs[(runs["arm"] == row["arm"]) & (runs["nodes"] == nodes)]
        _panel(panel, tables, arm.iloc[0], row)
    limits = [panel.get_xlim() for panel in panels]
    for panel in panels:
        panel.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    panels[0].set_ylabel("survivors, those below the dead node on top")
    panels[0].set_yticks([])
    plotting.title(figure, "C14", TITLE)
    first = runs.iloc[0]
    repeats = sorted(set(mine["runs"]))
    plotting.footnote(
        figure,
        f"A dot: a node delivers a multicast. N = {nodes}, K = {first['k']}, one of "
        f"{' or '.join(map(str, repeats))} runs each; predicted: {mine['predicted'].max():.0f} "
        f"nodes cut off. One source, a multicast every {first['interval_s']:g} s, heartbeats of "
        f"{first['heartbeat_s']:g} s, {tables.evidence}, {first['topology']}, loss "
        f"{first['loss_ratio']:.0%}, faults: {first['faults']}.",
    )
    return figure


def _panel(panel: Axes, tables: RunTables, run: pd.Series[Any], row: pd.Series[Any]) -> None:
    at_ns, victims = cuts.kills(tables)[run["run"]]
    pairs = streams.pairs(tables).merge(streams.multicasts(tables), on=streams.NAME)
    pairs = pairs[pairs["run"] == run["run"]]
    origin, nodes = int(pairs["origin"].iloc[0]), int(run["nodes"])
    below = cuts.below_victims(nodes, int(run["k"]), origin, victims)
    others = sorted(set(range(nodes)) - below - set(victims) - {origin})
    place = {host: y for y, host in enumerate([*others, *sorted(below)])}
    at_s = (pairs["sent_ns"] - at_ns) / 1e9 + pairs["delay_s"]
    colours = pairs["host"].isin(below).map({True: BELOW, False: OTHERS})
    panel.scatter(at_s, pairs["host"].map(place), c=list(colours), s=7, linewidths=0)
    panel.axvline(0, color=plotting.INK, linewidth=1.2)
    panel.set_title(f"{row['arm']}\n{_said(row)}", fontsize=10)
    panel.set_xlabel("seconds since the kill")
    panel.grid(False, axis="y")
    panel.set_ylim(-1, len(place))


def _said(row: pd.Series[Any]) -> str:
    of = f"of {row['nodes'] - 2} survivors"
    if row["cut off"] == 0:
        return "nobody cut off"
    if pd.isna(row["until_s"]):
        return f"{row['cut off']:.0f} {of} cut off for good"
    return f"{row['cut off']:.0f} {of} cut off, for {row['until_s']:.2f} s"


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row an arm and size: how many were cut off (mean), predicted, seconds, share delivered.

    `cut off` are survivors that delivered nothing sent after the kill until the tree began to mend
    itself, in gossip: at all. `until_s` is missing where it never did, or had no need to.
    """
    rows = []
    for one in tables:
        runs = _runs(one)
        for (arm, nodes), mine in runs.groupby(["arm", "nodes"], sort=False):
            rows.append(
                {
                    "arm": arm,
                    "nodes": nodes,
                    "evidence": one.evidence,
                    "runs": len(mine),
                    "cut off": mine["cut"].mean(),
                    "predicted": mine["below"].mean(),
                    "until_s": mine["until_s"].replace(float("inf"), float("nan")).mean(),
                    "longest_silence_s": mine["longest_silence"].mean(),
                    "delivery_ratio": mine["delivery_ratio"].mean(),
                    "data_per_message": mine["data_per_message"].mean(),
                }
            )
    return pd.DataFrame(rows)


def _runs(tables: RunTables) -> pd.DataFrame:
    """Healthy streams with a kill of others than the source; `arm` names them.

    Those of trees come with what was cut off.
    """
    runs = metrics.per_run(tables)
    runs = runs[(runs["kind"] == "stream") & ~runs["voided"].astype(bool)]
    runs = runs[runs["run"].isin(cuts.kills(tables).keys()) & ~cuts.of_source(runs)]
    found = cuts.trees(tables)
    if runs.empty or not runs["run"].isin(found["run"]).any():
        return runs.iloc[:0].assign(arm="")
    (runs,) = variants.named([runs.merge(found, on="run", how="left")])
    options = [json.loads(str(text)) for text in runs["options"]]
    arity = max(each.get("k", 0) for each in options)  # gossip's rows stand as the tree's do
    gossip = runs["below"].isna()
    missed = _missed(tables)
    return runs.assign(
        arm=[
            WORDS.get(each.get("repair", ""), plotting.called(*arm))
            for each, *arm in zip(options, *(runs[name] for name in variants.VARIANT), strict=True)
        ],
        k=[each.get("k", arity) for each in options],
        heartbeat_s=[each.get("heartbeat_s", 0.0) for each in options],
        cut=runs["cut"].where(~gossip, runs["run"].map(missed)),
        below=runs["below"].where(~gossip, 0),
    )


def _missed(tables: RunTables) -> dict[int, int]:
    """Survivors that delivered nothing of what was sent after the kill, by run."""
    pairs = streams.pairs(tables).merge(streams.multicasts(tables), on=streams.NAME)
    survivors = tables.runs.set_index("run")["survivors"]
    return {
        run: int(survivors[run])
        - 1
        - pairs[(pairs["run"] == run) & (pairs["sent_ns"] >= at_ns)]["host"].nunique()
        for run, (at_ns, _) in cuts.kills(tables).items()
    }
