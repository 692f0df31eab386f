from __future__ import annotations

from typing import Any

import pytest

from topologies import hierarchy, two_subnets
from topologies.elements import GraphError, near
from topologies.parameters import describe, fill, sizes

KNOWN = {parameter.name: parameter for parameter in describe(hierarchy.build)}

WRONG: list[tuple[str, Any]] = [
    *(("hosts", value) for value in (0, 1, -5, "many", "8", 8.0, True, [4, 4], 1 << 21)),
    *(("loss_ratio", value) for value in (1.5, -0.1, float("nan"), "0.5", None, False)),
    *(("hosts_per_subnet", value) for value in ([], [0, 3], [3, "x"], 0, 2.5, "3,4", [True])),
    *(("lan", value) for value in ("wifi", 3, None)),
    ("depth", None),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_outside_the_domain_is_refused_with_the_domain(name: str, value: Any) -> None:
    with pytest.raises(GraphError) as caught:
        KNOWN[name].check(value)
    default = {"loss_ratio": " (default 0.0)", "lan": " (default routed)", "depth": " (default 2)"}
    words = f"{name} = {value!r}: give {KNOWN[name].domain}{default.get(name, '')}"
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("hosts", "8", 8),
        ("loss_ratio", "1", 1.0),
        ("loss_ratio", "5e-1", 0.5),
        ("lan", "switched", "switched"),
        ("hosts_per_subnet", "3", 3),
        ("hosts_per_subnet", "3,5", (3, 5)),
        ("hosts_per_subnet", "3+5+4", (3, 5, 4)),
    ],
)
def test_text_becomes_the_parameter_s_type(name: str, text: str, value: object) -> None:
    assert KNOWN[name].parse(text) == value
    assert type(KNOWN[name].parse(text)) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("hosts", text) for text in ("many", "8.0", "", "-5", "0", "3,5")),
        *(("loss_ratio", text) for text in ("nan", "inf", "1.5", "-0.1", "half")),
        *(("hosts_per_subnet", text) for text in ("3,", "x", "3;5", "3,0")),
        ("lan", "wifi"),
    ],
)
def test_text_that_means_no_value_is_refused(name: str, text: str) -> None:
    with pytest.raises(GraphError, match=rf"^{name} = .*: give "):
        KNOWN[name].parse(text)


def test_the_domain_is_in_words() -> None:
    assert KNOWN["hosts"].domain == "a whole number from 2 to 1048576"
    assert KNOWN["loss_ratio"].domain == "a number from 0 to 1"
    assert KNOWN["hosts_per_subnet"].domain == "whole numbers from 1"
    assert KNOWN["lan"].domain == "routed or switched"


def test_every_parameter_says_what_it_is_for() -> None:
    assert all(parameter.help for parameter in KNOWN.values())


def test_defaults_are_filled_in_and_lists_become_tuples() -> None:
    assert fill(two_subnets.build, {"hosts_per_subnet": [3, 4]}) == {
        "hosts": None,
        "hosts_per_subnet": (3, 4),
        "loss_ratio": 0.0,
        "loss": "end_to_end",
        "link_loss_ratio": 0.0,
        "access_delay_ms": 0.0,
        "core_delay_ms": 0.0,
        "access": "",
        "access_up": "",
        "core": "",
        "core_up": "",
        "lan": "routed",
    }


def test_an_unknown_parameter_is_refused_with_the_near_ones() -> None:
    with pytest.raises(GraphError, match=r"no parameter 'hostz'; did you mean hosts\?"):
        fill(two_subnets.build, {"hostz": 8})


def test_a_build_checks_what_it_is_given_directly() -> None:
    with pytest.raises(GraphError, match="hosts = 'many': give a whole number"):
        two_subnets.build(hosts="many")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="loss_ratio = nan: give a number from 0 to 1"):
        two_subnets.build(8, loss_ratio=float("nan"))


@pytest.mark.parametrize(
    ("hosts", "each", "subnets", "expected"),
    [
        (None, None, 3, [4, 4, 4]),
        (7, None, 2, [4, 3]),
        (3, None, 3, [1, 1, 1]),
        (11, None, 4, [3, 3, 3, 2]),
        (None, 5, 2, [5, 5]),
        (None, (1, 9), 2, [1, 9]),
        (10, (1, 9), 2, [1, 9]),
    ],
)
def test_hosts_are_spread_evenly_unless_told(
    hosts: int | None, each: Any, subnets: int, expected: list[int]
) -> None:
    assert sizes(hosts, each, subnets) == expected


@pytest.mark.parametrize(
    ("hosts", "each", "subnets", "message"),
    [
        (3, None, 4, "hosts = 3: fewer than the 4 subnets"),
        (None, (3, 4), 3, r"hosts_per_subnet = \[3, 4\]: 2 numbers for 3 subnets"),
        (8, (3, 4), 2, "hosts = 8: hosts_per_subnet makes 7; let them agree"),
        (8, 5, 2, "hosts = 8: hosts_per_subnet makes 10"),
    ],
)
def test_hosts_that_do_not_fit_the_subnets_are_refused(
    hosts: int | None, each: Any, subnets: int, message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        sizes(hosts, each, subnets)


def test_many_names_are_cut_short() -> None:
    listed = near("r9999", [f"r{n}" for n in range(100)])
    assert listed.endswith(" and 88 more")
    assert near("x", []) == "there are none"
