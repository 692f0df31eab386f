"""Runs a protocol through many schedules, and tells what it did wrong and in which one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from agents.options import OptionInfo, describe, make
from agents.registry import Plugin
from agents.seeds import derive
from testbed.checking import hostile, purity
from testbed.checking.invariants import violations
from testbed.checking.schedule import CALM_S, Schedule, draw
from testbed.checking.world import World

PROMISES = {"FIFO": "order", "RELIABLE": "delivery"}
SETTLE_S = 90.0
"""Calm time in which a reliable protocol has to deliver everything; with timeouts that double, a
sender may be silent for as long as it has tried."""
STEP_S = 3.0


class Failure(NamedTuple):
    """What a protocol did wrong in one schedule, made as simple as it could be."""

    violations: list[str]
    schedule: Schedule


class Report(NamedTuple):
    """What was tried, and the first failure; None when all was well."""

    protocol: str
    schedules: int
    promises: list[str]
    failure: Failure | None
    impurities: list[str]
    """What its file uses and a protocol must not; nothing is played then."""

    @property
    def ok(self) -> bool:
        return self.failure is None and not self.impurities


def play(plugin: Plugin, schedule: Schedule, values: Mapping[str, Any] | None = None) -> World:
    """Runs a schedule until a reliable protocol has delivered everything, or its time is over."""
    world = World(plugin, options(plugin, schedule, values or {}), schedule)
    world.advance(CALM_S + STEP_S)
    while world.now < CALM_S + SETTLE_S and plugin.protocol.RELIABLE and not values:
        if not violations(world.history, plugin.protocol):
            break
        world.advance(world.now + STEP_S)
    return world


def wrong(plugin: Plugin, schedule: Schedule, values: Mapping[str, Any] | None = None) -> list[str]:
    """What the protocol does wrong in a schedule, and whether a repetition differs."""
    world = play(plugin, schedule, values)
    found = violations(world.history, plugin.protocol, promised=not values)
    if not found and play(plugin, schedule, values).actions != world.actions:
        found = ["the same seed and the same messages gave other actions"]
    return found


def options(plugin: Plugin, schedule: Schedule, values: Mapping[str, Any]) -> Any:
    """The options for a group of that size: a default fan-out may be too large for a small one."""
    chosen = dict(values)
    for info in describe(plugin.protocol.Options):
        if info.name == "fan_out" and info.name not in values:
            chosen[info.name] = max(1, min(info.default, schedule.nodes - 1))
    made = make(plugin.protocol.Options, chosen)
    plugin.protocol.check(made, schedule.nodes)
    return made


def variants(plugin: Plugin) -> Iterator[dict[str, Any]]:
    """Options that differ from the defaults in one choice."""
    for info in describe(plugin.protocol.Options):
        for value in _others(info):
            yield {info.name: value}


def examine(
    plugin: Plugin,
    schedules: int,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> Report:
    """Plays schedules with the default options until one fails; `step` is called after each."""
    promises = [PROMISES[name] for name in PROMISES if getattr(plugin.protocol, name)]
    if impure := purity.impurities(plugin.path.read_text()):
        return Report(plugin.name, 0, promises, None, impure)
    for number in range(schedules):
        schedule = draw(derive(seed, "schedule", number))
        for find in (wrong, hostile_wrong):
            if find(plugin, schedule):
                simplest = shrink(schedule, partial(find, plugin))
                failure = Failure(find(plugin, simplest), simplest)
                return Report(plugin.name, number + 1, promises, failure, [])
        step()
    return Report(plugin.name, schedules, promises, None, [])


def hostile_wrong(plugin: Plugin, schedule: Schedule) -> list[str]:
    """What the protocol does wrong when strange datagrams come in between."""
    return hostile.violations(plugin, options(plugin, schedule, {}), schedule)


def shrink(schedule: Schedule, fails: Callable[[Schedule], object]) -> Schedule:
    """Leaves out of a failing schedule what it fails without."""
    simpler: list[dict[str, Any]] = [
        *({"crashes": (crash,)} for crash in schedule.crashes),
        {"crashes": ()},
        {"loss_ratio": 0.0},
        {"duplicate_ratio": 0.0},
        {"delay_s": 0.01},
        {"late_s": 0.0},
        {"subnets": 1},
        *({"nodes": nodes} for nodes in (4, 3, 2)),
        *({"multicasts": schedule.multicasts[:count]} for count in (4, 3, 2, 1)),
    ]
    for change in simpler:
        candidate = replace(schedule, **change)
        if fails(candidate):
            schedule = candidate
    return schedule


def _others(info: OptionInfo) -> list[Any]:
    if info.kind is bool:
        return [not info.default]
    return [choice for choice in info.choices if choice != info.default]
