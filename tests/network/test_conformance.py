"""The same checks over every backend that this kernel offers: does it give what is asked for?

The quick form of benchmarks/impairments.py. Where the machine is too busy for the backend, which
says so itself, a check is skipped: it would judge the machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from testbed import lab, shaping
from testbed.shaping import pick
from tests.network import weather
from tests.network.weather import Figure, Place, Run
from topologies.impairments import Distribution, Impairment

pytestmark = pytest.mark.network

TESTS = 30
PER_S = {"nftables": 40_000.0, "netem": 8_000.0, "nfqueue": 3_000.0}
WITHIN = 0.01
"""Of a loss, here; 0.002 in benchmarks/impairments.py, with 25 times as many datagrams."""
BACKENDS = {backend.name: backend for backend in shaping.BACKENDS}
DELAYING = [name for name, backend in BACKENDS.items() if "delay_ms" in backend.can]


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    reason = lab.call(lambda: pick.probed(BACKENDS[name]))
    if reason:
        pytest.skip(f"{name}: {reason}")
    return name


delaying = pytest.mark.parametrize("backend", DELAYING, indirect=True)
elsewhere = pytest.mark.parametrize("place", ["router", "send"])


def judge(figures: Sequence[Figure], doubts: Sequence[str]) -> None:
    if doubts:
        pytest.skip(f"inconclusive: {doubts[0]}")
    wrong = [str(figure) for figure in figures if not figure.right]
    assert not wrong, "; ".join(wrong)


def measure(backend: str, measure: weather.Measure, place: Place = "receive") -> None:
    def inside() -> tuple[list[Figure], list[str]]:
        run = Run(backend, place=place)
        return measure(run), run.doubts

    judge(*lab.call(inside))


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9])
def test_loss(backend: str, ratio: float) -> None:
    count = max(8000, weather.enough(ratio, WITHIN, TESTS))
    measure(backend, lambda run: weather.of_loss(run, ratio, count, PER_S[backend], TESTS))


@elsewhere
def test_loss_elsewhere(backend: str, place: Place) -> None:
    measure(backend, lambda run: weather.of_loss(run, 0.3, 10_000, PER_S[backend], TESTS), place)


@delaying
def test_bursts(backend: str) -> None:
    measure(backend, lambda run: weather.of_bursts(run, 10_000, PER_S[backend], TESTS))


@delaying
@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto"])
def test_delay_and_jitter(backend: str, distribution: Distribution) -> None:
    what = Impairment(delay_ms=20, jitter_ms=5, jitter_distribution=distribution)
    measure(backend, lambda run: weather.of_jitter(run, what, 4000, 1000, TESTS))


@delaying
@elsewhere
def test_delay_and_jitter_elsewhere(backend: str, place: Place) -> None:
    what = Impairment(delay_ms=20, jitter_ms=5)
    measure(backend, lambda run: weather.of_jitter(run, what, 4000, 1000, TESTS), place)


@pytest.mark.parametrize("backend", ["nfqueue"], indirect=True)
def test_correlation_of_jitter(backend: str) -> None:
    measure(backend, lambda run: weather.of_correlation(run, 8000, 2000, TESTS))


@delaying
def test_reordering(backend: str) -> None:
    measure(backend, lambda run: weather.of_reordering(run, 6000, 2000, TESTS))


@delaying
def test_duplication(backend: str) -> None:
    measure(backend, lambda run: weather.of_copies(run, 6000, 2000, TESTS))


@delaying
def test_corruption(backend: str) -> None:
    anywhere = backend == "netem"
    measure(backend, lambda run: weather.of_damage(run, 6000, 2000, TESTS, anywhere=anywhere))


@delaying
@pytest.mark.parametrize("queue_packets", [None, 50])
def test_rate(backend: str, queue_packets: int | None) -> None:
    measure(backend, lambda run: weather.of_rate(run, 2000, queue_packets))


@delaying
def test_a_queue_limit(backend: str) -> None:
    measure(backend, weather.of_limit)
