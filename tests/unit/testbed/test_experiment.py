"""From a TOML file to frozen cells, and what bad input gets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from agents import registry
from agents.options import OptionInfo, describe
from testbed import experiment
from testbed.errors import UsageError
from testbed.experiment import Experiment

MINE = """
[experiment]
description = "two protocols on three sizes"
claims = ["C1"]

[grid]
protocol = ["push", "topology_aware"]
topology = "two_subnets"
nodes = [8, 16, 32]
loss_ratio = [0.0, 0.25]

[protocol]
fan_out = [1, 2]

[protocol.topology_aware]
fan_out = 3

[run]
repeats = [30, 20, 10]
rounds = { push = [1, 2, 3], default = 9 }

[full]
nodes = [8, 64]
repeats = 100
run.horizon_rounds = 99
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def changed(path: Path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return str(path)


def refusal(name: str | Path, *settings: str) -> str:
    with pytest.raises(UsageError) as caught:
        experiment.load(str(name), settings=settings)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("variant", ["quick", "full"])
@pytest.mark.parametrize("name", experiment.names())
def test_every_experiment_shipped_loads(name: str, variant: str) -> None:
    loaded = experiment.load(name, variant=variant)
    assert loaded.name == name
    assert loaded.cells
    json.dumps(loaded.manifest())


def test_cells_are_the_product_of_the_axes(mine: Path) -> None:
    cells = experiment.load(str(mine)).cells
    assert len(cells) == 3 * 2 * (2 + 1)  # sizes, losses, fan-outs of push and topology_aware
    assert [cell.index for cell in cells] == list(range(len(cells)))
    assert [cell.nodes for cell in cells[:3]] == [8, 16, 32]
    assert {cell.options["fan_out"] for cell in cells if cell.protocol == "push"} == {1, 2}


def test_what_one_protocol_says_beats_what_is_said_for_all(mine: Path) -> None:
    cells = experiment.load(str(mine)).cells
    assert {cell.options["fan_out"] for cell in cells if cell.protocol != "push"} == {3}


def test_defaults_are_filled_in(mine: Path) -> None:
    cell = experiment.load(str(mine)).cells[0]
    assert cell.timing == "free"
    assert cell.run.kind == "dissemination"
    assert "retention" in cell.options


def test_a_list_of_the_run_goes_along_the_sizes(mine: Path) -> None:
    cells = experiment.load(str(mine)).cells
    assert {(cell.nodes, cell.run.repeats) for cell in cells} == {(8, 30), (16, 20), (32, 10)}


def test_a_table_of_the_run_goes_by_protocol(mine: Path) -> None:
    cells = experiment.load(str(mine)).cells
    assert {(c.nodes, c.run.rounds) for c in cells if c.protocol == "push"} == {
        (8, 1),
        (16, 2),
        (32, 3),
    }
    assert {c.run.rounds for c in cells if c.protocol == "topology_aware"} == {9}


def test_other_sizes_take_the_value_of_the_nearest_one(mine: Path) -> None:
    cells = experiment.load(str(mine), settings=["nodes=9,200"]).cells
    assert {(cell.nodes, cell.run.repeats) for cell in cells} == {(9, 30), (200, 10)}


def test_full_changes_single_values(mine: Path) -> None:
    cells = experiment.load(str(mine), variant="full").cells
    assert {cell.nodes for cell in cells} == {8, 64}
    assert {cell.run.repeats for cell in cells} == {100}
    assert {cell.run.horizon_rounds for cell in cells} == {99}


def test_full_takes_the_values_of_default_first(mine: Path) -> None:
    text = mine.read_text() + "[default]\nrepeats = [3, 2, 1]\nround_s = 0.7\n"
    mine.write_text(text)
    repeats, round_s = {}, {}
    for variant in ("quick", "default", "full"):
        cells = experiment.load(str(mine), variant=variant).cells
        repeats[variant] = {cell.run.repeats for cell in cells}
        round_s[variant] = {cell.run.round_s for cell in cells}
    assert repeats == {"quick": {30, 20, 10}, "default": {3, 2, 1}, "full": {100}}
    assert round_s == {"quick": {0.5}, "default": {0.7}, "full": {0.7}}


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("nodes=16", lambda e: {c.nodes for c in e.cells} == {16}),
        ("grid.nodes=[16, 32]", lambda e: {c.nodes for c in e.cells} == {16, 32}),
        ("loss_ratio=0.5", lambda e: {c.loss_ratio for c in e.cells} == {0.5}),
        ("fan_out=4", lambda e: {c.options["fan_out"] for c in e.cells} == {4}),
        ("protocol.fan_out=4", lambda e: {c.options["fan_out"] for c in e.cells} == {4}),
        (
            "protocol.push.fan_out=5",
            lambda e: {c.options["fan_out"] for c in e.cells} == {5, 3},
        ),
        ("round_s=auto", lambda e: {c.run.round_s for c in e.cells} == {None}),
        ("run.round_s=0.2", lambda e: {c.run.round_s for c in e.cells} == {0.2}),
        ("retention=forever", lambda e: {c.options["retention"] for c in e.cells} == {"forever"}),
        ("protocol=push", lambda e: {c.protocol for c in e.cells} == {"push"}),
        (
            "core=delay_ms=20,jitter_ms=5",
            lambda e: {c.parameters["core"] for c in e.cells} == {"delay_ms=20,jitter_ms=5"},
        ),
        (
            'core=["jitter_ms=5,delay_ms=9", "delay_ms=1"]',
            lambda e: (
                {c.parameters["core"] for c in e.cells} == {"jitter_ms=5,delay_ms=9", "delay_ms=1"}
            ),
        ),
    ],
)
def test_set_changes_one_value(mine: Path, setting: str, found: object) -> None:
    assert callable(found)
    loaded = experiment.load(str(mine), settings=[setting])
    assert isinstance(loaded, Experiment)
    assert found(loaded)


