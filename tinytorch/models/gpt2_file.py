"""Reads GPT-2's published weights, or any safetensors file of that shape, into a `GPT`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinytorch.models.gpt import GPT, GPTConfig
from tinytorch.serialization import load

_BUFFERS = re.compile(r"h\.\d+\.attn\.(masked_)?bias|lm_head\.weight")  # masks, and wte by another name
_PREFIX = "transformer."


def load_gpt2(path: str | os.PathLike[str], n_head: int | None = None) -> GPT:
    """The model in a safetensors file with GPT-2's names (`wte.weight`, `h.0.attn.c_attn.weight`, ...).

    The sizes are read off the arrays. Names may begin with `transformer.`; the masks that such files carry
    are passed over, and half precision becomes float32. GPT-2 keeps the matrices of its blocks as (in, out);
    they are turned to our (out, in) where they are so.

    n_head: heads of attention, which no array tells; by default heads of 64, as all of GPT-2's models have.

    Raises FileNotFoundError; ValueError for a file that has not these names, and RuntimeError, which lists
    every missing, unexpected or misshapen array, for one that has only some of them.
    """
    arrays = {name.removeprefix(_PREFIX): _as_float32(t.data) for name, t in load(path).items()}
    arrays = {name: array for name, array in arrays.items() if not _BUFFERS.fullmatch(name)}
    config = _config(arrays, n_head, path)
    if arrays["h.0.attn.c_attn.weight"].shape == (config.n_embd, 3 * config.n_embd):
        for name, array in arrays.items():
            if name.startswith("h.") and array.ndim == 2:
                arrays[name] = np.ascontiguousarray(array.T)
    model = GPT(config)
    model.load_state_dict(arrays)
    return model


def _config(arrays: Mapping[str, Any], n_head: int | None, path: Any) -> GPTConfig:
    wanted = ("wte.weight", "wpe.weight", "h.0.attn.c_attn.weight")
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise ValueError(
            f"load_gpt2: expected GPT-2's names in {path}, but {', '.join(missing)} is missing among "
            f"{len(arrays)} arrays, the first of them {sorted(arrays)[:4]}"
        )
    (vocab_size, n_embd), block_size = arrays["wte.weight"].shape, len(arrays["wpe.weight"])
    blocks = {name.split(".")[1] for name in arrays if name.startswith("h.")}
    return GPTConfig(
        vocab_size, block_size, len(blocks), n_head or max(1, n_embd // 64), n_embd,
        bias="h.0.attn.c_attn.bias" in arrays,
    )  # fmt: skip


def _as_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array
