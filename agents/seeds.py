"""Random sources derived by name from one seed, so that a change at one host moves no other."""

from __future__ import annotations

from random import Random


def derive(seed: int, *names: int | str) -> Random:
    """Makes the generator that belongs to a seed and a path of names.

    `derive(7, 3, "targets")` is the target choice of node 3 in a run of seed 7. Python hashes the
    text with SHA-512, so neighbouring seeds and nodes have unrelated streams.
    """
    return Random("/".join(str(part) for part in (seed, *names)))
