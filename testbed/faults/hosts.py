"""Plays a timeline on emulated hosts: real signals, real links, rules at real routers.

A killed agent gets SIGKILL and its socket is gone; a paused one is stopped and its socket fills.
Links go down at both ends over netlink, partitions and a fault's loss are rules at the routers
(`testbed.faults.rules`). Each step is done when the harness's clock reaches its time, some
milliseconds late on a busy machine; `played` says when, and `late` is a reason to void the runs.
What a step makes late is excused, see `excuses`. Everything is undone when the runs are over.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any

from testbed import health, terms
from testbed.faults import Fault
from testbed.faults.excuses import Window
from testbed.faults.timeline import Playback, State, Step, Timeline
from testbed.faults.weather import Weather, places
from testbed.network.multicast import Port
from testbed.session import Session
from topologies.graph import Graph


class Player:
    """The faults of the runs of one batch. Times are monotonic nanoseconds."""

    def __init__(
        self, session: Session, faults: Sequence[Fault], timeline: Timeline, round_s: float
    ) -> None:
        self.state = State(session.graph.nodes, timeline)
        self.playback = Playback(timeline)
        self._done: list[tuple[int, dict[str, Any]]] = []
        """Each step as it was done, and when."""
        self.windows: list[Window] = []
        self.unplugged: set[int] = set()
        """The nodes whose link was down for a while."""
        self.late = ""
        """That a step came too late for a run to be one under these faults, if it did."""
        self.start_ns = 0
        """Of the runs that start together, or of the first; 0 until it is known."""
        self._session = session
        self._graph: Graph = session.graph
        self._round_s = round_s
        # While it works off its queue: what falls due so long after a node goes on is excused too.
        self._catch_up_ns = int(health.MAX_LATE_SHARE * round_s * 1e9)
        self._since: dict[int, int] = {}
        self._starting: set[int] = set()
        self._overflowed: dict[int, int] = {}
        """Of each node that is stopped or catches up: its overflows before."""
        self._catching_up: dict[int, int] = {}
        """Until when, of each node that goes on."""
        self._ahead_s: dict[int, float] = {}
        """How far the clock of a node is ahead, where it was stepped."""
        self._weathers = {
            place: Weather(self._graph, fault.profile)
            for place, fault in enumerate(faults)
            if fault.profile is not None
        }
        self._ruled = any(step.do in ("cut", "lossy", "down") for step in timeline.steps)
        if self._ruled:
            session.rules.arrange(faults, timeline)

    @property
    def played(self) -> list[dict[str, Any]]:
        """Each step as it was done: when, in ns since the start (negative before it), how long."""
        return [{"at_ns": began_ns - self.start_ns, **row} for began_ns, row in self._done]

    def begin(self) -> None:
        """Does what is due before the start: who is dead then gets no orders."""
        self._do(self.playback.take(0.0))

    @property
    def faulty(self) -> frozenset[int]:
        """The nodes that are dead or stopped now; in a stream nobody's side counts."""
        return frozenset(self.state.failed)

    def seconds(self) -> float:
        """The time on the timeline's clock."""
        return (time.monotonic_ns() - self.start_ns) / 1e9

    @property
    def next_s(self) -> float:
        """When there is something to do next, on the timeline's clock; infinite when never."""
        caught_up_ns = min(self._catching_up.values(), default=inf)
        return min(self.playback.next_s, (caught_up_ns - self.start_ns) / 1e9)

    def advance(self) -> None:
        """Does what is due by now."""
        if ready := self._starting & self._session.ready:
            self._starting -= ready
            self._excuse(sorted(ready))
        now_ns = time.monotonic_ns()
        self._excuse_overflows([node for node, at in self._catching_up.items() if at <= now_ns])
        self._do(self.playback.take(self.seconds()))

    def end(self) -> None:
        """Undoes everything and waits until all agents are there again, and the weather is past."""
        self._links(sorted(self.state.down), up=True)
        for router in sorted(self.state.severed):
            self._router_link(router, up=True)
        for fault in sorted(self.state.cuts | self.state.lossy):
            self._session.rules.switch(fault, False)
        for each in self._weathers.values():
            self._session.impair(each.end())
        self._resume(sorted(self.state.paused))
        if self._catching_up:
            self._session.wait_until(max(self._catching_up.values()) / 1e9)
        self._excuse_overflows([*self._catching_up])
        self._session.set_clocks(dict.fromkeys(self._ahead_s, 0.0))
        dead = sorted(self.state.dead)
        if dead:
            self._session.revive(dead)
        self._session.await_ready(range(self._graph.nodes))
        self._session.plugged()
        if self._weathers:  # what its links still hold would go before the packets of later runs
            self._session.quieten()

    def _do(self, steps: Sequence[Step]) -> None:
        for step in steps:
            began_ns = time.monotonic_ns()
            changed = self.state.apply(step)
            nodes = tuple(key for key in changed if isinstance(key, int))
            if step.do in ("cut", "join", "lossy", "clear"):
                for fault in nodes:
                    self._session.rules.switch(fault, step.do in ("cut", "lossy"))
                nodes = step.nodes
            elif step.do in ("down", "up"):
                self._links(nodes, up=step.do == "up")
                for router in (key for key in changed if isinstance(key, str)):
                    self._router_link(router, up=step.do == "up")
            elif step.do == "weather":
                nodes = step.nodes
                self._session.impair(self._weathers[step.fault].take(nodes[0]))
            else:
                self._act(step, nodes)
            took_ns = time.monotonic_ns() - began_ns
            row = {"do": step.do, "nodes": list(nodes), "fault": step.fault, "took_ns": took_ns}
            self._done.append((began_ns, row))
            if self.start_ns and not self.late:  # what is done before the start is never late
                what = f"step {step.do} of fault {step.fault}"
                self.late = health.late(what, self.seconds() - step.at_s, self._round_s, at="")

    def _act(self, step: Step, nodes: tuple[int, ...]) -> None:
        """What is done to agents."""
        if step.do == "clock":
            stepped = {node: self._ahead_s.get(node, 0.0) + step.seconds for node in nodes}
            self._ahead_s |= stepped
            self._session.set_clocks(stepped)
        elif nodes:
            {
                "kill": self._kill,
                "restart": self._restart,
                "pause": self._pause,
                "resume": self._resume,
            }[step.do](nodes)

    def _kill(self, nodes: Sequence[int]) -> None:
        now_ns = time.monotonic_ns()
        for node in self._starting & set(nodes):  # held up ever since it was killed before
            self._starting.discard(node)
            self.windows.append(Window(node, self._since[node], now_ns))
        self._since |= dict.fromkeys(nodes, now_ns)
        self._session.kill(nodes)
        self._excuse_overflows(nodes)

    def _restart(self, nodes: Sequence[int]) -> None:
        self._session.revive(nodes)
        self._starting |= set(nodes)

    def _pause(self, nodes: Sequence[int]) -> None:
        now_ns = time.monotonic_ns()
        self._since |= dict.fromkeys(nodes, now_ns)
        for node in nodes:
            self._catching_up.pop(node, None)
            self._overflowed.setdefault(node, self._overflows(node))
        self._signal(nodes, signal.SIGSTOP)

    def _resume(self, nodes: Sequence[int]) -> None:
        self._signal(nodes, signal.SIGCONT)
        self._catching_up |= dict.fromkeys(nodes, self._excuse(nodes))

    def _excuse_overflows(self, nodes: Iterable[int]) -> None:
        """Those since the nodes were stopped: they have worked off their queues, or are dead."""
        for node in nodes:
            before = self._overflowed.pop(node, None)
            self._catching_up.pop(node, None)
            if before is not None:
                self._session.reckoning.excused += self._overflows(node) - before

    def _overflows(self, node: int) -> int:
        return terms.overflows(self._session.net.hosts[node].netns)

    def _signal(self, nodes: Sequence[int], number: int) -> None:
        for node in nodes:
            self._session.zygote.kill(node, number)

    def _excuse(self, nodes: Sequence[int]) -> int:
        """Notes the windows of nodes that go on; returns when they end."""
        until_ns = time.monotonic_ns() + self._catch_up_ns
        self.windows += [Window(node, self._since[node], until_ns) for node in nodes]
        return until_ns

    def _links(self, nodes: Sequence[int], *, up: bool) -> None:
        """The hosts' own links, both ends."""
        hosts = [self._graph.hosts[node] for node in nodes]
        if not up:
            self.unplugged |= set(nodes)
            self._session.reckoning.unplugged |= {host.name for host in hosts}
        addresses = [host.address for host in hosts]
        ports = [(self._graph.router_of(host).name, host.subnet, host.name) for host in hosts]
        if not up and addresses:
            self._session.rules.unplugged(addresses, True)
        links = {
            (host.name, f"{host.name}>"): self._session.net.hosts[node].defaultIntf().link
            for node, host in zip(nodes, hosts, strict=True)
        }
        self._switch(links, ports, up)
        if up and addresses:
            self._session.rules.unplugged(addresses, False)

    def _router_link(self, router: str, *, up: bool) -> None:
        """The link that joins a router to the one above it, both ends."""
        above = self._graph.router(router).parent
        assert above is not None
        self._session.reckoning.unplugged |= {router, above}
        link = self._session.net.get(router).intf("up").link
        links = {(f"{above}>{router}", f"{router}>{above}"): link}
        self._switch(links, [(above, router, ""), (router, "up", "")], up)

    def _switch(
        self, links: Mapping[tuple[str, str], Any], ports: Sequence[Port], up: bool
    ) -> None:
        """Switches both ends of each link, which is named by its two directions.

        `ports` are those that multicasts leave routers by.
        """
        multicast = self._session.multicast
        if multicast is not None and not up:
            multicast.withhold(ports)
        for ways, link in links.items():
            # As close around as can be: what is sent meanwhile widens the bound of what is lost.
            with nullcontext() if up else self._going_down(ways):
                for intf in (link.intf1, link.intf2):
                    intf.ifconfig("up" if up else "down")
        if multicast is not None and up:
            multicast.resume(ports)

    def _going_down(self, ways: Sequence[str]) -> AbstractContextManager[None]:
        return self._session.shaping.going_down(places(self._graph, dict.fromkeys(ways)))
