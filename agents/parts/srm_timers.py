"""SRM's random timers: a window of delays in units of the distance, fixed or adapting itself.

A timer is drawn uniform on base^i [start d, (start + width) d]; d is a one-way delay, i the number
of backoffs. The paper calls start and width C1 and C2 for requests, D1 and D2 for repairs.

Fixed: base 2, the same window for ever. Adaptive: base 3, and before each new loss the window moves
by what the losses before it have cost [Floyd et al., IEEE/ACM ToN 5(6), 1997], by the rules and
constants of ns-2.35 (`tcl/mcast/srm-adaptive.tcl`, `srm.tcl`). Who sends the first request takes
itself for the closest and narrows its window, unless a duplicate comes from a member that is about
as near. In the paper it is a duplicate from further away that makes one the closest, and `start`
falls by half as much.

Departures from what the code of ns-2 does. Each count enters the average once; there twice. The
first repair is no duplicate, nor is one's own; there they are. A duplicate from nearby makes one no
longer the closest; there it does so for repairs only, since one's own request comes back before it
is noted as sent. Losses seen at once are a sample each; there they share one. A backoff draws from
the window as it is by then, there as it was when the loss was seen. Each repair that is planned
counts; there the first of a multicast.

Worked number: average duplicates of 1 or more move [2, 4] d to [2.1, 4.6] d (start + 0.1, width
+ 0.5), then cut at the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log10
from random import Random

from agents.options import OptionError, option

WEIGHT = 0.25  # of a new sample in the moving averages
MOST_BACKOFFS = 5  # that the window grows by, as in ns-2
FURTHER = 1.5
"""A duplicate from a member that is further away than 1.5 times one's own distance does not show
that another is as close."""


class Window:
    """The fixed window. The hooks that tell it what happens do nothing."""

    BASE = 2.0

    def __init__(self, start: float, width: float) -> None:
        self.start = start
        self.width = width

    def draw(self, rng: Random, distance: float, backoffs: int = 0, spread: bool = True) -> float:
        """The seconds to wait; without `spread` all of a window's timers are at its start."""
        into = self.width * rng.random() if spread else 0.0
        return self.BASE ** min(backoffs, MOST_BACKOFFS) * (self.start + into) * distance

    def begin(self) -> None:
        """There is a new loss to handle."""

    def waited(self, delay: float) -> None:
        """The first message about it was sent or heard, `delay` distances after `begin`."""

    def sent(self) -> None:
        """This member was the one to send it."""

    def duplicate(self, sent: bool, mine: float, theirs: float) -> None:
        """Another one was heard, from a member `theirs` seconds away where this one is `mine`."""


class AdaptiveWindow(Window):
    """The window that adapts itself, within [0.5, high_start] and [1, high_width]."""

    BASE = 3.0
    LOW_START, LOW_WIDTH = 0.5, 1.0

    def __init__(self, start: float, width: float, high_start: float, high_width: float) -> None:
        super().__init__(start, width)
        self.starts = self.LOW_START, max(high_start, self.LOW_START)
        """The least and the greatest; so are `widths`."""
        self.widths = self.LOW_WIDTH, max(high_width, self.LOW_WIDTH)
        self.duplicates: float | None = None
        """Moving average a loss; None before the first."""
        self.delay: float | None = None
        """Moving average in round trips, 2 d; None before the first."""
        self._count = 0
        self._closest = False
        self._clip()

    def begin(self) -> None:
        if self.delay is not None:
            self.duplicates = _average(self.duplicates, self._count)
            self._adapt(self.duplicates, self.delay)
        self._count, self._closest = 0, False

    def waited(self, delay: float) -> None:
        self.delay = _average(self.delay, delay / 2)

    def sent(self) -> None:
        self.start -= 0.1
        self._closest = True
        self._clip()

    def duplicate(self, sent: bool, mine: float, theirs: float) -> None:
        self._count += 1
        if sent:
            self._closest = theirs > FURTHER * mine

    def _adapt(self, duplicates: float, delay: float) -> None:
        if self._closest:
            self.width -= 0.1
        elif duplicates >= 1.0:
            self.start += 0.1
            self.width += 0.5
        elif duplicates < 0.9:
            if delay > 1.0:
                self.width -= 0.1
            if duplicates < 0.25:
                self.start -= 0.05
        else:
            self.start += 0.05
        self._clip()

    def _clip(self) -> None:
        self.start = min(max(self.start, self.starts[0]), self.starts[1])
        self.width = min(max(self.width, self.widths[0]), self.widths[1])


