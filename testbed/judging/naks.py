"""The arms of SRM's losses, by who lost what and by what of SRM was switched off."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from testbed.judging.selection import Arm, arms, marked
from testbed.measures import srm_losses
from testbed.tables import RunTables

SWITCHES = ("backoff", "suppression", "randomness")


def lost_by_all(tables: Sequence[RunTables], protocol: str = srm_losses.PROTOCOL) -> list[Arm]:
    """Arms with a row a loss, for losses that every receiver had."""
    frames = [_of_runs(srm_losses.losses(one), one, place) for place, one in enumerate(tables)]
    return arms([rows[rows["missed"] == rows["nodes"] - 1] for rows in frames], protocol)


def lost_by_chance(tables: Sequence[RunTables], protocol: str = srm_losses.PROTOCOL) -> list[Arm]:
    """Arms with a row a multicast, of runs in which each receiver loses packets by itself.

    `asked` is 1 if anybody asked for it, else 0; `heard` how many copies of its requests and
    repairs arrived, at all members together.
    """
    frames = [_of_runs(srm_losses.multicasts(one), one, place) for place, one in enumerate(tables)]
    return [arm for arm in arms(frames, protocol) if _by_chance(arm)]


def _by_chance(arm: Arm) -> bool:
    """Whether losses are those of the receivers alone: none of a link that several are behind."""
    of_links = arm.parameters.get("link_loss_ratio") or "loss per_link" in arm.parameters.values()
    impaired = any("loss_ratio=" in str(value) for value in arm.parameters.values())
    lossy = bool(arm.conditions["loss_ratio"]) and not arm.conditions["faults"]
    return lossy and not of_links and not impaired


def _of_runs(rows: pd.DataFrame, tables: RunTables, place: int) -> pd.DataFrame:
    """Rows of some runs with what an arm needs of these."""
    runs = marked(tables.runs, tables, place).drop(columns=["sources"], errors="ignore")
    return rows.merge(runs, on="run")


def plain(arm: Arm, *, but: str = "") -> bool:
    """Whether nothing of SRM is switched off but that: backoff, suppression or randomness."""
    off = {name for name in SWITCHES if not arm.options.get(name, True)}
    return arm.options.get("timers") == "fixed" and off == ({but} if but else set())


def slow(arm: Arm) -> bool:
    """Whether repairs come late enough for several backoffs."""
    return float(arm.options["d1"]) > srm_losses.LATE and not arm.options["log_repair"]
