#!/usr/bin/python3
"""The first process of a user-mode Linux: loads modules, runs one command, powers off.

The kernel hands over the words of its command line that it does not know as our environment:
UML_COMMAND and UML_FOLDER hold what to run and where, in hexadecimal so that no blank ends them,
UML_MODULES names modules separated by commas. The exit status is printed at the end.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import subprocess
import traceback
from pathlib import Path

SYS_FINIT_MODULE = 313 if platform.machine() == "x86_64" else 273
POWER_OFF = 0x4321FEDC
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
        LIBC.mount(kind.encode(), target.encode(), kind.encode(), 0, None)
    for name in os.environ["UML_MODULES"].split(","):
        load(name, Path("/usr/lib/uml/modules") / os.uname().release)
    command = shlex.split(bytes.fromhex(os.environ["UML_COMMAND"]).decode())
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/run",
        "TMPDIR": "/run",
        "PYTHONDONTWRITEBYTECODE": "1",  # the root file system is the machine's own
    }
    folder = bytes.fromhex(os.environ["UML_FOLDER"]).decode()
    status = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    print(f"\nexit status {status}", flush=True)


def load(name: str, folder: Path) -> None:
    """Loads a module and those it depends on, since the machine may have no modprobe."""
    depends = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        file, _, needed = line.partition(":")
        depends[Path(file).stem.replace("-", "_")] = [*reversed(needed.split()), file]
    for file in depends[name]:
        with open(folder / file, "rb") as module:
            LIBC.syscall(SYS_FINIT_MODULE, module.fileno(), b"", 0)


try:
    main()
except BaseException:
    traceback.print_exc()
finally:
    os.sync()
    LIBC.reboot(POWER_OFF)