def test_a_protocol_of_ones_own_takes_the_place_of_the_others(mine: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import dataclass\n"
        "from agents.api import Protocol\n"
        "@dataclass(frozen=True)\nclass Options: pass\n"
        "class Own(Protocol):\n    Options = Options\n"
    )
    cells = experiment.load(str(mine), protocols=[str(own)]).cells
    assert {cell.protocol for cell in cells} == {"own"}
    assert {cell.protocol_source for cell in cells} == {str(own)}
    assert {cell.run.rounds for cell in cells} == {9}


def test_repeats_may_be_given_apart(mine: Path) -> None:
    assert {c.run.repeats for c in experiment.load(str(mine), repeats=7).cells} == {7}


def test_a_cell_is_frozen_and_builds_its_network_once(mine: Path) -> None:
    cell = experiment.load(str(mine)).cells[0]
    assert cell.graph().nodes == cell.nodes
    assert cell.graph() is cell.graph()
    with pytest.raises(dataclasses.FrozenInstanceError):
        cell.nodes = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("nodes=0", ["nodes=0", "2.."]),
        ("nodes=1", ["nodes=1", "2.."]),
        ("nodes=-5", ["nodes=-5", "2.."]),
        ("nodes=many", ["nodes='many'", "whole number"]),
        ("nodes=2.5", ["nodes=2.5"]),
        ("nodes=[]", ["nodes = []"]),
        ("nodes=9999999", ["hosts"]),
        ("fan_out=8", ["fan_out=8", "8 nodes"]),
        ("fan_out=0", ["fan_out=0", "1.."]),
        ("loss_ratio=1.5", ["loss_ratio=1.5", "0..1"]),
        ("loss_ratio=-0.1", ["loss_ratio=-0.1", "0..1"]),
        ("loss_ratio=nan", ["loss_ratio=nan", "0..1"]),
        ("timing=fre", ["timing='fre'", "did you mean 'free'?"]),
        ("protocol=pusj", ["pusj", "did you mean 'push'?"]),
        ("topology=two_subnet", ["two_subnet", "did you mean"]),
        ("repeets=3", ["unknown key repeets", "did you mean repeats"]),
        ("run.repeets=3", ["unknown key run.repeets", "did you mean run.repeats?"]),
        ("protocol.push.fanout=3", ["protocol.push.fanout", "protocol.push.fan_out"]),
        ("repeats=0", ["repeats=0", "1.."]),
        ("round_s=soon", ["round_s='soon'", '"auto"']),
        ("kind=dissemnation", ["dissemnation", "dissemination"]),
        ("nodes", ["--set nodes", "key=value"]),
    ],
)
def test_a_bad_setting_is_one_line(mine: Path, setting: str, words: list[str]) -> None:
    line = refusal(mine, setting)
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[grid]", "[grid", ["not TOML", "line 6"]),
        ("[grid]", "[gird]", ["[gird]", "did you mean grid?"]),
        ("nodes = [8", "noodles = [8", ["[grid] unknown key noodles", "did you mean nodes?"]),
        ("nodes = [8, 16, 32]", 'nodes = ["8", 16, 32]', ["[grid] nodes = '8'", "whole number"]),
        ("nodes = [8, 16, 32]", "nodes = 8", ["repeats", "3 values for 1 sizes", "[8]"]),
        ("repeats = [30", 'repeats = ["30"', ["repeats='30'", "whole number"]),
        ("repeats = [30", "repeats = [true", ["repeats=True"]),
        ("push = [1", "pusch = [1", ["unknown protocol pusch", "did you mean push?"]),
        ("rounds = {", "round = {", ["unknown key round", "rounds"]),
        (", default = 9", "", ["rounds", "nothing for topology_aware", "default"]),
        ("[protocol.topology_aware]", "[protocol.pull]", ["[protocol.pull]", "grid"]),
        ("fan_out = 3", "fan_oud = 3", ["fan_oud", "did you mean fan_out?"]),
        ("fan_out = 3", "fan_out = '3'", ["fan_out='3'", "whole number"]),
        ('claims = ["C1"]', 'claims = ["C0"]', ["unknown claim C0"]),
        ('claims = ["C1"]', 'claims = "C1"', ["claims", "list"]),
        ("description = ", "descriptoin = ", ["descriptoin", "did you mean description?"]),
        ("[experiment]", '[experiment]\nvariants = ["slow"]', ["variants", "slow", "default"]),
        ("[full]", "[full]\nrepeets = 3", ["repeets", "did you mean repeats"]),
        ("[experiment]", "quick = 1\n[experiment]", ["quick = 1", "[quick]"]),
    ],
)
def test_a_bad_file_is_one_line(mine: Path, old: str, new: str, words: list[str]) -> None:
    line = refusal(changed(mine, old, new))
    for word in words:
        assert word in line


