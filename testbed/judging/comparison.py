"""Protocols side by side on one stream: what arrives, when, what it costs, and how that grows.

Numbers for the plot `third_approach`, from healthy streams in which nothing fails but datagrams.
The replicate is a run; packets at the core are those of the runs that were under way together.
Control is counted from the first multicast of a run to its last: protocols that send some as long
as a run lasts would otherwise be charged for the wait until the last node has everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from testbed import metrics
from testbed.judging import stats, variants
from testbed.judging.stats import Estimate
from testbed.measures import streams
from testbed.tables import RunTables

LEVEL = 0.95
SERIES = [*variants.VARIANT, "evidence", "loss_ratio"]
"""What is one line of a plot, and has one exponent."""
ARM = [*SERIES, "nodes"]
BESIDE = ("nodes", "loss_ratio")
"""What has an axis or a panel of its own, and makes no variant."""

OF_RUN = {
    "delivery_ratio": ("delivery_ratio",),
    "atomicity": ("atomicity",),
    "t_last_s": ("t_last_s",),
    "data": ("data_per_message",),
    "control": ("control",),
    "duplicates": ("duplicates_per_message",),
    "source": ("source_data_per_message", "source_control"),
    "source_heard_control": ("source_heard_control",),
    "member_heard_control": ("member_heard_control",),
}
"""Columns of the table by the columns of `streams_of` that they are the sum of. Counts are per
multicast: `source` is what the sender sends, `source_heard_control` what comes to it without data,
and `member_heard_control` what comes to the average one of the others."""
OF_BATCH = {
    "core": ("core_data_per_message", "core_control_per_message"),
    "core_data": ("core_data_per_message",),
    "core_control": ("core_control_per_message",),
}
BOUNDED = ("delivery_ratio", "atomicity", "t_last_s")
"""What has an interval in the table."""
GROWING = ("t_last_s", *tuple(OF_RUN)[3:], "core")
"""What has an exponent in the table."""


def streams_of(tables: Sequence[RunTables]) -> list[pd.DataFrame]:
    """The runs of each directory that are compared, with `variant`, `evidence` and metrics."""
    frames = []
    for one in tables:
        runs = _alike(metrics.per_run(one).assign(evidence=one.evidence))
        control = {name: runs["run"].map(count) for name, count in _control(one).items()}
        t_last_s = runs["t_last"] * runs["round_s"]
        frames.append(runs.assign(t_last_s=t_last_s, **control)[~runs["voided"].astype(bool)])
    return variants.named(tables, frames, beside=BESIDE)


def _control(tables: RunTables) -> dict[str, pd.Series[float]]:
    """Datagrams without data for each multicast while the source sends, by run."""
    return {
        "control": streams.per_message(tables, "send", data=False, sending=True),
        "source_control": streams.per_message(
            tables, "send", data=False, by_sources=True, sending=True
        ),
        "source_heard_control": streams.control_heard(tables, by_sources=True, sending=True),
        "member_heard_control": streams.control_heard_per_member(tables, sending=True),
    }


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row an `ARM`: means over runs, and growth over the sizes of its line.

    `*_low` and `*_high` of a share and a time are Student's interval over runs; missing where one
    run is all, or where all are alike, as when everything arrived: then their scatter says nothing.
    `median_s` and `p95_s` are of all delays of all runs together. `*_exponent` is the slope in
    log-log axes, with its interval: missing with fewer than three sizes, or a mean of zero.
    """
    rows = [row for one, runs in _compared(tables) for row in _rows(one, runs)]
    if not rows:
        return pd.DataFrame(columns=ARM)
    rows.sort(key=lambda row: [row[name] for name in ARM])
    found = pd.DataFrame([_plain(row) for row in rows])
    growth = [
        {
            f"{name}_exponent{part}": number
            for name in GROWING
            for part, number in zip(("", "_low", "_high"), _growth(line, name), strict=True)
        }
        for line in _lines(rows).values()
        for _ in line
    ]
    return pd.concat([found, pd.DataFrame(growth)], axis=1)


