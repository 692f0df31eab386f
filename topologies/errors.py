"""The error of a network that cannot be built, and the words for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GraphError(ValueError):
    """A network that cannot be built. One line: the thing, the value, the remedy."""


LISTED = 12
"""More names than this on an error's line hide the remedy."""


def near(name: str, known: Iterable[str]) -> str:
    """Words the names that exist: `did you mean star? there are hierarchy, star, two_subnets`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{hint}there are {', '.join(names[:LISTED]) or 'none'}{more}"
