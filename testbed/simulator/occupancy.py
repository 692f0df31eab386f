"""How many distinct cells many balls hit, drawn exactly without placing the balls.

Balls fall into cells uniformly and independently, up to 10^10 of them. Given that each cell holds
an independent Poisson number, the numbers of cells with 0, 1, 2, ... balls are multinomial, and
given their total those balls lie as that many uniform ones do [Feller 1968, II.5 and VI.7]. So a
few binomials place nearly all the balls, and what the total falls short by is placed in the same
way again. Nothing is approximated: whatever the total is, the remainder completes it exactly.
"""

from __future__ import annotations

from math import exp, sqrt

import numpy as np

# Up to so many balls or cells, placing them one by one is as fast (0.1 ms).
_FEW = 4096

# Balls a cell that are placed at once: so many leave one cell in 10^14 empty.
_DEEP = 32

# Standard deviations by which the mean total stays below `balls`: 3 in 10^5 are drawn again.
_BELOW = 4.0


def distinct(rng: np.random.Generator, balls: int, cells: int) -> int:
    """Draws the number of cells hit at least once. Domain: balls >= 0, cells >= 1 if balls."""
    hit = 0
    while True:
        if balls <= 1 or cells == 1:
            return hit + min(balls, 1)
        if balls <= _FEW:
            return hit + len(np.unique(rng.integers(0, cells, size=balls)))
        if cells <= _FEW:
            counts = rng.multinomial(balls, np.full(cells, 1.0 / cells))
            return hit + int(np.count_nonzero(counts))
        placed, empty = _poisson_cells(rng, min(balls, _DEEP * cells), cells)
        hit += cells - empty
        # Of the balls still to be placed only those that find an empty cell matter.
        balls = int(rng.binomial(balls - placed, empty / cells)) if empty else 0
        cells = empty


def _poisson_cells(rng: np.random.Generator, balls: int, cells: int) -> tuple[int, int]:
    """Fills each cell with a Poisson number: the total, at most `balls`, and the cells left empty.

    A total above is drawn again, which changes the total's distribution but not how the balls
    lie given the total.
    """
    mean = (balls - _BELOW * sqrt(balls)) / cells
    while True:
        total, held, left = 0, 0, cells
        chance, rest = exp(-mean), 1.0
        empty = 0
        while left:
            # Of the cells that hold `held` balls or more, those with exactly that many.
            share = chance / rest if rest > 1e-3 else _ratio(mean, held)
            here = int(rng.binomial(left, share))
            if held == 0:
                empty = here
            total += held * here
            left -= here
            rest -= chance
            held += 1
            chance *= mean / held
        if total <= balls:
            return total, empty


def _ratio(mean: float, held: int) -> float:
    """P(X = held) / P(X >= held) for a Poisson X, by its series: exact far out in the tail."""
    term, total = 1.0, 1.0
    for more in range(held + 1, held + 200):
        term *= mean / more
        total += term
        if term < 1e-17 * total:
            break
    return 1.0 / total
