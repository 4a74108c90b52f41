"""`save` and `load`: state dicts as safetensors files, written whole or not at all, and never a pickle.

Tensors are stored under their dotted path (`{"model": {"fc.weight": ...}}` becomes `model.fc.weight`), so
that any safetensors reader finds them; what stands around them, such as an optimiser's settings, is JSON in
the header.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.tensor import Tensor

_KEY = "tinytorch"  # of the header's metadata
_PLAIN_KINDS = "fiub"
_TYPES = {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}  # NumPy's
_RESERVED = "__metadata__"  # what a safetensors header calls the metadata, among the names of the tensors


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write `obj` to a safetensors file.

    obj: tensors, arrays, numbers, strings, booleans and None, in dicts, lists and tuples of any depth: state
    dicts
        of modules, optimisers and schedulers, and dicts of these.

    The file appears under its name only when all of it is on the disk: an interrupted save leaves the old one
    as it was. It keeps that one's access rights, and a symbolic link keeps pointing where it does. Raises
    TypeError, which names the place, for an object of another kind.

    >>> import tempfile, tinytorch as tt
    >>> path = tempfile.mkdtemp() + "/checkpoint.safetensors"
    >>> tt.save({"model": tt.nn.Linear(2, 1).state_dict(), "epoch": 3}, path)
    >>> tt.load(path)["epoch"]
    3
    """
    from safetensors.numpy import save_file  # 10 ms that `import tinytorch` need not spend

    arrays: dict[str, np.ndarray] = {}
    tree = _encode(obj, "", arrays)
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save: the folder {target.parent} does not exist. Make it first.")
    name = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        name.touch()  # with the rights of any new file; safetensors gives its own to the owner alone
        mode = (target if target.exists() else name).stat().st_mode
        save_file(arrays, name, metadata={_KEY: json.dumps(tree, allow_nan=False, separators=(",", ":"))})
        _flush(name)
        name.chmod(stat.S_IMODE(mode))
        name.replace(target)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # a folder cannot be opened on Windows
        _flush(target.parent)


def load(path: str | os.PathLike[str], map_location: Any = None, weights_only: bool = True) -> Any:
    """Read what `save` wrote, or the tensors of any other safetensors file as a dict of names and tensors.

    Tensors in bfloat16, which NumPy has not, become float32, with the same values.
    map_location, weights_only: of no effect; there is one device, and a file holds no code.

    Raises FileNotFoundError, and ValueError for a file that is truncated, corrupt or of another format.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"load: no file {source}")
    try:
        with safe_open(source, framework="numpy") as file:
            metadata = file.metadata() or {}
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            strange = {name: kind for name, kind in types.items() if kind not in _TYPES}
            arrays = {name: file.get_tensor(name) for name in types if name not in strange}
    except (SafetensorError, TypeError, AttributeError) as error:
        raise ValueError(f"load: cannot read {source}: {_diagnose(source, error)}") from None
    if strange:
        arrays |= _read_bfloat16(source, strange)
    if _KEY not in metadata:
        return {name: Tensor(arrays[name]) for name in types}
    try:
        return _decode(json.loads(metadata[_KEY]), arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"load: the header of {source} does not fit its tensors ({error!r}): the file is corrupt"
        ) from None


# --- the tree: JSON in which {"$": kind, "v": value} stands for what JSON has not -----------------------


def _encode(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, Tensor):
        return {"$": "tensor", "v": _store(value._data, place, arrays)}
    if isinstance(value, np.ndarray):
        return {"$": "array", "v": _store(value, place, arrays)}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, _join(place, i), arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$": "tuple", "v": items}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise TypeError(f"save: expected keys that are strings or integers{_at(place)}, got {key!r}")
        items = [(key, _encode(item, _join(place, key), arrays)) for key, item in value.items()]
        plain = all(isinstance(key, str) for key in value) and "$" not in value
        return dict(items) if plain else {"$": "dict", "v": [list(item) for item in items]}
    raise TypeError(
        "save: expected tensors, arrays, numbers, strings, dicts, lists and tuples, got "
        f"{type(value).__name__}{_at(place)}. Save the state_dict() of an object, not the object."
    )


def _store(array: np.ndarray, place: str, arrays: dict[str, np.ndarray]) -> str:
    if array.dtype.kind not in _PLAIN_KINDS:
        raise TypeError(
            f"save: expected numbers or booleans{_at(place)}, got an array of dtype {array.dtype}"
        )
    if place == _RESERVED:
        raise ValueError(
            f"save: expected another key than {_RESERVED!r} for a tensor: a safetensors file uses it itself. "
            "Rename it."
        )
    name, count = place or "tensor", 1
    while name in arrays:  # {"a.b": x, "a": {"b": y}} gives one path twice
        count += 1
        name = f"{place}~{count}"
    # safetensors writes the memory of a transposed or sliced array as if it were contiguous.
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    arrays[name] = np.ascontiguousarray(little).reshape(array.shape)
    return name


def _decode(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_decode(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind = tree.get("$")
    if kind is None:
        return {key: _decode(item, arrays) for key, item in tree.items()}
    value = tree["v"]
    if kind == "tensor":
        return Tensor(arrays[value])
    if kind == "array":
        return arrays[value]
    if kind == "float":
        return float(value)
    if kind == "tuple":
        return tuple(_decode(item, arrays) for item in value)
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in value}
    raise ValueError(f"an unknown kind {kind!r}")


def _join(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def _at(place: str) -> str:
    return f" at {place!r}" if place else ""


# --- the file -------------------------------------------------------------------------------------------


def _flush(path: str | Path) -> None:
    """Have the operating system write a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY if Path(path).is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_bfloat16(path: Path, types: dict[str, str]) -> dict[str, np.ndarray]:
    """The tensors named in `types` as float32, whose upper half a bfloat16 is."""
    from safetensors import deserialize

    for name, kind in types.items():
        if kind != "BF16":
            raise ValueError(
                f"load: {path} holds {name!r} as {kind}; expected one of BF16, {', '.join(sorted(_TYPES))}. "
                "Convert it where it was made."
            )
    views = {name: view for name, view in deserialize(path.read_bytes()) if name in types}
    wide = {name: np.frombuffer(view["data"], "<u2").astype(np.uint32) << 16 for name, view in views.items()}
    return {name: bits.view(np.float32).reshape(views[name]["shape"]) for name, bits in wide.items()}


def _diagnose(path: Path, error: Exception) -> str:
    """What is probably wrong with a file that safetensors refuses."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
    if size < 8:
        return f"it has {size} bytes, so it was cut short. Save it again, or use a backup."
    if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
        return (
            "it is a zip or pickle file, as torch.save writes. Pickles can run code and are not read: "
            "convert it with safetensors.torch.save_file where it was made."
        )
    header = int.from_bytes(start, "little")
    if header > size - 8:
        return (
            f"its header should have {header:,} bytes, but the file has {size:,}: it was cut short, or is no "
            "safetensors file."
        )
    if "Incomplete" in str(error) or "incomplete" in str(error):
        return f"its header does not fit its {size:,} bytes ({error}): it was cut short or is corrupt."
    return f"{error}. Expected a safetensors file that was written whole."
