"""The repository stands alone: it names no place that a user's checkout does not have."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = re.compile(r"semantics\.md|spec/quickstart\.md|decisions? \d+|\.\./shared|/work/|shared/(spec|design)")


def tracked() -> list[Path]:
    try:
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, text=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names.split("\0") if name.endswith((".py", ".md", ".toml", ".sh", ".json", ".txt"))]


def test_no_file_cites_what_is_not_here() -> None:
    for path in tracked():
        if path == Path(__file__) or not path.exists():
            continue
        found = ELSEWHERE.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found}"
