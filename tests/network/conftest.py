"""What tests with real namespaces share: they are skipped where no lab can be made, with the
reason, and a test with the marker `in_lab` runs in a lab of its own.

    @pytest.mark.in_lab
    def test_two_hosts_ping(tmp_path): ...

Its fixtures are made outside. What it raises comes out, skips too; what it prints is captured.
"""

from __future__ import annotations

import pytest

from testbed import lab


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "in_lab: runs in a lab of its own")


@pytest.fixture(scope="session", autouse=True)
def lab_or_skip() -> None:
    """Skips every test below this directory where no lab can be made."""
    problem = lab.problem()
    if problem:
        pytest.skip(problem)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if pyfuncitem.get_closest_marker("in_lab") is None:
        return None
    fixtures = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    def body() -> str | None:
        try:
            pyfuncitem.obj(**fixtures)
        except pytest.skip.Exception as skipped:  # it cannot be pickled
            return str(skipped.msg)
        return None

    reason = lab.call(body)
    if reason is not None:
        pytest.skip(reason)
    return True
