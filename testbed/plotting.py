"""How every plot looks: colours told apart by anyone and in grey, and what each must say.

Colours are those of Okabe & Ito (Color Universal Design, 2008); protocols also differ in marker and
line, so that nothing depends on colour alone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from scipy.optimize import isotonic_regression

from testbed.judging.selection import Arm, told_apart

ROOM = 8
"""Entries of a legend that axes have room for, where they keep some."""
INK, GREY = "#1a1a1a", "#5f5f5f"
DPI = 160

STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e4e4e4",
    "svg.hashsalt": "testbed",  # the same data gives the same file
}


class Look(NamedTuple):
    colour: str
    marker: str
    line: str


Looks = Mapping[tuple[str, str], Look]
"""By (protocol, variant), or what stands for the two."""

_LOOKS = (
    Look("#0072B2", "o", "-"),
    Look("#D55E00", "s", "--"),
    Look("#009E73", "^", "-."),
    Look("#CC79A7", "D", ":"),
    Look("#56B4E9", "v", "-"),
    Look("#E69F00", "P", "--"),
    Look("#1a1a1a", "X", "-."),
    Look("#8c6d1f", "*", ":"),
    Look("#999999", "h", "-"),
)
_KNOWN = (
    *("push", "topology_aware", "pull", "push_pull", "centralized", "tree", "srm", "rmtp"),
    "pbcast",
)
"""Protocols in the order of their looks; those of the lecture's main claim come first."""


def nth_look(place: int) -> Look:
    """The looks in turn, for what is no protocol."""
    return _LOOKS[place % len(_LOOKS)]


def look(protocol: str, others: Sequence[str] = ()) -> Look:
    """The same look for a protocol in every plot; a protocol of one's own takes one left free."""
    if protocol in _KNOWN:
        return _LOOKS[_KNOWN.index(protocol)]
    strangers = sorted({*others, protocol} - set(_KNOWN))
    pairs = list(zip(_KNOWN, _LOOKS, strict=True))
    # The two of the main claim give theirs up last: many a plot shows one after the other.
    free = [shown for known, shown in (*pairs[2:], *pairs[:2]) if known not in others] or _LOOKS
    return free[strangers.index(protocol) % len(free)]


def looks(arms: Sequence[tuple[str, str]], ways: Sequence[str] = ()) -> dict[tuple[str, str], Look]:
    """A look for each (protocol, variant): a protocol has its colour, its first variant all of it.

    Further variants have the marker and the line of other places. `ways` stand for protocols where
    something else has variants; they have the looks in turn.
    """
    owners = list(dict.fromkeys(owner for owner, _ in arms))
    shown = {}
    for owner in owners:
        own = nth_look(ways.index(owner)) if ways else look(owner, owners)
        place = _LOOKS.index(own)
        alike = [arm for arm in arms if arm[0] == owner]
        for further, arm in enumerate(alike):
            other = nth_look(place + further)
            shown[arm] = Look(own.colour, other.marker, other.line)
    return shown


def face(evidence: str, look: Look) -> str:
    """What a marker is filled with: those of simulated runs are hollow."""
    return look.colour if evidence == "emulated" else "white"


HOLLOW = (Line2D([], [], color=GREY, marker="o", mfc="white", lw=0.9), "hollow: simulated")
"""The entry of a legend that says so."""


def words(protocol: str) -> str:
    """What a protocol is called in a plot."""
    return {"push": "uniform push", "topology_aware": "topology-aware"}.get(protocol, protocol)


def called(protocol: str, variant: str) -> str:
    """A protocol in words, and in what it differs from others of that one, if it does."""
    return f"{words(protocol)} ({variant})" if variant else words(protocol)


def names(arms: Sequence[Arm]) -> list[str]:
    """What each arm is called: its protocol, and in what it differs from the others."""
    told = differences(arms)
    return [called(arm.protocol, each) for arm, each in zip(arms, told, strict=True)]


def differences(arms: Sequence[Arm]) -> list[str]:
    """In what each arm differs from the others; "" where it does in nothing but the protocol.

    From those of another protocol in conditions that both have only, not in options.
    """
    return [told_apart(_stated(arm), _beside(arm, arms)) for arm in arms]


