"""What `testbed check` does and says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from agents import registry
from testbed.checking import examine
from testbed.checking.examine import Report
from testbed.progress import Progress

SCHEDULE_S = 0.05
"""Roughly how long one schedule takes, for the progress bar."""
SHOWN = 10
"""Violations printed of one schedule."""


def check(name: str, schedules: int, seed: int, progress: Progress) -> Report:
    """Holds a protocol, by its name or file, to its promises. Raises `OptionError`."""
    plugin = registry.load(name)
    progress.note(f"{plugin.name}: schedules")
    progress.expect(schedules * SCHEDULE_S)
    return examine.examine(plugin, schedules, seed, lambda: progress.advance(SCHEDULE_S))


def document(report: Report) -> dict[str, Any]:
    """The report for `--json`."""
    failure = report.failure
    found = None
    if failure is not None:
        found = {
            "violations": failure.violations,
            "schedule": asdict(failure.schedule),
            "options": dict(failure.values),
        }
    return {
        "schema": 1,
        "protocol": report.protocol,
        "promises": report.promises,
        "schedules": report.schedules,
        "ok": report.ok,
        "impurities": report.impurities,
        "failure": found,
    }


def show(report: Report) -> None:
    """Prints the report as text."""
    promises = ", ".join(["no duplicates", "no creation", *report.promises])
    failure = report.failure
    if report.impurities:
        click.echo(
            f"{report.protocol}: a protocol has no clock, socket, file or randomness of its own; "
            "it is handed `now` and `rng`"
        )
        for line in report.impurities:
            click.echo(f"  {line}")
        return
    if failure is None:
        click.echo(f"{report.protocol}: kept in {report.schedules} schedules: {promises}")
        return
    click.echo(f"{report.protocol}: broken in schedule {report.schedules} ({promises})")
    for line in failure.violations[:SHOWN]:
        click.echo(f"  {line}")
    if len(failure.violations) > SHOWN:
        click.echo(f"  and {len(failure.violations) - SHOWN} more")
    click.echo(f"  the simplest schedule found: {failure.schedule}")
    for name, value in failure.values.items():
        click.echo(f"  with {name}={value}; the other options have their defaults")
