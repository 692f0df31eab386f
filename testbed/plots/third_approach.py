"""All protocols side by side on one network and one stream: what arrives, when, and at what cost.

The lecture's slide: a central sender and trees pay at one node, SRM and RMTP in control packets
that grow with the group, gossip a little everywhere. Panels of costs are in log-log axes, so growth
is a slope; the table beside the figure has it as an exponent, with its interval. What was measured
on hosts and what was simulated are lines of their own; simulated points are hollow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from agents import registry
from agents.options import describe, make
from testbed import plots, plotting
from testbed.judging import comparison, variants
from testbed.measures import streams
from testbed.plotting import Looks
from testbed.tables import RunTables

TITLE = "the same stream by every protocol"
NEEDS = "it needs streams of two protocols or more, such as the experiment third_approach"
CLAIMS: tuple[str, ...] = ()
NAME = "third_approach"
NAMED = 4  # cells without a point
LINE = 0.075
"""Height of a line of small text in a panel, as a share of the panel's."""

COSTS = {
    "duplicates": "data heard again",
    "source": "the sender sends",
    "source_heard_control": "control the sender hears",
    "member_heard_control": "control a member hears",
    "control": "control all nodes send",
    "core": "packets at the core",
}
"""Columns of the table that are drawn against the group's size, a panel each."""


def draw(tables: Sequence[RunTables]) -> Figure | None:
    shown = _shown(tables)
    numbers = comparison.table(shown)
    if numbers.empty or numbers["protocol"].nunique() < 2:
        return None
    arms = sorted(set(numbers[variants.VARIANT].itertuples(index=False, name=None)))
    looks = plotting.looks(arms)
    losses, largest = sorted(set(numbers["loss_ratio"])), int(numbers["nodes"].max())
    # The middle loss: without any, nothing needs repair, and at the highest some have given up.
    loss = losses[len(losses) // 2]
    mine = numbers[numbers["loss_ratio"] == loss]
    figure, panels = plotting.canvas(5, rows=2, width=21.0, height=8.8)
    key = panels.pop(4)  # at the end of the first row
    arrived, when, last, *costs = panels
    _draw_arrived(arrived, numbers[numbers["nodes"] == largest], looks)
    arrived.set_title(f"what arrives, N = {largest}")
    _draw_delays(when, shown, largest, loss, looks)
    when.set_title(f"when, N = {largest}, loss {loss:.0%}")
    _draw_series(last, mine, "t_last_s", looks)
    last.set_title(f"to the last node, loss {loss:.0%}")
    last.set_ylabel("seconds (mean)")
    for panel, (cost, label) in zip(costs, COSTS.items(), strict=True):
        _draw_series(panel, mine, cost, looks)
        panel.set_title(f"{label}, loss {loss:.0%}")
        panel.set_ylabel("datagrams per multicast")
    _draw_key(key, looks, set(numbers["evidence"]))
    plotting.title(figure, "", TITLE)
    plotting.footnote(figure, _footnote(shown, numbers))
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """`comparison.table` of what is drawn."""
    return comparison.table(_shown(tables))


def types(tables: Sequence[RunTables]) -> pd.DataFrame:
    """`comparison.types` of what is drawn: at the core and at the sender, by message type."""
    return comparison.types(_shown(tables))


FURTHER = {"_types": types}


def _shown(tables: Sequence[RunTables]) -> list[RunTables]:
    """Without the experiments that have a plot of their own: they compare something else."""
    own = set(plots.names()) - {NAME}
    return [one for one in tables if one.manifest["experiment"]["name"] not in own]


def _draw_arrived(axes: Axes, rows: pd.DataFrame, looks: Looks) -> None:
    losses = sorted(set(rows["loss_ratio"]))
    for place, (arm, look) in enumerate(looks.items()):
        shift = 0.7 * (place / max(1, len(looks) - 1) - 0.5)
        for evidence, mine in variants.of(rows, arm).groupby("evidence"):
            at = [losses.index(loss) + shift for loss in mine["loss_ratio"]]
            middle = mine["delivery_ratio"]
            below = (middle - mine["delivery_ratio_low"]).fillna(0.0)
            above = (mine["delivery_ratio_high"] - middle).fillna(0.0)
            axes.errorbar(
                at,
                middle,
                yerr=np.array([below, above]),
                fmt=look.marker,
                color=look.colour,
                mfc=plotting.face(str(evidence), look),
                ms=7,
                lw=1,
            )
    axes.set_xticks(range(len(losses)), [f"{loss:.0%}" for loss in losses])
    axes.set_xlim(-0.5, len(losses) - 0.5)
    axes.set_xlabel("datagrams lost, end to end")
    axes.set_ylabel("delivered, of all (node, multicast) pairs")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    lowest = min(rows["delivery_ratio"].min(), rows["delivery_ratio_low"].fillna(1.0).min())
    axes.set_ylim(min(0.9, lowest - 0.02), 1.01)


def _draw_delays(
    axes: Axes, tables: Sequence[RunTables], nodes: int, loss: float, looks: Looks
) -> None:
    """The share of pairs delivered by each time; a curve that ends low lost the rest."""
    shown = [
        (runs[(runs["nodes"] == nodes) & (runs["loss_ratio"] == loss)], pairs, due)
        for runs, pairs, due in zip(
            comparison.streams_of(tables),
            map(streams.pairs, tables),
            map(streams.wanted, tables),
            strict=True,
        )
    ]
    for arm, look in looks.items():
        found = [(variants.of(runs, arm), came, due) for runs, came, due in shown]
        found = [each for each in found if len(each[0])]
        on_hosts = [each for each in found if each[0]["evidence"].iloc[0] == "emulated"]
        waited, pairs = [np.empty(0)], 0.0
        for own, came, due in on_hosts or found:
            waited.append(came[came["run"].isin(own["run"])]["delay_s"].to_numpy(float))
            pairs += due[due["run"].isin(own["run"])]["hosts"].sum()
        times = np.sort(np.concatenate(waited))
        if len(times):
            share = np.arange(1, len(times) + 1) / pairs
            axes.step(times, share, look.line, color=look.colour, lw=1.8, where="post")
    axes.set_xscale("log")
    axes.set_xlabel("seconds since the multicast (logarithmic)")
    axes.set_ylabel("share of pairs delivered")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, 1.02)


