"""What each survivor delivers, when an interior node of the tree is killed in mid-stream.

A panel a protocol, a row a survivor, a dot a delivery: those below the dead node on top. In a tree
that nobody mends their rows end; in one that mends itself they are empty until the orphans have a
new parent, which then makes up for what they missed; gossip has no such rows. The greatest group
is drawn, one run of each; what is said above the panels is of all its runs.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed import metrics, plotting
from testbed.judging import variants
from testbed.measures import cuts, streams
from testbed.tables import RunTables

TITLE = "an interior node of the tree dies"
NEEDS = "it needs streams of a tree in which a node is killed: the experiment interior_node_dies"
CLAIMS = ("C14",)
BELOW, OTHERS = "#D55E00", "#0072B2"
WORDS = {"none": "tree, not mended", "ack": "tree that mends itself (ACK)", "nak": "tree (NAK)"}


ARM = ["way", "variant", "evidence"]
TITLE_COLUMNS = 36
"""Characters above a panel."""


def draw(tables: Sequence[RunTables]) -> Figure | None:
    runs = _runs(tables)
    if runs.empty:
        return None
    nodes = int(runs.loc[runs["tree"], "nodes"].max())
    numbers = table(tables)
    mine = numbers[numbers["nodes"] == nodes]
    figure, axes = plotting.canvas(len(mine), width=1.6 + 3.1 * len(mine), height=4.9)
    panels = axes if isinstance(axes, list) else [axes]
    shown = []
    for panel, (_, row) in zip(panels, mine.iterrows(), strict=True):
        alike = (runs[[*ARM, "nodes"]] == row[[*ARM, "nodes"]]).all(axis=1)
        run = runs[alike].iloc[0]
        shown.append(run)
        name = plotting.called(row["way"], row["variant"])
        name += plotting.from_where(row["evidence"], mine["evidence"])
        _panel(panel, tables[run["place"]], run)
        panel.set_title(f"{textwrap.fill(name, TITLE_COLUMNS)}\n{_said(row)}", fontsize=10)
    limits = [panel.get_xlim() for panel in panels]
    for panel in panels:
        panel.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    panels[0].set_ylabel("survivors, those below the dead node on top")
    panels[0].set_yticks([])
    plotting.title(figure, "C14", TITLE)
    plotting.footnote(figure, _footnote(pd.DataFrame(shown), mine))
    return figure


def _footnote(shown: pd.DataFrame, numbers: pd.DataFrame) -> str:
    trees = shown[shown["tree"]]
    return (
        f"A dot: a node delivers a multicast. N = {plotting.either(shown['nodes'])}, K = "
        f"{plotting.either(trees['k'])}, one of {plotting.either(numbers['runs'])} runs each; "
        f"predicted: {plotting.either(f'{n:.0f}' for n in trees['below'])} nodes cut off. One "
        f"source, a multicast every {plotting.either(f'{s:g}' for s in shown['interval_s'])} s, "
        f"heartbeats of {plotting.either(f'{s:g}' for s in trees['heartbeat_s'])} s, "
        f"{plotting.either(shown['evidence'], 'and')}, {plotting.either(shown['topology'])}, loss "
        f"{plotting.either(f'{loss:.0%}' for loss in shown['loss_ratio'])}, faults: "
        f"{plotting.either(shown['faults'])}."
    )


def _panel(panel: Axes, tables: RunTables, run: pd.Series[Any]) -> None:
    at_ns, victims = cuts.kills(tables)[run["run"]]
    sent = streams.multicasts(tables)
    sent = sent[sent["run"] == run["run"]]
    pairs = streams.pairs(tables).merge(sent, on=streams.NAME)
    origin, nodes = int(sent["origin"].iloc[0]), int(run["nodes"])
    below = cuts.below_victims(nodes, int(run["k"]), origin, victims)
    others = sorted(set(range(nodes)) - below - set(victims) - {origin})
    place = {host: y for y, host in enumerate([*others, *sorted(below)])}
    at_s = (pairs["sent_ns"] - at_ns) / 1e9 + pairs["delay_s"]
    colours = pairs["host"].isin(below).map({True: BELOW, False: OTHERS})
    panel.scatter(at_s, pairs["host"].map(place), c=list(colours), s=7, linewidths=0)
    panel.axvline(0, color=plotting.INK, linewidth=1.2)
    panel.set_xlabel("seconds since the kill")
    panel.grid(False, axis="y")
    panel.set_ylim(-1, len(place))


def _said(row: pd.Series[Any]) -> str:
    of = f"of {row['survivors']:.0f} survivors"
    if row["cut off"] == 0:
        return "nobody cut off"
    if pd.isna(row["until_s"]):
        return f"{row['cut off']:.0f} {of} cut off for good"
    return f"{row['cut off']:.0f} {of} cut off, for {row['until_s']:.2f} s"


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row an `ARM` and size: how many were cut off (mean), predicted, seconds, share delivered.

    `cut off` are survivors that delivered nothing sent after the kill until the tree began to mend
    itself, in gossip: at all. `until_s` is missing where it never did, or had no need to.
    """
    return pd.DataFrame(
        [
            {
                **dict(zip([*ARM, "nodes"], arm, strict=True)),
                "runs": len(mine),
                "survivors": mine["survivors"].mean() - 1,
                "cut off": mine["cut"].mean(),
                "predicted": mine["below"].mean(),
                "until_s": mine["until_s"].replace(float("inf"), float("nan")).mean(),
                "longest_silence_s": mine["longest_silence"].mean(),
                "delivery_ratio": mine["delivery_ratio"].mean(),
                "data_per_message": mine["data_per_message"].mean(),
            }
            for arm, mine in _runs(tables).groupby([*ARM, "nodes"], sort=False)
        ]
    )


