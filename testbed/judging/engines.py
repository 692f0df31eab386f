"""Samples that claims take from the simulators' engines, each drawn once in a validation.

A sample's seed is derived from the validation's by the engine and the conditions, so that a claim
sees the same runs whatever other claims are judged with it. The manifest of the validation lists
what was drawn. The engines are models: what they support is "verified (model)" at best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.seeds import derive
from testbed.judging.selection import Arm
from testbed.simulator import counts, reference, srm_star
from testbed.simulator.mixing import Mixing
from testbed.simulator.outcome import Outcome
from testbed.simulator.rounds import median, rumor, uniform

T = TypeVar("T")
Floats = NDArray[np.float64]

FACTOR = {"quick": 1.0, "default": 2.0, "full": 10.0}
"""Runs for each run that a claim asks for, by the variant of a validation."""

PER_NODE = 1 << 14
"""Nodes up to which every node is drawn; above, the numbers of nodes, which is as exact."""


class Engines:
    """Draws samples and remembers them; `drawn` says which, for the manifest."""

    def __init__(self, seed: int = 1, factor: float = 1.0) -> None:
        self.seed, self.factor = seed, factor
        self.drawn: list[dict[str, Any]] = []
        self._samples: dict[str, Any] = {}

    def runs(self, wanted: int) -> int:
        """Runs that are drawn where a claim asks for `wanted`."""
        return max(2, round(wanted * self.factor))

    def rounds(self, runs: int, *, keep_nodes: bool = False, **conditions: Any) -> Outcome:
        """Synchronous rounds; `conditions` are the fields of `Mixing`, targets may repeat.

        `keep_nodes` keeps each node's round of infection, for groups of up to `PER_NODE`.
        """
        conditions = {"replacement": True, **conditions}
        mixing = Mixing(**conditions)
        if mixing.nodes > PER_NODE:
            return self._draw("counts", runs, conditions, lambda n, s: counts.spread(mixing, n, s))
        name = "rounds, each node" if keep_nodes else "rounds"
        return self._draw(
            name,
            runs,
            conditions,
            lambda n, s: uniform.spread(mixing, n, s, keep_nodes=keep_nodes),
        )

    def free(self, runs: int, **conditions: Any) -> reference.Sample:
        """`free` timing; `conditions` are the arguments of `reference.sample`."""
        return self._draw(
            "reference",
            runs,
            conditions,
            lambda n, s: reference.sample(runs=n, seed=s, **conditions),
        )

    def rumor(self, runs: int, **conditions: Any) -> rumor.RumorOutcome:
        """Rumor mongering in cycles; `conditions` are the fields of `Rumor`."""
        spreads = rumor.Rumor(**conditions)
        return self._draw("rumor", runs, conditions, lambda n, s: rumor.spread(spreads, n, s))

    def median(self, runs: int, *, nodes: int) -> median.Told:
        """Push-pull with the median-counter rule, from one node among so many."""
        return self._draw("median", runs, {"nodes": nodes}, lambda n, s: median.spread(nodes, n, s))

    def star(self, runs: int, **conditions: Any) -> srm_star.Requests:
        """Requests of an SRM star; `conditions` are the arguments of `srm_star.sample`."""
        return self._draw(
            "srm_star", runs, conditions, lambda n, s: srm_star.sample(n, s, **conditions)
        )

    def _draw(
        self, engine: str, runs: int, conditions: Mapping[str, Any], draw: Callable[[int, int], T]
    ) -> T:
        runs = self.runs(runs)
        name = f"{engine} {runs} {sorted(conditions.items())}"
        if name not in self._samples:
            seed = derive(self.seed, name).getrandbits(48)
            self._samples[name] = draw(runs, seed)
            row = {"engine": engine, "runs": runs, "seed": seed, "conditions": dict(conditions)}
            self.drawn.append(row)
        sample: T = self._samples[name]
        return sample


def conditions(
    protocol: str = "push",
    *,
    timing: str = "sync",
    fan_out: int = 1,
    loss_ratio: float = 0.0,
    retention: str = "forever",
    **more: Any,
) -> dict[str, Any]:
    """What a finding on engine samples states: targets may repeat, unless said otherwise."""
    return {
        "protocol": protocol,
        "timing": timing,
        "fan_out": fan_out,
        "replacement": True,
        "retention": retention,
        "loss_ratio": loss_ratio,
        **more,
    }


def arm(stated: Mapping[str, Any], times: Mapping[int, Floats]) -> Arm:
    """Times by size, as the rules for growth take them; infinite where nodes were left out."""
    frames = [
        pd.DataFrame({"nodes": n, "rounds_to_all": t, "voided": False, "unhealthy": ""})
        for n, t in times.items()
    ]
    rest = {key: value for key, value in stated.items() if key != "protocol"}
    return Arm(
        str(stated["protocol"]),
        {**rest, "evidence": "simulated"},
        pd.concat(frames, ignore_index=True),
    )
