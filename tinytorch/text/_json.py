"""Tokenizers on disk: one JSON object, written whole or not at all, refused unless it is what was written."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

VERSION = 1


def write(path: str | os.PathLike[str], kind: str, **fields: Any) -> None:
    """Write `fields` as a tokenizer of this kind; lists have an entry on each line.

    The file appears under its name only when all of it is on the disk. Raises FileNotFoundError where the
    folder is missing.
    """
    content = {"format": f"tinytorch-{kind}", "version": VERSION, **fields}
    lines = ",\n".join(f"{json.dumps(name)}: {_entries(value)}" for name, value in content.items())
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save: the folder {target.parent} does not exist. Make it first.")
    draft = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("w", encoding="ascii") as file:
            file.write(f"{{\n{lines}\n}}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _entries(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"


def read(path: str | os.PathLike[str], kind: str, *names: str) -> list[Any]:
    """The fields `names` of a tokenizer of this kind.

    Raises FileNotFoundError, and ValueError, which says what is wrong, for anything else than such a file.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from None
    form = content.get("format") if isinstance(content, dict) else type(content).__name__
    if form != f"tinytorch-{kind}":
        raise ValueError(f"expected the format 'tinytorch-{kind}', got {form!r}")
    if content.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}, got {content.get('version')!r}")
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"it has no {missing[0]!r}")
    return [content[name] for name in names]
