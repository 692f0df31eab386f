"""Simulates an experiment and writes the run directory that an emulation of it would.

The same file, seeds, sources, protocol objects and tables as `testbed.emulation`, in virtual time:
metrics, claims and plots do not know the difference but for `evidence` in the manifest. No lab is
needed. Runs that an emulation would have under way at once are simulated one after the other, since
multicasts do not touch each other, and their core counts are added.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from agents import registry
from testbed import collector, conclusion, health, metrics, results, round_engines
from testbed.counters import Count
from testbed.errors import UsageError, near
from testbed.experiment import Cell, Experiment
from testbed.faults import virtual
from testbed.faults.batches import batches
from testbed.faults.virtual import VirtualPlayer
from testbed.outcome import Outcome
from testbed.progress import Progress
from testbed.replicates import Replicate, concurrency, replicates, warm_up_s
from testbed.simulator.event import Simulation
from testbed.simulator.memory import check_memory
from testbed.simulator.paths import Network
from testbed.simulator.recorder import Recorder
from testbed.tables import COLUMNS, RunTables

ENGINES = ("event", *round_engines.ENGINES)

ROUND_S = 0.5
"""Stands for `round_s = "auto"`: in virtual time every round is kept up with."""

HOST_BYTES = 6_000
"""Of memory for a node with its protocol object: 4,543 bytes for push on Python 3.11
(benchmarks/events.py), and room for what a bigger one keeps."""

EVENT_BYTES = 130
"""Of memory for an event, in its record and in the table made of them."""

TYPICAL_ROUNDS = 12
"""Of a dissemination, for what it needs of time and memory."""

EVENT_S = 1e-5
"""For the progress bar only."""

THIN_EVENTS = 500_000
"""Events that are held at once where only the metrics are kept: 100 MB with the tables of them."""


class EventSimulation:
    """Collects what the runs of one experiment yield."""

    def __init__(
        self, experiment: Experiment, seed: int, progress: Progress, *, thin: bool = False
    ) -> None:
        """`thin` keeps the metrics of each run and lets go of its events."""
        self.experiment = experiment
        self.seed = seed
        self.progress = progress
        self.thin = thin
        self.measured: list[pd.DataFrame] = []
        self.replicates: list[Replicate] = []
        self.batches: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.hosts: list[pd.DataFrame] = []
        self.facts: list[dict[str, Any]] = []
        self._records: list[npt.NDArray[Any]] = []
        self._at: list[npt.NDArray[np.int32]] = []
        self._networks: dict[str, tuple[int, Network]] = {}
        self._runs = count(1)
        self.timelines: list[dict[str, Any]] = []

    def run(self) -> None:
        for cell in self.experiment.cells:
            self.progress.note(f"{cell.protocol}, {cell.nodes} nodes, loss {cell.loss_ratio}")
            boot, network = self._network(cell)
            if cell.run.kind == "saturated":
                self._saturate(boot, network, cell)
            elif cell.run.kind == "stream":
                self._stream(boot, network, cell)
            else:
                self._disseminate(boot, network, cell)

    def _network(self, cell: Cell) -> tuple[int, Network]:
        """The network of a cell and its number; cells with equal ones share it."""
        key = repr((cell.topology, cell.nodes, cell.loss_ratio, sorted(cell.parameters.items())))
        if key not in self._networks:
            graph = cell.graph()
            boot = len(self._networks)
            self._networks[key] = boot, Network(graph)
            self.hosts.append(collector.host_rows(graph).assign(boot=boot))
            classes = {f"{a}->{b}": loss for (a, b), loss in graph.loss_classes().items()}
            fact = {"boot": boot, "graph": graph.name, "nodes": graph.nodes}
            self.facts.append({**fact, "composed_loss": classes})
        return self._networks[key]

    def _start(self, network: Network, replicate: Replicate) -> Simulation:
        order = replicate.order
        return Simulation(
            network,
            registry.load(order.protocol),
            order.options,
            seed=order.seed,
            timing=order.timing,
            round_s=order.round_s,
            sources=order.sources,
            payload_bytes=order.payload_bytes,
            messages=order.messages,
            interval_s=order.interval_s,
            warm_up_s=order.warm_up_s,
            record=Recorder(order.run),
        )

    def _end(self, replicate: Replicate, simulation: Simulation) -> None:
        simulation.stop()
        replicate.stop_ns = simulation.now_ns
        replicate.reasons += simulation.failures
        records, hosts = simulation.recorder.finish()
        self._records.append(records)
        self._at.append(hosts)
        self.replicates.append(replicate)
        if self.thin and sum(map(len, self._records)) > THIN_EVENTS:
            self._measure()

    def _measure(self) -> None:
        """Turns the runs so far into their metrics."""
        if self.replicates:
            types = conclusion.message_types(self.experiment)
            whole = RunTables(manifest=types, health={}, **self._tables())
            self.measured.append(metrics.per_run(whole))
            self.replicates, self._records, self._at = [], [], []

    def _disseminate(self, boot: int, network: Network, cell: Cell) -> None:
        round_s = cell.run.round_s or ROUND_S
        horizon_ns = int(cell.run.horizon_rounds * round_s * 1e9)
        linger_ns = int(cell.run.linger_rounds * round_s * 1e9)
        repeats = cell.run.repeats
        if cell.faults:
            self._disseminate_under_faults(boot, network, cell, round_s)
            return
        for replicate in replicates(self.seed, self._runs, boot, cell, repeats, round_s):
            simulation = self._start(network, replicate)
            simulation.advance(horizon_ns, until_all=True)
            if simulation.infected == cell.nodes:
                simulation.advance(min(horizon_ns, simulation.now_ns + linger_ns))
            self._end(replicate, simulation)
            self.progress.advance(expected_s(cell) / cell.run.repeats)

    def _disseminate_under_faults(
        self, boot: int, network: Network, cell: Cell, round_s: float
    ) -> None:
        horizon_ns = int(cell.run.horizon_rounds * round_s * 1e9)
        linger_ns = int(cell.run.linger_rounds * round_s * 1e9)
        for batch in batches(self.seed, self._runs, boot, cell, round_s):
            self.timelines.append(batch.facts())
            for replicate in batch.replicates:
                simulation = self._start(network, replicate)
                player = VirtualPlayer(
                    simulation,
                    cell.faults,
                    batch.timeline,
                    seed=replicate.order.seed,
                    source=batch.source(replicate),
                )
                if player.play(horizon_ns) and linger_ns:
                    simulation.advance(min(horizon_ns, simulation.now_ns + linger_ns))
                replicate.faulty = player.faulty
                self._end(replicate, simulation)
                self.progress.advance(expected_s(cell) / cell.run.repeats)

    def _stream(self, boot: int, network: Network, cell: Cell) -> None:
        """Runs streams; a batch is those that an emulation would have under way at once."""
        run, round_s = cell.run, cell.run.round_s or ROUND_S
        horizon_ns = int((run.sending_s() + run.horizon_rounds * round_s) * 1e9)
        linger_ns = int(run.linger_rounds * round_s * 1e9)
        for together in batches(self.seed, self._runs, boot, cell, round_s):
            mine = together.replicates
            start_ns = mine[0].order.first_ns
            until_ns = start_ns + horizon_ns
            if cell.faults:
                self.timelines.append(together.facts())
            before, after = Tally(), Tally()
            for replicate in mine:
                simulation = self._start(network, replicate)
                replicate.start_ns = start_ns
                player = VirtualPlayer(
                    simulation,
                    cell.faults,
                    together.timeline,
                    seed=replicate.order.seed,
                    source=together.source(replicate),
                    start_ns=start_ns,
                )
                player.begin()
                if start_ns:  # what is sent while the protocol warms up counts for no multicast
                    simulation.advance(start_ns - 1)
                    before.add(simulation)
                simulation.advance(until_ns, until_settled=True)
                replicate.faulty = frozenset(player.state.failed)
                simulation.advance(min(until_ns, simulation.now_ns + linger_ns))
                after.add(simulation)
                last_ns = simulation.now_ns - start_ns
                self._end(replicate, simulation)
                self.progress.advance(expected_s(cell) / run.repeats)
            core, batch = network.graph.core.name, len(self.batches)
            spans = before.counts(core), after.counts(core)
            self.samples += collector.span_rows(*spans, batch, last_ns)
            self.batches.append(
                {
                    "batch": batch,
                    "cell": cell.index,
                    "runs": len(mine),
                    "rounds": last_ns / 1e9 / round_s,
                    "core_packets": after.packets.total() - before.packets.total(),
                    "voided": False,
                    "first_run": mine[0].order.run,
                }
            )

    def _saturate(self, boot: int, network: Network, cell: Cell) -> None:
        """Samples the core's counts at the end of the warm-up and of each period after it."""
        round_s = cell.run.round_s or ROUND_S
        at_once = min(concurrency(cell, round_s), cell.run.rounds)
        periods = -(-cell.run.rounds // at_once)
        times_ns = [
            round((cell.run.warmup_rounds + period) * round_s * 1e9)
            for period in range(periods + 1)
        ]
        tallies = [Tally() for _ in times_ns]
        mine = list(replicates(self.seed, self._runs, boot, cell, at_once, round_s))
        for replicate in mine:
            simulation = self._start(network, replicate)
            for tally, time_ns in zip(tallies, times_ns, strict=True):
                simulation.advance(time_ns)
                tally.add(simulation)
            self._end(replicate, simulation)
            self.progress.advance(expected_s(cell) / at_once)
        first = {"batch": len(self.batches), "cell": cell.index, "runs": at_once}
        core = network.graph.core.name
        for place, time_ns in enumerate(times_ns):
            self.samples += [
                {"batch": first["batch"], "time_ns": time_ns, **row}
                for row in collector.count_rows(tallies[place].counts(core), level=0)
            ]
            if place:
                crossed = tallies[place].packets.total() - tallies[place - 1].packets.total()
                row = {"rounds": 1.0, "core_packets": crossed, "voided": False}
                self.batches.append({**first, **row, "first_run": mine[0].order.run})

    def tables(self) -> dict[str, pd.DataFrame]:
        if not self.thin:
            return self._tables()
        self._measure()
        empty = {
            name: pd.DataFrame(columns=list(COLUMNS[name])) for name in ("events", "deliveries")
        }
        return {**self._batches(), **empty, "runs": pd.concat(self.measured, ignore_index=True)}

    def _tables(self) -> dict[str, pd.DataFrame]:
        runs = pd.DataFrame([replicate.row() for replicate in self.replicates])
        runs = runs.assign(**dict.fromkeys(health.GATES, 0.0))
        runs["voided"] = runs["reasons"] != ""
        start_ns = runs.set_index("run")["start_ns"]
        events = collector.frame(np.concatenate(self._records), np.concatenate(self._at), start_ns)
        return {
            **self._batches(),
            "runs": runs,
            "events": events,
            "deliveries": collector.deliveries(events),
        }

    def _batches(self) -> dict[str, pd.DataFrame]:
        """The tables that hold nothing of a single run."""
        return {
            "hosts": pd.concat(self.hosts, ignore_index=True),
            "counters": pd.DataFrame(self.samples, columns=list(collector.SAMPLE_COLUMNS)),
            "batches": pd.DataFrame(self.batches, columns=[*collector.BATCH_COLUMNS, "voided"]),
        }


class Tally:
    """What the core has forwarded at one time of some runs, by way and type."""

    def __init__(self) -> None:
        self.packets: Counter[tuple[str, str, int]] = Counter()
        self.bytes: Counter[tuple[str, str, int]] = Counter()

    def add(self, simulation: Simulation) -> None:
        """Adds what it has forwarded so far in a run."""
        for crossing in simulation.crossings:
            for kind, number in crossing.packets.items():
                way = crossing.input, crossing.output, kind
                self.packets[way] += number
                self.bytes[way] += crossing.bytes[kind]

    def counts(self, core: str) -> list[Count]:
        return [Count(core, *way, n, self.bytes[way]) for way, n in sorted(self.packets.items())]


def expected_events(cell: Cell) -> float:
    """Roughly the events of a cell: a tick, and of each datagram the sending and the receipt."""
    a_round = cell.nodes * (1 + 2 * int(cell.options.get("fan_out", 1)))
    if cell.run.kind == "saturated":
        at_once = min(concurrency(cell, cell.run.round_s or ROUND_S), cell.run.rounds)
        return a_round * (cell.run.rounds + at_once * cell.run.warmup_rounds)
    if cell.run.kind == "stream":
        run, round_s = cell.run, cell.run.round_s or ROUND_S
        rounds = (warm_up_s(cell) + run.sending_s()) / round_s
        rounds += min(TYPICAL_ROUNDS, run.horizon_rounds)
        multicasts = run.senders(cell.nodes) * run.messages
        return run.repeats * (a_round * rounds + 2 * cell.nodes * multicasts)
    return a_round * cell.run.repeats * min(TYPICAL_ROUNDS, cell.run.horizon_rounds)


def expected_s(cell: Cell) -> float:
    """Roughly how long a cell takes, for the progress bar."""
    return expected_events(cell) * EVENT_S


def check_size(cells: Sequence[Cell], *, thin: bool = False) -> None:
    """Raises `UsageError`, naming the size that fits, for more nodes than the memory holds."""
    events = sum(map(expected_events, cells))
    if thin:
        events = max(THIN_EVENTS, *(expected_events(cell) / cell.run.repeats for cell in cells))
    nodes = max(cell.nodes for cell in cells)
    check_memory(nodes, HOST_BYTES + int(events * EVENT_BYTES / nodes))


def simulate(
    experiment: Experiment, *, seed: int, folder: Path, progress: Progress, thin: bool = False
) -> Path:
    """Simulates a whole experiment into a run directory below `folder`; returns its path.

    A `thin` one has the metrics of each run in its table of runs, and no events.
    """
    check_size(experiment.cells, thin=thin)
    for cell in experiment.cells:
        virtual.check(cell.faults)
    results.remove_abandoned(folder)
    with results.new_run(folder, experiment.name, seed) as directory:
        simulated = EventSimulation(experiment, seed, progress, thin=thin)
        simulated.run()
        tables = simulated.tables()
        state = health.summarize(tables["runs"], [], {})
        return conclusion.write(
            directory,
            experiment,
            tables,
            state,
            seed=seed,
            boots=simulated.facts,
            timelines=simulated.timelines,
            evidence="simulated",
            engine="event",
        )


def check_engine(name: str) -> None:
    """Raises `UsageError` for an engine that there is not."""
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}; {near(name, ENGINES)}")


def run(
    experiment: Experiment,
    *,
    folder: Path,
    progress: Progress,
    seed: int | None = None,
    engine: str = "event",
) -> Outcome:
    """Simulates an experiment, judges the claims that it names, and draws its plots.

    Repeats bit for bit with its seed. Raises `UsageError` for an unknown engine, for what the
    simulator does not model, and for more nodes than the machine's memory holds.
    """
    check_engine(engine)
    seed = secrets.randbits(32) if seed is None else seed
    if engine in round_engines.ENGINES:
        progress.expect(sum(map(round_engines.expected_s, experiment.cells)))
        final = round_engines.simulate(
            experiment, engine, seed=seed, folder=folder, progress=progress
        )
    else:
        progress.expect(sum(map(expected_s, experiment.cells)))
        final = simulate(experiment, seed=seed, folder=folder, progress=progress)
    return conclusion.conclude(final, experiment, seed, engine)
