"""Runs a protocol through many schedules, and tells what it did wrong and in which one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import Any, NamedTuple

from agents.options import OptionError, OptionInfo, describe, make
from agents.registry import Plugin
from agents.seeds import derive
from testbed.checking import hostile, purity
from testbed.checking.invariants import violations
from testbed.checking.schedule import CALM_S, Schedule, draw
from testbed.checking.world import World

PROMISES = {"FIFO": "order", "RELIABLE": "delivery"}
SETTLE_S = 240.0
"""Calm time in which a reliable protocol has to deliver everything; with timeouts that double, a
sender may be silent for as long as it has tried. A tree gives up one dead node after the other,
after 55 s each."""
STEP_S = 3.0
NOTHING: Mapping[str, Any] = MappingProxyType({})
"""No other options than the defaults."""


class Failure(NamedTuple):
    """What a protocol did wrong in one schedule, made as simple as it could be."""

    violations: list[str]
    schedule: Schedule
    values: Mapping[str, Any]
    """Options other than the defaults."""


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


def play(plugin: Plugin, schedule: Schedule, values: Mapping[str, Any]) -> tuple[World, list[str]]:
    """Runs a schedule until a reliable protocol has delivered everything, or its time is over;
    returns with the world what went wrong in it."""
    chosen = options(plugin, schedule, values)
    fifo, reliable = plugin.protocol.promised(chosen)
    world = World(plugin, chosen, schedule)
    while True:
        world.advance(max(world.now, CALM_S) + STEP_S)
        found = violations(world.history, fifo=fifo, reliable=reliable)
        if not (found and reliable) or world.now >= CALM_S + SETTLE_S:
            return world, found


def wrong(plugin: Plugin, schedule: Schedule, values: Mapping[str, Any] = NOTHING) -> list[str]:
    """What the protocol does wrong in a schedule, and whether a repetition differs."""
    world, found = play(plugin, schedule, values)
    if not found and play(plugin, schedule, values)[0].actions != world.actions:
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


def variants(plugin: Plugin, schedule: Schedule) -> Iterator[dict[str, Any]]:
    """Options that differ from the defaults in one choice or switch, in two of them, or in a whole
    number that is as low as it may be or one more; without those that the protocol refuses."""
    infos = describe(plugin.protocol.Options)
    changes = [{info.name: value} for info in infos for value in _others(info)]
    picked = {info.name for info in infos if info.kind is bool or info.choices}
    for one, other in combinations([each for each in changes if picked.issuperset(each)], 2):
        if one.keys() != other.keys():
            changes.append(one | other)
    return (values for values in changes if fits(plugin, schedule, values))


def fits(plugin: Plugin, schedule: Schedule, values: Mapping[str, Any]) -> bool:
    """Whether the protocol takes these options in a group of that size."""
    try:
        options(plugin, schedule, values)
    except OptionError:
        return False
    return True


def examine(
    plugin: Plugin,
    schedules: int,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> Report:
    """Plays schedules until one fails, each with the defaults and with one of the variants in turn;
    `step` is called after each."""
    promises = [PROMISES[name] for name in PROMISES if getattr(plugin.protocol, name)]
    if impure := purity.impurities(plugin.path.read_text()):
        return Report(plugin.name, 0, promises, None, impure)
    for number in range(schedules):
        schedule = draw(derive(seed, "schedule", number))
        others = [*variants(plugin, schedule)]
        turn = others[number % len(others)] if others else NOTHING
        for find, values in ((wrong, NOTHING), (hostile_wrong, NOTHING), (wrong, turn)):
            failing = partial(find, plugin, values=values)
            if failing(schedule):
                simplest = shrink(schedule, failing)
                failure = Failure(failing(simplest), simplest, values)
                return Report(plugin.name, number + 1, promises, failure, [])
        step()
    return Report(plugin.name, schedules, promises, None, [])


def hostile_wrong(
    plugin: Plugin, schedule: Schedule, values: Mapping[str, Any] = NOTHING
) -> list[str]:
    """What the protocol does wrong when strange datagrams come in between."""
    return hostile.violations(plugin, options(plugin, schedule, values), schedule)


def shrink(schedule: Schedule, fails: Callable[[Schedule], object]) -> Schedule:
    """Leaves out of a failing schedule what it fails without, as far as the options fit."""
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
        with suppress(OptionError):
            if fails(candidate):
                schedule = candidate
    return schedule


def _others(info: OptionInfo) -> list[Any]:
    if info.kind is bool:
        return [not info.default]
    found: list[Any] = [*info.choices]
    if info.kind is int and info.low is not None:
        found = [int(info.low), int(info.low) + 1]
    return [value for value in found if value != info.default]
