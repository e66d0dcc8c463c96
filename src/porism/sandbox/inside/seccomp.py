"""The system calls that untrusted code may not make, as a BPF program for the kernel's seccomp filter.

Refused are sockets (there is no network to reach, and none is to be tried), new namespaces, mounts, tracing and reading
other processes, changing how other processes are run, kernel objects and memory that no limit counts, and the
administration of the machine. A refused call fails with EPERM, so that a program gets an exception. Calls that are
younger than this list fail with ENOSYS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

__all__ = ["KNOWN_MACHINES", "install", "program"]

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000
_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _FOURTH_ARGUMENT = 0, 4, 16, 24, 40
_X32 = 0x40000000
_NEWEST = 456
_CLONE3 = 435
_NEW_NAMESPACES = 0x7E020000
_TERMINAL_INPUT = 0x5412
_PIDFD_OPEN = 434
_WATCHER = 1
"""The number of the process that watches; gVisor lets signals end it."""
_NAMELESS_AND_SHARED = 0x21
"""Flags of memory that processes share without a file: what one keeps and does not touch is counted nowhere."""

# fmt: off
_BOTH = (
    425, 426, 427,  # io_uring
    428, 429, 430, 431, 432, 433, 442,  # the newer calls that mount
    438, 440, 443, 447, 448, 450,  # pidfd_getfd, process_madvise, quotactl_fd, memfd_secret, process_mrelease, NUMA
)
"""Numbers that all machines share."""

_X86 = (
    41, 42, 43, 49, 50, 288, 54,  # socket, connect, accept, bind, listen, accept4, setsockopt (larger buffers)
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
    141, 142, 144, 203, 251, 314,  # how other processes are scheduled
    253, 254, 294,  # inotify, of which a user has few on the whole machine
)
_ARM = (
    198, 200, 201, 202, 203, 242, 208,
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
    140, 118, 119, 122, 30, 274,
    26, 27,
)
# fmt: on


class _Machine(NamedTuple):
    """What differs between processors."""

    architecture: int
    """Its number in the filter's data."""
    clone: int
    ioctl: int
    mmap: int
    prlimit: int
    signals: tuple[int, ...]
    """Its calls that send one to the process of a number."""
    refused: tuple[int, ...]


_MACHINES = {
    "x86_64": _Machine(
        0xC000003E, clone=56, ioctl=16, mmap=9, prlimit=302, signals=(62, 129, 200, 234, 297), refused=_X86
    ),
    "aarch64": _Machine(
        0xC00000B7, clone=220, ioctl=29, mmap=222, prlimit=261, signals=(129, 130, 131, 138, 240), refused=_ARM
    ),
}

KNOWN_MACHINES = tuple(_MACHINES)


def program(machine: str) -> bytes:
    """The filter for a kind of processor, as an array of BPF instructions.

    Args:
        machine: as ``uname -m`` says it.
    """
    known = _MACHINES[machine]
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, known.architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        (_GREATER, 0, 1, _NEWEST),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_EQUAL, 0, 1, _CLONE3),  # whose flags lie in memory: the C library then takes clone
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number in sorted({*_BOTH, *known.refused}):
        lines += [(_EQUAL, 0, 1, number), refuse]
    for number, place, tests in (
        (known.clone, _FIRST_ARGUMENT, [(_ANY_BIT, 0, 1, _NEW_NAMESPACES)]),
        (known.ioctl, _SECOND_ARGUMENT, [(_EQUAL, 0, 1, _TERMINAL_INPUT)]),
        (known.mmap, _FOURTH_ARGUMENT, [(_AND, 0, 0, _NAMELESS_AND_SHARED), (_EQUAL, 0, 1, _NAMELESS_AND_SHARED)]),
        (known.prlimit, _FIRST_ARGUMENT, [(_EQUAL, 1, 0, 0)]),  # a process may lower its own limits
        *((number, _FIRST_ARGUMENT, [(_EQUAL, 0, 1, _WATCHER)]) for number in (*known.signals, _PIDFD_OPEN)),
    ):
        body = [(_LOAD, 0, 0, place), *tests, refuse, (_RETURN, 0, 0, _ALLOW)]
        lines += [(_EQUAL, 0, len(body), number), *body]
    return b"".join(struct.pack("HBBI", *line) for line in [*lines, (_RETURN, 0, 0, _ALLOW)])


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
