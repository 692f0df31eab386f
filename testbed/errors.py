"""The errors that reach a user, and the wording of a misspelt name.

Each is one line: the thing, the value, the remedy. The command line prints it without a
traceback; anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# More names than this on an error's line hide the remedy.
_LISTED = 12


class TestbedError(Exception):
    """Something that the user can put right; the exit status is 1."""

    __test__ = False  # pytest takes a class named Test... for a collection of tests


class UsageError(TestbedError):
    """A wrong argument, setting or file, found before anything is started; exit status 2."""


class LabError(TestbedError):
    """The private world of a run cannot be made, entered or kept."""


class LabRefused(LabError, UsageError):
    """The kernel gives no private world here, found before anything is started; exit status 2."""


class ShapingError(TestbedError):
    """Loss or delay that was asked for is not what the kernel does."""


def near(name: str, known: Iterable[str]) -> str:
    """Words what to type instead of `name`, to put after "unknown ...: name; ".

    near("pusj", ["push", "pull"]) = "did you mean push? there are pull, push"
    """
    names = sorted(set(known))
    if not names:
        return "there are none"
    listed = ", ".join(names[:_LISTED])
    if len(names) > _LISTED:
        listed += f" and {len(names) - _LISTED} more"
    # Case is the commonest slip, and difflib counts each letter of it as a difference.
    folded = {known_name.casefold(): known_name for known_name in names}
    matches = difflib.get_close_matches(name.casefold(), folded, n=3)
    if not matches:
        return f"there are {listed}"
    return f"did you mean {' or '.join(folded[match] for match in matches)}? there are {listed}"
