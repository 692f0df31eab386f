"""RMTP's sender: a window of what is not acknowledged, and a congestion window inside it.

Every `t_send_s` up to `size` new multicasts go out. Where more than `threshold` retransmissions
were asked for since the last time, `size` falls to 1; otherwise it grows by 1, up to the window.
Nothing goes out that is `window` numbers or more above the lowest that a node which reports to the
sender still misses.
"""

from __future__ import annotations

from collections import deque


class Sender:
    """What a source has multicast, and how much of it has been sent."""

    def __init__(self, window: int, threshold: int) -> None:
        self.sent = 0
        self.size = 1
        """The congestion window."""
        self.running = False
        """Whether the next interval is scheduled."""
        self.requests = 0
        self._window = window
        self._threshold = threshold
        self._waiting: deque[int] = deque()

    @property
    def waiting(self) -> int:
        """Multicasts that have not been sent yet."""
        return len(self._waiting)

    def create(self, number: int) -> None:
        """A new multicast waits to be sent."""
        self._waiting.append(number)

    def adapt(self) -> None:
        """An interval is over."""
        congested = self.requests > self._threshold
        self.size = 1 if congested else min(self.size + 1, self._window)
        self.requests = 0

    def next(self, acknowledged: int) -> list[int]:
        """The numbers to send in this interval; all below `acknowledged` have arrived."""
        room = acknowledged + self._window - 1 - self.sent
        numbers = [self._waiting.popleft() for _ in range(min(self.size, room, self.waiting))]
        if numbers:
            self.sent = numbers[-1]
        return numbers
