"""Real hosts, with one thing wrong in each test: the books of the session notice it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.accounts import AgentTerms
from testbed.collector import agent_terms
from testbed.kernel.nft import Nft
from testbed.orders import Order
from testbed.session import Session
from topologies import two_subnets

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

Wrong = Callable[[Session], None]


def nothing(_: Session) -> None:
    """Nothing is wrong."""


def change(session: Session, node: str, commands: str) -> None:
    nft = Nft(session.net.get(node).netns)
    nft.change(commands)
    nft.close()


def dropping(hook: str, match: str) -> str:
    chain = f"chain c {{ type filter hook {hook} priority 350; {match} drop\n}}"
    return f"table ip wrong {{\n{chain}\n}}\n"


def a_router_drops_one_in_twenty(session: Session) -> None:
    rare = "udp dport 9000 numgen random mod 20 0"
    change(session, session.graph.core.name, dropping("postrouting", rare))


def loss_strikes_twice(session: Session) -> None:
    rare = "udp dport 9000 numgen random mod 10 < 3"
    change(session, "h3", dropping("input", rare))


def a_counter_is_reset_half_way(session: Session) -> None:
    session.wait_until(time.monotonic() + 0.5)
    change(session, session.graph.core.name, "flush set ip testbed_counters traffic\n")


def an_agent_sends_twice_what_it_writes_down(session: Session) -> None:
    """A stray program on a host answers for its agent."""
    for _ in range(3):
        session.net.get("h1").cmd(f"echo x > /dev/udp/{session.net.get('h2').IP()}/9000")


def run(wrong: Wrong, trace: Path) -> str:
    """The complaints of a session with loss in which something goes wrong."""
    order = Order(
        1, 1, "push", {"fan_out": 2, "retention": "forever"}, "free", 0.1, "all", payload_bytes=64
    )
    with Session(two_subnets.build(hosts=8, loss_ratio=0.3), ["push"], trace) as session:
        session.start([order])
        wrong(session)
        session.wait_until(time.monotonic() + 1.0)
        session.stop([1])
        return "; ".join(session.finish().complaints)


def test_the_books_balance_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert run(nothing, tmp_path) == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (a_router_drops_one_in_twenty, "r0"),
        (loss_strikes_twice, "h3"),
        (a_counter_is_reset_half_way, "the set of counters is full or was changed"),
        (an_agent_sends_twice_what_it_writes_down, "another program"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_books_name_what_is_wrong(wrong: Wrong, words: str, tmp_path: Path) -> None:
    assert words in run(wrong, tmp_path)


def test_a_single_line_that_a_trace_has_lost_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_less(folder: Path, kills: dict[int, int]) -> dict[int, AgentTerms]:
        found = agent_terms(folder, kills)
        agent = found[5]
        return found | {5: AgentTerms(agent.sent, agent.received - 1, agent.kills)}

    monkeypatch.setattr("testbed.session.agent_terms", one_less)
    assert "h6" in run(nothing, tmp_path)
