"""What becomes of the multicasts of a sender that is killed in mid-stream, by protocol.

A multicast that some survivors have and others never get is the outcome that an application finds
hardest to live with. A tree and a central sender leave it so, and so does RMTP, whose source alone
repairs its own subnet and the top of the others; gossip and SRM, where whoever has a multicast
repairs it, finish without the sender. The last multicast is the one that it was sending.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from testbed import plotting
from testbed.judging import variants
from testbed.measures import cuts, streams
from testbed.tables import RunTables

TITLE = "what a dead sender's multicasts come to"
NEEDS = "it needs streams whose source is killed, such as the experiment sender_dies_midway"
CLAIMS: tuple[str, ...] = ()
FATES = {"all survivors": "#0072B2", "some of them": "#E69F00", "nobody": "#bdbdbd"}


ARM = [*variants.VARIANT, "nodes", "evidence"]


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers.empty:
        return None
    sized = numbers["nodes"].nunique() > 1
    names = [
        plotting.called(row["protocol"], row["variant"])
        + f", N = {row['nodes']}" * sized
        + plotting.from_where(row["evidence"], numbers["evidence"])
        for _, row in numbers.iterrows()
    ]
    figure, axes = plotting.canvas(width=8.6, height=1.9 + 0.42 * len(names))
    start = pd.Series(0.0, index=numbers.index)
    for fate, colour in FATES.items():
        axes.barh(names, numbers[fate], left=start, color=colour, label=fate, height=0.7)
        start += numbers[fate]
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("share of the multicasts that were sent, by who has them in the end")
    for place, share in enumerate(numbers["last"]):
        axes.text(1.02, place, f"last: {share:.0%}", va="center", fontsize=10)
    figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=10)
    plotting.title(figure, "", TITLE)
    runs = pd.concat(_runs(tables), ignore_index=True)
    plotting.footnote(
        figure,
        f"{plotting.either(numbers['runs'])} streams a bar, "
        f"{numbers['multicasts'].sum() / numbers['runs'].sum():.1f} multicasts sent in each before "
        "the sender was killed; last: the share of the survivors that deliver the last of these. "
        f"{plotting.either(numbers['evidence'], 'and')}, "
        f"{plotting.either(runs['topology'])}, loss "
        f"{plotting.either(f'{loss:.0%}' for loss in runs['loss_ratio'])}, faults: "
        f"{plotting.either(runs['faults'])}.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row an `ARM`: the shares of multicasts that came to all, some, none.

    `last` is the share of the survivors that have the last one before the kill, mean over runs.
    """
    frames = [_sent(*each) for each in zip(tables, _runs(tables), strict=True)]
    sent = pd.concat([frame.assign(place=place) for place, frame in enumerate(frames)])
    names = list(dict.fromkeys(sent[ARM[:-1]].itertuples(index=False, name=None)))
    rows = []
    for arm, mine in sorted(sent.groupby(ARM), key=lambda each: names.index(each[0][:-1])):
        whole = float((mine["reached"] >= mine["hosts"]).mean())
        nobody = float((mine["reached"] == 0).mean())
        last = mine.sort_values("sequence").groupby(["place", "run"]).tail(1)
        rows.append(
            {
                **dict(zip(ARM, arm, strict=True)),
                "runs": len(mine[["place", "run"]].drop_duplicates()),
                "multicasts": len(mine),
                "all survivors": whole,
                "some of them": 1 - whole - nobody,
                "nobody": nobody,
                "last": float((last["reached"] / last["hosts"]).mean()),
            }
        )
    return pd.DataFrame(rows)


def _sent(tables: RunTables, runs: pd.DataFrame) -> pd.DataFrame:
    """A row a multicast of these runs, with `ARM`, who was to get it, and how many did."""
    sent = streams.wanted(tables).set_index(streams.NAME)
    reached = streams.pairs(tables).groupby(streams.NAME).size()
    sent["reached"] = reached.reindex(sent.index, fill_value=0)
    return sent.reset_index().merge(runs[["run", *ARM]], on="run")


def _runs(tables: Sequence[RunTables]) -> list[pd.DataFrame]:
    """Healthy streams of each directory in which the source is killed, with `ARM`."""
    found = []
    for one in tables:
        runs = streams.streams(one).assign(evidence=one.evidence)
        found.append(runs[cuts.of_source(runs) & ~runs["voided"].astype(bool)])
    return variants.named(tables, found, beside=("nodes",))
