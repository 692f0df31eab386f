from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest

from testbed.judging.stats import g_test
from testbed.simulator.rounds.draws import others


@pytest.mark.parametrize("me", [0, 2, 5])
def test_targets_without_replacement_are_every_set_of_others_equally_often(me: int) -> None:
    drawn = others(np.random.default_rng(1), np.full(20_000, me), 6, 3, replacement=False)
    seen = Counter(tuple(sorted(targets)) for targets in drawn.T.tolist())
    sets = list(combinations([node for node in range(6) if node != me], 3))
    assert set(seen) == set(sets)
    assert g_test([seen[each] for each in sets], [1.0] * len(sets)) > 1e-3 / 3


@pytest.mark.parametrize("me", [0, 3])
def test_targets_with_replacement_are_every_sequence_equally_often(me: int) -> None:
    drawn = others(np.random.default_rng(2), np.full(20_000, me), 4, 2, replacement=True)
    seen = Counter(map(tuple, drawn.T.tolist()))
    sequences = list(product([node for node in range(4) if node != me], repeat=2))
    assert set(seen) == set(sequences)
    assert g_test([seen[each] for each in sequences], [1.0] * len(sequences)) > 1e-3 / 2


def test_all_the_others_can_be_drawn() -> None:
    drawn = others(np.random.default_rng(3), np.arange(5), 5, 4, replacement=False)
    for me in range(5):
        assert sorted(drawn[:, me]) == [node for node in range(5) if node != me]


def test_numbers_beyond_32_bits_are_drawn() -> None:
    drawn = others(np.random.default_rng(4), np.zeros(100, np.int64), 2**40, 2, replacement=True)
    assert drawn.max() > 2**39
    assert drawn.min() > 0
