"""System calls that the kernel refuses to a submission (seccomp), in C and in other programs as in Python."""

import ctypes
import errno
import os
import struct

# Architecture's number, and the calls' numbers on it.
TABLES = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "kill": 62, "ptrace": 101, "rt_sigqueueinfo": 129, "tkill": 200, "tgkill": 234,
            "unshare": 272, "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "setns": 308,
            "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321, "userfaultfd": 323,
            "add_key": 248, "request_key": 249, "keyctl": 250,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198, "kill": 129, "ptrace": 117, "rt_sigqueueinfo": 138, "tkill": 130, "tgkill": 131,
            "unshare": 97, "rt_tgsigqueueinfo": 240, "perf_event_open": 241, "setns": 268,
            "process_vm_readv": 270, "process_vm_writev": 271, "bpf": 280, "userfaultfd": 282,
            "add_key": 217, "request_key": 218, "keyctl": 219,
        },
    ),
}  # fmt: skip
# Of the same number everywhere. io_uring opens sockets, too, past every filter.
COMMON = {"pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_getfd": 438}
NEVER = (
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "io_uring_setup", "perf_event_open",
    "bpf", "userfaultfd", "add_key", "request_key", "keyctl", "unshare", "setns",
)  # fmt: skip
SIGNALS = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")  # whose first argument is a process
FAMILIES = (1, 2, 10, 16)  # UNIX, INET, INET6, NETLINK: these end at a network namespace, others may not
X32 = 0x40000000  # the second set of numbers of x86_64
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # of classic BPF
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
NUMBER, ARCHITECTURE, FIRST = 0, 4, 16  # where they lie in what a filter looks at
PR_SET_SECCOMP, FILTER = 22, 2
libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def known():
    """Whether this processor's calls are known, and the kernel has filters."""
    return os.uname().machine in TABLES and os.path.exists("/proc/sys/kernel/seccomp")


def refuse(own_network):
    """From now on, for this process and its children: no call of NEVER.

    own_network: it has namespaces of its own. Where it has not: no socket at all, and a signal only to this
    process and to its group, as the grader is its neighbour.
    """
    architecture, numbers = TABLES[os.uname().machine]
    numbers = numbers | COMMON
    steps = [
        (LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, REFUSE),
        (LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE),
    ]  # fmt: skip
    for name in NEVER:
        steps += _only_with(numbers[name], ())
    if own_network:
        steps += _only_with(numbers["socket"], FAMILIES)
    else:
        for name in ("socket", "tkill", "pidfd_send_signal"):
            steps += _only_with(numbers[name], ())
        for name in SIGNALS:
            steps += _only_with(numbers[name], (0, os.getpid()))
    steps.append((RETURN, 0, 0, ALLOW))
    packed = b"".join(struct.pack("HBBI", *step) for step in steps)
    program = _Program(len(steps), packed)
    if libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")


def _only_with(number, values):
    """Steps that refuse a call unless its first argument is one of `values`."""
    if not values:
        return [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    # After the last comparison comes the refusal, and after that the permission.
    compared = [(EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [
        (EQUAL, 0, len(values) + 3, number),
        (LOAD, 0, 0, FIRST),
        *compared,
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
