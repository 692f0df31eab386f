"""What is said of an exception: its first line, and the line of the protocol's file that led to it.

Only frames of the protocol's own file count: an action that the driver refuses names itself.
"""

from __future__ import annotations

import sys


def worded(error: BaseException, protocol: object) -> str:
    """`ZeroDivisionError: division by zero (mine.py, line 12)`; one line."""
    # str of an error may have no line at all.
    text = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    module = sys.modules.get(type(protocol).__module__)
    file = getattr(module, "__file__", None)
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    if file and line:
        return f"{text} ({file.rpartition('/')[2]}, line {line})"
    if isinstance(error, TypeError) and text.endswith("object is not iterable"):
        return f"{text}; each method returns a list of actions"  # the driver went through it
    return text
