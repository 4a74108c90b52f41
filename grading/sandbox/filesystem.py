"""A file system of its own: an empty root, in which what a submission may see is put, and nothing else is."""

import contextlib
import ctypes
import errno
import os

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
KEPT = {"nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": 8}  # flags that a mount cannot be rid of
OLD = "/old-root"
libc = ctypes.CDLL(None, use_errno=True)


def checked(code, what):
    if code:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags, options=""):
    code = libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    checked(code, f"mount {target}")


def enter(base, layout, writable):
    """Make `layout` all that there is; of it only what is in `writable` can be written.

    base: a folder that the new root is built on. layout: (kind, source, target), outer targets first; a
    "bind" shows a file or folder in another place, "empty" hides what is there, a "link" is symbolic.
    """
    mount("", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    os.mkdir(base + OLD)
    checked(libc.pivot_root(base.encode(), (base + OLD).encode()), "pivot_root")
    os.chdir("/")
    for kind, source, target in layout:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if kind == "link":
            if not os.path.lexists(target):
                os.symlink(source, target)
        elif kind == "empty":
            os.makedirs(target, exist_ok=True)
            mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
        else:
            _make_place(OLD + source, target)
            mount(OLD + source, target, "", MS_BIND | MS_REC)
    os.symlink("/proc/self/fd", "/dev/fd")
    checked(libc.umount2(OLD.encode(), MNT_DETACH), "umount the old root")
    os.rmdir(OLD)
    _freeze(writable)


def _make_place(source, target):
    """Something to mount on, of the same kind."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        with contextlib.suppress(FileExistsError), open(target, "xb"):
            pass


def _freeze(writable):
    """A grader that is root stays root in here, and might write wherever root may, /proc/sys among it."""
    for path in writable:
        mount(path, path, "", MS_BIND | MS_REC)  # with the kernels in it
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        mounts = [line.split()[4:6] for line in stream]
    for path, options in mounts:
        path = path.encode().decode("unicode_escape").encode("latin-1").decode()  # a blank is \040
        if path in writable or path.startswith("/dev/"):
            continue
        kept = sum(flag for name, flag in KEPT.items() if name in options.split(","))  # or it is refused
        try:
            mount("", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):  # these lie below one that covers them
                raise
