"""SRM's windows: where a timer may lie, and how losses move the adaptive one."""

from __future__ import annotations

from math import log10
from random import Random

import pytest

from agents.options import OptionError, make
from agents.parts.srm_timers import AdaptiveWindow, SrmOptions, Window


@pytest.mark.parametrize(("backoffs", "factor"), [(0, 1), (1, 2), (5, 32), (6, 32), (40, 32)])
def test_the_window_doubles_with_each_backoff_five_times(backoffs: int, factor: int) -> None:
    rng = Random(1)
    drawn = [Window(2, 3).draw(rng, 0.05, backoffs) / 0.05 / factor for _ in range(2000)]
    assert 2 <= min(drawn) < 2.01 and 4.99 < max(drawn) <= 5


def test_the_adaptive_base_is_three() -> None:
    window = AdaptiveWindow(2, 2, 2, 8)
    assert window.draw(Random(1), 1.0, 2, spread=False) == 2 * 9


def test_without_spread_every_timer_is_at_the_start() -> None:
    assert {Window(2, 2).draw(Random(seed), 0.05, 0, spread=False) for seed in range(9)} == {0.1}


def window(duplicates: float, delay: float) -> AdaptiveWindow:
    made = AdaptiveWindow(1.0, 4.0, 2.0, 64)
    made.begin()
    made.duplicates, made.delay = duplicates, delay
    return made


@pytest.mark.parametrize(
    ("duplicates", "delay", "start", "width"),
    [
        (2.0, 0.5, 1.1, 4.5),  # too many duplicates
        (0.95, 5.0, 1.05, 4.0),  # about right
        (0.5, 1.5, 1.0, 3.9),  # few duplicates, too slow
        (0.5, 0.5, 1.0, 4.0),
        (0.1, 1.5, 0.95, 3.9),  # very few
    ],
)
def test_the_window_moves_by_what_losses_have_cost(
    duplicates: float, delay: float, start: float, width: float
) -> None:
    made = window(duplicates / 0.75, delay)  # the next sample is 0 duplicates, no delay
    made.begin()
    assert made.duplicates == pytest.approx(duplicates)
    assert made.start == pytest.approx(start)
    assert made.width == pytest.approx(width)


def test_a_duplicate_from_further_away_narrows_the_window() -> None:
    made = window(2.0, 0.5)
    made.duplicate(True, 0.05, 0.08)
    made.begin()
    assert (made.start, made.width) == (1.0, 3.9)


@pytest.mark.parametrize(("sent", "theirs"), [(False, 0.08), (True, 0.07)])
def test_who_did_not_ask_or_is_no_closer_is_not_the_closest(sent: bool, theirs: float) -> None:
    made = window(2.0, 0.5)
    made.duplicate(sent, 0.05, theirs)
    made.begin()
    assert made.width == 4.5


def test_who_asks_first_is_the_closest_and_narrows_its_window() -> None:
    made = window(2.0, 0.5)
    made.sent()
    made.begin()
    assert (made.start, made.width) == (0.9, 3.9)


def test_the_closest_is_so_for_one_loss() -> None:
    made = window(0.5, 0.5)
    made.sent()
    made.begin()
    made.begin()
    assert made.width == 3.9


def test_a_duplicate_from_nearby_shows_that_one_is_not_the_closest() -> None:
    made = window(2.0, 0.5)
    made.sent()
    made.duplicate(True, 0.05, 0.08)
    made.duplicate(True, 0.05, 0.07)
    made.begin()
    assert made.width == 4.5


def test_the_first_sample_of_an_average_counts_whole() -> None:
    made = AdaptiveWindow(1.0, 4.0, 2.0, 64)
    made.begin()
    made.waited(6.0)
    made.duplicate(False, 0.05, 0.05)
    made.begin()
    assert (made.duplicates, made.delay) == (1.0, 3.0)