def _beside(arm: Arm, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    return [
        _stated(each)
        if each.protocol == arm.protocol
        else _stated(arm) | {name: value for name, value in each.conditions.items() if known(value)}
        for each in arms
    ]


def _stated(arm: Arm) -> dict[str, Any]:
    return {**arm.conditions, "parameters": arm.parameters, "options": arm.options}


def from_where(evidence: str, every: Iterable[str]) -> str:
    """Where the numbers of one name come from, to add to it; "" if those of all come from there."""
    return "" if set(every) <= {evidence} else f", {evidence}"


def either(values: Iterable[Any], word: str = "or") -> str:
    """The different values, sorted: `2 or 4`."""
    return f" {word} ".join(map(str, sorted(set(values))))


def left_out(count: int) -> str:
    """A sentence on runs for which there is no room; "" without any."""
    return f" Not drawn: {count} more group{'s' * (count > 1)} of runs." if count else ""


def canvas(
    columns: int = 1,
    *,
    rows: int = 1,
    width: float = 7.4,
    height: float = 4.9,
    shared: bool = True,
) -> tuple[Figure, Any]:
    """A figure and its axes: a list, row by row, when there are several.

    One row shares its y, if it is `shared`.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, sharey=shared and rows == 1, squeeze=False).ravel()
    for one in axes:
        one.grid(True, which="major", linewidth=0.8)
        one.set_axisbelow(True)
    return figure, (axes[0] if len(axes) == 1 else list(axes))


def title(figure: Figure, claim: str, says: str) -> None:
    """The claim that the plot belongs to, and what the plot shows."""
    head = f"{claim}: {says}" if claim else says
    figure.suptitle(head, x=0.012, ha="left", fontsize=12.5, fontweight="bold", color=INK)


def footnote(figure: Figure, text: str) -> None:
    """n, the interval drawn and the conditions, below the axes."""
    columns = int(figure.get_figwidth() * 15.5)
    figure.supxlabel(textwrap.fill(text, columns), x=0.012, ha="left", fontsize=8.5, color=GREY)


def legend(
    axes: Axes | Figure, where: Any, entries: Sequence[tuple[Any, str]], **options: Any
) -> None:
    """A legend of (artist, label) in the order given; beside axes that have no room for it."""
    if isinstance(axes, Axes) and len(entries) > ROOM:
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.set_figwidth(1.8 * figure.get_figwidth())
        axes, where = figure, "outside right upper"
    axes.legend(
        [artist for artist, _ in entries],
        [label for _, label in entries],
        loc=where,
        frameon=False,
        **{"fontsize": 10, **options},
    )


def labelled(axes: Axes, evidence: Iterable[str]) -> list[tuple[Any, str]]:
    """What is labelled in axes, each label once, and what hollow points are if there are any."""
    handles, labels = axes.get_legend_handles_labels()
    once: dict[str, Any] = {}
    for label, handle in zip(labels, handles, strict=True):
        once.setdefault(label, handle)
    hollow = [HOLLOW] if "simulated" in set(evidence) else []
    return [*((artist, label) for label, artist in once.items()), *hollow]


def bars(rows: pd.DataFrame, column: str) -> Any:
    """The lengths of error bars, below and above: a column's distances to its _low and _high."""
    value = rows[column]
    return np.array([value - rows[f"{column}_low"], rows[f"{column}_high"] - value]).clip(min=0)


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """N on a logarithmic axis, ticked at the sizes that were run."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(sizes) / 1.25, max(sizes) * 1.25)
    axes.set_xticks(list(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axes.set_xlabel("nodes N (logarithmic)")


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places moved as little as possible (least squares) to be `gap` apart, or more.

    `apart([0.0, 0.1, 0.9], 0.2) = [-0.05, 0.15, 0.9]`.
    """
    steps = gap * np.arange(len(places))
    return list(isotonic_regression(np.asarray(places) - steps).x + steps)


def conditions(stated: Sequence[Mapping[str, Any]], but: Collection[str] = ()) -> str:
    """The conditions that all arms share, in one line; without those `but`."""
    first = stated[0]

    def said(name: str) -> bool:
        return (
            name not in but and known(first[name]) and all(c[name] == first[name] for c in stated)
        )

    drawn = "with" if first["replacement"] else "without"
    words = {
        "evidence": f"{first['evidence']}",
        "topology": f"{first['topology']}",
        "timing": f"timing {first['timing']}",
        "fan_out": f"fan-out b = {first['fan_out']}",
        "replacement": f"targets drawn {drawn} replacement",
        "retention": f"retention {first['retention']}",
        "loss_ratio": f"loss {float(first['loss_ratio']):.0%}",
    }
    return ", ".join(text for name, text in words.items() if said(name))


def known(value: Any) -> bool:
    """Whether a protocol has the option at all; in the table of runs a missing one is nan."""
    return not (value is None or (isinstance(value, float) and math.isnan(value)))


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes `path` as .png and .svg; returns both."""
    files = [path.with_suffix(".png"), path.with_suffix(".svg")]
    options: tuple[dict[str, Any], ...] = ({"dpi": DPI}, {"metadata": {"Date": None}})
    with mpl.rc_context(STYLE):
        for file, chosen in zip(files, options, strict=True):
            write_whole(file, partial(figure.savefig, format=file.suffix[1:], **chosen))
    return files


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under another name until it is whole: a killed command leaves no half plot."""
    beside = file.with_name(f".partial-{file.name}")
    try:
        write(beside)
        beside.rename(file)
    finally:
        beside.unlink(missing_ok=True)
