"""What the README and the tutorial show works as shown."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from agents import registry
from agents.api import Deliver, Send, View
from testbed import cli, experiment
from testbed.checking import report
from testbed.progress import Progress

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def test_the_protocol_of_the_readme_floods(tmp_path: Path) -> None:
    file = tmp_path / "flood.py"
    file.write_text(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0])
    flood = registry.load(str(file)).protocol
    view = View(0, (range(4),))
    source = flood(view, flood.Options(), Random(1))
    _, delivered, *sends = source.multicast(b"x", 0.0)
    assert isinstance(delivered, Deliver)
    copies = [send for send in sends if isinstance(send, Send)]
    assert [copy.to for copy in copies] == [1, 2, 3]
    assert list(source.on_message(copies[0].message, 1, 0.1)) == []
    assert report.check(str(file), 20, 1, Progress()).ok


def test_the_experiment_of_the_tutorial_loads(tmp_path: Path) -> None:
    file = tmp_path / "fan_out.toml"
    file.write_text(re.findall(r"```toml\n(.*?)```", TUTORIAL, re.DOTALL)[0])
    cells = experiment.load(str(file)).cells
    assert len(cells) == 9
    assert {(cell.nodes, cell.run.repeats) for cell in cells} == {(32, 40), (64, 30), (128, 20)}


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^ +testbed (\w+)", README + TUTORIAL, re.M)))
)
def test_every_command_shown_exists(command: str) -> None:
    assert command in cli.cli.commands


@pytest.mark.parametrize("target", re.findall(r"^ +make (\w+)", README, re.M))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w./]+)`", ARCHITECTURE))
FOLDERS = ("agents", "testbed", "topologies", "tests", "docs", "results")


@pytest.mark.parametrize("folder", ["agents", "testbed"])
def test_the_architecture_page_names_every_room(folder: str) -> None:
    rooms = {path.name for path in (ROOT / folder).iterdir() if path.is_dir()} - {"__pycache__"}
    if folder == "testbed":
        rooms |= {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__", "__main__"}
    assert rooms <= {part for name in NAMED for part in name.split("/")}


def test_every_file_that_the_architecture_page_names_exists() -> None:
    there = [f"/{path.relative_to(ROOT)}" for each in FOLDERS for path in (ROOT / each).rglob("*")]
    wanted = {name for name in NAMED if re.search(r"\.(py|md|toml)$", name)}
    wanted = {name for name in wanted if "NAME" not in name and not name.startswith("./")}
    assert len(wanted) > 20
    assert [name for name in wanted if not any(path.endswith(f"/{name}") for path in there)] == []
