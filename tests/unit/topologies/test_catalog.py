"""What the catalog promises, and what holds for every topology in the folder."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from topologies import catalog
from topologies.elements import GraphError

ROOT = Path(__file__).parents[3]
TOPOLOGIES = catalog.names()


def test_the_shipped_topologies_are_there() -> None:
    assert {"two_subnets", "star", "hierarchy"} <= set(TOPOLOGIES)


def test_parts_are_no_topologies_and_exist() -> None:
    assert not catalog.PARTS & set(TOPOLOGIES)
    assert all((catalog.FOLDER / f"{part}.py").exists() for part in catalog.PARTS)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_topology_builds_with_its_defaults_and_bears_its_name(name: str) -> None:
    graph = catalog.build(name)
    assert graph.name == name
    assert graph.lan == "routed"
    assert set(graph.loss_classes().values()) == {0.0}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_topology_has_the_hosts_and_the_loss_that_it_is_asked_for(name: str) -> None:
    graph = catalog.build(name, hosts=37, loss_ratio=0.25)
    assert graph.nodes == 37
    assert {host.receive.loss_ratio for host in graph.hosts} == {0.25}
    assert graph.path_loss(0, 36) == graph.path_loss(0, 1) == 0.25


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_topology_loses_on_links_what_it_is_asked_for(name: str) -> None:
    graph = catalog.build(name, link_loss_ratio=0.5)
    assert {link.up.loss_ratio for link in graph.links} == {0.5}
    assert {link.down.loss_ratio for link in graph.links} == {0.5}
    crossed = len(graph.path(0, graph.nodes - 1)) - 1
    assert graph.path_loss(0, graph.nodes - 1) == pytest.approx(1 - 0.5**crossed)


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("hosts", [0, 1, -5, "many"])
def test_a_number_of_hosts_that_makes_no_group_is_refused(name: str, hosts: object) -> None:
    with pytest.raises(GraphError, match=rf"^hosts = {hosts!r}: give a whole number from 2"):
        catalog.build(name, hosts=hosts)


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("key", ["loss_ratio", "link_loss_ratio"])
@pytest.mark.parametrize("loss", [1.5, -0.1, float("nan")])
def test_a_loss_that_is_no_ratio_is_refused(name: str, key: str, loss: float) -> None:
    with pytest.raises(GraphError, match=rf"^{key} = {loss}: give a number from 0 to 1 \("):
        catalog.build(name, **{key: loss})


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_more_hosts_than_its_bridges_hold_are_refused(name: str) -> None:
    with pytest.raises(GraphError, match=r"a Linux bridge takes 1\.\.1023; use more subnets"):
        catalog.build(name, hosts=20_000)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_topology_is_a_script_for_any_python_anywhere(name: str, tmp_path: Path) -> None:
    """Isolated: no environment, no site packages, another working directory."""
    script = ROOT / "topologies" / f"{name}.py"
    command = [sys.executable, "-I", "-S", "-B", str(script)]
    shown = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "--hosts HOSTS" in shown.stdout
    refused = subprocess.run(
        [*command, "--hosts", "-5"], cwd=tmp_path, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert refused.stderr == f"{name}: hosts = -5: give a whole number from 2 to 1048576\n"


def test_an_unknown_topology_is_refused_with_the_near_ones() -> None:
    with pytest.raises(
        GraphError, match=r"unknown topology 'two_subnet'; did you mean two_subnets"
    ):
        catalog.build("two_subnet")
    with pytest.raises(GraphError, match="unknown topology 'graph'"):
        catalog.build("graph")


def test_an_unknown_parameter_is_refused_with_the_near_ones() -> None:
    message = r"star has no parameter 'subnet'; did you mean subnets"
    with pytest.raises(GraphError, match=message):
        catalog.fill("star", {"subnet": 3})
    with pytest.raises(GraphError, match=message):
        catalog.parse("star", {"subnet": "3"})
    with pytest.raises(GraphError, match=r"no parameter 'subnet'; did you mean subnets"):
        catalog.build("star", subnet=3)


def test_what_the_harness_sets_is_not_among_a_topology_s_own() -> None:
    assert set(catalog.fill("star", {"subnets": 8})) == {
        *("subnets", "hosts_per_subnet", "loss", "link_loss_ratio", "access_delay_ms"),
        *("core_delay_ms", "access", "access_up", "core", "core_up", "lan"),
    }
    with pytest.raises(GraphError, match="no parameter 'hosts'"):
        catalog.fill("star", {"hosts": 8})


def test_a_file_without_what_the_harness_sets_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import topologies

    (tmp_path / "hollow.py").write_text("")
    (tmp_path / "partial.py").write_text("def build(hosts: int = 3): ...")
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    monkeypatch.setattr(topologies, "__path__", [str(tmp_path)])
    assert catalog.names() == ["hollow", "partial"]
    with pytest.raises(GraphError, match=r"topologies/hollow\.py: no function `build`; define one"):
        catalog.build("hollow")
    with pytest.raises(GraphError, match=r"partial\.py: build has no 'loss_ratio'; add"):
        catalog.build("partial")


def test_a_hierarchy_of_too_many_subnets_is_refused_before_it_is_made() -> None:
    with pytest.raises(
        GraphError, match=r"depth = 20, fan_out = 10: 10\^20 subnets, at most 65536"
    ):
        catalog.build("hierarchy", depth=20, fan_out=10)


def test_8192_hosts_are_built_in_a_second_of_processor_time() -> None:
    began = time.process_time()
    graph = catalog.build("hierarchy", hosts=8192, depth=3, fan_out=8)
    assert sum(len(graph.routes(router.name)) for router in graph.routers) > 600
    assert time.process_time() - began < 1.0
