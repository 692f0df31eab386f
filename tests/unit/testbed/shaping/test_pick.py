"""Tests of testbed.shaping.pick: which backend is taken, and how a refusal is worded."""

from __future__ import annotations

import errno
import os

import pytest

from testbed.errors import ShapingError, UsageError
from testbed.kernel import namespaces
from testbed.shaping import pick
from testbed.shaping.interface import Backend
from tests.unit.testbed.shaping.fakes import Fake, graph_of
from topologies.elements import Impairment

LOSS = Impairment(loss_ratio=0.1)


@pytest.fixture(autouse=True)
def _no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "new_network", lambda: os.open(os.devnull, os.O_RDONLY))


def use(monkeypatch: pytest.MonkeyPatch, *backends: Backend) -> None:
    monkeypatch.setattr(pick, "BACKENDS", backends)


def test_the_first_backend_that_can_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Fake("first"), Fake("second")
    use(monkeypatch, first, second)
    assert pick.choose(graph_of(LOSS)) is first
    assert pick.choose(graph_of(LOSS), "second") is second


def test_a_backend_that_the_kernel_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking, working = Fake("lacking", problem="no module"), Fake("working")
    use(monkeypatch, lacking, working)
    assert pick.choose(graph_of(LOSS)) is working


def test_a_backend_that_gives_less_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, rich = Fake("plain"), Fake("rich", can={"loss_ratio", "delay_ms"})
    use(monkeypatch, plain, rich)
    assert pick.choose(graph_of(Impairment(loss_ratio=0.1, delay_ms=5))) is rich


def test_nothing_is_probed_for_a_graph_that_asks_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, Fake("first", problem="must not be asked"))
    assert pick.choose(graph_of(Impairment())) is None


def test_every_backends_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Fake("plain"), Fake("rich", {"loss_ratio", "delay_ms"}, problem="no module"))
    with pytest.raises(ShapingError) as caught:
        pick.choose(graph_of(Impairment(delay_ms=20)))
    assert str(caught.value) == (
        "h1: delay_ms = 20: no backend can give it here; "
        "plain: gives loss_ratio only, not h1's delay_ms; rich: no module"
    )


def test_a_value_out_of_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Fake("coarse", refuses="steps of 0.5"))
    with pytest.raises(ShapingError, match=r"coarse: h1: loss_ratio = 0.1: steps of 0.5"):
        pick.choose(graph_of(LOSS))


def test_a_kernel_that_cannot_be_tried_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid() -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(namespaces, "new_network", forbid)
    use(monkeypatch, Fake("first"))
    with pytest.raises(ShapingError, match="Operation not permitted; run as root or inside a lab"):
        pick.choose(graph_of(LOSS))


def test_an_unknown_backend_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="shaping backend nettem: unknown; did you mean netem"):
        pick.choose(graph_of(LOSS), "nettem")
