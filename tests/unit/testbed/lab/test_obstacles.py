"""Tests of testbed.lab.obstacles: each known reason for having no lab is named with its remedy."""

from __future__ import annotations

import errno

import pytest

from testbed.lab import obstacles

KERNEL = "/proc/sys/kernel/"
SECCOMP = {"/proc/self/status": "Name:\tpython\nSeccomp:\t2\n"}


@pytest.mark.parametrize(
    ("step", "number", "root", "files", "words"),
    [
        (
            "unshare",
            errno.EPERM,
            False,
            {f"{KERNEL}unprivileged_userns_clone": "0"},
            "sudo sysctl -w kernel.unprivileged_userns_clone=1, or run with sudo",
        ),
        (
            "unshare",
            errno.EPERM,
            False,
            {f"{KERNEL}apparmor_restrict_unprivileged_userns": "1"},
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run with sudo",
        ),
        (
            "maps",
            errno.EACCES,
            False,
            {f"{KERNEL}apparmor_restrict_unprivileged_userns": "1"},
            "Ubuntu's AppArmor",
        ),
        (
            "unshare",
            errno.ENOSPC,
            True,
            {"/proc/sys/user/max_user_namespaces": "0"},
            "user.max_user_namespaces = 0; sudo sysctl -w user.max_user_namespaces=15000",
        ),
        (
            "unshare",
            errno.ENOSPC,
            True,
            {"/proc/sys/user/max_net_namespaces": "0"},
            "user.max_net_namespaces = 0",
        ),
        ("unshare", errno.ENOSPC, True, {}, "end other labs"),
        ("unshare", errno.EINVAL, False, {}, "CONFIG_USER_NS"),
        ("unshare", errno.EPERM, True, SECCOMP, "seccomp=unconfined"),
        ("unshare", errno.EPERM, True, {}, "chroot"),
        ("mounts", errno.EPERM, True, SECCOMP, "--privileged"),
        ("mounts", errno.EPERM, False, {}, "sudo"),
        ("loopback", errno.EIO, True, {}, "VM"),
    ],
)
def test_a_refusal_is_explained_on_one_line_with_its_remedy(
    step: str, number: int, root: bool, files: dict[str, str], words: str
) -> None:
    text = obstacles.explain(step, number, "refused", root=root, read=files.get)
    assert words in text
    what = errno.errorcode[number] if step == "unshare" else "refused"
    assert text.startswith(f"no private world for the network ({step}: {what}): ")
    assert "\n" not in text


def test_root_is_not_sent_to_settings_that_hold_for_plain_users() -> None:
    files = {f"{KERNEL}unprivileged_userns_clone": "0"}
    text = obstacles.explain("unshare", errno.EPERM, "refused", root=True, read=files.get)
    assert "sysctl" not in text
    assert "sudo" not in text
