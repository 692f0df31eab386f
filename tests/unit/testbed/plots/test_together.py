"""Runs that differ are drawn apart, and no legal experiment breaks a plot."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from agents.protocols.centralized import CentralizedData
from testbed import experiment, plots, results, simulation
from testbed.progress import Progress
from testbed.tables import RunTables

SENDER = ("nodes=8", "protocol=push,tree", "messages=12", "repeats=1")
INTERIOR = ("nodes=8", "repeats=1")
ACKS = ("nodes=8,16", "repeats=1", "messages=2")
SLEEPER = (
    *("nodes=6", "protocol=tree", "repeats=1", "messages=150"),
    *("faults.0.at_s=2", "faults.0.for_s=2", "faults.0.share=0.5"),
)
BUFFERS = ("nodes=6", "messages=10", "repeats=1", "packet_limit=10,3", "policy=most_recent")
FAN_OUT = ("nodes=8", "repeats=2", "fan_out=[2,3]", "loss_ratio=0")
RELIABILITY = ("nodes=8", "repeats=2", "loss_ratio=0")


class Runs:
    """Simulates each small experiment once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, ...], RunTables] = {}

    def __call__(self, name: str, *settings: str) -> RunTables:
        key = (name, *settings)
        if key not in self._made:
            loaded = experiment.load(name, settings=settings)
            path = simulation.simulate(loaded, seed=1, folder=self._folder, progress=Progress())
            self._made[key] = results.load(path)
        return self._made[key]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("together"))


def on_hosts(tables: RunTables) -> RunTables:
    return dataclasses.replace(tables, manifest={**tables.manifest, "evidence": "emulated"})


def drawn(name: str, *tables: RunTables) -> Figure:
    figure = plots.load(name).draw(tables)
    assert isinstance(figure, Figure)
    return figure


def table(name: str, *tables: RunTables) -> pd.DataFrame:
    found = plots.load(name).table(tables)
    assert isinstance(found, pd.DataFrame)
    return found


def labels(figure: Figure) -> list[str]:
    """What is written at the axis of bars, over panels, and in legends."""
    ticks = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    keys = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [*ticks, *titles, *(text.get_text() for key in keys if key for text in key.get_texts())]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sender_dies_midway", SENDER),
        ("interior_node_dies", INTERIOR),
        ("ack_implosion", ACKS),
        ("perturbed_member", SLEEPER),
        ("buffer_policies", BUFFERS),
        ("fan_out", FAN_OUT),
    ],
)
def test_runs_on_hosts_are_never_pooled_with_simulated_ones(
    name: str, settings: tuple[str, ...], runs: Runs
) -> None:
    one = runs(name, *settings)
    alone, both = table(name, one), table(name, on_hosts(one), one)
    assert both["evidence"].value_counts().to_dict() == dict.fromkeys(
        ("emulated", "simulated"), len(alone)
    )
    assert sorted(both["runs"]) == sorted([*alone["runs"], *alone["runs"]])
    assert any("simulated" in text for text in labels(drawn(name, on_hosts(one), one)))


@pytest.mark.parametrize(
    ("name", "settings"),
    [("sender_dies_midway", SENDER), ("interior_node_dies", INTERIOR), ("ack_implosion", ACKS)],
)
def test_two_directories_of_the_same_are_pooled(
    name: str, settings: tuple[str, ...], runs: Runs
) -> None:
    one = runs(name, *settings)
    assert table(name, one, one)["runs"].to_list() == [2 * n for n in table(name, one)["runs"]]


def test_a_bar_is_of_one_time_of_the_kill_and_of_one_loss(runs: Runs) -> None:
    one = runs("sender_dies_midway", *SENDER, "faults.0.at_s=0.5,1.01", "loss_ratio=0,0.2")
    numbers = table("sender_dies_midway", one)
    assert len(numbers) == 8 and (numbers["runs"] == 1).all()
    (axes,) = drawn("sender_dies_midway", one).axes
    bars = [text.get_text() for text in axes.get_yticklabels()]
    assert "uniform push (loss = 0.2, kill at_s = 0.5)" in bars and len(set(bars)) == 8


def test_the_central_sender_dies_between_its_copies_and_some_deliver_the_last(runs: Runs) -> None:
    one = runs("sender_dies_midway", "protocol=centralized", "repeats=1", "loss_ratio=0")
    copies = one.events[one.events["type"] == CentralizedData.TYPE]
    assert ((copies["event"] == "send") & (copies["sequence"] == 11)).sum() == 10
    (row,) = table("sender_dies_midway", one).to_dict("records")
    assert (row["last"], row["some of them"]) == pytest.approx((10 / 31, 1 / 11))
    figure = drawn("sender_dies_midway", one)
    assert [text.get_text() for text in figure.axes[0].texts] == ["last: 32%"]


