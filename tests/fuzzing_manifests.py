"""A whole run under faults, what readers take out of its manifest, and ways to spoil that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from testbed import experiment, intact, results, simulation
from testbed.intact import RunError
from testbed.judging import variants
from testbed.measures import cuts
from testbed.progress import Progress
from testbed.tables import RunTables

FAULTY = """
[grid]
protocol = "push"
nodes = [4, 8]
[run]
repeats = 1
[[faults]]
kind = "kill"
at_round = 1
nodes = [3]
[[faults]]
kind = "partition"
between_rounds = [1, 2]
sets = ["s1"]
"""
READ = ("format", "experiment", "data_types", "timelines")
VALUES: tuple[Any, ...] = (None, True, -1, 1e308, float("nan"), 10**400, "", "x", [], {}, [{}])


def whole_run(path: Path) -> bytes:
    """Makes a run directory; returns its manifest."""
    file = path.with_suffix(".toml")
    file.write_text(FAULTY)
    loaded = experiment.load(str(file))
    made = simulation.simulate(loaded, seed=1, folder=path.parent / "made", progress=Progress())
    made.rename(path)
    return (path / "manifest.json").read_bytes()


def take_out(tables: RunTables) -> None:
    """What readers do with a manifest."""
    variants.named([tables], [tables.runs])
    cuts.kills(tables)


def feeder(path: Path) -> Callable[[bytes], None]:
    """Feeds the manifest of a run with a few values changed; bytes are the seed.

    Of changed bytes one in 16 is JSON at all.
    """
    whole = results.load(path)
    text = json.dumps({name: whole.manifest[name] for name in READ})

    def feed(data: bytes) -> None:
        rng, found = Random(data), json.loads(text)
        for _ in range(rng.randint(1, 3)):
            holder, key = rng.choice(list(_places(found)))
            if rng.random() < 0.3:
                del holder[key]
            else:
                holder[key] = rng.choice(VALUES)
        try:
            intact.manifest(found, path / "manifest.json", results.FORMAT)
        except RunError as error:
            assert "\n" not in str(error)
            return
        take_out(replace(whole, manifest=found))

    return feed


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Every value inside, by what holds it and its name or number there."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])
