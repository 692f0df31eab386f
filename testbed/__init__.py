"""The harness: builds networks, runs agents on them, counts, and judges.

As a library: `testbed.run(experiment, ...)` and `testbed.simulate(...)`, see `testbed.library`.
"""

from testbed.library import Result, run, simulate

__all__ = ["Result", "run", "simulate"]
