"""The first program in the namespaces: hides folders, sets limits, gives up all rights, and becomes another.

    python -I -B launch.py SETTINGS.json COMMAND...

It imports nothing but the standard library, and is copied nowhere: what it reads is the grader's own.
"""

import ctypes
import errno
import json
import os
import resource
import sys

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
KEPT = {"nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": 8}  # flags that a mount cannot be rid of
NESTED = "/proc/sys/user/max_user_namespaces"  # in this one, where rights would be had again
DEVICES = ("null", "zero", "full", "random", "urandom")
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags, options=""):
    code = libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    if code:
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


def cover(path, keep, holder):
    """An empty folder in the place of `path`, with those of `keep` that lie in it where they were."""
    kept = []
    for number, inner in enumerate(keep):
        if inner != path and not inner.startswith(path.rstrip("/") + "/"):
            continue
        place = f"{holder}/{number}-{len(os.listdir(holder))}"
        os.mkdir(place)
        mount(inner, place, "", MS_BIND | MS_REC)
        kept.append((place, inner))
    mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for place, inner in kept:
        os.makedirs(inner, exist_ok=True)
        mount(place, inner, "", MS_BIND | MS_REC)


def devices(holder):
    """Of /dev only what gives and takes bytes: a grader that is root could read the disk through the rest."""
    names = [name for name in DEVICES if os.path.exists(f"/dev/{name}")]
    for name in names:
        open(f"{holder}/{name}", "wb").close()
        mount(f"/dev/{name}", f"{holder}/{name}", "", MS_BIND)
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "size=1m,mode=755")
    for name in names:
        open(f"/dev/{name}", "wb").close()
        mount(f"{holder}/{name}", f"/dev/{name}", "", MS_BIND)
    os.symlink("/proc/self/fd", "/dev/fd")


def freeze(writable):
    """Nothing can be written any more but in these folders. A grader that is root stays root in here, and
    might write wherever root may, /proc/sys and the grader's own files among it."""
    for path in writable:
        mount(path, path, "", MS_BIND)
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        mounts = [line.split()[4:6] for line in stream]
    for path, options in mounts:
        path = path.encode().decode("unicode_escape").encode("latin-1").decode()  # a blank is \\040
        if path in writable or path.startswith("/dev/"):
            continue
        kept = sum(flag for name, flag in KEPT.items() if name in options.split(","))  # or it is refused
        try:
            mount("", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):  # these lie below one that covers them
                raise


def isolate(settings):
    mount("", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", settings["holder"], "tmpfs", MS_NOSUID)
    for path in settings["cover"]:
        cover(path, settings["keep"], settings["holder"])
    devices(settings["holder"])
    if libc.umount2(settings["holder"].encode(), MNT_DETACH):
        raise OSError(ctypes.get_errno(), f"umount {settings['holder']}")
    if os.path.exists(NESTED):
        with open(NESTED, "w", encoding="utf-8") as stream:
            stream.write("0")
    freeze(settings["writable"])
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        settings = json.load(stream)
    if settings["namespaces"]:
        isolate(settings)
    for name, value in settings["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.nice(10)  # who watches has to get a turn, however many there are to be watched
    os.chdir(settings["folder"])
    os.execve(sys.argv[2], sys.argv[2:], settings["environment"])


if __name__ == "__main__":
    main()