def _runs(tables: Sequence[RunTables]) -> pd.DataFrame:
    """Healthy streams of one source with a kill of others than it, of all directories, with `ARM`.

    Those of trees come with what was cut off, and without any there are none.
    """
    frames = variants.named(tables, [*map(_of, tables)], among="way", beside=("nodes",))
    placed = [frame.assign(place=place) for place, frame in enumerate(frames)]
    runs = pd.concat(placed, ignore_index=True)
    if not runs["tree"].any():
        return runs.iloc[:0]
    arity = runs["k"].max()  # gossip's rows stand as the tree's do
    return runs.fillna({"k": arity}).astype({"k": int})


def _of(tables: RunTables) -> pd.DataFrame:
    """The runs of one directory; those of gossip lack a `k`."""
    runs = metrics.per_run(tables).assign(evidence=tables.evidence)
    runs = runs[(runs["kind"] == "stream") & runs["sources"].isin(["one", "1"])]
    runs = runs[~runs["voided"].astype(bool) & ~cuts.of_source(runs)]
    runs = runs[runs["run"].isin(cuts.kills(tables).keys())]
    options = [json.loads(text) for text in runs["options"]]
    runs = runs.assign(
        k=pd.Series([each.get("k") for each in options], index=runs.index, dtype=float),
        heartbeat_s=[each.get("heartbeat_s", 0.0) for each in options],
        way=[
            WORDS[each["repair"]] if "tree" in each else plotting.words(protocol)
            for each, protocol in zip(options, runs["protocol"], strict=True)
        ],
    )
    kary = [each.get("tree", "kary") == "kary" for each in options]
    runs = runs[pd.Series(kary, index=runs.index, dtype=bool)]  # others have no prediction
    runs = runs.merge(cuts.trees(tables), on="run", how="left")
    tree, missed = runs["below"].notna(), runs["run"].map(_missed(tables))
    return runs.assign(
        tree=tree,
        k=runs["k"].where(tree),
        cut=runs["cut"].where(tree, missed),
        below=runs["below"].where(tree, 0),
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
