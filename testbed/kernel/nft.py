"""Changes and reads nftables in the network namespace of a node.

Reading happens inside this process, through libnftables.so.1 and ctypes: 0.1 ms for a small set,
where forking `nft` costs 5 ms. The netlink socket belongs to the namespace in which the context is
made, so later calls need not enter it again. Changes are left to `nft`: libnftables waits for their
answer with select(2), which aborts the process when the socket's number is 1,024 or more, and a
network of a thousand hosts holds a descriptor for each.
"""

from __future__ import annotations

import ctypes
import functools
import json
import subprocess
import threading
from typing import Any

from testbed.errors import TestbedError
from testbed.kernel.namespaces import entered

_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON of <nftables/libnftables.h>

# libnftables keeps parser state in globals: one call at a time in the whole process.
_lock = threading.Lock()


class NftError(TestbedError):
    """libnftables is missing or refused a command; the message holds its first complaint."""


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise NftError(
            f"libnftables.so.1: {error}; install the Debian package libnftables1 (or nftables)"
        ) from error
    context, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("nft_ctx_new", context, [ctypes.c_uint32]),
        ("nft_ctx_free", None, [context]),
        ("nft_ctx_buffer_output", ctypes.c_int, [context]),
        ("nft_ctx_buffer_error", ctypes.c_int, [context]),
        ("nft_ctx_get_output_buffer", text, [context]),
        ("nft_ctx_get_error_buffer", text, [context]),
        ("nft_ctx_output_set_flags", None, [context, ctypes.c_uint]),
        ("nft_run_cmd_from_buffer", ctypes.c_int, [context, text]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def problem() -> str | None:
    """Why libnftables cannot be used here, with the remedy; None when it can."""
    try:
        _library()
    except NftError as error:
        return str(error)
    return None


class Nft:
    """nftables of one network namespace; holds one descriptor until it is closed."""

    def __init__(self, netns: int) -> None:
        library = _library()
        self._netns = netns
        with _lock, entered(netns):
            self._context = library.nft_ctx_new(0)
        if not self._context:
            raise NftError("libnftables: no netlink socket; is `ulimit -n` used up?")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_output_set_flags(self._context, _JSON)

    def change(self, commands: str) -> None:
        """Does all of the commands or, raising NftError with the first complaint, none."""
        try:
            with entered(self._netns):
                done = subprocess.run(
                    ["nft", "-f", "-"], input=commands, capture_output=True, text=True, check=False
                )
        except FileNotFoundError as error:
            raise NftError("nft: not found; install the Debian package nftables") from error
        if done.returncode:
            raise _refused(done.stderr, commands)

    def listed(self, what: str) -> list[dict[str, Any]]:
        """The objects that `nft list WHAT` prints, without its version line. Raises NftError."""
        if not self._context:
            raise NftError("libnftables: used after close()")
        command = f"list {what}"
        library = _library()
        with _lock:
            status = library.nft_run_cmd_from_buffer(self._context, command.encode())
            output = library.nft_ctx_get_output_buffer(self._context) or b""
            error = library.nft_ctx_get_error_buffer(self._context) or b""
        if status:
            raise _refused(error.decode(errors="replace"), command)
        return parse_listing(output.decode())

    def close(self) -> None:
        if self._context:
            _library().nft_ctx_free(self._context)
            self._context = None


def parse_listing(text: str) -> list[dict[str, Any]]:
    """The objects of a `list` command's JSON. Raises NftError when it is something else."""
    try:
        objects = json.loads(text)["nftables"]
        if not all(isinstance(each, dict) for each in objects):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NftError(
            f"libnftables: not the JSON expected: {text[:80]!r}; is it built with JSON support?"
        ) from error
    return [each for each in objects if "metainfo" not in each]


def _refused(complaints: str, commands: str) -> NftError:
    lines = complaints.strip().splitlines() or ["no reason given"]
    line = " ".join(commands.split())
    return NftError(f"nftables: {lines[0]} (in: {line if len(line) <= 80 else line[:77] + '...'})")