def test_what_nobody_has_asked_for_yet_moves_no_window() -> None:
    made = AdaptiveWindow(1.0, 4.0, 2.0, 64)
    for _ in range(5):
        made.begin()
    assert (made.start, made.width, made.duplicates) == (1.0, 4.0, None)


def test_a_sample_weighs_a_quarter_and_delays_count_in_round_trips() -> None:
    made = window(0.0, 0.0)
    for _ in range(4):
        made.duplicate(False, 0.05, 0.05)
    made.waited(6.0)
    made.begin()
    assert (made.duplicates, made.delay) == (1.0, 0.75)


def test_who_sends_asks_a_little_earlier_next_time() -> None:
    made = window(0.5, 0.5)
    made.sent()
    assert made.start == pytest.approx(0.9)


def test_the_window_stays_within_its_bounds() -> None:
    made = AdaptiveWindow(2.0, 2.0, 2.0, 8)
    made.waited(9)
    for _ in range(100):
        for _ in range(9):
            made.duplicate(False, 1, 1)
        made.begin()
    assert (made.start, made.width) == (2.0, 8.0)
    for _ in range(200):
        made.sent()
        made.waited(9)
        made.begin()
    assert (made.start, made.width) == (0.5, 1.0)


@pytest.mark.parametrize("timers", ["fixed", "adaptive"])
def test_repair_windows_grow_with_the_logarithm_of_the_group(timers: str) -> None:
    requests, repairs = make(SrmOptions, {"timers": timers}).windows(100)
    assert (requests.start, requests.width, repairs.start, repairs.width) == (2, 2, 2, 2)
    _, given = make(SrmOptions, {"log_repair": False}).windows(100)
    assert (given.start, given.width) == (1, 1)
    assert log10(100) == 2


def test_a_group_of_two_has_adaptive_windows_too() -> None:
    _, repairs = make(SrmOptions, {"timers": "adaptive"}).windows(2)
    assert (repairs.start, repairs.width) == (0.5, 1.0)


@pytest.mark.parametrize("options", [{"c1": 0, "c2": 0}, {"c1": 0, "randomness": False}])
def test_timers_that_wait_no_time_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"c1=0: .*choose c1 over 0.*default"):
        make(SrmOptions, options).check(8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timers": "adaptive", "c1": 10}, r"^c1=10: .* 0\.5\.\.2; .*timers=fixed .defaults c1=2,"),
        ({"timers": "adaptive", "c2": 101}, r"^c2=101: .* 1\.\.100; .*defaults c2=2,"),
        ({"timers": "adaptive", "log_repair": False, "d1": 2.5}, r"^d1=2\.5: .* 0\.5\.\.2; "),
        ({"d1": 10}, r"^d1=10: .*log_repair=false .defaults d1=1, log_repair=true"),
        ({"timers": "adaptive", "d2": 2}, r"^d2=2: .*log_repair=false .defaults d2=1,"),
    ],
)
def test_a_window_that_another_would_take_the_place_of_is_refused(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        make(SrmOptions, options).check(100)


def test_windows_within_their_bounds_are_as_they_were_asked_for() -> None:
    options = {"timers": "adaptive", "c1": 1.5, "c2": 50, "log_repair": False, "d1": 2, "d2": 3}
    asked = make(SrmOptions, options)
    asked.check(100)
    assert [(each.start, each.width) for each in asked.windows(100)] == [(1.5, 50), (2, 3)]


@pytest.mark.parametrize("nodes", [2, 8, 100])
@pytest.mark.parametrize("log_repair", [True, False])
def test_defaults_are_never_refused(log_repair: bool, nodes: int) -> None:
    made = make(SrmOptions, {"timers": "adaptive", "log_repair": log_repair})
    made.check(nodes)
    for each in made.windows(nodes):
        assert isinstance(each, AdaptiveWindow)
        assert each.starts[0] <= each.start <= each.starts[1]


def test_a_negative_window_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match=r"c2=-1: choose float 0\.\."):
        make(SrmOptions, {"c2": -1})
