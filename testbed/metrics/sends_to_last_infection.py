"""Messages sent, by all nodes together, up to when the last correct node is infected.

Timers, phases and fan-out do not change its distribution under uniform choice, which makes it the
first check of an emulated run: it is a coupon collector's count (`theory.coupon_collector`). A
message still in flight at that moment is counted. NaN for a run that left a node unreached.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from testbed.judging.spread import last_infection_ns, sends
from testbed.tables import RunTables

UNIT = "messages"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    last = last_infection_ns(tables)
    sent = sends(tables)
    until = sent["run"].map(last)
    counts = sent[sent["time_ns"] <= until].groupby("run").size()
    whole = np.isfinite(last)
    return counts.reindex(last.index, fill_value=0).astype(float).where(whole)