def test_a_panel_is_of_one_tree_and_one_time_of_the_kill(runs: Runs) -> None:
    settings = (*INTERIOR, "k=2,3", "faults.0.at_s=0.35,0.55")
    one = runs("interior_node_dies", *settings)
    numbers = table("interior_node_dies", one)
    assert len(numbers) == 2 * 2 * 2 + 2 and (numbers["runs"] == 1).all()
    titles = " ".join(labels(drawn("interior_node_dies", one))).replace("\n", " ")
    assert "tree, not mended (k = 3, kill at_s = 0.55)" in titles
    assert "uniform push (kill at_s = 0.35)" in titles


def test_each_arity_and_pace_has_a_line_and_a_theory_of_its_own(runs: Runs) -> None:
    one = runs("ack_implosion", *ACKS, "protocol.tree.k=2,3", "rate_mbit=0.5,1")
    numbers = table("ack_implosion", one)
    assert (numbers["runs"] == 1).all()
    copies = numbers.set_index(["way", "variant"])["source_data_per_message"]
    assert copies["tree, gathered on the way up", "k = 3"].to_list() == [3, 3]
    assert copies["tree, gathered on the way up", "k = 2"].to_list() == [2, 2]
    waits = numbers.groupby("variant")["predicted_t_last_ms"].agg(lambda times: times.diff().max())
    assert waits["rate_mbit = 0.5"] == pytest.approx(2 * waits["rate_mbit = 1.0"])


def test_a_sleeper_in_a_larger_group_is_a_line_of_its_own(runs: Runs) -> None:
    one = runs("perturbed_member", *SLEEPER, "nodes=6,8", "faults.0.share=0.5,0.2")
    numbers = table("perturbed_member", one)
    assert {name: list(rows["asleep"]) for name, rows in numbers.groupby("variant")} == {
        name: [0.0, 0.5, 0.8] for name in ("nodes = 6", "nodes = 8")
    }


def test_points_of_several_retentions_stand_apart(runs: Runs) -> None:
    one = runs("reliability", *RELIABILITY, "c=1,2", "protocol.default.fan_out=2,3")
    assert sum("measured mean" in text for text in labels(drawn("reliability", one))) == 4


def test_arms_of_one_protocol_look_different(runs: Runs) -> None:
    one = runs("latency", "nodes=4,8,16", "repeats=3", "protocol=push", "core_delay_ms=0,5")
    (axes,) = drawn("dissemination_time", one).axes
    fitted = [line for line in axes.get_lines() if np.size(line.get_xdata()) == 50]
    assert len({line.get_linestyle() for line in fitted}) == 2
    assert any("core_delay_ms = 5" in text for text in labels(drawn("dissemination_time", one)))


def test_a_plot_of_one_condition_says_how_many_more_there_were(runs: Runs) -> None:
    settings = ("nodes=8,16", "repeats=2", "messages=4", "loss_ratio=0,0.1,0.2")
    figure = drawn("rmtp_status", runs("rmtp_status", *settings))
    assert "Not drawn: 2 more groups of runs." in figure.get_supxlabel()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("perturbed_member", (*SLEEPER, "faults.0.nodes=source", "concurrent=1")),
        ("perturbed_member", (*SLEEPER, "faults.0.nodes=all")),
        ("perturbed_member", (*SLEEPER, "nodes=2")),
        ("perturbed_member", (*SLEEPER, "faults.0.at_s=0")),
        ("perturbed_member", (*SLEEPER, "interval_s=0")),
        ("interior_node_dies", (*INTERIOR, "faults.0.nodes=source", "faults.0.at_s=0")),
        ("buffer_policies", (*BUFFERS, "interval_s=300", "messages=2", "packet_limit=10,1")),
    ],
)
def test_runs_that_a_plot_cannot_show_are_left_out(
    name: str, settings: tuple[str, ...], runs: Runs, tmp_path: Path
) -> None:
    plots.draw([runs(name, *settings)], tmp_path)
    assert not (tmp_path / f"{name}.png").exists()


def test_a_tree_of_which_nothing_arrives_is_all_cut_off(runs: Runs) -> None:
    one = runs("interior_node_dies", *INTERIOR, "protocol=tree", "loss_ratio=1")
    assert set(table("interior_node_dies", one)["cut off"]) == {6}
    assert len(drawn("interior_node_dies", one).axes) == 2


def test_a_slow_node_without_a_period_of_its_own_is_drawn(runs: Runs) -> None:
    one = runs("perturbed_member", *SLEEPER)
    (cell,) = one.manifest["experiment"]["cells"]
    faults = [{**cell["faults"][0], "period_s": None}]
    stated = {**one.manifest["experiment"], "cells": [{**cell, "faults": faults}]}
    usual = dataclasses.replace(one, manifest={**one.manifest, "experiment": stated})
    assert "once in every 0.1 s" in drawn("perturbed_member", usual).get_supxlabel()


def test_nodes_that_sleep_together_are_none_of_the_others(runs: Runs) -> None:
    settings = (*SLEEPER, "protocol=srm", "faults.0.nodes=2", "faults.0.share=0.1")
    numbers = table("perturbed_member", runs("perturbed_member", *settings)).set_index("asleep")
    assert numbers["sleeper"][0.9] < 0.5 * numbers["sleeper"][0.0]
    assert numbers["others"][0.9] > 0.95 * numbers["others"][0.0]