def _average(before: float | None, sample: float) -> float:
    """The moving average with one more sample; the first one counts whole."""
    return sample if before is None else before + WEIGHT * (sample - before)


@dataclass(frozen=True)
class SrmOptions:
    """The windows of the timers, what can be switched off, and the session messages."""

    timers: str = option(
        "fixed", choices=("fixed", "adaptive"), help="whether windows move with what losses cost"
    )
    c1: float = option(2.0, unit="distances", low=0, high=1000, help="start of the request window")
    c2: float = option(2.0, unit="distances", low=0, high=1e6, help="width of the request window")
    log_repair: bool = option(True, help="D1 = D2 = log10 of the group's size; false: d1 and d2")
    d1: float = option(1.0, unit="distances", low=0, high=1000, help="start of the repair window")
    d2: float = option(1.0, unit="distances", low=0, high=1e6, help="width of the repair window")
    backoff: bool = option(True, help="whether the window grows with each request sent or heard")
    suppression: bool = option(True, help="whether what others send silences one's own")
    randomness: bool = option(True, help="false: every timer is at the start of its window")
    hold_down: float = option(
        3.0, unit="distances", low=0, high=1000, help="how long requests are ignored after a repair"
    )
    give_up_s: float = option(
        300.0, unit="s", low=0, high=1e6, help="when a missing multicast is given up; 0: never"
    )
    session_s: float = option(
        1.0, unit="s", low=0.01, high=3600, help="mean period of session messages, +- 10%"
    )
    session_kbit: float = option(
        0.0,
        unit="kbit/s",
        low=0,
        high=1e6,
        help="limit of all session traffic, kept by longer periods; 0: no limit",
    )
    first_distance_s: float = option(
        1.0, unit="s", low=0.001, high=60, help="distance of members to whom none is measured yet"
    )

    def check(self, nodes: int) -> None:
        """Raises `OptionError` for timers that would wait no time at all, and for windows that
        others would take the place of."""
        spread = self.c2 if self.randomness else 0.0
        if self.timers == "fixed" and self.c1 + spread <= 0:
            raise OptionError(
                f"c1={self.c1:g}: requests would wait no time at all; choose c1 over 0, or c2 "
                "over 0 with randomness=true (defaults c1=2, c2=2)"
            )
        for name in ("d1", "d2") if self.log_repair else ():
            if getattr(self, name) != getattr(SrmOptions, name):
                raise OptionError(
                    f"{name}={getattr(self, name):g}: D1 and D2 are log10 of the group's size; "
                    f"choose log_repair=false (defaults {name}={getattr(SrmOptions, name):g}, "
                    "log_repair=true)"
                )
        if self.timers == "adaptive":
            self._check_adaptive(nodes)

    def _check_adaptive(self, nodes: int) -> None:
        requests, repairs = self._adaptive(nodes)
        within = {"c1": requests.starts, "c2": requests.widths}
        if not self.log_repair:
            within |= {"d1": repairs.starts, "d2": repairs.widths}
        for name, (low, high) in within.items():
            value, default = getattr(self, name), getattr(SrmOptions, name)
            if value != default and not low <= value <= high:  # a default is moved within
                raise OptionError(
                    f"{name}={value:g}: adaptive timers of {nodes} nodes keep it within "
                    f"{low:g}..{high:g}; choose that, or timers=fixed "
                    f"(defaults {name}={default:g}, timers=fixed)"
                )

    def period_s(self, nodes: int, size: int) -> float:
        """The mean time between two session messages of a member, each of `size` bytes."""
        if not self.session_kbit:
            return self.session_s
        return max(self.session_s, nodes * size * 8 / 1000 / self.session_kbit)

    def windows(self, nodes: int) -> tuple[Window, Window]:
        """Those of requests and of repairs, in a group of that many."""
        if self.timers == "adaptive":
            return self._adaptive(nodes)
        return Window(self.c1, self.c2), Window(*self._repair(nodes))

    def _adaptive(self, nodes: int) -> tuple[AdaptiveWindow, AdaptiveWindow]:
        requests = AdaptiveWindow(self.c1, self.c2, 2.0, nodes)
        return requests, AdaptiveWindow(*self._repair(nodes), log10(nodes), nodes)

    def _repair(self, nodes: int) -> tuple[float, float]:
        return (log10(nodes), log10(nodes)) if self.log_repair else (self.d1, self.d2)
