"""Conservation over random histories: whatever becomes of datagrams, the terms account for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from testbed.accounts import AgentTerms, Fanned, HostTerms, Loss, PortTerms, RouterTerms, Terms
from testbed.conservation import explain
from topologies.elements import PERFECT, Router
from topologies.graph import Graph
from topologies.layout import lay_out

ROUTERS = [
    Router("r0", 0, None),
    Router("r1", 1, "r0"),
    Router("r2", 1, "r0"),
    Router("r3", 2, "r1"),
]
GRAPH = Graph(
    "tree", *lay_out(ROUTERS, [("r1", 2), ("r2", 1), ("r3", 2), ("r0", 1)], PERFECT, PERFECT)
)
SUBNETS = sorted((subnet.name for subnet in GRAPH.subnets), key=lambda name: GRAPH.span(name)[0])
ENDS = ("read", "no_port", "errors")
LOSSES = ("lost", "full", "stranded")

Ledger = Counter[tuple[str, ...]]


def history(random: Random, datagrams: int) -> Ledger:
    """Sends datagrams between random hosts and writes down, as the kernel does, what it sees."""
    seen: Ledger = Counter()
    for _ in range(datagrams):
        if random.random() < 0.3:
            multicast(random, seen)
            continue
        source, target = random.randrange(GRAPH.nodes), random.randrange(GRAPH.nodes)
        name, other = GRAPH.host(source).name, GRAPH.host(target).name
        seen[name, "sent"] += 1
        if source == target:
            seen[name, "looped"] += 1
            seen[other, random.choice(ENDS)] += 1
        elif travel(random, seen, source, target):
            seen[other, "offered"] += 1
            if random.random() < 0.3:
                seen[other, random.choice(LOSSES)] += 1
            else:
                seen[other, random.choice(ENDS)] += 1
    return seen


def multicast(random: Random, seen: Ledger) -> None:
    """Sends one to a group, by the paths to its members; copies are lost one by one."""
    source, group = random.randrange(GRAPH.nodes), random.randrange(len(SUBNETS) + 1)
    ttl = random.randint(1, 5)
    own = GRAPH.host(source).subnet
    members = [host for host in GRAPH.hosts if group == 0 or host.subnet == SUBNETS[group - 1]]
    seen[GRAPH.host(source).name, "sent"] += 1
    if random.random() < 0.2:
        seen[GRAPH.host(source).name, random.choice(LOSSES) + "_up"] += 1
        return
    far: dict[tuple[str, ...], list[str]] = {}
    for host in members:
        if host.subnet != own:
            way = (*GRAPH.path(source, host.node), host.subnet)
            far.setdefault(way, []).append(host.name)
        elif host.node != source:
            arrive(random, seen, host.name)
    gateway = GRAPH.subnet(own).router
    forward(random, seen, gateway, own, group, ttl, {way[1:]: far[way] for way in far})


def forward(
    random: Random,
    seen: Ledger,
    here: str,
    came: str,
    group: int,
    ttl: int,
    ways: dict[tuple[str, ...], list[str]],
) -> None:
    """What a router does with a multicast that is to go these ways."""
    seen[here, "ended" if ttl == 1 else "arrived", came, str(group)] += 1
    if ttl == 1:
        return
    for there in sorted({way[0] for way in ways}):
        further = {way[1:]: ways[way] for way in ways if way[0] == there}
        if () in further:
            seen[here, "fanned", came, there] += 1
            seen[here, "forwarded", came, there] += 1
            for host in further[()]:
                arrive(random, seen, host)
            continue
        up = GRAPH.router(here).parent == there
        went, device, back = ("up", "up", here) if up else (there, f"d-{there}", "up")
        seen[here, "fanned", came, went] += 1
        seen[here, "forwarded", came, went] += 1
        if random.random() < 0.2:
            seen[here, random.choice(LOSSES), device] += 1
        else:
            forward(random, seen, there, back, group, ttl - 1, further)


def arrive(random: Random, seen: Ledger, host: str) -> None:
    seen[host, "offered"] += 1
    seen[host, random.choice(LOSSES if random.random() < 0.3 else ENDS)] += 1


def travel(random: Random, seen: Ledger, source: int, target: int) -> bool:
    """Whether a datagram gets to the router of its target's subnet, and out of it."""
    path = GRAPH.path(source, target)
    came = GRAPH.host(source).subnet
    if random.random() < 0.2:
        seen[GRAPH.host(source).name, random.choice(LOSSES) + "_up"] += 1
        return False
    for here, there in zip(path, (*path[1:], None), strict=True):
        if there is None:
            went, device, back = GRAPH.host(target).subnet, "", ""
        elif GRAPH.router(here).parent == there:
            went, device, back = "up", "up", here
        else:
            went, device, back = there, f"d-{there}", "up"
        seen[here, "forwarded", came, went] += 1
        if there is not None and random.random() < 0.2:
            seen[here, random.choice(LOSSES), device] += 1
            return False
        came = back
    return True


