"""What a session says of agents that do not answer, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import session as session_module
from testbed.session import Session, SessionError
from topologies import two_subnets


@pytest.fixture
def deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session whose agents say nothing, and whose patience is over at once."""
    (tmp_path / "agents.log").write_text("starting\nMemoryError\n")
    monkeypatch.setattr(session_module, "READY_S", -1.0)
    monkeypatch.setattr(Session, "_listen", lambda self, timeout_s: None)
    return Session(two_subnets.build(hosts=4), ["push"], tmp_path)


def test_agents_that_do_not_start_again_are_named_with_a_remedy_and_their_log(
    deaf: Session,
) -> None:
    with pytest.raises(SessionError) as refusal:
        deaf.await_ready([1, 2])
    said = str(refusal.value)
    assert said.startswith("2 of 4 agents did not start again within")
    assert "h2 first" in said
    assert "lengthen round_s" in said
    assert said.endswith("their log ends with 'MemoryError'")


def test_a_longer_round_is_no_remedy_for_agents_that_never_began(deaf: Session) -> None:
    said = str(deaf._overdue({0}, "start"))
    assert "use fewer nodes" in said
    assert "round_s" not in said
