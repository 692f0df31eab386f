"""What all tests share: those that boot a virtual machine wait to be asked for, `-m vm`."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "vm" in config.option.markexpr:
        return
    waits = pytest.mark.skip(reason="boots a virtual machine; ask for it: pytest -m vm")
    for item in items:
        if item.get_closest_marker("vm"):
            item.add_marker(waits)
