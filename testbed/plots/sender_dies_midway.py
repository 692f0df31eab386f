"""What becomes of the multicasts of a sender that is killed in mid-stream, by protocol.

A multicast that some survivors have and others never get is the outcome that an application finds
hardest to live with: a tree and a central sender leave it so, gossip and receiver-driven repair
finish without the sender.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from testbed import plotting
from testbed.judging import cuts, streams, variants
from testbed.tables import RunTables

TITLE = "what a dead sender's multicasts come to"
NEEDS = "it needs streams whose source is killed, such as the experiment sender_dies_midway"
CLAIMS: tuple[str, ...] = ()
FATES = {"all survivors": "#0072B2", "some of them": "#E69F00", "nobody": "#bdbdbd"}


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers.empty:
        return None
    sized = numbers["nodes"].nunique() > 1
    arms = [
        plotting.called(row["protocol"], row["variant"]) + f", N = {row['nodes']}" * sized
        for _, row in numbers.iterrows()
    ]
    figure, axes = plotting.canvas(width=8.6, height=1.9 + 0.42 * len(arms))
    start = pd.Series(0.0, index=numbers.index)
    for fate, colour in FATES.items():
        axes.barh(arms, numbers[fate], left=start, color=colour, label=fate, height=0.7)
        start += numbers[fate]
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("share of the multicasts that were sent, by who has them in the end")
    figure.legend(loc="outside right upper", frameon=False, fontsize=10)
    plotting.title(figure, "", TITLE)
    runs = pd.concat(_runs(tables)).iloc[0]
    plotting.footnote(
        figure,
        f"{' or '.join(map(str, sorted(set(numbers['runs']))))} streams a bar, "
        f"{numbers['multicasts'].sum() / numbers['runs'].sum():.1f} multicasts sent in each before "
        f"the sender was killed. {numbers['evidence'].iloc[0]}, {runs['topology']}, loss "
        f"{runs['loss_ratio']:.0%}, faults: {runs['faults']}.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a (protocol, variant, nodes): the shares of multicasts that came to all, some, none."""
    rows = []
    for one, runs in zip(tables, _runs(tables), strict=True):
        if runs.empty:
            continue
        sent = streams.wanted(one).set_index(streams.NAME)
        reached = streams.pairs(one).groupby(streams.NAME).size()
        sent["reached"] = reached.reindex(sent.index, fill_value=0)
        for arm, mine in runs.groupby([*variants.VARIANT, "nodes"], sort=False):
            own = sent[sent.index.get_level_values("run").isin(mine["run"])]
            whole = float((own["reached"] >= own["hosts"]).mean())
            nobody = float((own["reached"] == 0).mean())
            rows.append(
                {
                    **dict(zip([*variants.VARIANT, "nodes"], arm, strict=True)),
                    "evidence": one.evidence,
                    "runs": len(mine),
                    "multicasts": len(own),
                    "all survivors": whole,
                    "some of them": 1 - whole - nobody,
                    "nobody": nobody,
                }
            )
    return pd.DataFrame(rows)


def _runs(tables: Sequence[RunTables]) -> list[pd.DataFrame]:
    """Healthy streams of each directory in which the source is killed."""
    found = []
    for one in tables:
        runs = streams.streams(one)
        found.append(runs[cuts.of_source(runs) & ~runs["voided"].astype(bool)])
    return variants.named(found)
