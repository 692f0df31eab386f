"""The published tables of rumor mongering: what a reproduction is held against.

Source: Demers et al., Epidemic algorithms for replicated database maintenance, PODC 1987, section
1.4, tables 1 to 3, as reprinted in Xerox PARC report CSL-89-1: 1000 sites, one update, averages of
an unstated number of simulations. Tables 1 and 2 were read in the report. Table 3 was quoted from
memory and is confirmed by the agreement of its traffic to three digits, not by the text.
"""

from __future__ import annotations

from typing import NamedTuple

SITES = 1000


class Row(NamedTuple):
    """One line of a table; delays in cycles."""

    table: int
    k: int
    residue: float
    traffic: float
    t_ave: float
    t_last: float


PUBLISHED = (
    # Table 1: push, feedback, counter.
    Row(1, 1, 0.18, 1.7, 11.0, 16.8),
    Row(1, 2, 0.037, 3.3, 12.1, 16.9),
    Row(1, 3, 0.011, 4.5, 12.5, 17.4),
    Row(1, 4, 0.0036, 5.6, 12.7, 17.5),
    Row(1, 5, 0.0012, 6.7, 12.8, 17.7),
    # Table 2: push, blind, coin.
    Row(2, 1, 0.96, 0.04, 19.0, 38.0),
    Row(2, 2, 0.20, 1.6, 17.0, 33.0),
    Row(2, 3, 0.060, 2.8, 15.0, 32.0),
    Row(2, 4, 0.021, 3.9, 14.1, 32.0),
    Row(2, 5, 0.008, 4.9, 13.8, 32.0),
    # Table 3: pull, feedback, counter.
    Row(3, 1, 3.1e-2, 2.70, 9.97, 17.63),
    Row(3, 2, 5.8e-4, 4.49, 10.07, 15.39),
    Row(3, 3, 4.0e-6, 6.09, 10.08, 14.00),
)


def rows(table: int) -> tuple[Row, ...]:
    """The lines of table 1, 2 or 3, by k: rows(1)[4].residue = 0.0012

    ValueError for another table.
    """
    found = tuple(row for row in PUBLISHED if row.table == table)
    if not found:
        raise ValueError(f"table = {table} is not 1, 2 or 3")
    return found
