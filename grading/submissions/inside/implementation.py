"""A submission's names over the library's: whose Linear it is, and whether it can be used as one."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .requirements import LIBRARY, NEEDED, PROBES, TENSORS, Misfit


@dataclass
class Implementation:
    """What a module offers. theirs: the names of the protocol that it defines itself."""

    module: ModuleType
    theirs: list[str]

    def ours_of(self, milestone: int) -> list[str]:
        """Names that a milestone takes from the library."""
        return [name for name in NEEDED[milestone] if name not in self.theirs]

    def names_for(self, milestone: int) -> dict[str, Any]:
        """The name -> object of all that a milestone needs.

        Raises Misfit, in a sentence that a student can act on, for names that are missing or do not fit.
        """
        names = {}
        for name in NEEDED[milestone]:
            if name in self.theirs:
                names[name] = getattr(self.module, name)
            elif "Tensor" in self.theirs and name in TENSORS:
                raise Misfit(
                    f"milestone {milestone} needs `{name}`: you brought your own Tensor, and ours cannot "
                    f"work with it. Write `{name}` for yours."
                )
            else:
                names[name] = library(name)
        for name in NEEDED[milestone]:
            if name in self.theirs:
                self._fits(milestone, name, names)
        return names

    def _fits(self, milestone: int, name: str, names: dict[str, Any]) -> None:
        """Try an object as the milestone will use it; Misfit says what is needed and what came."""
        probe = PROBES[name]
        try:
            probe(names)
        except Misfit as error:
            raise Misfit(f"milestone {milestone} needs {error}") from None
        except Exception as error:
            raised = what_went_wrong(error, Path(str(self.module.__file__)).parent)
            raise Misfit(f"milestone {milestone} needs {probe.__doc__}; yours raised {raised}") from None


def library(name: str) -> Any:
    """The library's own object of that name."""
    return getattr(importlib.import_module(LIBRARY[name]), name)


def load(folder: Path) -> Implementation:
    """The one file or package in `folder`, imported. Raises Misfit where it has none of the names."""
    (found,) = folder.iterdir()
    module = imported(found)
    theirs = [name for name in LIBRARY if is_theirs(module, name)]
    if not theirs:
        raise Misfit(
            f"{Path(str(module.__file__)).name} defines none of the names that a milestone needs, such as "
            "Tensor, Linear or ReLU. docs/protocol.md lists them."
        )
    return Implementation(module, theirs)


def imported(found: Path) -> ModuleType:
    """The module of a file, a package's folder, or a folder with a single file."""
    path = found if found.is_file() else found / "__init__.py"
    if not path.is_file():
        files = sorted(found.glob("*.py"))
        if len(files) != 1:
            raise Misfit(
                f"expected a package with an __init__.py, or a folder with one .py file, got {len(files)}"
            )
        path, found = files[0], files[0]
    name = "submission" if found.is_file() else found.name
    if name in sys.modules or not name.isidentifier():
        name = "submission"
    where = None if found.is_file() else [str(found)]
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=where)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def is_theirs(module: ModuleType, name: str) -> bool:
    """Whether the module has the name, and not by importing ours."""
    if not hasattr(module, name):
        return False
    where = getattr(getattr(module, name), "__module__", "") or ""
    return where != "tinytorch" and not where.startswith("tinytorch.")


def what_went_wrong(error: BaseException, submission: Path) -> str:
    """The error, and where in the submission's own files it came from."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if submission in (Path(frame.filename), *Path(frame.filename).parents)
    ]
    told = f"{type(error).__name__}: {error!s:.500}"
    if isinstance(error, SystemExit):
        told = f"it ended itself with exit({error.code!r})"
    return f"{told} ({' -> '.join(frames[-3:])})" if frames else told
