"""Tables of figures at the width of a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from testbed import figures
from testbed.figures import Column
from testbed.sweep import Sweep
from testbed.sweep.shown import show

LONG = "buffered_push (packet_limit = 20, random_subset)"
MEAN: dict[str, float | None] = {"mean": 12.31, "sd": 1.0, "low": 12.0, "high": 12.6}
NEVER: dict[str, float | None] = dict.fromkeys(MEAN)


def printed(columns: list[Column], width: int) -> list[str]:
    console = Console(width=width, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(figures.table(columns, width))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [200, 80, 60, 50])
def test_a_number_stays_on_one_line_and_a_name_is_whole(width: int) -> None:
    numbers = [Column(f"core packets {n}", ["12.3±0.3", "never"]) for n in range(4)]
    lines = printed([Column("protocol", [LONG, "push"], folds=True), *numbers], width)
    assert max(map(len, lines)) <= width
    assert sum(line.count("12.3±0.3") for line in lines) == 4
    assert "…" not in "".join(lines)
    # The first column by itself: below the head, up to the other row.
    start = next(n for n, line in enumerate(lines) if "─" in line) + 1
    end = next(n for n, line in enumerate(lines) if line.startswith(" push"))
    letters = "".join(lines[start:end]).replace("12.3±0.3", "").replace(" ", "")
    assert letters == LONG.replace(" ", "")


def test_a_terminal_too_narrow_for_the_numbers_still_shows_every_digit() -> None:
    lines = printed([Column("nodes", ["4294967296"]), Column("traffic", ["12.34±0.05"])], 16)
    assert max(map(len, lines)) <= 16
    text = "".join(lines)
    assert all(text.count(digit) for digit in "429679±5") and "…" not in text


def test_equal_runs_have_no_interval_though_their_mean_is_rounded() -> None:
    nearly = {"mean": 14.8, "sd": 1e-15, "low": 14.8 - 2e-15, "high": 14.8 + 2e-15}
    assert figures.mean(nearly) == "14.8"
    assert figures.mean(MEAN) == "12.3±0.3"
    assert figures.mean({**MEAN, "low": None, "high": None}) == "12.3"
    assert figures.mean(None) == ""


def test_a_sweep_says_never_as_a_run_does_and_cuts_no_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    key = "protocol.push.retention"
    rows: list[dict[str, Any]] = [
        {
            key: "infect_and_die",
            "protocol": protocol,
            "nodes": nodes,
            "loss_ratio": 0.0,
            "runs": 5,
            "voided": nodes == 8,
            "rounds_to_half": MEAN,
            "rounds_to_all": NEVER,
            "residue": MEAN,
            "traffic": MEAN,
            "core_packets_per_round": MEAN,
        }
        for protocol, nodes in (("topology_aware", 8), ("push", 16))
    ]
    show(Sweep(Path("folder"), "latency", 1, "simulated", 2, 0, rows), [key])
    text = capsys.readouterr().out
    assert text.count("never") == 2 and "inf " not in text and "…" not in text
    assert text.count("12.3±0.3") == 8
    assert "4 of 5" in text
