"""The command's first step: it takes hold of who waits for it, before Python loads the rest.

What `make` or `sudo` starts must end with them, also when they are killed in the first moments.
"""

from __future__ import annotations

import signal
import sys

from testbed.lab import ancestors


def main() -> int:
    """Runs the command `testbed`; returns its exit code, 129 (SIGHUP) for an orphan."""
    try:
        ancestors.hold()
    except ancestors.OrphanError:
        message = "testbed: what started this command has ended; to go on alone start it with nohup"
        print(message, file=sys.stderr)
        return 128 + signal.SIGHUP
    from testbed.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
