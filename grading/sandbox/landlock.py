"""Files closed by Landlock, which a process may ask of Linux (5.13 and newer) without any right.

It holds where a container refuses namespaces: what is not listed can neither be opened nor changed, and no
process outside can be looked into.
"""

import ctypes
import os
import stat

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many there are in each version; later ones add none
SCOPES = 0b11  # abstract sockets and signals, since version 6
CREATE, ADD, RESTRICT = 444, 445, 446  # the same on all processors
libc = ctypes.CDLL(None, use_errno=True)


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version():
    """The kernel's version of Landlock, 0 where there is none."""
    return max(libc.syscall(CREATE, None, ctypes.c_size_t(0), 1), 0)


def restrict(listable, readable, writable):
    """For this process and its children: names can be seen beneath `listable`, files be read beneath
    `readable`, and anything be changed beneath `writable`. All else is closed; what is not there is passed
    over."""
    known = version()
    every = (1 << RIGHTS[min(known, 5)]) - 1
    rules = _Rules(every, 0, SCOPES)
    size = 24 if known >= 6 else 8
    ruleset = _checked(libc.syscall(CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0))
    for allowed, paths in (
        (READ_DIR, listable),
        (EXECUTE | READ_FILE | READ_DIR, readable),
        (every & ~(MAKE_CHAR | MAKE_BLOCK), writable),
    ):
        for path in filter(os.path.exists, paths):
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            if not stat.S_ISDIR(os.fstat(handle).st_mode):
                allowed_here = allowed & OF_FILES & every
            else:
                allowed_here = allowed
            if allowed_here:
                rule = _Beneath(allowed_here, handle)
                _checked(libc.syscall(ADD, ruleset, 1, ctypes.byref(rule), 0))
            os.close(handle)
    _checked(libc.syscall(RESTRICT, ruleset, 0))
    os.close(ruleset)


def _checked(code):
    if code < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return code
