"""The first program of a sandbox: closes files and calls, sets limits, gives up all rights, becomes another.

    python -I -B launch.py SETTINGS.json COMMAND...

It imports the standard library and its neighbours, and is copied nowhere: what it reads is the grader's own.
"""

import ctypes
import json
import os
import resource
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import filesystem
import landlock
import syscalls

NESTED = "/proc/sys/user/max_user_namespaces"  # in this one, where rights would be had again
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
libc = ctypes.CDLL(None, use_errno=True)


def give_up_rights():
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        settings = json.load(stream)
    if settings["namespaces"]:
        if os.path.exists(NESTED):
            with open(NESTED, "w", encoding="utf-8") as stream:
                stream.write("0")
        filesystem.enter(settings["base"], settings["layout"], settings["writable"])
    for name, value in settings["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    os.nice(10)  # who watches has to get a turn, however many there are to be watched
    os.chdir(settings["folder"])
    if sys.platform.startswith("linux"):
        give_up_rights()
    if settings["landlock"]:
        landlock.restrict(settings["listable"], settings["readable"], settings["writable"])
    if settings["syscalls"]:
        syscalls.refuse(own_network=settings["namespaces"])
    os.execve(sys.argv[2], sys.argv[2:], settings["environment"])


if __name__ == "__main__":
    main()
