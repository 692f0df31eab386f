"""What a validation does, checked before anything starts: which experiments, how often, in steps.

A family of claims that registers looks has its experiments run in as many steps in a full
validation, each with new runs, so that it can end as soon as it is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents import registry
from testbed import claims as claimed
from testbed import document, emulation, experiment, resumption, simulation
from testbed.errors import UsageError, near
from testbed.experiment import Experiment
from testbed.judging.claim import Claim
from testbed.judging.looks import portion

ONCE = (1.0,)
SEQUENTIAL = "full"
"""The variant in which looks pay: in the others the first one would have nothing to decide with."""


@dataclass(frozen=True)
class Step:
    """One run directory that a validation makes."""

    experiment: Experiment
    look: int = 0
    simulated: bool = False

    @property
    def name(self) -> str:
        look = f", look {self.look + 1}" if self.look else ""
        return f"{self.experiment.name}{look}{', simulated' if self.simulated else ''}"

    @property
    def expected_s(self) -> float:
        expected_s = simulation.expected_s if self.simulated else emulation.expected_s
        return sum(expected_s(cell) for cell in self.experiment.cells)


@dataclass(frozen=True)
class Plan:
    """The steps of a validation, in order, and what it judges."""

    claims: tuple[str, ...]
    variant: str
    steps: tuple[Step, ...]
    looks: Mapping[str, tuple[float, ...]]
    """Of each family that is looked at more than once."""
    left_out: tuple[str, ...]
    """Experiments that only other variants run."""
    stand_in: Mapping[str, str]
    request: Mapping[str, Any] = field(default_factory=dict)

    def claims_of(self, family: str) -> list[str]:
        return [name for name in self.claims if claimed.load(name).CLAIM.family == family]

    def steps_of(self, family: str, look: int) -> list[Step]:
        """The steps that come with one look at a family."""
        names = {n for c in self.claims_of(family) for n in claimed.load(c).CLAIM.experiments}
        return [s for s in self.steps if s.look == look and s.experiment.name in names]


def make(
    claims: Sequence[str], variant: str, settings: Sequence[str], stand_ins: Mapping[str, str]
) -> Plan:
    """Loads every experiment that the claims register and the variant runs. Raises `UsageError`."""
    wanted: list[Claim] = [claimed.load(name).CLAIM for name in claims]
    names = list(dict.fromkeys(name for claim in wanted for name in claim.experiments))
    read = {name: document.read(name, variant) for name in names}
    run = [name for name in names if variant in read[name].variants]
    protocols = {protocol for name in run for protocol in read[name].names("protocol")}
    if unknown := [old for old in stand_ins if old not in protocols]:
        raise UsageError(f"{unknown[0]}: no claim is judged by it; {near(unknown[0], protocols)}")
    looks = _looks(wanted, variant)
    steps: list[Step] = []
    for name in run:
        loaded = load(name, variant, settings, stand_ins)
        users = {claim.family for claim in wanted if name in claim.experiments}
        at = looks.get(next(iter(users)), ONCE)
        steps += [Step(_part(loaded, at, place), place) for place in range(len(at))]
    times = {name: k for claim in wanted for name, k in claim.simulated.items()}
    steps += [
        Step(_repeated(step.experiment, times[step.experiment.name]), simulated=True)
        for step in steps
        if step.experiment.name in times
    ]
    return Plan(
        claims=tuple(claims),
        variant=variant,
        steps=tuple(steps),
        looks=looks,
        left_out=tuple(name for name in names if name not in run),
        stand_in={old: registry.load(new).name for old, new in stand_ins.items()},
        request=resumption.request_of(claims, variant, settings, stand_ins),
    )


def load(
    name: str, variant: str, settings: Sequence[str], stand_ins: Mapping[str, str]
) -> Experiment:
    """An experiment with some of its protocols replaced."""
    loaded = experiment.load(name, variant=variant, settings=settings)
    protocols = list(dict.fromkeys(cell.protocol for cell in loaded.cells))
    if not set(protocols) & set(stand_ins):
        return loaded
    replaced = [stand_ins.get(protocol, protocol) for protocol in protocols]
    return experiment.load(name, variant=variant, settings=settings, protocols=replaced)


def _looks(wanted: Sequence[Claim], variant: str) -> dict[str, tuple[float, ...]]:
    """The looks at each family that has several, if nobody else needs its experiments whole."""
    if variant != SEQUENTIAL:
        return {}
    found = {claim.family: claim.looks for claim in wanted if claim.looks != ONCE}
    for claim in wanted:
        for other in wanted:
            if claim.family != other.family and {*claim.experiments} & {*other.experiments}:
                found.pop(claim.family, None)
    return found


def _part(loaded: Experiment, looks: Sequence[float], place: int) -> Experiment:
    """The runs of an experiment that are new at a look."""
    return _changed(
        loaded, lambda total: total if len(looks) == 1 else portion(total, looks, place)
    )


def _repeated(loaded: Experiment, times: int) -> Experiment:
    """The same experiment with so many runs for each of its own."""
    return _changed(loaded, lambda total: total * times)


def _changed(loaded: Experiment, change: Callable[[int], int]) -> Experiment:
    cells = [
        replace(
            cell,
            run=replace(cell.run, repeats=change(cell.run.repeats), rounds=change(cell.run.rounds)),
        )
        for cell in loaded.cells
    ]
    return replace(loaded, cells=tuple(cells))
