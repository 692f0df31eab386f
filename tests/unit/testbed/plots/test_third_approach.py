"""The comparison of all protocols: lines, exponents, and words on what is not alike."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from testbed import experiment, plotting, results, simulation
from testbed.plots import third_approach
from testbed.progress import Progress
from testbed.tables import RunTables
from tests.unit.testbed.plots.test_plots import SMALL, words_of


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    loaded = experiment.load(third_approach.NAME, settings=SMALL[third_approach.NAME])
    folder = tmp_path_factory.mktemp("simulated")
    return results.load(simulation.simulate(loaded, seed=1, folder=folder, progress=Progress()))


def figure_of(tables: list[RunTables]) -> Figure:
    figure = third_approach.draw(tables)
    assert figure is not None
    return figure


def test_costs_of_a_stream_have_exponents_with_intervals(shown: RunTables) -> None:
    numbers = third_approach.table([shown])
    push = numbers[numbers["protocol"] == "push"].iloc[0]
    assert push["core_exponent_low"] < push["core_exponent"] < push["core_exponent_high"]
    # Every node sends b in each of R rounds, half of it across the core, whoever the sender is.
    assert 0.9 < push["core_exponent"] < 1.6
    assert math.isnan(push["control_exponent"])


def test_variants_of_a_protocol_are_lines_of_their_own(shown: RunTables) -> None:
    numbers = third_approach.table([shown])
    srm = numbers[numbers["protocol"] == "srm"]
    assert sorted(zip(srm["variant"], srm["nodes"], strict=True)) == [
        (variant, nodes) for variant in ("adaptive", "fixed") for nodes in (8, 16, 32)
    ]
    assert srm.groupby("variant")["source_heard_control_exponent"].nunique().to_list() == [1, 1]
    looks = plotting.looks([("push", ""), ("srm", "adaptive"), ("srm", "fixed")])
    assert len({(look.marker, look.line) for look in looks.values()}) == 3
    assert looks["srm", "adaptive"].colour == looks["srm", "fixed"].colour


def test_a_run_that_goes_on_for_longer_has_no_more_control_in_the_comparison(
    shown: RunTables,
) -> None:
    last_ns = shown.events[shown.events["event"] == "multicast"]["time_ns"].max()
    control = shown.events[~shown.events["type"].isin(shown.manifest["data_types"])]
    again = control.assign(time_ns=control["time_ns"].abs() + last_ns)
    longer = dataclasses.replace(shown, events=pd.concat([shown.events, again], ignore_index=True))
    columns = ["control", "source", "source_heard_control", "member_heard_control"]
    assert third_approach.table([longer])[columns].equals(third_approach.table([shown])[columns])
    sender = [
        types[types["place"] != "core"] for types in map(third_approach.types, ([longer], [shown]))
    ]
    assert sender[0].equals(sender[1])


def test_the_comparison_has_a_line_for_each_way_to_mend_a_tree() -> None:
    cells = experiment.load("third_approach").cells
    trees = [cell for cell in cells if cell.protocol == "tree"]
    assert {cell.options["repair"] for cell in trees} == {"ack", "nak"}


def test_the_comparison_says_what_is_not_alike_of_the_protocols_it_shows(shown: RunTables) -> None:
    words = words_of(figure_of([shown]))
    assert "SRM's session messages share 64 kbit/s" in words
    assert "paced" not in words and "RMTP" not in words and "In order" not in words
    push = shown.runs["protocol"] == "push"
    options = shown.runs["options"].mask(push, '{"rate_mbit": 0.5}')
    protocol = shown.runs["protocol"].mask(push, "centralized")
    paced = dataclasses.replace(shown, runs=shown.runs.assign(protocol=protocol, options=options))
    words = words_of(figure_of([paced]))
    assert "Only centralized is paced, at 0.5 Mbit/s" in words
    assert "In order, waiting for what is missing: centralized." in words


def test_packets_by_type_add_up_to_those_of_the_table(shown: RunTables) -> None:
    arm = ["protocol", "variant", "nodes"]
    types = third_approach.types([shown])
    numbers = third_approach.table([shown]).set_index(arm)
    assert {"SrmData", "SrmSession"} <= set(types["type"])
    core = types[types["place"] == "core"].groupby(arm)["per_multicast"].sum()
    assert core.to_dict() == pytest.approx(numbers["core"].to_dict())
    sent = types[types["place"] == "sender sends"].groupby(arm)["per_multicast"].sum()
    assert sent.to_dict() == pytest.approx(numbers["source"].to_dict())
    heard = types[(types["place"] == "sender hears") & ~types["data"]]
    wanted = numbers["source_heard_control"]
    found = heard.groupby(arm)["per_multicast"].sum().reindex(wanted.index, fill_value=0.0)
    assert found.to_dict() == pytest.approx(wanted.to_dict())


def test_a_share_that_is_alike_in_all_runs_has_no_interval(shown: RunTables) -> None:
    numbers = third_approach.table([shown])
    whole = numbers[numbers["delivery_ratio"] == 1]
    assert len(whole) and whole["delivery_ratio_low"].isna().all()
    assert (numbers["t_last_s_low"] < numbers["t_last_s"]).all()


def test_simulated_points_are_hollow_and_those_of_hosts_are_not(shown: RunTables) -> None:
    hosts = dataclasses.replace(shown, manifest={**shown.manifest, "evidence": "emulated"})
    figure = figure_of([hosts, shown])
    last = next(axes for axes in figure.axes if axes.get_title().startswith("to the last"))
    faces = [line.get_markerfacecolor() for line in last.get_lines()]
    assert faces.count("white") == len(faces) / 2 == 3


def test_a_cell_of_which_no_run_could_be_judged_is_named(shown: RunTables) -> None:
    assert "could be judged" not in words_of(figure_of([shown]))
    runs = shown.runs.assign(
        voided=(shown.runs["protocol"] == "push") & (shown.runs["nodes"] == 32)
    )
    words = words_of(figure_of([dataclasses.replace(shown, runs=runs)]))
    assert "No run could be judged of uniform push with 32 nodes at 10%." in words
