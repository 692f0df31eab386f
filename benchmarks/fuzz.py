"""Feeds hostile inputs to each decoder and reports the first that it fails on.

    python benchmarks/fuzz.py [--inputs 1000000] [--target NAME ...] [--seed 1] [--json]

Inputs are changed samples, and half of those that came last as samples again, so that changes add
up. A fault is printed with its input in hexadecimal and its traceback; the exit status is 1 then.
An input that takes over a second of processor time is a fault, too: that is how a decoder that
goes on for ever shows. With `--engine atheris` (`pip install atheris`) one target is fuzzed with
coverage as the guide; it ends itself after `--inputs` or at a fault, whose input it saves.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from tests.fuzzing import Target

KEPT = 200
AT_ONCE = 256
"""Inputs that a decoder with a high cost a call gets together."""
SLOW_S = 1.0
"""A thousand times what the slowest decoder takes."""


class Slow(BaseException):
    """An input takes too long. Nobody who means the errors of a library catches it."""


@contextmanager
def in_time() -> Iterator[None]:
    """Raises `Slow` in a body that takes more than `SLOW_S` of processor time."""

    def ring(*_: object) -> None:
        raise Slow(f"not done after {SLOW_S:g} s of processor time")

    before = signal.signal(signal.SIGPROF, ring)
    left = signal.setitimer(signal.ITIMER_PROF, SLOW_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, *left)
        signal.signal(signal.SIGPROF, before)


def fuzz(name: str, inputs: int, seed: int) -> dict[str, Any]:
    """Figures of one target; `fault` is the input that it failed on, in hexadecimal, or None."""
    from tests.fuzzing import TARGETS, mutated

    target, rng = TARGETS[name], Random(seed)
    pool = list(target.corpus)
    at_once = AT_ONCE if target.feed_all else 1
    began = time.perf_counter()
    for number in range(0, inputs, at_once):
        batch = [mutated(rng.choice(pool), rng) for _ in range(min(at_once, inputs - number))]
        fault = failing(target, batch)
        if fault is not None:
            return {"target": name, "inputs": number + len(batch), "fault": fault.hex()}
        for data in batch:
            if len(data) < 20_000 and rng.random() < 0.5:
                if len(pool) < len(target.corpus) + KEPT:
                    pool.append(data)
                else:
                    pool[rng.randrange(len(target.corpus), len(pool))] = data
    seconds = time.perf_counter() - began
    return {"target": name, "inputs": inputs, "fault": None, "per_s": round(inputs / seconds)}


def failing(target: Target, batch: Sequence[bytes]) -> bytes | None:
    """The first input that the decoder fails on; of those that it fails on together only, all."""
    if target.feed_all is not None:
        try:
            with in_time():
                target.feed_all(batch)
            return None
        except (Exception, Slow):
            traceback.print_exc()
    for data in batch:
        try:
            with in_time():
                target.feed(data)
        except (Exception, Slow):
            traceback.print_exc()
            return data
    return b"".join(batch) if target.feed_all else None


def guided(name: str, inputs: int) -> None:
    """Fuzzes one target with atheris; does not return."""
    import atheris

    with atheris.instrument_imports(include=["agents", "testbed"]):
        from tests.fuzzing import TARGETS
    target = TARGETS[name]
    folder = Path("build") / "fuzz" / name.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(target.corpus):
        (folder / f"sample-{number}").write_bytes(sample)
    atheris.Setup([sys.argv[0], f"-runs={inputs}", "-max_len=4096", str(folder)], target.feed)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each (default 10^6)")
    parser.add_argument("--target", action="append", help="a decoder's name; repeatable")
    parser.add_argument("--seed", type=int, default=1, help="of the changes (default 1)")
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    if arguments.engine == "atheris":
        guided((arguments.target or ["wire"])[0], arguments.inputs)
    from tests.fuzzing import TARGETS

    if unknown := set(arguments.target or ()) - set(TARGETS):
        parser.error(f"--target {sorted(unknown)[0]}: there are {', '.join(TARGETS)}")
    found = []
    for name in arguments.target or TARGETS:
        found.append(fuzz(name, arguments.inputs, arguments.seed))
        if not arguments.json:
            row = found[-1]
            state = f"FAULT {row['fault'][:80]}" if row["fault"] else f"{row['per_s']} a second"
            print(f"{name:22} {row['inputs']:9} inputs  {state}", flush=True)
    if arguments.json:
        print(json.dumps({"schema": 1, "targets": found}))
    return any(row["fault"] for row in found)


if __name__ == "__main__":
    sys.exit(main())
