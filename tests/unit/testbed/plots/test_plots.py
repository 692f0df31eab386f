"""Every plot says which claim, how many runs, which interval, and what was predicted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from testbed import experiment, plots, plotting, results, simulation
from testbed.errors import UsageError
from testbed.progress import Progress
from testbed.simulator.reference import draw
from testbed.tables import RunTables
from tests import synthetic
from tests.unit.testbed.claims import test_naks as naks

SMALL: dict[str, tuple[str, ...]] = {
    "buffer_policies": ("protocol.buffered_push.packet_limit=10,3", "messages=25", "repeats=2"),
    "fan_out": ("nodes=16", "repeats=4", "protocol.push.fan_out=[2,4]"),
    "half_the_packets_die": ("nodes=8,16", "repeats=3"),
    "half_the_nodes_die": ("nodes=8,16", "repeats=4"),
    "early_death": ("nodes=16", "repeats=12", "concurrent=6"),
    "partition_heals": ("nodes=8", "repeats=4"),
    "twins": ("nodes=8,16", "repeats=3"),
    "pbcast_histogram": ("nodes=12", "repeats=60"),
    "perturbed_member": (
        *("protocol=srm,rmtp", "repeats=1", "messages=250"),
        "faults.0.share=0.6,0.1",
    ),
    "interior_node_dies": ("nodes=8,16", "repeats=1"),
    "rmtp_status": ("nodes=8,16", "repeats=2", "concurrent=2", "messages=6"),
    "sender_dies_midway": ("nodes=8", "protocol=push,tree", "messages=12", "repeats=1"),
    "ack_implosion": ("nodes=8,16", "repeats=1"),
    "third_approach": (
        *("nodes=8,16,32", "protocol=push,srm", "loss_ratio=0.1", "messages=3"),
        "protocol.srm.timers=fixed,adaptive",
    ),
}
"""Shipped experiments that a plot of their name is tested with, and what makes them small."""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[RunTables]]:
    """Runs of the experiments that plots are named after; the same stand for those on hosts."""
    folder = tmp_path_factory.mktemp("simulated")
    progress = Progress()
    paths = {
        name: simulation.simulate(
            experiment.load(name, settings=settings), seed=1, folder=folder, progress=progress
        )
        for name, settings in SMALL.items()
    }
    loaded = {name: results.load(path) for name, path in paths.items()}
    as_hosts = {**loaded["twins"].manifest, "evidence": "emulated"}
    hosts = dataclasses.replace(loaded["twins"], manifest=as_hosts)
    nak = ["nodes=8,16", "repeats=1", "protocol=tree", "aggregate=true", "repair=nak"]
    asking = simulation.simulate(
        experiment.load("ack_implosion", settings=nak), seed=1, folder=folder, progress=progress
    )
    drawn = {
        "twins": [hosts, loaded["twins"]],
        "ack_implosion": [loaded["ack_implosion"], results.load(asking)],
        "nak_implosion": [naks.run(naks.srm, losses=5)],
        "nak_backoff": [
            naks.run(naks.srm, (16,), losses=5, d1=60.0),
            naks.run(naks.stormy, (16,), losses=5, d1=60.0, backoff=False),
        ],
    }
    return {name: [each] for name, each in loaded.items()} | drawn


@pytest.fixture(scope="module")
def tables() -> list[RunTables]:
    stopping = synthetic.latency(
        (16,),
        12,
        protocols={"push": lambda n, b, rng: draw(n, b, rng=rng, rounds=3, loss_ratio=0.5)},
        retention="rounds",
        options='{"c": 1.0}',
        loss_ratio=0.5,
    )
    return [
        synthetic.latency((8, 16, 32), 12),
        synthetic.core_load((16, 32, 64), 100),
        stopping,
    ]


def words_of(figure: Figure) -> str:
    texts = [figure.get_suptitle(), figure.get_supxlabel()]
    for axes in figure.axes:
        texts += [axes.get_xlabel(), axes.get_ylabel(), axes.get_title()]
        legend = axes.get_legend()
        texts += [text.get_text() for text in legend.get_texts()] if legend else []
    return " ".join(texts).replace("\n", " ")


def figure_of(name: str, tables: list[RunTables]) -> Figure:
    figure = plots.load(name).draw(tables)
    assert isinstance(figure, Figure)
    return figure


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("core_load", ["C11, C12", "n = ", "95% interval", "predicted", "a = ", "per round"]),
        ("dissemination_time", ["C1, C12", "n = 12", "95% interval", "predicted", "ln N"]),
        ("infection_curve", ["C1, C12", "N = 32", "n = 12", "80% of", "lecture's model"]),
        ("reliability", ["n = 12", "95% interval", "predicted", "3 at N = 16", "datagrams lost"]),
    ],
)
def test_a_plot_says_what_it_shows(name: str, said: list[str], tables: list[RunTables]) -> None:
    words = words_of(figure_of(name, tables))
    assert [text for text in said if text not in words] == []
    assert "timing free, fan-out b = 2" in words


def test_a_curve_under_faults_names_them_and_no_model_that_knows_none(
    simulated: dict[str, list[RunTables]],
) -> None:
    words = words_of(figure_of("infection_curve", simulated["partition_heals"]))
    assert "Faults: partition" in words
    assert "lecture's model" not in words and "reference" not in words and "C1" not in words


@pytest.mark.parametrize("name", plots.names())
def test_no_text_leaves_the_page(
    name: str, tables: list[RunTables], simulated: dict[str, list[RunTables]]
) -> None:
    figure = figure_of(name, simulated.get(name, tables))
    figure.draw_without_rendering()
    page = figure.bbox
    for artist in figure.findobj(Text):
        tick = any(artist in axes.get_xticklabels() for axes in figure.axes)  # may be out of limits
        if artist.get_visible() and artist.get_text() and not tick:
            box = artist.get_window_extent()
            assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, artist


def test_plots_are_written_as_png_and_svg(
    tables: list[RunTables], simulated: dict[str, list[RunTables]], tmp_path: Path
) -> None:
    every = [*tables, *(each for runs in simulated.values() for each in runs)]
    drawn = plots.draw(every, tmp_path / "plots")
    assert sorted(drawn) == plots.names()
    for path in drawn.values():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in path.with_suffix(".svg").read_bytes()[:500]


def test_the_same_runs_give_the_same_svg(tables: list[RunTables], tmp_path: Path) -> None:
    first = plots.draw(tables, tmp_path / "a", ["core_load"])["core_load"].with_suffix(".svg")
    again = plots.draw(tables, tmp_path / "b", ["core_load"])["core_load"].with_suffix(".svg")
    assert first.read_bytes() == again.read_bytes()


def test_a_plot_without_runs_is_left_out_unless_asked_for(
    tables: list[RunTables], tmp_path: Path
) -> None:
    assert list(plots.draw(tables[1:2], tmp_path)) == ["core_load"]
    with pytest.raises(UsageError, match=r"dissemination_time.*three sizes"):
        plots.draw(tables[1:2], tmp_path, ["dissemination_time"])


def test_an_unknown_plot_names_the_near_ones(tables: list[RunTables], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean core_load"):
        plots.draw(tables, tmp_path, ["core_laod"])


def test_protocols_differ_in_more_than_colour() -> None:
    looks = [plotting.look(p, ["mine", "other"]) for p in ("push", "topology_aware", "mine")]
    assert len({look.marker for look in looks}) == 3
    assert len({look.line for look in looks}) == 3


def test_every_protocol_of_a_comparison_has_a_look_of_its_own() -> None:
    ours = ["push", "pull", "push_pull", "centralized", "tree", "srm", "rmtp", "pbcast", "mine"]
    looks = [plotting.look(protocol, ours) for protocol in ours]
    assert len({look.marker for look in looks}) == len({look.colour for look in looks}) == 9


def test_the_numbers_of_a_plot_are_written_beside_it(
    tables: list[RunTables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = pd.DataFrame({"nodes": [8], "load": [2.5]})
    core_load = plots.load("core_load")
    monkeypatch.setattr(core_load, "table", lambda _: numbers, raising=False)
    plots.draw(tables, tmp_path, ["core_load"])
    assert (tmp_path / "core_load.csv").read_text() == "nodes,load\n8,2.5\n"


def test_runs_that_never_reached_everyone_are_drawn_and_counted(tables: list[RunTables]) -> None:
    broken = synthetic.latency((8, 16, 32), 12, protocols={"push": synthetic.push_for_one_round})
    figure = plots.load("dissemination_time").draw([broken])
    assert "left a node unreached" in words_of(figure)
    assert plots.load("infection_curve").draw([broken]) is not None


def test_who_a_dead_node_cuts_off_lies_beside_the_prediction(
    simulated: dict[str, list[RunTables]], tmp_path: Path
) -> None:
    numbers = plots.load("interior_node_dies").table(simulated["interior_node_dies"])
    largest = numbers[numbers["nodes"] == 16].set_index("way")
    assert largest["cut off"].to_list() == largest["predicted"].to_list() == [7, 7, 0]
    assert largest["until_s"].isna().to_list() == [True, False, True]
    assert "sender_dies_midway" not in plots.draw(simulated["interior_node_dies"], tmp_path)
    assert "interior_node_dies" not in plots.draw(simulated["sender_dies_midway"], tmp_path)


def test_without_a_run_that_counts_there_is_no_curve(tables: list[RunTables]) -> None:
    voided = dataclasses.replace(tables[0], runs=tables[0].runs.assign(voided=True))
    assert plots.load("infection_curve").draw([voided]) is None


def test_a_comparison_of_acknowledgements_is_no_comparison_of_protocols(
    simulated: dict[str, list[RunTables]], tmp_path: Path
) -> None:
    assert sorted(plots.draw(simulated["ack_implosion"], tmp_path)) == ["ack_implosion"]


def test_answers_at_the_source_are_those_of_the_theory(
    simulated: dict[str, list[RunTables]],
) -> None:
    numbers = plots.load("ack_implosion").table(simulated["ack_implosion"])
    assert numbers["way"].nunique() == 4
    for column in ("source_data_per_message", "source_heard_control_per_message"):
        assert numbers[column].to_list() == numbers[f"predicted_{column}"].to_list()
    central = numbers[numbers["way"].str.startswith("centralized")].set_index("nodes")
    copy_ms = 8 * 136 / 0.5e3
    steps = central["predicted_t_last_ms"].diff().dropna()
    assert steps.to_list() == pytest.approx([8 * copy_ms])
    assert central["t_last_ms"].diff().dropna().to_list() == pytest.approx(steps, rel=0.3)


def test_the_sleeper_is_whom_the_timeline_names_and_who_hears_nothing_counts_as_zero(
    simulated: dict[str, list[RunTables]],
) -> None:
    (one,) = simulated["perturbed_member"]
    first = one.manifest["timelines"][0]
    run = first["runs"][0]
    asleep = next(step for step in first["steps"] if step["do"] == "pause")["nodes"][0]
    origin = one.deliveries.loc[one.deliveries["run"] == run, "origin"].iloc[0]
    deaf = next(node for node in range(15, 0, -1) if node not in (asleep, origin))
    gone = one.deliveries["host"].isin([asleep, deaf]) & (one.deliveries["run"] == run)
    without = dataclasses.replace(one, deliveries=one.deliveries[~gone])
    plot = plots.load("perturbed_member")
    (arm,) = set(one.runs.loc[one.runs["run"] == run, "protocol"])
    before, after = (
        found[(found["protocol"] == arm) & (found["asleep"] == 0.4)].iloc[0]
        for found in (plot.table([one]), plot.table([without]))
    )
    assert before["sleeper"] > after["sleeper"] == 0
    assert after["others"] == pytest.approx(before["others"] * 13 / 14, rel=0.05)
    assert after["others_variance"] > before["others_variance"]


def test_a_sleeper_is_compared_share_by_share_with_the_time_before(
    simulated: dict[str, list[RunTables]],
) -> None:
    plot = plots.load("perturbed_member")
    numbers = plot.table(simulated["perturbed_member"])
    kept = {}
    for arm, rows in numbers.groupby(["protocol", "variant"]):
        assert rows["asleep"].to_list() == [0.0, 0.4, 0.9], arm
        assert rows["runs"].to_list() == [2, 1, 1]
        others = rows.set_index("asleep")["others"]
        kept[arm] = others[0.9] / others[0.0]
    assert set(plot.series(simulated["perturbed_member"])["asleep"]) == {0.4, 0.9}
    # RMTP's source waits for who reports to it, the sooner the shorter its window is.
    assert kept["rmtp", "window = 16"] < 0.7 * kept["rmtp", "window = 64"]
    assert kept["rmtp", "window = 64"] < 0.8 and kept["srm", ""] > 0.95


def test_the_sleeper_is_named_and_is_the_node_after_the_source_in_every_run(
    simulated: dict[str, list[RunTables]],
) -> None:
    (one,) = simulated["perturbed_member"]
    origins = one.deliveries.groupby("run")["origin"].first()
    for timeline in one.manifest["timelines"]:
        asleep = {node for step in timeline["steps"] for node in step["nodes"]}
        assert {(origins[run] + 1) % 16 for run in timeline["runs"]} == asleep
    words = words_of(figure_of("perturbed_member", simulated["perturbed_member"]))
    assert "who sleeps: nodes = source+1." in words


def test_deliveries_of_pbcast_lie_beside_the_exact_distribution(
    simulated: dict[str, list[RunTables]],
) -> None:
    plot = plots.load("pbcast_histogram")
    numbers = plot.table(simulated["pbcast_histogram"])
    for _, cell in numbers.groupby("buffer_rounds"):
        assert list(cell["delivered"]) == [*range(1, 13)]
        assert cell["multicasts"].sum() == 60
        assert cell["predicted"].sum() == pytest.approx(60)
    words = words_of(figure_of("pbcast_histogram", simulated["pbcast_histogram"]))
    for text in ("n = 60", "95% interval", "exact", "(logarithmic)", "10% at the sender", "p = "):
        assert text in words


def test_the_load_of_a_buffer_is_the_rate_over_what_packets_carry(
    simulated: dict[str, list[RunTables]],
) -> None:
    """40 multicasts a second in rounds of 0.25 s are 10 a round, for 2 packets of 10 or of 3."""
    numbers = plots.load("buffer_policies").table(simulated["buffer_policies"])
    assert sorted(set(numbers["load"])) == [0.5, 1.667]
    assert (numbers["runs"] == 2).all() and numbers["policy"].nunique() == 5
    high = numbers[numbers["policy"] == "highest_priority"]
    assert (high["inversions_share"] == 0).all()
    assert (high["top_priority"] > high["delivered"]).all()
    assert (high["delivered"] > high["bottom_priority"]).all()
    others = numbers[numbers["policy"] != "highest_priority"]
    assert others["inversions_share"].between(0.1, 1.0).all()


@pytest.mark.parametrize(
    "name", ["buffer_policies", "half_the_nodes_die", "half_the_packets_die", "partition_heals"]
)
def test_voided_runs_alone_are_not_drawn(name: str, simulated: dict[str, list[RunTables]]) -> None:
    (one,) = simulated[name]
    spoilt = dataclasses.replace(one, runs=one.runs.assign(voided=True))
    assert plots.load(name).draw([spoilt]) is None
