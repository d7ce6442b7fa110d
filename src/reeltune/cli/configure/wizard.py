"""The whole way: questions, settings with their reasons, the plan, and after a yes the files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reeltune.cli.configure.dataset_entries import edit_datasets, find_datasets_file
from reeltune.cli.configure.dialogue import hold
from reeltune.cli.configure.files import (
    ABSENT,
    Change,
    Draft,
    edit_options,
    read_options_file,
    try_drafts,
    write_drafts,
)
from reeltune.cli.configure.questions import Asker, say
from reeltune.cli.configure.settings import options_for
from reeltune.cli.configure.talk import Graphics, Talk, Wishes
from reeltune.cli.source import DEFAULT_CONFIG
from reeltune.config.names import Given, by_own_name
from reeltune.config.problems import Problems
from reeltune.config.root import all_options
from reeltune.config.words import parse_overrides, read_value
from reeltune.errors import ReeltuneError


def configure(
    file: Path,
    wishes: Wishes,
    *,
    asker: Asker,
    here: Sequence[Graphics],
    show_plan: Callable[[Sequence[Path]], None],
) -> int:
    """Write, or edit, the configuration and dataset files, and return the exit status.

    here: the GPUs of this machine. show_plan: prints the plan of configuration files, or raises ReeltuneError.
    Nothing is written before the last question is answered with yes.
    """
    from reeltune.report.console import track

    options = read_options_file(file)
    datasets = find_datasets_file(options, wishes.text("data_backend_config"))
    print(f"{file} is {'new' if options.is_new else 'edited: what is not asked about stays as it is'}.")
    if datasets.note:
        say(f"Note: {datasets.note}. data_backend_config will name that one.")
    answers = hold(Talk(options, datasets, wishes, asker, here, track))
    settings = options_for(answers, wishes.options, datasets_file=datasets.named)
    drafts = edit_options(options, settings), edit_datasets(datasets, answers, settings)
    for draft in drafts:
        _show_changes(draft)
    if not (_plan_holds(drafts, asker, show_plan) and asker.confirm("Save?", default=True)):
        print("Nothing was written.")
        return 1
    _tell(write_drafts(*drafts), file)
    return 0


def read_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of the command line by their own names, as declared. Raises ConfigError."""
    problems = Problems("command line")
    typed = [(name, Given(value, "command line")) for name, value in parse_overrides(words).items()]
    given = by_own_name(typed, problems, [])
    problems.raise_if_any()
    declared = {name: field.annotation for _, name, field in all_options()}
    return {
        name: read_value(one.value, declared[name]) if isinstance(one.value, str) else one.value
        for name, one in given.items()
    }


def _plan_holds(drafts: tuple[Draft, Draft], asker: Asker, show_plan: Callable[[Sequence[Path]], None]) -> bool:
    """Show the plan; where it cannot be made, a person may still want the files."""
    print()
    try:
        try_drafts(*drafts, show_plan)
    except ReeltuneError as error:
        if not asker.asks:
            raise
        print(f"There is no plan yet: {error}")
        return asker.confirm("Go on all the same?", default=False)
    return True


def _show_changes(draft: Draft) -> None:
    """List what is set, each with its value and its reason."""
    print(f"\n{draft.path}:" if draft.changes else f"\n{draft.path}: nothing changes")
    for change in draft.changes:
        say(f"{change.setting.name} = {_shown(change)}  ({change.setting.why})", first="  ", rest="      ")


def _shown(change: Change) -> str:
    before = "" if change.before is ABSENT else f" (was {json.dumps(change.before, ensure_ascii=False)})"
    return f"{json.dumps(change.setting.value, ensure_ascii=False)}{before}"


def _tell(written: Sequence[Path], file: Path) -> None:
    which = "" if file == DEFAULT_CONFIG else f" --config {shlex.quote(str(file))}"
    print(f"\nWrote {' and '.join(map(str, written))}." if written else "\nBoth files are as they were.")
    print(f"Next: reeltune plan{which}   shows the plan again")
    print(f"      reeltune train{which}  trains")