def bad_values(info: OptionInfo) -> list[str]:
    """What an option must not take; tests/unit/agents/test_options.py has more of each type."""
    bounds = [(info.low, -1.0), (info.high, 1.0)]
    outside = [f"{bound + step:.12g}" for bound, step in bounds if bound is not None]
    return ['"nobody"', "[]", *outside, *(["inf"] if info.kind in (int, float) else [])]


@pytest.mark.parametrize("protocol", registry.names())
def test_a_bad_option_of_any_protocol_is_refused_with_its_domain_and_default(
    protocol: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.toml"
    for info in describe(registry.load(protocol).protocol.Options):
        words = [info.name, *(info.choices or [info.domain]), f"(default {info.default_words})"]
        for value in bad_values(info):
            file.write_text(f'grid.protocol = "{protocol}"\nprotocol.{info.name} = {value}\n')
            line = refusal(file)
            assert info.name in line
            assert value == "[]" or [word for word in words if word not in line] == [], line


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("protocol.srm.c2=-1", "c2=-1: choose float 0..1e+06 distances (default 2.0)"),
        ("protocol.srm.c2=two", "c2='two': wrong type; choose a number: float 0..1e+06 distances"),
        ("protocol.rmtp.window=0", "window=0: choose int 1..4096 multicasts (default 64)"),
        ("protocol.tree.k=1", "k=1: choose int 2..1000 children (default 2)"),
        ("protocol.srm.c2=[]", "protocol.srm.c2 = []: name at least one"),
        ("topology.two_subnets.loss=[]", "topology.two_subnets.loss = []: name at least one"),
    ],
)
def test_a_bad_option_is_worded_like_this(setting: str, says: str) -> None:
    assert says in refusal("third_approach", setting)


def test_a_list_of_figures_of_a_fault_is_an_axis() -> None:
    cells = experiment.load(
        "perturbed_member", settings=["protocol=srm,tree", "faults.0.share=0.5,0.25"]
    ).cells
    shares = [(cell.protocol, cell.faults[0].share) for cell in cells]
    assert shares == [("srm", 0.5), ("srm", 0.25), ("tree", 0.5), ("tree", 0.25)]


def test_quick_sets_a_figure_of_a_fault() -> None:
    cells = experiment.load("perturbed_member", variant="quick").cells
    assert {fault.share for cell in cells for fault in cell.faults} == {0.1}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("faults.0.shar=0.5", "unknown key faults.0.shar; did you mean faults.0.share"),
        ("faults.1.share=0.5", "unknown key faults.1.share"),
        ("faults.0.share=0.5,2", "number 1, slow: share = 2: give a number 0.01..0.99"),
        ("faults.0.share=[]", "number 1, slow: share = []: give a number 0.01..0.99"),
    ],
)
def test_a_bad_figure_of_a_fault_is_refused(setting: str, says: str) -> None:
    assert says in refusal("perturbed_member", setting)


def test_a_protocol_that_cannot_hold_a_multicast_from_the_start_is_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mute.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom agents.api import Protocol\n"
        "@dataclass\nclass Options: pass\n"
        "class Mute(Protocol):\n    Options = Options\n    MESSAGES = ()\n"
    )
    experiment.load("latency", protocols=[str(file)])
    with pytest.raises(UsageError, match=r"mute: no hold\(id, payload, now\).*; define it"):
        experiment.load("core_load", protocols=[str(file)])


def test_a_missing_file_is_named() -> None:
    assert "./nowhere.toml" in refusal("./nowhere.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\x89PNG\xff\xfe")
    assert "not TOML" in refusal(path)


def test_a_misspelt_experiment_gets_the_near_ones() -> None:
    assert "did you mean core_load?" in refusal("core-load")


def test_a_parameter_that_is_a_list_is_one_value(mine: Path) -> None:
    settings = ["nodes=[8]", "repeats=1", "hosts_per_subnet=3,5"]
    cells = experiment.load(str(mine), settings=settings).cells
    assert {cell.parameters["hosts_per_subnet"] for cell in cells} == {(3, 5)}


def test_sizes_of_subnets_that_do_not_make_the_nodes_are_refused(mine: Path) -> None:
    settings = ["nodes=8", "repeats=1", "hosts_per_subnet=3,4"]
    assert "hosts_per_subnet makes 7" in refusal(mine, *settings)
