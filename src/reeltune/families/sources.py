"""Where the components of a model are: in a folder, in a hub repository, or in a single file. No torch, no loading.

Only `component_folder` fetches; all else looks at what is on this machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reeltune.errors import ModelError
from reeltune.families.formats import name_problem
from reeltune.families.hub import cached_file, fetch, is_repository

State = Literal["file", "folder", "cache", "hub", "missing"]
"""file, folder: on this machine. cache: fetched from the hub before. hub: to be fetched. missing: none of these."""

_LAYOUT = "model_index.json"


@dataclass(frozen=True)
class Source:
    """Where one component comes from.

    place: a folder, a hub repository `owner/name`, or a `.safetensors` file.
    folders: of the component inside the place, the first that exists counts; "" is the place itself.
    config: name of its configuration. has_weights: whether there is more to it than small files.
    revision: branch, tag or commit of a repository; None is the newest.
    """

    component: str
    place: str
    folders: tuple[str, ...]
    config: str = "config.json"
    has_weights: bool = True
    revision: str | None = None

    @property
    def path(self) -> Path:
        return Path(self.place).expanduser()

    @property
    def is_file(self) -> bool:
        """Tell whether the place is meant as a single file, which may be missing."""
        return self.path.suffix.lower() == ".safetensors"


@dataclass(frozen=True)
class Location:
    """Where a component is now."""

    component: str
    place: str
    state: State


def locate(source: Source) -> Location:
    """Tell where a component is, without the network."""
    return Location(source.component, source.place, _state(source))


def local_folder(source: Source) -> Path | None:
    """Return the component's folder, given or in the hub's cache, when its configuration is there; no network."""
    for folder in source.folders:
        config = Path(folder) / source.config
        file = source.path / config if source.path.is_dir() else _cached(source, config.as_posix())
        if file and file.is_file():
            return file.parent
    return None


def require_present(source: Source) -> None:
    """Raise ModelError for a component that is neither here nor can be fetched, or in a file of another format.

    No network.
    """
    if problem := name_problem(source.path):
        raise ModelError(problem)
    if locate(source).state != "missing":
        return
    if source.path.is_dir():
        raise _not_in(source.path, source)
    if source.is_file:
        raise ModelError(
            f"{source.place} is no file here. To fetch a single file of a hub repository, type: "
            "hf download OWNER/NAME FILE.safetensors --local-dir FOLDER"
        )
    raise ModelError(f"{source.place} is neither a folder nor a hub repository of the form owner/name.")


def component_folder(source: Source, *, files: str = "*") -> Path:
    """Return the folder of a component, fetched from the hub if need be. files: which of them are needed.

    Raises ModelError when it cannot be found, fetched, or is not in the diffusers layout.
    """
    require_present(source)
    if source.is_file:
        raise ModelError(
            f"{source.place} is a single file; the {source.component} is needed as a folder or repository."
        )
    root = source.path
    for folder in source.folders:
        if not source.path.is_dir():
            root = fetch(source.place, [*_patterns(folder, source.config, files), _LAYOUT], source.revision)
        found = root / folder
        if (found / source.config).is_file():
            return found
    raise _not_in(root, source)


def _not_in(root: Path, source: Source) -> ModelError:
    absent = " and no ".join(_what_is_absent(root, folder, source.config) for folder in source.folders)
    return ModelError(
        f"{root} has no {absent} for the {source.component}. A model in the diffusers layout is needed, "
        "such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers (with -Diffusers at the end)."
    )


def _what_is_absent(root: Path, folder: str, config: str) -> str:
    return f"folder '{folder}'" if folder and not (root / folder).is_dir() else str(Path(folder) / config)


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Return a component's configuration. Raises ModelError."""
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / name} cannot be read: {error}") from error


def read_layout(folder: Path) -> dict[str, Any]:
    """Return what the model around a component's folder says of itself, or nothing when it says nothing."""
    return read_config(folder.parent, _LAYOUT) if (folder.parent / _LAYOUT).is_file() else {}


def _state(source: Source) -> State:
    if source.is_file:
        return "file" if source.path.is_file() else "missing"
    folder = local_folder(source)
    if source.path.is_dir():
        return "folder" if folder else "missing"
    if not is_repository(source.place):
        return "missing"
    return "cache" if folder and (_has_weights(folder) or not source.has_weights) else "hub"


def _has_weights(folder: Path) -> bool:
    """Tell whether the weights were fetched to their end, as far as names tell."""
    shards = {
        shard
        for index in folder.glob("*.index*.json")
        for shard in read_config(folder, index.name)["weight_map"].values()
    }
    return all((folder / shard).is_file() for shard in shards) if shards else any(folder.glob("*.safetensors"))


def _cached(source: Source, name: str) -> Path | None:
    return cached_file(source.place, name, source.revision) if is_repository(source.place) else None


def _patterns(folder: str, config: str, files: str) -> list[str]:
    """Return patterns of names; `*` matches slashes too, so of a place itself only known names are asked for."""
    if folder:
        return [f"{folder}/{files}"]
    return [config] if files == config else [config, "diffusion_pytorch_model*"]
