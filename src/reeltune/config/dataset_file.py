"""From the dataset file to checked `Datasets`, each problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from reeltune.config.dataset_checks import nothing_to_learn
from reeltune.config.dataset_entry import Entry, name_of, read_entry
from reeltune.config.datasets import ClipDataset, Datasets, EvalDataset, TextEmbeds, TrainedDataset
from reeltune.config.document import Document, read_document
from reeltune.config.mask_checks import check_masks, unused_masks
from reeltune.config.masks import MaskDataset
from reeltune.config.problems import Problems
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

STORE_NAMES = ("text_embeds", "text_embed_cache")
"""Keys by which other trainers' datasets name the store of their captions."""


def load_datasets(path: Path, notes: list[Note], *, family: str = "wan", cache_dir: str = "cache") -> Datasets:
    """Read the dataset file: at least one dataset that is trained and exactly one text-embed store in use.

    notes: is added to where a key changes nothing. family, cache_dir: what {model_family} and {cache_dir} in a text
    stand for; {id} is the entry's own.
    Raises ConfigError that lists every problem with its line.
    """
    document = read_document(path)
    if not isinstance(document.content, list):
        raise ConfigError(f"{path}: a list of datasets is needed: [ {{...}}, {{...}} ]")
    problems = Problems(str(path))
    for repeat in document.repeats:
        where = document.where(repeat.key)
        problems.add(name_of(document, repeat.key), where, f"is also in line {repeat.earlier}; keep one")
    words = {"model_family": family, "cache_dir": cache_dir}
    parsed = [read_entry(document, index, problems, notes, words) for index in range(len(document.content))]
    used = {index: entry for index, entry in enumerate(parsed) if entry is not None and not entry.disabled}
    stores = [entry for entry in used.values() if isinstance(entry, TextEmbeds)]
    trained = tuple(entry for entry in used.values() if isinstance(entry, TrainedDataset))
    _check_together(document, used, problems)
    check_masks(document, parsed, problems)
    notes += unused_masks(used.values())
    # An entry that could not be read may be the one that seems to be missing.
    if None not in parsed:
        problems.lines.extend(_missing_kinds(trained, len(stores)))
    problems.raise_if_any()
    held_out = tuple(entry for entry in used.values() if isinstance(entry, EvalDataset))
    masks = tuple(entry for entry in used.values() if isinstance(entry, MaskDataset))
    return Datasets(trained=trained, text=stores[0], held_out=held_out, masks=masks)


def _check_together(document: Document, used: Mapping[int, Entry], problems: Problems) -> None:
    _check_unique(document, {index: ("id", entry.id) for index, entry in used.items()}, problems)
    folders = {index: _cache_folder(entry) for index, entry in used.items() if not isinstance(entry, MaskDataset)}
    _check_unique(document, folders, problems)
    stores = {entry.id for entry in used.values() if isinstance(entry, TextEmbeds)}
    for index in (index for index, entry in used.items() if not isinstance(entry, TextEmbeds)):
        for name in STORE_NAMES:
            wanted = document.content[index].get(name)
            if wanted is not None and stores and str(wanted) not in stores:
                problem = f"is {wanted!r}, which is no store in use; there is {', '.join(sorted(stores))}"
                problems.add(name_of(document, (index, name)), document.where((index, name)), problem)


def _cache_folder(entry: ClipDataset | TextEmbeds) -> tuple[str, str]:
    """Return the key that names an entry's cache folder, and the folder."""
    if isinstance(entry, TextEmbeds):
        return "cache_dir", entry.cache_dir
    return "cache_dir_vae", entry.cache_dir_vae


def _check_unique(document: Document, values: Mapping[int, tuple[str, str]], problems: Problems) -> None:
    """Add a problem for each entry whose value another one has. values: by entry, the key and what it says."""
    first: dict[str, int] = {}
    for index, (name, value) in values.items():
        earlier = first.setdefault(str(Path(value)), index)
        if earlier != index:
            line = document.where((earlier, values[earlier][0])).rpartition(" ")[2]
            problem = f"{value!r} is used twice, first in line {line}; each entry needs its own"
            problems.add(name_of(document, (index, name)), document.where((index, name)), problem)


def _missing_kinds(trained: tuple[TrainedDataset, ...], stores: int) -> Iterator[str]:
    if not trained:
        yield 'no dataset is trained: add an entry with "dataset_type": "video" or "image"'
    if nothing_to_learn(trained):
        yield (
            f"is_regularisation_data is true for all that is trained ({', '.join(one.id for one in trained)}): there "
            "is nothing to learn; add a dataset without it"
        )
    if stores != 1:
        yield f'{stores} text-embed stores are in use: exactly one entry with "text_embeds" is needed'