def _draw_series(axes: Axes, rows: pd.DataFrame, column: str, looks: Looks) -> None:
    for arm, look in looks.items():
        own = variants.of(rows, arm)
        for evidence, mine in own[own[column] > 0].groupby("evidence"):
            axes.plot(
                mine["nodes"],
                mine[column],
                look.line,
                color=look.colour,
                marker=look.marker,
                mfc=plotting.face(str(evidence), look),
                lw=1.6 if evidence == "emulated" else 0.9,
                ms=6,
            )
    plotting.size_axis(axes, sorted(set(rows["nodes"])))
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    few = (1.0, 2.0, 5.0) if high > 8 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=few))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    _write_exponents(axes, rows, column, looks)


def _write_exponents(axes: Axes, rows: pd.DataFrame, column: str, looks: Looks) -> None:
    """Each growth exponent beside the end of its line, moved apart where lines meet."""
    rows = rows[(rows[column] > 0) & rows[f"{column}_exponent"].notna()]
    ends = rows.sort_values("nodes").groupby([*variants.VARIANT, "evidence"]).tail(1)
    # Of one on hosts and one simulated, what was measured on hosts.
    ends = ends.sort_values("evidence").groupby(variants.VARIANT).head(1).sort_values(column)
    low, high = axes.get_ylim()
    places = plotting.apart(np.log(ends[column] / low) / np.log(high / low), LINE)
    for place, (_, row) in zip(places, ends.iterrows(), strict=True):
        look = looks[row["protocol"], row["variant"]]
        # Two variants have one colour: the marker says which of them it is.
        axes.scatter(
            [1.04],
            [place],
            s=20,
            color=look.colour,
            marker=look.marker,
            transform=axes.transAxes,
            clip_on=False,
        )
        axes.text(
            1.07,
            place,
            f"$N^{{{row[f'{column}_exponent']:.2f}}}$",
            color=look.colour,
            transform=axes.transAxes,
            va="center",
            fontsize=9,
        )


