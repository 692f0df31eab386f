"""Rounds that a multicast was old, in the mean, when a full buffer lost it [Rodrigues et al. 2003].

Of all nodes together, whoever had delivered it meanwhile: what is lost young has hardly spread. NaN
for a run in which no buffer lost anything, or in which there are none.
"""

from __future__ import annotations

import pandas as pd

from agents.parts.buffer import AGE_AT_LOSS
from testbed.measures import notes
from testbed.tables import RunTables

UNIT = "rounds"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return notes.mean(tables, AGE_AT_LOSS)
