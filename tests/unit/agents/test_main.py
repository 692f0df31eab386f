"""One node run by hand: bad arguments get one line, good ones two nodes that gossip."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.__main__ import main
from agents.runner import open_udp
from agents.trace import Event, read

ROOT = Path(__file__).parents[3]
PAIR = ["--peers", "127.0.0.1,127.0.0.2", "--set", "fan_out=1"]


@pytest.fixture(autouse=True)
def sigterm_as_before() -> Iterator[None]:
    """A node by hand ends like with Ctrl-C; whoever tests signals after it must not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--node", "2", *PAIR], "--node 2"),
        (["--node", "-1", *PAIR], "--node -1"),
        (["--node", "0", "--peers", "h1,h2"], "IPv4"),
        (["--node", "0", "--hosts", "missing.json"], "missing.json"),
        (["--node", "0", *PAIR, "--protocol", "pusch"], "did you mean 'push'"),
        (["--node", "0", *PAIR, "--set", "fan_out=2"], "fan_out=2"),
        (["--node", "0", *PAIR, "--set", "fanout=1"], "did you mean 'fan_out'"),
        (["--node", "0", *PAIR, "--set", "fan_out"], "KEY=VALUE"),
        (["--node", "0", *PAIR, "--round", "0"], "round_s=0.0"),
        (["--node", "0", "--peers", "192.0.2.1,192.0.2.2", "--set", "fan_out=1"], "192.0.2.1:9000"),
        (["--node", "0", *PAIR, "--port", "70000"], "port"),
        (["--node", "0", *PAIR, "--trace", "/nowhere/trace"], "/nowhere/trace"),
    ],
)
def test_a_bad_argument_gets_one_line_and_status_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--port" not in arguments:
        arguments = [*arguments, "--port", "9000"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert text in said
    assert said.count("\n") == 1


def test_two_nodes_in_two_terminals_gossip(tmp_path: Path) -> None:
    probe = open_udp("127.0.0.1", 0)
    port = str(probe.getsockname()[1])
    probe.close()
    command = [sys.executable, "-m", "agents", *PAIR, "--port", port, "--round", "0.05"]
    receiver = subprocess.Popen(
        [*command, "--node", "1", "--trace", str(tmp_path / "1.trace")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert receiver.stdout is not None
    assert json.loads(receiver.stdout.readline())["is"] == "ready"
    source = subprocess.Popen(
        [*command, "--node", "0", "--multicast", "20"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    assert json.loads(receiver.stdout.readline())["is"] == "infected"
    source.send_signal(signal.SIGINT)
    receiver.send_signal(signal.SIGTERM)
    last = receiver.communicate(timeout=30)[0].splitlines()[-1]
    assert (source.wait(timeout=30), receiver.wait(timeout=30)) == (0, 0)
    assert json.loads(last)["is"] == "exited"
    (deliver,) = [r for r in read(tmp_path / "1.trace") if r.event == Event.deliver]
    assert (deliver.origin, deliver.parent, deliver.hop) == (0, 0, 1)
