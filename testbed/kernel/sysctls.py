"""The kernel settings of a node, written into its own network namespace and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping

from testbed.errors import TestbedError

NODE = {"ipv6/conf/all/disable_ipv6": "1"}
"""Every node: no IPv6, whose neighbour discovery would be traffic that nobody asked for."""

BRIDGE = {
    # At 1, what is bridged inside a subnet runs through the router's forward hook and is counted.
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}
"""A node with a bridge, where the kernel filters bridged frames."""

ROUTER = BRIDGE | {
    "ipv4/ip_forward": "1",
    # Packets between two hosts of a subnet leave by the interface that they came by.
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    # Routes are symmetric, so the check would find nothing; it would get in the way of partitions.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
}
"""A router. Written before its interfaces are made, which copy `default`."""

_ROOT = "/proc/sys/net/"


def apply(settings: Mapping[str, str], where: str) -> None:
    """Writes settings in the namespace that the calling thread is in.

    A setting that this kernel does not have is passed over: there is no IPv6 or no bridge filter
    to switch off. Raises TestbedError when one cannot be written or does not stick.
    """
    for name, value in settings.items():
        try:
            descriptor = os.open(_ROOT + name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise TestbedError(_problem(where, name, value, error)) from error
        try:
            os.write(descriptor, value.encode())
            found = os.pread(descriptor, 64, 0).decode().strip()
        except OSError as error:
            raise TestbedError(_problem(where, name, value, error)) from error
        finally:
            os.close(descriptor)
        if found != value:
            raise TestbedError(
                f"{where}: wanted net/{name} = {value}, the kernel says {found};"
                " does a security module forbid it?"
            )


def _problem(where: str, name: str, value: str, error: OSError) -> str:
    return (
        f"{where}: cannot set net/{name} to {value}: {error.strerror}; is /proc mounted read-only?"
        " run inside a lab, which has its own"
    )
