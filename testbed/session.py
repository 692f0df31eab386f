"""One network that is up, with an agent on every host, on which many runs follow one another.

Repeats reuse the network and the agents: what is built here costs about a second, what a run costs
is its own rounds. A run is one multicast or one stream of them; several may be under way at once.
"""

from __future__ import annotations

import json
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from agents import registry
from agents.hosts import Hosts
from testbed import achieved, conservation, counters, shaping, terms
from testbed.accounts import Terms
from testbed.collector import agent_terms
from testbed.counters import Count
from testbed.errors import TestbedError
from testbed.faults.rules import Rules
from testbed.faults.weather import places
from testbed.fleet import Zygote, check_room, harness_socket
from testbed.lab import attach
from testbed.network import Network
from testbed.network.multicast import Multicast
from testbed.orders import Order, SessionReport
from testbed.reckoning import Reckoning
from testbed.rest import Rest
from topologies.graph import Graph, Impairment

LEAD_S = 0.15
LEAD_A_NODE_S = 0.001
LEAD_A_RUN_S = 0.0004
"""Runs start this long after their orders go out, so that every agent has made its objects by then:
an order costs an agent about 0.6 ms of processor time, each further run in it 0.2 ms."""

READY_S = 60.0
DRAIN_S = 5.0
"""The wait for quiet at the end of a run, beside the delays of links and what they work off."""
DRAIN_STEP_S = 0.05


class SessionError(TestbedError):
    """Agents cannot be started, or stop answering; the message names the host."""


