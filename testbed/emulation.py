"""Runs an experiment on emulated hosts and writes its run directory.

Cells that share a network share one session, so a grid of protocols and repeats pays for each
network once. Three kinds of cells: a *dissemination* keeps a number of multicasts under way until
each has reached every node or its horizon; a *saturated* cell lets every node spread several
multicasts at once and reads the core router's counters once a period; a *stream* has sources that
send many multicasts, and reads the core's counters when all is quiet before and after.
"""

from __future__ import annotations

import itertools
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from math import inf, log, log1p
from pathlib import Path
from typing import Any

import pandas as pd

from agents import registry
from agents.seeds import derive
from testbed import collector, conclusion, fanout, health, results
from testbed.calibration import shortest_round_s
from testbed.dissemination import Dissemination
from testbed.experiment import Cell, Experiment
from testbed.faults.batches import Batch, batches
from testbed.faults.excuses import Window, unexcused
from testbed.faults.hosts import Player
from testbed.faults.weather import needs
from testbed.health import Pressure
from testbed.outcome import Outcome
from testbed.progress import Progress
from testbed.replicates import Replicate, concurrency, replicates, warm_up_s
from testbed.session import Session

EVE_S = 0.05
"""The core is read so long before the first multicast that follows a warm-up."""

EXPECTED_ROUNDS = 7
"""For the time left only: rounds that a dissemination takes."""


