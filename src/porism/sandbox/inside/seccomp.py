"""The system calls that untrusted code may not make, as a BPF program for the kernel's seccomp filter.

Refused are sockets (there is no network to reach, and none is to be tried), new namespaces, mounts, tracing and reading
other processes, kernel objects that no memory limit counts, and the administration of the machine. A refused call
fails with EPERM, so that a program gets an exception. Calls that are younger than this list fail with ENOSYS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

__all__ = ["KNOWN_MACHINES", "install", "program"]

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000
_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_X32 = 0x40000000
_NEWEST = 456
_CLONE3 = 435
_NEW_NAMESPACES = 0x7E020000
_TERMINAL_INPUT = 0x5412

# fmt: off
_BOTH = (
    425, 426, 427,  # io_uring
    428, 429, 430, 431, 432, 433, 442,  # the newer calls that mount
    438, 440, 443, 447, 448, 450,  # pidfd_getfd, process_madvise, quotactl_fd, memfd_secret, process_mrelease, NUMA
)
"""Numbers that all machines share."""

_X86 = (
    41, 42, 43, 49, 50, 288,  # socket, connect, accept, bind, listen, accept4
    101, 310, 311, 312,  # ptrace, process_vm_readv, process_vm_writev, kcmp
    165, 166, 155, 161, 308, 272,  # mount, umount2, pivot_root, chroot, setns, unshare
    321, 298, 323,  # bpf, perf_event_open, userfaultfd
    248, 249, 250,  # keys
    175, 313, 176, 246, 320, 169,  # modules, kexec, reboot
    167, 168, 163, 179, 103,  # swap, acct, quotactl, syslog
    303, 304, 300, 301, 212,  # file handles, fanotify, lookup_dcookie
    237, 256, 279, 238, 172, 173, 154, 135,  # NUMA, input and output ports, modify_ldt, personality
    164, 227, 305, 159, 170, 171, 153,  # clocks, names of the machine, vhangup
    319, 29, 30, 31, 68, 69, 70, 71, 64, 65, 66, 240,  # memfd_create, System V objects, mq_open
    180, 134, 156, 136, 139, 278,  # what is obsolete, vmsplice
)
_ARM = (
    198, 200, 201, 202, 203, 242,
    117, 270, 271, 272,
    40, 39, 41, 51, 268, 97,
    280, 241, 282,
    217, 218, 219,
    105, 273, 106, 104, 294, 142,
    224, 225, 89, 60, 116,
    264, 265, 262, 263, 18,
    235, 238, 239, 237, 92,
    170, 112, 266, 171, 161, 162, 58,
    279, 194, 195, 196, 186, 187, 188, 189, 190, 191, 192, 193, 180,
    42, 75,
)
# fmt: on
_MACHINES = {
    "x86_64": (0xC000003E, 56, 16, _X86),
    "aarch64": (0xC00000B7, 220, 29, _ARM),
}
"""Machine → its number in the filter's data, its clone and ioctl, the calls that are refused."""

KNOWN_MACHINES = tuple(_MACHINES)


def program(machine: str) -> bytes:
    """The filter for a kind of processor, as an array of BPF instructions.

    Args:
        machine: as ``uname -m`` says it.
    """
    architecture, clone, ioctl, refused = _MACHINES[machine]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        (_GREATER, 0, 1, _NEWEST),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_EQUAL, 0, 1, _CLONE3),  # whose flags lie in memory: the C library then takes clone
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number in sorted({*_BOTH, *refused}):
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    lines += [
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 5, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_EQUAL, 0, 3, ioctl),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        (_EQUAL, 0, 1, _TERMINAL_INPUT),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def install(libc: ctypes.CDLL, lines: bytes) -> None:
    """Put the filter on this process and all that it will start; it cannot be taken off.

    Args:
        libc: the C library, with errno.
        lines: what :func:`program` made.

    Raises:
        OSError: the kernel refuses.
    """
    filter_ = _Program(len(lines) // 8, lines)
    if libc.prctl(22, 2, ctypes.byref(filter_), 0, 0):
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
