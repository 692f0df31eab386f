"""Debian packages that single tests need: installed by root; others are told, and skip the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

import pytest

APT = ("apt-get", "-o", "DPkg::Lock::Timeout=120", "-q", "-y")


def need(command: str, package: str) -> str:
    """The path of a command; its package is installed when it is missing, else the test skipped."""
    found = shutil.which(command)
    if found is None and os.geteuid() == 0 and shutil.which(APT[0]):
        install = (*APT, "install", "--no-install-recommends", package)
        # Lists of packages may be missing or old: they are fetched when nothing comes without.
        if not _done(install) and _done((*APT, "update")):
            _done(install)
        found = shutil.which(command)
    if found is None:
        pytest.skip(f"no {command} here: sudo apt-get install {package}")
    return found


def _done(command: Sequence[str]) -> bool:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0