def expected_s(cell: Cell) -> float:
    """Roughly how long a cell takes, for the progress bar."""
    run, round_s = cell.run, cell.run.round_s or 0.5
    at_once = concurrency(cell, round_s)
    if run.kind == "saturated":
        return (run.rounds / at_once + run.warmup_rounds) * round_s
    if run.kind == "stream":
        rounds: float = EXPECTED_ROUNDS + run.linger_rounds
        each_s = warm_up_s(cell) + run.sending_s() + rounds * round_s
        return -(-run.repeats // at_once) * each_s
    rounds = min(_rounds_to_all(cell) + run.linger_rounds, run.horizon_rounds)
    return run.repeats / min(at_once, run.repeats) * rounds * round_s


def _rounds_to_all(cell: Cell) -> float:
    """ln N (1/ln(1+bq) + 1/(bq)), as push in rounds takes; at most infinite."""
    useful = int(cell.options.get("fan_out", 1)) * (1 - cell.loss_ratio)
    return log(cell.nodes) * (1 / log1p(useful) + 1 / useful) if useful else inf


class Emulation:
    """Collects what the sessions of one experiment yield."""

    def __init__(self, experiment: Experiment, seed: int, progress: Progress, nice: int) -> None:
        self.experiment = experiment
        self.seed = seed
        self.progress = progress
        self.nice = nice
        self.replicates: list[Replicate] = []
        self.batches: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.hosts: list[pd.DataFrame] = []
        self.events: list[pd.DataFrame] = []
        self.torn = 0
        self.complaints: list[str] = []
        self.facts: list[dict[str, Any]] = []
        self.timelines: list[dict[str, Any]] = []
        self.windows: dict[int, list[Window]] = {}
        self.unplugged: dict[int, frozenset[int]] = {}
        self._runs = itertools.count(1)

    def run(self) -> None:
        groups = itertools.groupby(
            sorted(self.experiment.cells, key=lambda cell: (cell.nodes, _network(cell))),
            key=lambda cell: (cell.nodes, _network(cell)),
        )
        for boot, (_, cells) in enumerate(groups):
            self._boot(boot, list(cells))

    def _boot(self, boot: int, cells: Sequence[Cell]) -> None:
        graph = cells[0].graph()
        protocols = sorted({cell.protocol_source for cell in cells})
        seed = derive(self.seed, "links", boot).getrandbits(32)
        faults = [fault for cell in cells for fault in cell.faults]
        later = needs(graph, [fault.profile for fault in faults if fault.profile is not None])
        # The lab's own memory: a write to disk costs an agent more than all else it does, and what
        # a SIGKILL of the whole leaves would be half a run anyway.
        with tempfile.TemporaryDirectory(prefix="trace-", dir="/run") as name:
            trace = Path(name)
            with Session(
                graph, protocols, trace, nice=self.nice, seed=seed, later=later
            ) as session:
                for cell in cells:
                    self.progress.note(f"{cell.protocol}, {cell.nodes} nodes")
                    if cell.run.kind == "saturated":
                        self._saturate(session, boot, cell)
                    elif cell.run.kind == "stream":
                        self._stream(session, boot, cell)
                    else:
                        self._disseminate(session, boot, cell)
                report = session.finish()
            rows = [each.row() for each in self.replicates if each.boot == boot]
            events, torn = collector.read_events(trace, pd.DataFrame(rows))
        self.events.append(events)
        self.torn += torn
        self.hosts.append(collector.host_rows(graph).assign(boot=boot))
        self.complaints += [f"{graph.name} of {graph.nodes}: {text}" for text in report.complaints]
        for replicate in self.replicates:
            # What cannot be laid to one run makes all runs of the session unfit.
            if replicate.boot == boot:
                replicate.reasons += report.complaints[:1]
        self.facts.append({"boot": boot, "graph": graph.name, "nodes": graph.nodes, **report.facts})

    def _orders(self, boot: int, cell: Cell, count: int, round_s: float) -> Iterator[Replicate]:
        return replicates(self.seed, self._runs, boot, cell, count, round_s)

    def _start(self, session: Session, replicates: Sequence[Replicate]) -> None:
        start_ns = session.start([replicate.order for replicate in replicates])
        for replicate in replicates:
            replicate.start_ns = start_ns + replicate.order.first_ns
        self.replicates += replicates

    def _disseminate(self, session: Session, boot: int, cell: Cell) -> None:
        """Keeps `concurrent` multicasts under way until all repeats are done."""
        round_s = self._round_s(session, boot, cell)
        share = expected_s(cell) / cell.run.repeats
        for batch in batches(self.seed, self._runs, boot, cell, round_s):
            dissemination = Dissemination(session, batch, cell, round_s)
            dissemination.play(
                lambda started: self._start(session, started),
                lambda ended: self.progress.advance(share * ended),
            )
            self._note_faults(cell, batch, dissemination.player)
            self._judge_links(session, batch.replicates)

    def _note_faults(self, cell: Cell, batch: Batch, player: Player) -> None:
        """Keeps what was played, and what it excuses; a step that came late voids all runs."""
        if cell.faults:
            self.windows |= dict.fromkeys(batch.runs, player.windows)
            self.unplugged |= dict.fromkeys(batch.runs, frozenset(player.unplugged))
            self.timelines.append({**batch.facts(), "played": player.played})
            for replicate in batch.replicates if player.late else ():
                replicate.reasons.append(player.late)

    def _judge_links(self, session: Session, replicates: Sequence[Replicate]) -> None:
        """Voids runs whose packets left the links too late; to be asked before others follow."""
        late_s = session.shaping.late_ms() / 1e3
        for replicate in replicates:
            if reason := health.late("packets", late_s, replicate.order.round_s):
                replicate.reasons.append(reason)

    def _saturate(self, session: Session, boot: int, cell: Cell) -> None:
        """Lets every node spread `concurrent` multicasts at once and counts at the core."""
        round_s = self._round_s(session, boot, cell)
        at_once = min(concurrency(cell, round_s), cell.run.rounds)
        periods = -(-cell.run.rounds // at_once)
        replicates = list(self._orders(boot, cell, at_once, round_s))
        self._start(session, replicates)
        batch = len(self.batches)
        due = replicates[0].start_ns / 1e9 + cell.run.warmup_rounds * round_s
        before: tuple[int, int] | None = None
        for period in range(periods + 1):
            session.wait_until(due + period * round_s)
            now_ns, counts = session.sample_core()
            packets = sum(count.packets for count in counts)
            self.samples += [
                {"batch": batch, "time_ns": now_ns - replicates[0].start_ns, **each}
                for each in collector.count_rows(counts, level=0)
            ]
            if before is not None:
                self.batches.append(
                    {
                        "batch": batch,
                        "cell": cell.index,
                        "runs": at_once,
                        "rounds": (now_ns - before[0]) / 1e9 / round_s,
                        "core_packets": packets - before[1],
                        "first_run": replicates[0].order.run,
                    }
                )
                self.progress.advance(expected_s(cell) / periods)
            before = now_ns, packets
        deaths = session.deaths()
        session.stop([replicate.order.run for replicate in replicates])
        for replicate in replicates:
            replicate.stop_ns = time.monotonic_ns()
            replicate.reasons += deaths
        self._judge_links(session, replicates)

    def _stream(self, session: Session, boot: int, cell: Cell) -> None:
        """Runs streams, `concurrent` of them at a time, between two moments of quiet.

        What starts together shares one timeline of faults. What is sent while the protocol warms
        up counts for no multicast.
        """
        round_s = self._round_s(session, boot, cell)
        for together in batches(self.seed, self._runs, boot, cell, round_s):
            mine = together.replicates
            player = Player(session, cell.faults, together.timeline, round_s)
            session.quieten()
            before_ns, before = session.sample_core()
            player.begin()
            self._start(session, mine)
            player.start_ns = mine[0].start_ns
            if mine[0].order.warm_up_s:
                session.wait_until(player.start_ns / 1e9 - EVE_S)
                before_ns, before = session.sample_core()
            self._follow(session, mine, round_s, player)
            player.end()
            self._note_faults(cell, together, player)
            session.quieten()
            self._judge_links(session, mine)
            after_ns, after = session.sample_core()
            batch = len(self.batches)
            self.samples += collector.span_rows(before, after, batch, after_ns - before_ns)
            packets = sum(count.packets for count in after) - sum(each.packets for each in before)
            self.batches.append(
                {
                    "batch": batch,
                    "cell": cell.index,
                    "runs": len(mine),
                    "rounds": (after_ns - mine[0].start_ns) / 1e9 / round_s,
                    "core_packets": packets,
                    "first_run": mine[0].order.run,
                }
            )
            self.progress.advance(expected_s(cell) * len(mine) / cell.run.repeats)

    def _follow(
        self, session: Session, mine: Sequence[Replicate], round_s: float, player: Player
    ) -> None:
        """Plays the faults of streams, waits for their end, and ends them."""
        run = mine[0].cell.run
        horizon_ns = int((run.sending_s() + run.horizon_rounds * round_s) * 1e9)
        linger_ns = int(run.linger_rounds * round_s * 1e9)
        active = {replicate.order.run: replicate for replicate in mine}
        until_ns = {number: each.start_ns + horizon_ns for number, each in active.items()}
        while active:
            left_s = (min(until_ns[number] for number in active) - time.monotonic_ns()) / 1e9
            left_s = min(left_s, player.next_s - player.seconds())
            settled = session.settlements(timeout_s=min(max(left_s, 0.001), 0.5))
            player.advance()
            deaths = session.deaths()
            now_ns = time.monotonic_ns()
            for number, node in settled:
                if number in active:
                    active[number].settled.add(node)
            # Nobody waits for those who will not come back.
            gone = frozenset() if player.playback.returning else player.faulty
            for number, replicate in list(active.items()):
                if len(replicate.settled | gone) == replicate.cell.nodes:
                    until_ns[number] = min(until_ns[number], now_ns + linger_ns)
                replicate.reasons += deaths
                if replicate.reasons or now_ns >= until_ns[number]:
                    session.stop([number])
                    replicate.stop_ns = now_ns
                    replicate.faulty = player.faulty
                    del active[number]

    def _round_s(self, session: Session, boot: int, cell: Cell) -> float:
        if cell.run.round_s is not None:
            return cell.run.round_s
        self.progress.note(f"{cell.protocol}, {cell.nodes} nodes: looking for the shortest round")
        (trial,) = self._orders(boot, cell, 1, 1.0)
        return shortest_round_s(
            session, trial.order, self._runs, lambda round_s: concurrency(cell, round_s)
        )

    def tables(self) -> dict[str, pd.DataFrame]:
        runs = pd.DataFrame([replicate.row() for replicate in self.replicates])
        events = pd.concat(self.events, ignore_index=True)
        runs = health.void_runs(runs, unexcused(events, runs, self.windows, self.unplugged))
        voided = set(runs.loc[runs["voided"], "run"])
        batches = pd.DataFrame(self.batches, columns=list(collector.BATCH_COLUMNS))
        spans = zip(batches["first_run"], batches["runs"], strict=True)
        batches["voided"] = [
            not voided.isdisjoint(range(int(first), int(first) + int(count)))
            for first, count in spans
        ]
        return {
            "runs": runs,
            "events": events,
            "deliveries": collector.deliveries(events),
            "hosts": pd.concat(self.hosts, ignore_index=True),
            "counters": pd.DataFrame(self.samples, columns=list(collector.SAMPLE_COLUMNS)),
            "batches": batches,
        }


def _network(cell: Cell) -> tuple[str, str, float]:
    return cell.topology, repr(sorted(cell.parameters.items())), cell.loss_ratio


def emulate(
    experiment: Experiment, *, seed: int, folder: Path, progress: Progress, nice: int = 0
) -> Path:
    """Runs every cell and returns the run directory below `folder`, whole.

    `nice` is added to the niceness of the agents; it is for tests that starve them.
    """
    for cell in experiment.cells:
        if registry.load(cell.protocol_source).protocol.GROUPS:
            fanout.check(cell.graph())
    results.remove_abandoned(folder)
    with results.new_run(folder, experiment.name, seed) as directory:
        before = Pressure.now()
        emulation = Emulation(experiment, seed, progress, nice)
        emulation.run()
        tables = emulation.tables()
        state = health.summarize(
            tables["runs"],
            emulation.complaints,
            {"torn_records": emulation.torn, **Pressure.now().since(before)},
        )
        return conclusion.write(
            directory,
            experiment,
            tables,
            state,
            seed=seed,
            boots=emulation.facts,
            timelines=emulation.timelines,
            evidence="emulated",
        )


def run(
    experiment: Experiment, *, folder: Path, progress: Progress, seed: int | None = None
) -> Outcome:
    """Emulates an experiment, judges the claims that it names, and draws its plots."""
    seed = secrets.randbits(32) if seed is None else seed
    progress.expect(sum(map(expected_s, experiment.cells)))
    final = emulate(experiment, seed=seed, folder=folder, progress=progress)
    return conclusion.conclude(final, experiment, seed)
