"""How every plot looks: colours told apart by anyone and in grey, and what each must say.

Colours are those of Okabe & Ito (Color Universal Design, 2008); protocols also differ in marker and
line, so that nothing depends on colour alone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from scipy.optimize import isotonic_regression

from testbed.judging.selection import Arm, told_apart

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


def looks(arms: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Look]:
    """A look for each (protocol, variant): a protocol has its colour, its first variant all of it.

    Further variants have the marker and the line of other places.
    """
    protocols = list(dict.fromkeys(protocol for protocol, _ in arms))
    shown = {}
    for protocol in protocols:
        own = look(protocol, protocols)
        place = _LOOKS.index(own)
        alike = [arm for arm in arms if arm[0] == protocol]
        for further, arm in enumerate(alike):
            other = nth_look(place + further)
            shown[arm] = Look(own.colour, other.marker, other.line)
    return shown


def words(protocol: str) -> str:
    """What a protocol is called in a plot."""
    return {"push": "uniform push", "topology_aware": "topology-aware"}.get(protocol, protocol)


def called(protocol: str, variant: str) -> str:
    """A protocol in words, and in what it differs from others of that one, if it does."""
    return f"{words(protocol)} ({variant})" if variant else words(protocol)


def names(arms: Sequence[Arm]) -> list[str]:
    """What each arm is called: its protocol, and in what it differs from others of that one."""
    shown = []
    for arm in arms:
        alike = [each for each in arms if each.protocol == arm.protocol]
        stated = [{**each.conditions, "options": each.options} for each in alike]
        told = told_apart({**arm.conditions, "options": arm.options}, stated)
        shown.append(called(arm.protocol, told))
    return shown


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


def legend(axes: Axes, where: Any, entries: Sequence[tuple[Any, str]], **options: Any) -> None:
    """A legend of (artist, label) in the order given."""
    axes.legend(
        [artist for artist, _ in entries],
        [label for _, label in entries],
        loc=where,
        frameon=False,
        **{"fontsize": 10, **options},
    )


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


def conditions(
    c: Mapping[str, Any], *, loss_ratio: bool = True, fan_out: bool = True, retention: bool = True
) -> str:
    """The conditions of an arm in one line; without those of which the plot shows several."""
    drawn = "with" if c["replacement"] else "without"
    stated = [f"{c['evidence']}, {c['topology']}, timing {c['timing']}"]
    if fan_out and known(c["fan_out"]):
        stated.append(f"fan-out b = {c['fan_out']}")
    if known(c["replacement"]):
        stated.append(f"targets drawn {drawn} replacement")
    if retention and known(c["retention"]):
        stated.append(f"retention {c['retention']}")
    if loss_ratio:
        stated.append(f"loss {float(c['loss_ratio']):.0%}")
    return ", ".join(stated)


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
