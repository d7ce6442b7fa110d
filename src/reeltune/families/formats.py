"""Files that hold weights, but not as safetensors: what they are by name or first bytes, and what to do. No torch."""

from __future__ import annotations

from pathlib import Path

PICKLED = frozenset({".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"})
"""Endings of files that torch writes, in lower case."""

_LOOKED_AT = 1024
"""Bytes at the start of a file that tell its format."""


def name_problem(path: Path) -> str | None:
    """Say why a file cannot be read, and what to do, as far as its name tells; nothing for a folder or safetensors."""
    ending = path.suffix.lower()
    if path.is_dir() or ending == ".safetensors":
        return None
    if ending in PICKLED:
        return pickled_advice(path)
    if ending == ".gguf":
        return _packed_advice(path)
    if path.is_file():
        return f"{path} is a file, but none that ends in .safetensors; such files, folders and repositories are read."
    return None


def pickled_advice(path: Path) -> str:
    """Say that a pickled file is not opened, and how to convert it."""
    return (
        f"{path} is a pickled checkpoint, which can run any program when it is opened; only .safetensors is read. "
        "Most models are offered as both (the autoencoder as wan_2.1_vae.safetensors). To convert a plain one, type:\n"
        f'  python -c "{conversion(path)}"'
    )


def conversion(path: Path) -> str:
    """Return the Python that writes a pickled file's tensors as safetensors beside it, and runs nothing inside it."""
    return (
        "import torch; from safetensors.torch import save_file; "
        f"tensors = torch.load('{path}', map_location='cpu', weights_only=True); "
        f"save_file({{k: t.contiguous().clone() for k, t in tensors.items()}}, '{path.with_suffix('.safetensors')}')"
    )


def content_of(path: Path) -> str:
    """Name what a file is that is no safetensors file, by its first bytes."""
    with path.open("rb") as stream:
        start = stream.read(_LOOKED_AT)
    if start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05"):
        return "a pickled checkpoint under another name, which is not opened: get the real .safetensors file"
    if start[:4] == b"GGUF":
        return "a GGUF file under another name: get the bf16, fp16 or plain fp8 .safetensors file"
    if start.lstrip()[:1] == b"<":
        return "no safetensors file, but a web page: a download without a login, perhaps"
    return "no safetensors file"


def _packed_advice(path: Path) -> str:
    return (
        f"{path} is a GGUF file, whose numbers are packed for inference; "
        "give the bf16, fp16 or plain fp8 .safetensors file of the same model. base_model_precision saves memory."
    )
