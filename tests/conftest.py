"""What all tests share: some wait to be asked for, `-m vm` or `-m kills`."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

# The same examples everywhere, and no clock: a busy machine is no counterexample.
settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("steady")

WAITING = {
    "vm": "boots a virtual machine; ask for it: pytest -m vm",
    "kills": "kills commands for a minute, and waits in a whole run: pytest -m kills",
}


def pytest_configure() -> None:
    # A shell without job control starts what is in the background with Ctrl-C ignored, nohup with
    # SIGHUP; commands rightly keep to that, and the tests that send these would wait for ever.
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, None)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default or signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, reason in WAITING.items():
        if marker in config.option.markexpr:
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
