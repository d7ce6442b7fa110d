"""The bundled examples: where they are, and how what they need is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reeltune.errors import ConfigError


def examples_folder() -> Path:
    """Return where the examples are: in the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "bundled" / "examples"
    return installed if installed.is_dir() else package.parents[1] / "examples"


def known_examples() -> list[Path]:
    """Return the folders of the examples, by name."""
    return sorted(path.parent for path in examples_folder().glob("*/config.json"))


def find_example(name: str) -> Path:
    """Return the folder of a bundled example. Raises ConfigError that lists those there are."""
    found = next((folder for folder in known_examples() if folder.name == name), None)
    if found is None:
        known = ", ".join(folder.name for folder in known_examples())
        raise ConfigError(f"there is no example '{name}'; there are: {known}")
    return found


def makes_its_own(name: str) -> bool:
    """Tell whether an example's data and model are made on the spot, rather than named by its files."""
    return name == "tiny"


def make_example(name: str, say: Callable[[str], None]) -> None:
    """Make the data and the model that an example trains with, where it makes its own."""
    if makes_its_own(name):
        from reeltune.demo.example import make_example as make_tiny

        make_tiny(Path("output/tiny"), say=say)
