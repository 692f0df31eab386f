"""Drives the protocol objects of the agents in virtual time: one run, bit for bit repeatable.

The objects, their seeds, the timing modes and the records are those of the UDP driver
(`agents.run`), so a node draws the same targets and phases here as on an emulated host of the same
run seed; links are those of the graph (`testbed.simulator.paths`). The promises of `agents.api`
hold as they stand there. At one instant wake-ups come before messages, as in the UDP driver: in
`sync` all rounds of an instant begin before the first message of it is heard. Wake-ups of one
instant are served in the order in which they were set, messages in the order of arrival and, within
it, of sending.

Left out: the time that a node takes to compute, and receive queues that overflow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import count
from math import inf
from typing import Any

from agents import blame
from agents.api import (
    Action,
    Broadcast,
    CancelTimer,
    Deliver,
    Lost,
    Message,
    MessageId,
    NodeId,
    Note,
    Radio,
    Send,
    SetTimer,
    Store,
)
from agents.options import make
from agents.registry import Plugin
from agents.run import EVERYBODYS, ProtocolError
from agents.wire import HEADER_BYTES, Reason
from testbed.errors import TestbedError
from testbed.simulator import recorder
from testbed.simulator.lives import Lives
from testbed.simulator.node import Flight, Node, Wake
from testbed.simulator.paths import Crossing, Network, Paths
from testbed.simulator.recorder import (
    BLOCK,
    DELIVER,
    DROP,
    DUPLICATE,
    ERROR,
    NOTE,
    NOTHING,
    RECEIVE,
    STOP,
    TICK,
    WIDTH,
    Recorder,
    What,
)
from testbed.simulator.sending import Reach, Sending
from testbed.simulator.trees import Forwards

ONE = {EVERYBODYS}
"""Stands for what a node has settled where there is one multicast to settle."""

STANDSTILL = 1000
"""Events a node (and 1,000 nodes more) at one instant, after which time does not pass any more: a
timer set in the past by its own firing, or two nodes that answer each other without delay."""


class StandstillError(TestbedError):
    """Virtual time has stopped: the protocol sets off events without end at one instant."""


class Simulation(Lives, Sending):
    """One run. Times are nanoseconds since its start; `advance` moves them.

    Each of `sources` sends `messages` multicasts, the first `warm_up_s` after the start and
    `interval_s` between two; with "all" every node holds one multicast. `infected` counts the nodes
    that have delivered something, `failures` words what protocols did wrong. `reaches` may be set
    to cut the network: what it says no to is lost as it is sent. `forwards` may be set to have
    routers lose something: of a multicast, one copy for all behind an output. `watch` is told of
    each node's first delivery, and may set `missing`, the number of nodes that `until_all` waits
    for.
    """

    def __init__(
        self,
        network: Network,
        plugin: Plugin,
        options: Mapping[str, Any],
        *,
        seed: int,
        timing: str = "free",
        round_s: float = 0.5,
        sources: Sequence[NodeId] | str = (0,),
        payload_bytes: int = 64,
        messages: int = 1,
        interval_s: float = 0.0,
        warm_up_s: float = 0.0,
        record: Recorder | None = None,
    ) -> None:
        self._options = make(plugin.protocol.Options, options)
        plugin.protocol.check(self._options, network.nodes)
        self.network = network
        self.recorder = record or Recorder()
        self._write = self.recorder.flat.extend
        self._home = network.home
        self.now_ns = 0
        self.infected = 0
        self.failures: list[str] = []
        self.paths = Paths(network, seed)
        self.reaches: Reach | None = None
        self.forwards: Forwards | None = None
        self.watch: Callable[[NodeId], None] | None = None
        self._plugin = plugin
        self._seed = seed
        self._timing = timing, round_s
        self._everybody = sources == "all"
        self._mine = {} if isinstance(sources, str) else dict.fromkeys(sources, messages)
        """Multicasts of each source."""
        self._expected = sum(self._mine.values())
        self._interval_s = interval_s
        self._warm_up_s = warm_up_s
        self._payload = bytes(payload_bytes)
        self._started = False
        self._now = 0.0
        self._serials = count()
        self._calls: list[tuple[int, int, Callable[[], None]]] = []
        self._kept: dict[NodeId, dict[str, bytes]] = {}
        self._ahead_s: dict[NodeId, float] = {}
        """How far the clock of a node is ahead, where it was stepped."""
        self._parting: dict[NodeId, bool] = {}
        self._wakes: list[Wake] = []
        self._flights: list[Flight] = []
        self._arrived: deque[tuple[NodeId, NodeId, Message]] = deque()
        self._checked: Message | None = None
        self._limit = STANDSTILL * (network.nodes + 1000)
        self.nodes = [self._born(me, 0) for me in range(network.nodes)]
        self.missing = self.unsettled = network.nodes

    def at(self, time_ns: int, call: Callable[[], None]) -> None:
        """Has something done at a time, before all else of that instant, in the order asked for.

        Raises `TestbedError` for a time that is over.
        """
        if time_ns < self.now_ns:
            raise TestbedError(f"{time_ns} ns is over, it is {self.now_ns} ns; give a later time")
        heappush(self._calls, (time_ns, next(self._serials), call))

    def advance(
        self, until_ns: int, *, until_all: bool = False, until_settled: bool = False
    ) -> None:
        """Serves everything up to `until_ns`.

        `until_all` ends with the last node's infection, `until_settled` when every node has
        delivered or declared lost every multicast. Raises `StandstillError`.
        """
        if not self._started:
            self._start()
        while self._calls and self._calls[0][0] <= until_ns:
            if self._advance(self._calls[0][0] - 1, until_all, until_settled):
                return
            self.now_ns, _, call = heappop(self._calls)
            self._now = self.now_ns / 1e9
            call()
        self._advance(until_ns, until_all, until_settled)

    def _advance(self, until_ns: int, until_all: bool, until_settled: bool) -> bool:
        """Serves everything up to a time; true when it ended before, for one of the reasons."""
        wakes, flights, arrived = self._wakes, self._flights, self._arrived
        flat, full = self.recorder.flat, BLOCK * WIDTH
        if until_ns >= self.now_ns:
            self._instant()
        while not ((until_all and not self.missing) or (until_settled and not self.unsettled)):
            next_ns = wakes[0][0] if wakes else until_ns + 1
            if flights and flights[0][0] < next_ns:
                next_ns = flights[0][0]
            if next_ns > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                self._now = self.now_ns / 1e9
                return False
            self.now_ns = next_ns
            self._now = next_ns / 1e9
            while flights and flights[0][0] == next_ns:
                arrived.append(heappop(flights)[2:])
            if not arrived:
                self._wake(wakes[0])  # most rounds have an instant to themselves
            if arrived or (wakes and wakes[0][0] <= next_ns):
                self._instant()
            if len(flat) > full:
                self.recorder.pack()
        return True

    def stop(self) -> None:
        """Ends the run at every node that is up; a paused one goes on to hear of it."""
        for node in self.nodes:
            self.resume(node.me)
            if not node.over:
                node.over = True
                self._record(node, STOP)

    @property
    def crossings(self) -> list[Crossing]:
        """What the core router has forwarded so far."""
        return list(self.paths.crossings.values())

    def _start(self) -> None:
        self._started = True
        for node in self.nodes:
            if not node.down:
                self._open(node)

    def _instant(self) -> None:
        """Serves all that is due now, and what that sets off without delay."""
        wakes, arrived, now_ns = self._wakes, self._arrived, self.now_ns
        for _ in range(self._limit):
            if wakes and wakes[0][0] <= now_ns:
                self._wake(wakes[0])
            elif arrived:
                self._take(*arrived.popleft())
            else:
                return
        raise StandstillError(
            f"protocol {self._plugin.name}: {self._limit} events at {self._now} s and no end; "
            "does a timer set in the past set itself again, or every message set off another?"
        )

    def _wake(self, wake: Wake) -> None:
        """Serves the first of the wake-ups."""
        due_ns, serial, node, name = wake
        if node.over:
            heappop(self._wakes)
            if node.held is not None:
                node.held.append(wake)
            return
        try:
            if name is None:
                timing = node.timing
                k = timing.begin()
                heapreplace(self._wakes, (round(timing.due * 1e9), next(self._serials), node, None))
                late_ns = self.now_ns - due_ns  # only after a pause
                what = What(value=float(late_ns)) if late_ns else NOTHING
                self._write((self.now_ns, node.me, TICK, -1, k, what))
                actions = node.protocol.on_round(k, self._now)
            else:
                heappop(self._wakes)
                if node.timers is None or node.timers.get(name) != serial:
                    return  # replaced or cancelled
                del node.timers[name]
                if isinstance(name, str):
                    actions = node.protocol.on_timer(name, self._now)
                else:
                    self._act(node, self._multicast(node))
                    self._schedule_multicast(node)
                    return
            if actions:
                self._act(node, actions)
        except Exception as error:
            self._fail(node, error)

    def _take(self, to: NodeId, sender: NodeId, message: Message) -> None:
        node = self.nodes[to]
        if node.over or not node.listening:
            if node.held is not None:
                node.held.append((0, 0, to, sender, message))
            if node.held is not None or node.down:
                return
            reason = Reason.other_run if node.over else Reason.radio_off
            what = What(message.TYPE, bytes=HEADER_BYTES + len(message.body), reason=int(reason))
            peer = -1 if node.over else sender
            self._write((self.now_ns, to, DROP, peer, 0, what))
            return
        again = (message.origin, message.sequence) in node.delivered
        kind = DUPLICATE if again else RECEIVE
        self._write((self.now_ns, to, kind, sender, 0, message))
        try:
            actions = node.protocol.on_message(message, sender, self._now)
            if actions:
                self._act(node, actions, sender, message)
        except Exception as error:
            self._fail(node, error)

    def _act(
        self,
        node: Node,
        actions: Sequence[Action],
        sender: NodeId = -1,
        cause: Message | None = None,
    ) -> None:
        for action in actions:
            if isinstance(action, Send):
                if isinstance(action.to, int):
                    self._send(node, action.to, action.message)
                else:
                    self._cast(node, action)
            elif isinstance(action, Deliver):
                self._deliver(node, action, sender, cause)
            else:
                self._act_otherwise(node, action)

    def _act_otherwise(self, node: Node, action: Action) -> None:
        if isinstance(action, SetTimer):
            self._set_timer(node, action.name, round(action.at * 1e9))
        elif isinstance(action, CancelTimer):
            if node.timers is not None:
                node.timers.pop(action.name, None)
        elif isinstance(action, Note):
            self._record(node, NOTE, recorder.note(action.kind, action.value), 0)
        elif isinstance(action, Lost):
            origin, sequence = action.id
            self._record(node, recorder.LOST, What(origin=origin, sequence=sequence))
            self._settle(node, action.id)
        elif isinstance(action, Radio):
            node.listening = action.on
        elif isinstance(action, Broadcast):
            self._cast(node, action)
        elif isinstance(action, Store):
            self._kept.setdefault(node.me, {})[action.key] = action.value
        else:
            raise ProtocolError(f"{type(action).__name__} is no action")

    def _set_timer(self, node: Node, name: str | int, due_ns: int) -> None:
        if node.timers is None:
            node.timers = {}
        serial = node.timers[name] = next(self._serials)
        heappush(self._wakes, (due_ns, serial, node, name))

    def _deliver(self, node: Node, action: Deliver, sender: NodeId, cause: Message | None) -> None:
        id, hop = action.id, action.hop
        if id in node.delivered:
            raise ProtocolError(f"{id} is delivered twice")
        if hop is None and cause is not None and cause.id == id:
            hop = cause.hop + 1
        parent = -1 if hop is None else sender  # -1, too, where no message was the cause
        what = What(origin=id.origin, sequence=id.sequence, hop=hop or 0, parent=parent)
        self._record(node, DELIVER, what)
        self._settle(node, id)
        if isinstance(node.delivered, set):
            node.delivered.add(id)
            return
        node.delivered = {id}
        if not node.reached:
            node.reached = True
            self.infected += 1
            self.missing -= 1
            if self.watch is not None:
                self.watch(node.me)
        if node.timing.infect(self._now):
            self._schedule_round(node)

    def _settle(self, node: Node, id: MessageId) -> None:
        if self._expected == 1:  # most runs: a set a node would be memory for nothing
            if node.settled is None:
                node.settled = ONE
                self.unsettled -= 1
        elif self._expected:
            settled = node.settled = node.settled or set()
            before = len(settled)
            settled.add(id)
            if before < len(settled) == self._expected:
                self.unsettled -= 1

    def _fail(self, node: Node, error: Exception) -> None:
        """An exception ends the run at this node only."""
        reason = blame.worded(error, node.protocol)
        name = self.network.graph.hosts[node.me].name
        self.failures.append(f"the agent of {name} failed: {reason}")
        self._record(node, ERROR)
        self._record(node, STOP)
        node.over = True

    def _schedule_round(self, node: Node) -> None:
        if node.timing.due < inf:
            due_ns = round(node.timing.due * 1e9)
            heappush(self._wakes, (due_ns, next(self._serials), node, None))

    def _record(self, node: Node, kind: int, what: What = NOTHING, k: int | None = None) -> None:
        own_round = node.timing.k if k is None else k
        self._write((self.now_ns, node.me, kind, -1, own_round, what))
