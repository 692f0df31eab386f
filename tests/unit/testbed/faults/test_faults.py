"""What an experiment file may say of faults, and what bad input gets."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from testbed import experiment, faults
from testbed.errors import UsageError
from testbed.faults import KINDS, Fault

RECORDED = Path(__file__).parents[3] / "recorded"

GOOD: dict[str, dict[str, Any]] = {
    "kill": {"at_round": 0, "nodes": 0.5, "for_rounds": 3},
    "restart": {"at_s": 1.5},
    "pause": {"between_rounds": [1, 5], "nodes": [1, 2]},
    "resume": {"at_round": 4, "nodes": "all"},
    "slow": {"at_s": 0, "nodes": 1, "share": 0.25},
    "clock_step": {"at_round": 2, "nodes": "s1", "seconds": -3},
    "link_down": {"at_round": 1, "router": "r2", "for_s": 1},
    "link_up": {"at_round": 3, "router": "r2"},
    "flap": {"at_round": 1, "nodes": 2, "share": 0.5, "period_s": 0.2},
    "partition": {"at_infected": 0.5, "sets": ["s1", "s2"], "source": "any"},
    "heal": {"at_round": 9},
    "loss": {"at_round": 1, "router": "r1", "loss_ratio": 0.3},
    "churn": {"nodes": 0.5, "leave_ratio": 0.1, "away_rounds": 2},
    "weather": {"at_s": 0, "profile": str(RECORDED / "weather" / "day.csv")},
}

FILE = """
[grid]
nodes = 8
[run]
concurrent = 1
{run}
[[faults]]
{fault}
"""


def test_every_kind_has_an_example_that_is_accepted() -> None:
    assert set(GOOD) == set(KINDS)
    tables = [{"kind": kind, **fields} for kind, fields in GOOD.items()]
    parsed = faults.parse("mine", tables)
    assert [fault.kind for fault in parsed] == list(GOOD)
    assert parsed[0] == Fault("kill", at_round=0.0, nodes=0.5, for_rounds=3.0)


@pytest.mark.parametrize(
    ("table", "remedy"),
    [
        ({"kind": "kil"}, "did you mean kill"),
        ({"at_round": 1}, "kind = None"),
        ({"kind": "kill", "at_round": 1}, "says no nodes"),
        ({"kind": "kill", "nodes": 0.5}, "says no time; give one of at_s"),
        ({"kind": "kill", "nodes": 0.5, "at_s": 1, "at_round": 2}, "says at_s and at_round"),
        ({"kind": "kill", "nodes": 1.5, "at_s": 1}, "nodes = 1.5"),
        ({"kind": "kill", "nodes": 0, "at_s": 1}, "nodes = 0"),
        ({"kind": "kill", "nodes": True, "at_s": 1}, "nodes = True"),
        ({"kind": "kill", "nodes": [1, 1], "at_s": 1}, "different node numbers"),
        ({"kind": "kill", "nodes": 1, "at_s": -1}, "at_s = -1: give a number 0..1e+09"),
        ({"kind": "kill", "nodes": 1, "at_s": 10**400}, "give a number 0..1e+09"),
        ({"kind": "kill", "nodes": 1, "at_s": math.inf}, "at_s = inf: give a number"),
        ({"kind": "kill", "nodes": 1, "at_s": math.nan}, "at_s = nan: give a number"),
        ({"kind": "kill", "nodes": 1, "at_s": "soon"}, "at_s = 'soon'"),
        ({"kind": "kill", "nodes": 1, "at_infected": 2}, "give a number 0..1"),
        ({"kind": "kill", "nodes": 1, "between_rounds": [5, 1]}, "the later one"),
        ({"kind": "kill", "nodes": 1, "at_s": 1, "seconds": 3}, "no field seconds"),
        ({"kind": "kill", "nodes": 1, "at_s": 1, "source": "maybe"}, "source = 'maybe'"),
        ({"kind": "kill", "nodes": 1, "at_s": 1, "for_s": 1, "for_rounds": 1}, "one of them"),
        ({"kind": "slow", "nodes": 1, "at_s": 1}, "says no share"),
        ({"kind": "partition", "at_s": 1, "sets": []}, "write a list of nodes"),
        ({"kind": "link_down", "at_s": 1, "router": "r1", "nodes": 1}, "says router and nodes"),
        ({"kind": "heal", "each_round": 0.1}, "no field each_round"),
        ({"kind": "restart", "each_round": 0.1}, "says no nodes"),
        (
            {"kind": "flap", "each_round": 0.1, "router": "r1", "share": 0.5, "period_s": 1},
            "a router",
        ),
        ("kill", "write each as a table"),
    ],
)
def test_a_slip_is_named_with_its_remedy_in_one_line(table: Any, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        faults.parse("mine.toml", [table])
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "run", "remedy"),
    [
        ('kind = "kill"\nat_s = 0\nnodes = [8]', "", "no node 8; there are 0..7"),
        ('kind = "kill"\nat_s = 0\nnodes = "s9"', "", "kill s9 at_s 0: no subnet or router 's9'"),
        ('kind = "kill"\nat_s = 0\nnodes = 0.01', "", "0.01 is 0 nodes"),
        ('kind = "kill"\nat_s = 0\nnodes = "source+%s"' % ("9" * 5000), "", "no subnet or router"),
        ('kind = "loss"\nat_s = 0\nloss_ratio = 1.0\nrouter = "s1"', "", "there are r0, r1, r2"),
        ('kind = "link_down"\nat_s = 0\nrouter = "s1"', "", "no router 's1'"),
        ('kind = "link_up"\nat_s = 0\nrouter = "h1"', "", "no router 'h1'"),
        ('kind = "link_down"\nat_s = 0\nrouter = "r0"', "", "there are r1, r2 below it"),
        ('kind = "flap"\nat_s = 0\nrouter = "r0"\nshare = 0.5\nperiod_s = 1', "", "r0 is the core"),
        ('kind = "kill"\nat_s = 0\nnodes = 5\nwithin = "s1"', "", "drawn from 4"),
        ('kind = "kill"\nat_s = 0\nnodes = 8', "", "no node is left to multicast"),
        ('kind = "partition"\nat_s = 0\nsets = ["s1", "r1"]', "", "node 0 is in two of the sets"),
        ('kind = "partition"\nat_s = 0\nsets = ["all"]', "", "leave some out"),
        ('kind = "kill"\nat_s = 0\nnodes = 1', 'kind = "saturated"', "not in runs of kind"),
        ('kind = "kill"\nat_s = 0\nnodes = 1', 'round_s = "auto"', "has no rounds to count"),
        ('kind = "kill"\nat_s = 0\nnodes = "source"', "concurrent = 2", "run.concurrent = 1"),
        ('kind = "kill"\nat_infected = 0.5\nnodes = 1', "concurrent = 2", "run.concurrent = 1"),
    ],
)
def test_what_does_not_fit_the_network_is_found_before_it_is_built(
    tmp_path: Path, fault: str, run: str, remedy: str
) -> None:
    path = tmp_path / "mine.toml"
    run = run.replace("concurrent = 1\n", "")
    text = FILE.format(run=run, fault=fault)
    path.write_text(text.replace("concurrent = 1\n", "") if "concurrent" in run else text)
    with pytest.raises(UsageError) as caught:
        experiment.load(str(path))
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_faults_are_part_of_the_cell_and_of_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE.format(run="", fault='kind = "kill"\nat_round = 0\nnodes = 0.5'))
    loaded = experiment.load(str(path))
    (cell,) = loaded.cells
    assert cell.faults == (Fault("kill", at_round=0.0, nodes=0.5),)
    assert loaded.manifest()["cells"][0]["faults"][0]["nodes"] == 0.5
    assert faults.describe(cell.faults) == "kill 0.5 at_round 0"