def _draw_key(axes: Axes, looks: Looks, evidence: set[str]) -> None:
    """The legend, in the place of a panel."""
    axes.set_axis_off()
    entries = [
        (
            Line2D([], [], color=look.colour, marker=look.marker, ls=look.line, lw=1.6),
            plotting.called(*arm),
        )
        for arm, look in looks.items()
    ]
    if "simulated" in evidence:
        entries.append(plotting.HOLLOW)
    axes.legend(*zip(*entries, strict=True), loc="upper left", frameon=False, fontsize=12)


def _footnote(tables: Sequence[RunTables], numbers: pd.DataFrame) -> str:
    runs = pd.concat(comparison.streams_of(tables), ignore_index=True)
    first = runs.iloc[0]
    return (
        f"n = {plotting.either(numbers['runs'])} streams a point, of {first['messages']:g} "
        f"multicasts every {first['interval_s']:g} s from {first['sources']} source, round "
        f"{first['round_s']:g} s. {plotting.either(numbers['evidence'], 'and')}, "
        f"{first['topology']}, timing {first['timing']}. Bars of what arrives: 95% interval over "
        "runs. A datagram to a group is one that its sender sends, one that each member hears, and "
        "one packet for each way out of the core; repairs are data, and what all members hear of "
        "it again is summed. Control is counted from the first multicast to the last; data, and "
        "all at the core, to the end of the runs. "
        f"{_not_alike(runs)}What is zero has no line there. {_unjudged(tables)}Beside a line: "
        "how it grows with N; intervals in the CSV file beside this figure."
    )


def _not_alike(runs: pd.DataFrame) -> str:
    """Words on what some protocols do and others do not, without which panels would mislead."""
    chosen = [
        (protocol, json.loads(options))
        for protocol, options in dict.fromkeys(zip(runs["protocol"], runs["options"], strict=True))
    ]

    def values(protocol: str, option: str) -> str:
        """Those of an option, but for 0, by which it does nothing."""
        found = {options.get(option) for owner, options in chosen if owner == protocol}
        return plotting.either(f"{value:g}" for value in found - {None, 0})

    said = []
    if mbit := values("centralized", "rate_mbit"):
        said.append(f"Only centralized is paced, at {mbit} Mbit/s. ")
    if t_ack_s := values("rmtp", "t_ack_s"):
        said.append(f"RMTP reports every {t_ack_s} s. ")
    if kbit := values("srm", "session_kbit"):
        said.append(f"SRM's session messages share {kbit} kbit/s, so large groups have fewer. ")
    if ordered := sorted({plotting.words(each) for each, own in chosen if _in_order(each, own)}):
        said.append(f"In order, waiting for what is missing: {', '.join(ordered)}. ")
    return "".join(said)


def _in_order(protocol: str, options: Mapping[str, Any]) -> bool:
    """Whether a shipped protocol delivers what one origin sends in that order."""
    if protocol not in registry.names():
        return False
    plugin = registry.load(protocol).protocol
    known = {info.name for info in describe(plugin.Options)}  # recorded ones may be older
    chosen = {name: value for name, value in options.items() if name in known}
    in_order, _ = plugin.promised(make(plugin.Options, chosen))
    return in_order


def _unjudged(tables: Sequence[RunTables]) -> str:
    """Words on the cells that have no point, since all of their runs were voided."""
    cells = [
        f"{plotting.called(run['protocol'], run['variant'])} with {run['nodes']} nodes at "
        f"{run['loss_ratio']:.0%}"
        for _, run in comparison.unjudged(tables).iterrows()
    ]
    more = [f"{len(cells) - NAMED} more"] if len(cells) > NAMED else []
    listed = ", ".join([*cells[:NAMED], *more])
    return f"No run could be judged of {listed}. " if cells else ""
