"""`reeltune options`: every option there is, found and explained."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence

LINE = "find and explain options"

FORMS = ("json", "markdown", "compatibility")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", help="names to explain, or words to look for; without any, all are listed")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print the JSON schema of the files, for editors")
    forms.add_argument("--markdown", action="store_true", help="print the page docs/options.md")
    forms.add_argument("--compatibility", action="store_true", help="print the page docs/compatibility.md")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Print what was asked for. words: names that were typed with dashes before them."""
    form = next((name for name in FORMS if getattr(arguments, name)), None)
    asked = [*arguments.words, *words]
    print(_PAGES[form]() if form else _answer(asked), end="" if form else "\n")
    return 0


def _answer(words: Sequence[str]) -> str:
    from reeltune.manual.page import answer, overview

    width = shutil.get_terminal_size((120, 24)).columns
    return answer(words, width) if words else overview(width)


def _json() -> str:
    import json

    from reeltune.manual.schema import json_schema

    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _markdown() -> str:
    from reeltune.manual.page import markdown

    return markdown()


def _compatibility() -> str:
    from reeltune.manual.compatibility import markdown

    return markdown()


_PAGES: Mapping[str, Callable[[], str]] = {"json": _json, "markdown": _markdown, "compatibility": _compatibility}
