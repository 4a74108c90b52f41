"""Untrusted code in a process of its own, with limits; what holds it is said in `Outcome.isolation`.

    with Box.make(submission) as box:
        outcome = run(box, ["lib/inside/entry.py"], Limits(seconds=60))
        answers = read_array(box.out / "answers.npy")

Where the kernel allows it the process gets user, mount, process, network and IPC namespaces of its own: it
sees no other process, no network, and of all files the system's programs and its box. Elsewhere it is a
session of its own whose tree is watched and killed; Landlock closes files to it, and seccomp sockets and
signals, where the kernel has them.
"""

from grading.sandbox.box import Box, Refused, files_of
from grading.sandbox.reading import Unreadable, read_array, read_json
from grading.sandbox.supervise import Limits, Outcome, dies_with_parent, run
from grading.sandbox.walls import namespaces_work

__all__ = [
    "Box",
    "Limits",
    "Outcome",
    "Refused",
    "Unreadable",
    "dies_with_parent",
    "files_of",
    "namespaces_work",
    "read_array",
    "read_json",
    "run",
]
