"""Push, pull and push-pull with uniform targets, every node drawn: 10^3 to 10^8 nodes.

Model: see `testbed.simulator.mixing`. NumPy alone: most of the time is spent waiting for memory,
and a loop compiled by Numba takes 3.8 s where this takes 4.1 s for 10^7 nodes and fan-out 2,
after 1 to 3 s of compiling (benchmarks/rounds.py, AMD EPYC).
The source and the dead nodes have fixed numbers, which uniform targets cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from testbed.simulator.memory import check_memory
from testbed.simulator.mixing import Mixing
from testbed.simulator.outcome import Outcome, join
from testbed.simulator.rounds.draws import others
from testbed.simulator.rounds.population import CHUNK, SUSCEPTIBLE, Population

Ints = NDArray[np.int64]

# State 2, active 8, newly infected 8 and their sorted copy 8; a pull's own lists come on top.
_BYTES = {"push": 26, "pull": 52, "push_pull": 52}

# Nodes in a block of runs: the state of all of them stays in the processor's second cache.
_BLOCK = 1 << 18


def spread(mixing: Mixing, runs: int = 1, seed: int = 0, *, keep_nodes: bool = False) -> Outcome:
    """Simulates independent runs; the same (mixing, runs, seed) gives the same outcome.

    `keep_nodes` keeps every node's round of infection. UsageError when the nodes do not fit
    into memory.
    """
    kept = 2 * runs * mixing.nodes if keep_nodes else 0
    check_memory(mixing.nodes, _BYTES[mixing.protocol] + kept // mixing.nodes)
    parts = []
    for size, rng in blocks(runs, mixing.nodes, seed):
        parts.append(_block(mixing, size, rng).outcome(keep_nodes=keep_nodes))
    return join(mixing.alive, parts)


def blocks(runs: int, nodes: int, seed: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Cuts the runs into blocks, each with its own generator: (runs of the block, generator)."""
    size = max(1, min(runs, _BLOCK // nodes))
    children = np.random.SeedSequence(seed).spawn(-(-runs // size))
    for number, child in enumerate(children):
        yield min(size, runs - number * size), np.random.Generator(np.random.SFC64(child))


def _block(mixing: Mixing, runs: int, rng: np.random.Generator) -> Population:
    first = np.arange(runs, dtype=np.int64)[:, None] * mixing.nodes
    dead = np.zeros((runs, mixing.nodes), dtype=np.bool_)
    dead[:, mixing.alive :] = True
    people = Population(
        runs, mixing.nodes, dead.ravel(), (first + np.arange(mixing.sources)).ravel()
    )
    del dead
    left = np.flatnonzero(people.state == SUSCEPTIBLE) if mixing.pulls else np.empty(0, np.int64)
    gossips = np.zeros(len(people.state), dtype=np.bool_) if mixing.pulls else None
    while len(people.active) and people.round < mixing.max_rounds:
        if mixing.crash_ratio:
            people.drop(rng.random(len(people.active)) < mixing.crash_ratio)
        if mixing.own_rounds is not None:
            people.drop(people.state[people.active] + mixing.own_rounds <= people.round)
        new: list[Ints] = []
        if gossips is not None:
            gossips[:] = False
            gossips[people.active] = True
            left = left[people.state[left] == SUSCEPTIBLE]
            if people.done.any():
                left = left[~people.done[left // mixing.nodes]]
            new += [
                people.infect(learned) for learned in _pulls(mixing, people, left, gossips, rng)
            ]
            callers = np.where(people.done, 0, mixing.alive - people.silent)
        else:
            callers = people.per_run(people.active)
        if mixing.pushes:
            new += [people.infect(hit) for hit in _pushes(mixing, people, rng)]
        people.end_round(
            np.concatenate(new) if new else np.empty(0, np.int64), callers * mixing.fan_out
        )
    return people


def _pushes(mixing: Mixing, people: Population, rng: np.random.Generator) -> Iterator[Ints]:
    """The nodes that the active ones' datagrams reach, chunk by chunk."""
    for start in range(0, len(people.active), CHUNK):
        senders = people.active[start : start + CHUNK]
        targets = _targets(mixing, people, senders, rng).ravel()
        if mixing.loss_ratio:
            targets = targets[rng.random(len(targets)) >= mixing.loss_ratio]
        yield targets


def _pulls(
    mixing: Mixing,
    people: Population,
    left: Ints,
    gossips: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Iterator[Ints]:
    """The susceptible nodes that learn the rumour by asking, chunk by chunk."""
    for start in range(0, len(left), CHUNK):
        askers = left[start : start + CHUNK]
        answers = gossips[_targets(mixing, people, askers, rng)]
        if mixing.loss_ratio:
            answers &= rng.random(answers.shape) < mixing.pull_success
        yield askers[answers.any(axis=0)]


def _targets(mixing: Mixing, people: Population, ids: Ints, rng: np.random.Generator) -> Ints:
    base = people.base(ids)
    drawn = others(rng, ids - base, mixing.nodes, mixing.fan_out, replacement=mixing.replacement)
    drawn += base
    return drawn
