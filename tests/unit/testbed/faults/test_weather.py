"""Tests of testbed.faults.weather: traces are read, refused, and turned into impairments."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import faults
from testbed.errors import UsageError
from testbed.faults.drawing import Drawing, check
from testbed.faults.weather import Row, Weather, load, needs, places, ports
from topologies import two_subnets
from topologies.impairments import PERFECT, Impairment

GRAPH = two_subnets.build(hosts=2, access_delay_ms=1)
CSV = "time_s,link,delay_ms,loss_ratio\n2.5,core,80,\n0,core,20,0.01\n4,access_up,,0.2\n"
TOML = """
[[at]]
time_s = 0
link = "core"
delay_ms = 20
loss_ratio = 0.01
[[at]]
time_s = 2.5
link = "core"
delay_ms = 80
[[at]]
time_s = 4
link = "access_up"
loss_ratio = 0.2
"""


def trace(folder: Path, text: str, name: str = "day.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_csv_and_toml_say_the_same_in_the_order_of_time(tmp_path: Path) -> None:
    rows = load("x", trace(tmp_path, CSV))
    assert rows == load("x", trace(tmp_path, TOML, "day.toml"))
    assert rows[0] == Row(0.0, "core", (("delay_ms", 20.0), ("loss_ratio", 0.01)))
    assert [row.time_s for row in rows] == [0, 2.5, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,link\n", "holds no row"),
        ("time_s,delay_ms\n0,20\n", r"day.csv, row 1: says no link; add it"),
        ("time_s,link,delay_ms\n-1,core,20\n", r"time_s = '-1': give seconds from 0"),
        ("time_s,link,delay_ms\nsoon,core,20\n", r"time_s = 'soon': give seconds from 0"),
        (" time_s,link,delay_ms\nsoon,core,20\n", r"time_s = 'soon': give seconds from 0"),
        ("time_s,link,delay\n0,core,20\n", r"unknown impairment 'delay'; did you mean delay_ms"),
        ("time_s,link,delay_ms\n0,core,\n", "changes nothing; name a field"),
        ("time_s,link,delay_ms\n0,core,none\n", r"delay_ms = 'none': not a number; give one$"),
        ("time_s,link,rate_mbit\n0,core,no\n", r"rate_mbit = 'no': .*; give one, or none$"),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load("x", trace(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at = " + "[" * 5000, "day.toml: .*is it the file you mean"),
        (f"[[at]]\nlink = 'core'\ntime_s = 1{'0' * 400}", "a whole number beyond 64 bits"),
        (
            '[[at]]\nlink = "co\\nre"\ntime_s = 0\ndelay_ms = 1',
            r"row 1: link = 'co\\nre': give access",
        ),
    ],
)
def test_a_toml_that_goes_too_far_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load("x", trace(tmp_path, text, "day.toml"))


def test_a_missing_file_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is it the file you mean"):
        load("x", tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"give a \.csv or a \.toml file"):
        load("x", trace(tmp_path, CSV, "day.txt"))


def test_rows_change_what_they_name_and_leave_the_rest(tmp_path: Path) -> None:
    weather = Weather(GRAPH, load("x", trace(tmp_path, CSV)))
    core = ["r0>r1", "r0>r2", "r1>r0", "r2>r0"]
    first = weather.take(0)
    assert sorted(first) == core
    assert set(first.values()) == {Impairment(delay_ms=20, loss_ratio=0.01)}
    assert set(weather.take(1).values()) == {Impairment(delay_ms=80, loss_ratio=0.01)}
    assert weather.take(2) == {
        "h1>": Impairment(delay_ms=1, loss_ratio=0.2),
        "h2>": Impairment(delay_ms=1, loss_ratio=0.2),
    }
    assert weather.end() == {name: ports(GRAPH)[name] for name in [*core, "h1>", "h2>"]}
    assert weather.end() == {}


@pytest.mark.parametrize("name", ["day.csv", "day.toml"])
def test_none_lifts_what_a_row_before_has_limited(tmp_path: Path, name: str) -> None:
    csv = "time_s,link,rate_mbit,queue_packets,loss_ratio,burst_packets\n"
    csv += "0,core,1,10,0.2,4\n1,core,none,none,,none\n"
    limits = "rate_mbit = 1\nqueue_packets = 10\nloss_ratio = 0.2\nburst_packets = 4"
    none = 'rate_mbit = "none"\nqueue_packets = "none"\nburst_packets = "none"'
    toml = f"[[at]]\ntime_s = 0\nlink = 'core'\n{limits}\n"
    toml += f"[[at]]\ntime_s = 1\nlink = 'core'\n{none}\n"
    rows = load("x", trace(tmp_path, csv if name.endswith("csv") else toml, name))
    weather = Weather(GRAPH, rows)
    limited = Impairment(loss_ratio=0.2, burst_packets=4, rate_mbit=1, queue_packets=10)
    assert set(weather.take(0).values()) == {limited}
    assert set(weather.take(1).values()) == {Impairment(loss_ratio=0.2)}


def test_what_ports_may_become_is_known_beforehand(tmp_path: Path) -> None:
    later = needs(GRAPH, [load("x", trace(tmp_path, CSV))])
    assert set(later) == {"r0>r1", "r0>r2", "r1>r0", "r2>r0", "h1>", "h2>"}
    assert [each.delay_ms for each in later["r1>r0"]] == [20, 80]


def test_ports_are_found_by_router_and_way() -> None:
    named = dict.fromkeys(("h1", "h2>", "r1>r0", "r0>r2"), PERFECT)
    assert list(places(GRAPH, named)) == [
        *(("r1", "p0"), ("r2", "p1 in"), ("r1", "up"), ("r0", "d-r2"))
    ]


def test_a_link_that_is_not_there_is_refused_before_the_run(tmp_path: Path) -> None:
    trace(tmp_path, "time_s,link,delay_ms\n0,cor,20\n")
    table = {"kind": "weather", "at_s": 0, "profile": "day.csv"}
    (fault,) = faults.parse("x", [table], tmp_path)
    with pytest.raises(UsageError, match=r"number 1, weather at 0 s, cor: no link 'cor'; did"):
        check(
            [fault],
            GRAPH,
            kind="dissemination",
            round_s=0.5,
            horizon_rounds=20,
            concurrent=1,
        )


@pytest.mark.parametrize(("link", "shared"), [("h1", "h1"), ("access", "h1"), ("h1>", None)])
def test_two_profiles_that_share_a_port_are_refused(
    tmp_path: Path, link: str, shared: str | None
) -> None:
    trace(tmp_path, "time_s,link,delay_ms\n0,h1,80\n", "a.csv")
    trace(tmp_path, f"time_s,link,loss_ratio\n1,{link},0.2\n", "b.csv")
    tables = [
        {"kind": "weather", "at_s": 0, "profile": "a.csv"},
        {"kind": "kill", "at_s": 0, "nodes": 1},
        {"kind": "weather", "at_s": 0, "profile": "b.csv"},
    ]

    def checked() -> None:
        check(
            faults.parse("x", tables, tmp_path),
            GRAPH,
            kind="dissemination",
            round_s=0.5,
            horizon_rounds=20,
            concurrent=1,
        )

    if shared is None:
        checked()
        return
    with pytest.raises(UsageError, match=rf"numbers 1 and 3: both profiles change {shared};"):
        checked()


def test_a_fault_of_weather_is_played_row_by_row(tmp_path: Path) -> None:
    trace(tmp_path, CSV)
    table = {"kind": "weather", "at_round": 2, "profile": "day.csv"}
    (fault,) = faults.parse("x", [table], tmp_path)
    timeline = Drawing([fault], GRAPH, 0.5, 20).draw(1)
    assert [(step.at_s, step.do, step.nodes) for step in timeline.steps] == [
        *((1.0, "weather", (0,)), (3.5, "weather", (1,)), (5.0, "weather", (2,)))
    ]
    assert timeline.sources == (0, 1)
    assert str(fault) == "weather at_round 2 3 rows"
