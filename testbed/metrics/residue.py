"""The fraction of the nodes that a multicast never reached, 0..1 [Demers et al. 1987, 1.4].

Of the correct nodes, those up and connected at the end of the run. NaN for a stream, which has
`delivery_ratio`.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.spread import no_stream, reached
from testbed.tables import RunTables

UNIT = "ratio of nodes"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    correct = tables.runs.set_index("run")["survivors"]
    return (1.0 - reached(tables) / correct).where(no_stream(tables))