class Session:
    """A context manager: the network and its agents are up inside it, and gone after it."""

    def __init__(
        self,
        graph: Graph,
        protocols: Sequence[str],
        trace: Path,
        *,
        nice: int = 0,
        seed: int = 0,
        later: Mapping[str, Sequence[Impairment]] | None = None,
    ) -> None:
        """`protocols` are names or paths of files; agents write their traces below `trace`.

        `seed` is for what links do to packets, where it is not the kernel that draws; `later` is
        what `impair` may make of ports, see `testbed.faults.weather`.
        """
        self.graph = graph
        self.trace = trace
        self._protocols = tuple(protocols)
        self._nice = nice
        self._seed = seed
        self._later = places(graph, later or {})
        self._casts = any(registry.load(each).protocol.GROUPS for each in protocols)
        self._stack = ExitStack()
        self._infected: list[tuple[int, int]] = []
        self._settled: list[tuple[int, int]] = []
        self._deaths: list[str] = []
        self._kills: dict[int, int] = {}
        self._doomed: set[int] = set()
        self._running: dict[int, dict[str, Any]] = {}
        self._ahead_s: dict[int, float] = {}
        self._rules: Rules | None = None
        self.reckoning = Reckoning(graph)
        self.ready: set[int] = set()
        """Nodes whose agents are there and take orders."""
        self._exited: set[int] = set()
        self._restless = ""

    def __enter__(self) -> Session:
        with ExitStack() as stack:
            shaping.choose(self.graph, later=self._later)  # refuses before there is a network
            net = self.net = stack.enter_context(Network(self.graph))
            attach.register({host.name: host.netns for host in net.hosts})
            self.shaping = shaping.apply(net, self.graph, seed=self._seed, later=self._later)
            stack.callback(self.shaping.close)
            self.counters = counters.install(net, self.graph)
            stack.callback(self.counters.close)
            self.multicast = Multicast(net, self.graph) if self._casts else None
            if self.multicast is not None:
                stack.callback(self.multicast.close)
            # Below /run: the lab's own, so that nothing is left of it after a SIGKILL.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="testbed-", dir="/run"))
            self._control = Path(folder)
            self._socket = stack.enter_context(harness_socket(self._control))
            self.zygote = stack.enter_context(
                Zygote(
                    Hosts.make(
                        [str(host.address) for host in self.graph.hosts],
                        [self.graph.groups(host.node) for host in self.graph.hosts],
                    ),
                    control=self._control,
                    trace=self.trace,
                    protocols=self._protocols,
                )
            )
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
            self._poll.register(self.zygote, select.POLLIN)
            self._spawn([host.node for host in self.graph.hosts])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start(self, orders: Sequence[Order]) -> int:
        """Starts runs on all agents at one time, returned: monotonic, in ns."""
        lead_s = LEAD_S + self.graph.nodes * (LEAD_A_NODE_S + LEAD_A_RUN_S * len(orders))
        at_ns = time.monotonic_ns() + int(lead_s * 1e9)
        runs = [asdict(order) for order in orders]
        self._running |= {run["run"]: {**run, "at_ns": at_ns} for run in runs}
        self._tell({"do": "start", "at_ns": at_ns, "runs": runs})
        return at_ns

    def stop(self, runs: Sequence[int]) -> None:
        """Ends runs on all agents; their late datagrams are counted as those of another run."""
        for run in runs:
            self._running.pop(run, None)
        self._tell({"do": "stop", "runs": list(runs)})

    def infections(self, timeout_s: float) -> list[tuple[int, int]]:
        """(run, node) that the multicast has reached; waits for reports at most so long."""
        self._listen(timeout_s)
        infected, self._infected = self._infected, []
        return infected

    def settlements(self, timeout_s: float) -> list[tuple[int, int]]:
        """(run, node) that has delivered or declared lost all of a stream, since the last call."""
        self._listen(timeout_s)
        settled, self._settled = self._settled, []
        return settled

    def deaths(self) -> list[str]:
        """Agents that died since the last call, worded; each has been started again by now."""
        self._listen(0)
        deaths, self._deaths = self._deaths, []
        if deaths:
            check_room(self.trace)
        dead = self.shaping.dead()
        return [*deaths, dead] if dead else deaths

    @property
    def rules(self) -> Rules:
        """The rules of faults at the routers, there from their first use on."""
        if self._rules is None:
            self._rules = Rules(self.net, self.graph)
            self._stack.callback(self._rules.close)
        return self._rules

    def kill(self, nodes: Sequence[int]) -> None:
        """Ends agents by SIGKILL: no complaint, and nobody takes their place until `revive`."""
        self._doomed |= set(nodes)
        before = {node: self._kills.get(node, 0) for node in nodes}
        for node in nodes:
            self.zygote.kill(node)
        self._await_all(
            "end", lambda: {node for node in nodes if self._kills.get(node, 0) == before[node]}
        )

    def revive(self, nodes: Sequence[int]) -> None:
        """Starts agents again that `kill` has ended; each gets the runs that are under way."""
        self._doomed -= set(nodes)
        hosts = self.net.hosts
        self.zygote.spawn([(node, hosts[node].netns) for node in nodes], self._nice)

    def set_clocks(self, ahead_s: Mapping[int, float]) -> None:
        """Has the clocks that protocols see be so much ahead, in later runs and lives too."""
        self._ahead_s |= ahead_s
        for node, seconds in ahead_s.items():
            self._tell({"do": "clock", "ahead_s": seconds}, node)

    def await_ready(self, nodes: Sequence[int]) -> None:
        """Waits until agents that were started again are there."""
        self._await_all("start again", lambda: set(nodes) - self.ready)

    def wait_until(self, monotonic_s: float) -> None:
        """Waits for a time on the monotonic clock, hearing the agents meanwhile."""
        while (left_s := monotonic_s - time.monotonic()) > 0:
            self._listen(left_s)

    def quieten(self) -> None:
        """Waits until no datagram moves; that they never stop is a complaint at the end."""
        self._drain()

    def impair(self, changes: Mapping[str, Impairment]) -> None:
        """Impairs ports in another way, by their names in the simulator. Raises ShapingError."""
        for (router, way), impairment in places(self.graph, changes).items():
            self.shaping.change(router, way, impairment)

    def sample_core(self) -> tuple[int, list[Count]]:
        """The core router's counts and the monotonic time in ns at which they stood."""
        before_ns = time.monotonic_ns()
        counts = self.counters.read(self.graph.core.name)
        return (before_ns + time.monotonic_ns()) // 2, counts

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Inside it nothing that is lost counts: it finds out what the machine can bear.

        Afterwards `shaping.late_ms` is of the trial alone.
        """
        self._drain()
        self.reckoning.reckon(self._terms(), self._kills)
        self.shaping.late_ms()
        restless = self._restless
        yield
        self._drain()
        self._restless = restless
        self.reckoning.forgive(self._terms())
        self.shaping.forgive()

    def plugged(self) -> None:
        """All links are up again: what is lost at them from now on, nobody asked to lose."""
        if self.reckoning.unplugged:
            self._drain()
            self.reckoning.reckon(self._terms(), self._kills)
            self.reckoning.unplugged.clear()

    def finish(self) -> SessionReport:
        """Drains the network, ends the agents, and balances their books against the kernel's."""
        self._drain()
        self._tell({"do": "exit"})
        self._await("exit", self._exited)
        stood = self._terms()
        agents = agent_terms(self.trace, self._kills)
        complaints = [str(each) for each in conservation.explain(self.graph, stood, agents)]
        self.reckoning.reckon(stood, self._kills)
        complaints += self.reckoning.complaints
        complaints += self.counters.complaints() + self.shaping.complaints()
        complaints += achieved.complaints(self.shaping.by_ratio(independent=True))
        if self._restless:
            complaints.append(self._restless)
        return SessionReport(
            complaints,
            {
                "backend": self.shaping.backend,
                "loss": {
                    str(asked): {"dropped": dropped, "offered": offered}
                    for asked, (dropped, offered) in self.shaping.by_ratio().items()
                    if asked
                },
                "composed_loss": {
                    f"{a}->{b}": loss for (a, b), loss in self.graph.loss_classes().items()
                },
                "stranded": sum(each.stranded for each in self.shaping.counted().values()),
                "datagrams": sum(agent.sent for agent in agents.values()),
                "killed_agents": self._kills,
            },
        )

    def _spawn(self, nodes: Sequence[int]) -> None:
        hosts = self.net.hosts
        self.zygote.spawn([(node, hosts[node].netns) for node in nodes], self._nice)
        self.ready -= set(nodes)
        self._await("start", self.ready)

    def _await(self, what: str, done: set[int]) -> None:
        """Waits until all agents have done it, hearing their reports."""
        deadline = time.monotonic() + READY_S
        while missing := set(range(self.graph.nodes)) - done:
            self._listen(0.2)
            check_room(self.trace)
            if what == "start" and self._deaths:
                raise SessionError(f"{self._deaths[0]} before it was ready; {self._last_words()}")
            if time.monotonic() > deadline:
                raise self._overdue(missing, what)

    def _overdue(self, missing: set[int], what: str) -> SessionError:
        """What is said of agents that do not answer; before they start there are no rounds."""
        rounds = "" if what == "start" else "lengthen round_s, or "
        return SessionError(
            f"{len(missing)} of {self.graph.nodes} agents did not {what} within {READY_S:.0f} s, "
            f"{self.graph.host(min(missing)).name} first; {rounds}use fewer nodes or a machine "
            f"with less to do; {self._last_words()}"
        )

    def _last_words(self) -> str:
        said = (self.trace / "agents.log").read_text(errors="replace").split("\n")
        return f"their log ends with {said[-2]!r}" if len(said) > 1 else "their log is empty"

    def _tell(self, command: dict[str, Any], *nodes: int) -> None:
        """Sends a command to agents, to all of them unless some are named."""
        data = json.dumps(command).encode()
        for node in nodes or range(self.graph.nodes):
            self._send(data, node)

    def _send(self, data: bytes, node: int) -> None:
        while True:
            try:
                self._socket.sendto(data, str(self._control / f"agent-{node}"))
                return
            except BlockingIOError:
                # Its queue is full: it is busy, or waits for us to read its reports.
                self._listen(0.001)
            except (ConnectionRefusedError, FileNotFoundError):
                return  # it has died; its death will be heard of

    def _listen(self, timeout_s: float) -> None:
        """Takes in what agents and zygote have to say; waits for the first word at most so long."""
        if not self._poll.poll(timeout_s * 1e3):
            return
        for report in self._reports():
            kind = report["is"]
            if kind == "infected":
                self._infected.append((report["run"], report["node"]))
            elif kind == "settled":
                self._settled.append((report["run"], report["node"]))
            elif kind == "ready":
                self.ready.add(report["node"])
                self._welcome(report["node"])
            elif kind == "exited":
                self._exited.add(report["node"])
            elif kind == "error":
                name = self.graph.host(report["node"]).name
                self._deaths.append(f"the agent of {name} failed: {report['text']}")
        for node, status in self.zygote.deaths():
            if node not in self._exited:
                self._bury(node, status)

    def _reports(self) -> Iterator[dict[str, Any]]:
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            yield json.loads(data)

    def _bury(self, node: int, status: int) -> None:
        """Notes an agent's death; where no fault killed it and runs follow, it is replaced."""
        self._kills[node] = self._kills.get(node, 0) + 1
        was_ready = node in self.ready
        self.ready.discard(node)
        if node in self._doomed:
            return
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        self._deaths.append(f"the agent of {self.graph.host(node).name} died ({how})")
        if was_ready:
            self.zygote.spawn([(node, self.net.hosts[node].netns)], self._nice)

    def _welcome(self, node: int) -> None:
        """Gives an agent that was started again its host's clock and the runs under way."""
        lives = self._kills.get(node, 0)
        if node in self._ahead_s:
            self._tell({"do": "clock", "ahead_s": self._ahead_s[node]}, node)
        if lives and self._running:
            runs = [{**run, "again": lives} for run in self._running.values()]
            self._tell({"do": "start", "runs": runs}, node)

    def _await_all(self, what: str, missing: Callable[[], set[int]]) -> None:
        """Waits until no node is missing any more."""
        deadline = time.monotonic() + READY_S
        while left := missing():
            self._listen(0.05)
            if time.monotonic() > deadline:
                raise self._overdue(left, what)

    def _terms(self) -> Terms:
        cut = None if self._rules is None else self._rules.cut()
        places = self.net, self.graph, self.counters, self.shaping
        return terms.read(*places, cut, self.multicast)

    def _drain(self) -> None:
        """Waits until no link holds a packet and the datagram counts of all hosts stand still."""
        rest = Rest(DRAIN_S + self.shaping.longest_s)
        while rest.awaited(
            time.monotonic(), self.shaping.held(), terms.datagrams(self.net, self.graph)
        ):
            self.wait_until(time.monotonic() + DRAIN_STEP_S)
        self._restless = self._restless or rest.complaint
