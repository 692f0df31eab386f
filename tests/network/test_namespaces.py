"""Tests of testbed.kernel.namespaces in a lab."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from testbed.kernel import namespaces as ns

pytestmark = [pytest.mark.network, pytest.mark.in_lab]


def here() -> str:
    return os.readlink("/proc/thread-self/ns/net")


def test_a_new_network_is_another_one_and_the_caller_stays() -> None:
    before = here()
    descriptor = ns.new_network()
    assert here() == before
    assert os.fstat(descriptor).st_ino != os.stat("/proc/thread-self/ns/net").st_ino


def test_a_socket_made_in_the_block_belongs_to_the_entered_network() -> None:
    with ns.entered(ns.new_network()), socket.socket() as inner:
        pass_through = socket.if_nameindex()
        assert inner.fileno() >= 0
    assert [name for _, name in pass_through] == ["lo"]


def test_only_the_calling_thread_is_in_the_entered_network() -> None:
    seen: list[str] = []
    before = here()
    with ns.entered(ns.new_network()):
        thread = threading.Thread(target=lambda: seen.append(here()))
        assert here() != before
        elsewhere = os.readlink(f"/proc/{os.getpid()}/ns/net")
        thread.start()
        thread.join()
    assert here() == before
    assert elsewhere != before and len(seen) == 1


def test_the_caller_is_back_after_an_exception_in_the_block() -> None:
    before = here()
    with pytest.raises(KeyError), ns.entered(ns.new_network()):
        raise KeyError
    assert here() == before


def test_blocks_nest() -> None:
    outer, inner = ns.new_network(), ns.new_network()
    with ns.entered(outer):
        middle = here()
        with ns.entered(inner):
            assert here() != middle
        assert here() == middle


def test_a_descriptor_of_something_else_is_refused_and_nothing_is_left_open() -> None:
    with open("/proc/self/ns/uts") as other:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="setns"), ns.entered(other.fileno()):
            pass
        assert os.listdir("/proc/self/fd") == before


def test_a_failed_mount_names_its_target() -> None:
    with pytest.raises(FileNotFoundError, match="mount /nowhere"):
        ns.mount("tmpfs", "/nowhere", "tmpfs")
