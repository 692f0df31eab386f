"""`testbed validate`: judges claims, and what its exit status says of the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from testbed.commands import (
    INTERRUPTED,
    as_json,
    check_results,
    in_lab,
    present,
    results_option,
    say,
    seed_option,
    set_option,
    variant_option,
)
from testbed.errors import UsageError


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM ...]")
@variant_option("quick", "Judge three claims on hosts, with fewer sizes and runs.")
@variant_option("full", "Take more sizes and runs, for narrower intervals.")
@click.option("--registered", is_flag=True, help="Exit 0 when every verdict is the expected one.")
@click.option("--resume", is_flag=True, help="Go on with what was interrupted.")
@click.option(
    "--replace",
    multiple=True,
    metavar="OLD=NEW",
    help="Judge the protocol NEW, a name or ./file.py, in place of OLD; repeatable.",
)
@set_option
@seed_option()
@results_option
@as_json
def validate(
    claims: tuple[str, ...],
    variant: str,
    registered: bool,
    resume: bool,
    replace: tuple[str, ...],
    settings: tuple[str, ...],
    seed: int | None,
    results: Path,
    as_json: bool,
) -> int:
    """Judges claims by runs: a table with intervals, and plots.

    CLAIM is a number or a name of `testbed list claims`; C1 to C19 by default.

    --quick takes less than 5 minutes, the default half an hour, --full as long as it needs; it also
    judges `pbcast`, and `twins`, which compares runs on hosts with simulated ones.

    Exits with 0 when all is supported, 3 when a claim is refuted, 4 when one is inconclusive. Some
    constants are expected to be refuted: without --registered they make it 3.
    """
    from testbed import listing

    names = listing.check_claims(claims, checks=variant == "full")
    stand_ins = dict(map(_pair, replace))
    check_results(results)

    def judge() -> int:
        from testbed import progress
        from testbed import validate as validation

        try:
            with progress.shown() as shown:
                outcome = validation.validate(
                    names,
                    folder=results,
                    progress=shown,
                    variant=variant,
                    settings=settings,
                    stand_ins=stand_ins,
                    seed=seed,
                    resume=resume,
                )
        except KeyboardInterrupt:
            what = "experiments that were whole are kept; the same command with --resume goes on"
            return say(f"interrupted; {what}", INTERRUPTED)
        present(outcome, as_json)
        return exit_code(outcome.verdicts, registered=registered)

    return in_lab(judge)


def _pair(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not (old and new):
        raise UsageError(f"--replace {text}: write --replace OLD=NEW")
    return old, new


def exit_code(verdicts: Sequence[Any], *, registered: bool) -> int:
    """0 all supported, 3 some refuted, 4 some inconclusive; 3 beats 4.

    With `registered`, a verdict that is the one its claim expects counts as 0, and a definite one
    that is not counts as 3. Supported by a model counts as supported. What is not run counts as
    nothing, but where nothing was run at all, nothing was concluded.
    """
    judged = [row for row in verdicts if row.verdict != "not run"]
    worst = 4 if verdicts and not judged else 0
    for row in judged:
        wanted = row.expected if registered else "supported"
        if row.verdict == "inconclusive":
            worst = worst or 4
        elif row.verdict != wanted and (row.verdict, wanted) != ("verified (model)", "supported"):
            worst = 3
    return worst