def types(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row an `ARM`, place and message type: datagrams per multicast, over all runs together.

    Places: `core` (packets that it forwarded, one for each way out, to the end of the runs),
    `sender sends` and `sender hears`, where control is counted as in `table`. A type that was not
    seen in a place has no row there.
    """
    rows = []
    for one, runs in _compared(tables):
        sent, core, batches = streams.multicasts(one), streams.core_packets(one), _healthy(one)
        events = streams.of_sources(one.events[one.events["time_ns"] >= 0], sent)
        carries = streams.with_data(one, events)
        events = pd.concat([events[carries], streams.while_sending(events[~carries], sent)])
        sends = events[events["event"] == "send"]
        heard = events[events["event"].isin(["receive", "duplicate"])]
        before_last = streams.while_sending(sent, sent, "sent_ns")
        names, data = one.manifest.get("message_types", {}), one.manifest.get("data_types", ())
        for cell, mine in runs.groupby("cell"):
            own = batches[batches["cell"] == cell]["batch"]
            whole, part = (each["run"].isin(mine["run"]).sum() for each in (sent, before_last))
            seen = {"core": core[core["batch"].isin(own)].groupby("type")["per_multicast"].mean()}
            for place, at_sender in (("sender sends", sends), ("sender hears", heard)):
                counts = _by_type(at_sender, mine)
                seen[place] = counts / np.where(counts.index.isin(data), whole, part)
            rows += [
                {name: mine.iloc[0][name] for name in ARM}
                | {"place": place, "type": names.get(str(kind), str(kind)), "data": kind in data}
                | {"per_multicast": number}
                for place, found in seen.items()
                for kind, number in found.items()
                if number > 0
            ]
    return pd.DataFrame(rows, columns=[*ARM, "place", "type", "data", "per_multicast"])


def unjudged(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a cell that would be compared had not all of its runs been voided: the first one."""
    named = variants.named(tables, [_alike(one.runs) for one in tables], beside=BESIDE)
    runs = pd.concat(named, keys=range(len(tables)), names=["place"])
    voided = (
        runs["voided"].astype(bool).groupby([runs.index.get_level_values("place"), runs["cell"]])
    )
    return runs[voided.transform("all")].groupby(["place", "cell"]).first()


def _alike(runs: pd.DataFrame) -> pd.DataFrame:
    """The streams in which nothing fails but datagrams."""
    return runs[(runs["kind"] == "stream") & (runs["faults"] == "")]


def _compared(tables: Sequence[RunTables]) -> Iterator[tuple[RunTables, pd.DataFrame]]:
    """Each directory that has runs to compare, and these as `streams_of` has them."""
    for one, runs in zip(tables, streams_of(tables), strict=True):
        if len(runs):
            yield one, runs


def _healthy(tables: RunTables) -> pd.DataFrame:
    batches = metrics.per_batch(tables)
    return batches[~batches["voided"].astype(bool)]


def _by_type(events: pd.DataFrame, runs: pd.DataFrame) -> pd.Series[int]:
    return events[events["run"].isin(runs["run"])].groupby("type").size()


def _rows(tables: RunTables, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row a cell; what is measured is an `Estimate` still."""
    batches, pairs = _healthy(tables), streams.pairs(tables)
    for cell, mine in runs.groupby("cell"):
        own = batches[batches["cell"] == cell]
        waited = pairs[pairs["run"].isin(mine["run"])]["delay_s"]
        yield {
            **{name: mine.iloc[0][name] for name in ARM},
            "runs": len(mine),
            "multicasts": int(mine.iloc[0]["messages"]),
            "median_s": waited.median(),
            "p95_s": waited.quantile(0.95),
            **{name: _mean(mine, parts) for name, parts in OF_RUN.items()},
            **{name: _mean(own, parts) for name, parts in OF_BATCH.items()},
        }


def _mean(rows: pd.DataFrame, parts: Sequence[str]) -> Estimate:
    """The mean of a sum of columns, without an error where there is only one number, or none."""
    values = rows[[*parts]].sum(axis=1, skipna=False).dropna()
    return stats.mean(values) if len(values) > 1 else Estimate(float(values.mean()), np.nan)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table: estimates as numbers, those that are `BOUNDED` with an interval."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        plain[name] = value.value if isinstance(value, Estimate) else value
        if name in BOUNDED:
            ends = value.interval(LEVEL) if value.se > 0 else (np.nan, np.nan)
            low, high = np.clip(ends, 0.0, np.inf if name == "t_last_s" else 1.0)
            plain |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return plain


def _lines(rows: Sequence[Mapping[str, Any]]) -> dict[Any, list[Mapping[str, Any]]]:
    """Sorted rows by `SERIES`."""
    lines: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        lines.setdefault(tuple(row[name] for name in SERIES), []).append(row)
    return lines


def _growth(line: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float, float]:
    """The exponent over the sizes of a line, and its interval, if no size has one count only."""
    means = [row[name] for row in line]
    if len({row["nodes"] for row in line}) < 3 or not all(mean.value > 0 for mean in means):
        return (np.nan,) * 3
    growth = stats.exponent([row["nodes"] for row in line], means)
    if not np.isfinite([mean.se for mean in means]).all():
        return growth.value, np.nan, np.nan
    return (growth.value, *growth.interval(LEVEL))
