"""Which services this machine is logged in to. Only whether there is a secret is told, never the secret."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit


def hub_token_found(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> bool:
    """Tell whether the Hugging Face hub's client would find a token: HF_TOKEN, or the file of `hf auth login`."""
    if any(environment.get(name, "").strip() for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")):
        return True
    try:
        return bool(_hub_token_file(environment, home or Path.home()).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False


def wandb_login_found(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> bool:
    """Tell whether Weights & Biases would find a key: WANDB_API_KEY, or what `wandb login` wrote into .netrc."""
    if environment.get("WANDB_API_KEY", "").strip():
        return True
    host = urlsplit(environment.get("WANDB_BASE_URL", "")).hostname or "api.wandb.ai"
    return any(_has_entry(path, host) for path in _netrc_files(environment, home or Path.home()))


def _hub_token_file(environment: Mapping[str, str], home: Path) -> Path:
    """Return where the hub's client keeps its token, by its own rules."""
    if path := environment.get("HF_TOKEN_PATH"):
        return _expanded(path, home)
    if folder := environment.get("HF_HOME"):
        return _expanded(folder, home) / "token"
    cache = _expanded(environment.get("XDG_CACHE_HOME") or "~/.cache", home)
    return cache / "huggingface" / "token"


def _netrc_files(environment: Mapping[str, str], home: Path) -> list[Path]:
    named = environment.get("NETRC")
    return [_expanded(named, home)] if named else [home / ".netrc", home / "_netrc"]


def _has_entry(path: Path, host: str) -> bool:
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False
    return entry is not None and bool(entry[2])


def _expanded(path: str, home: Path) -> Path:
    return home / path.removeprefix("~").lstrip("/\\") if path.startswith("~") else Path(path)
