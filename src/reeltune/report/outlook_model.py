"""What is trained, and on what: a part of the plan's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from reeltune.contracts.outlook import Component, Outlook, Trained
from reeltune.report.outlook_layout import Paper, named, title
from reeltune.report.outlook_words import counted, large


def trained_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return what is trained, on which base, in which precision, and where the base's files are."""
    trained = outlook.trained
    base_size = "" if trained.base_parameters is None else f", {large(trained.base_parameters)} parameters"
    rows = [
        ("trained", _with_size(trained)),
        ("base model", trained.base + base_size),
        *_files(outlook.components, trained.base),
        ("precision", trained.precision),
        ("quantized", trained.quantized),
        ("optimizer", trained.optimizer),
        ("average", trained.average),
    ]
    return [title("What is trained"), *named(rows, paper)]


def _with_size(trained: Trained) -> str:
    parameters = "" if trained.parameters is None else f"{large(trained.parameters)} parameters"
    layers = "" if trained.layers is None else f"on {counted(trained.layers, 'layer')}"
    where = trained.where and f"({trained.where})"
    return ": ".join(filter(None, [trained.kind, " ".join(filter(None, [parameters, layers, where]))]))


def _files(components: Sequence[Component], base: str) -> Iterator[tuple[str, str]]:
    """Yield a row for each state and source that parts of the model share; the base's name is not said again."""
    name = "its files"
    for (state, source), parts in groupby(components, key=lambda part: (part.state, part.source)):
        names = ", ".join(part.name for part in parts)
        yield name, f"{state}: {names}" + f" ({source})" * (source != base)
        name = ""