def loss(lost: int, full: int, stranded: int) -> Loss:
    return Loss(lost, lost, full=full, stranded=stranded)


def terms_of(seen: Ledger) -> Terms:
    hosts = {
        host.name: HostTerms(
            **{name: seen[host.name, name] for name in ("sent", "looped", "offered", *ENDS)},
            lost=loss(*(seen[host.name, each] for each in LOSSES)),
            lost_up=loss(*(seen[host.name, f"{each}_up"] for each in LOSSES)),
        )
        for host in GRAPH.hosts
    }
    routers = {}
    for router in GRAPH.routers:
        ways = {key[2:]: n for key, n in seen.items() if key[:2] == (router.name, "forwarded")}
        devices = {key[2] for key in seen if key[0] == router.name and key[1] in LOSSES}
        mine = {key: n for key, n in seen.items() if key[0] == router.name and len(key) == 4}
        casts = [(*key[1:], n) for key, n in mine.items()]
        routers[router.name] = RouterTerms(
            {(came, went): n for (came, went), n in ways.items()},
            ports={
                device: PortTerms(loss(*(seen[router.name, each, device] for each in LOSSES)))
                for device in sorted(devices)
            },
            fanned=Fanned(
                {(came, int(to)): n for kind, came, to, n in casts if kind == "arrived"},
                {(came, int(to)): n for kind, came, to, n in casts if kind == "ended"},
                {(came, to): n for kind, came, to, n in casts if kind == "fanned"},
            ),
        )
    return Terms(hosts, routers)


def agents_of(terms: Terms) -> dict[int, AgentTerms]:
    return {
        host.node: AgentTerms(terms.hosts[host.name].sent, terms.hosts[host.name].read)
        for host in GRAPH.hosts
    }


@given(st.randoms(use_true_random=False), st.integers(0, 60))
def test_every_history_is_explained(random: Random, datagrams: int) -> None:
    terms = terms_of(history(random, datagrams))
    assert explain(GRAPH, terms, agents_of(terms)) == []


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.sampled_from([-1, 1]))
def test_one_datagram_more_or_less_in_any_term_is_noticed(
    random: Random, datagrams: int, difference: int
) -> None:
    terms = terms_of(history(random, datagrams))
    agents = agents_of(terms)
    host = random.choice(GRAPH.hosts).name
    exact = [each.name for each in fields(HostTerms) if each.name in ("sent", "offered", *ENDS)]
    name = random.choice(exact)
    wrong: dict[str, Any] = {name: getattr(terms.hosts[host], name) + difference}
    changed = replace(terms.hosts[host], **wrong)
    off = Terms({**terms.hosts, host: changed}, terms.routers)
    assert explain(GRAPH, off, agents) != []


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.sampled_from([-1, 1]))
def test_one_datagram_more_or_less_at_any_router_is_noticed(
    random: Random, datagrams: int, difference: int
) -> None:
    terms = terms_of(history(random, datagrams))
    router = random.choice(
        [name for name in terms.routers if terms.routers[name].forwarded] or ["r0"]
    )
    ways = dict(terms.routers[router].forwarded) or {("r1", "r2"): 0}
    way = random.choice(sorted(ways))
    ways[way] += difference
    off = Terms(
        terms.hosts, {**terms.routers, router: replace(terms.routers[router], forwarded=ways)}
    )
    assert explain(GRAPH, off) != []
