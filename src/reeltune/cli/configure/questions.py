"""How a question is put: in the terminal, or not at all where every default is taken."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from reeltune.errors import ConfigError

MOST_COLUMNS = 100


@dataclass(frozen=True)
class Choice:
    """One answer to choose. why: shown while it is pointed at."""

    value: str
    label: str
    why: str = ""


def _anything(_: str) -> str | None:
    return None


@dataclass(frozen=True)
class Question:
    """One question. why: a sentence that says what hangs on the answer.

    choices: empty for a text. check: says in words what is wrong with a text, None when nothing is.
    default: taken where nothing is typed; where nothing is an answer too, it stands there to be edited.
    flag: what gives the answer on a command line.
    """

    title: str
    why: str
    default: str
    flag: str = ""
    choices: tuple[Choice, ...] = ()
    is_folder: bool = False
    check: Callable[[str], str | None] = _anything

    def problem_with(self, value: str) -> str | None:
        values = [choice.value for choice in self.choices]
        if values and value not in values:
            return f"{value!r} is none of {', '.join(values)}"
        return self.check(value)

    @property
    def is_edited(self) -> bool:
        """Whether the default stands in the line: elsewhere, what is typed would be added to its end."""
        return not self.default or self.problem_with("") is None


@runtime_checkable
class Asker(Protocol):
    """Where answers come from. asks: whether there is a person who can say no."""

    asks: bool

    def ask(self, question: Question) -> str: ...

    def confirm(self, title: str, *, default: bool) -> bool: ...


class Defaults:
    """Answers every question with its default, and says so."""

    asks = False

    def ask(self, question: Question) -> str:
        """Raises ConfigError where there is no default that will do."""
        problem = question.problem_with(question.default)
        if problem:
            raise ConfigError(f"{question.title} {problem}. Give it on the command line: {question.flag}")
        print(f"{question.title} {question.default or '(none)'}")
        return question.default

    def confirm(self, title: str, *, default: bool) -> bool:
        return default


class Terminal:
    """Asks a person. Ctrl-C raises KeyboardInterrupt, and the end of input EOFError, at any question."""

    asks = True

    def ask(self, question: Question) -> str:
        print()
        say(question.why)
        typed = str(_put(_prompt(question))).strip()
        return typed if question.is_edited else typed or question.default

    def confirm(self, title: str, *, default: bool) -> bool:
        import questionary

        print()
        return bool(_put(questionary.confirm(title, default=default)))


def answer(question: Question, given: str | None, asker: Asker) -> str:
    """Return what the command line gave, or ask. Raises ConfigError for a given answer that will not do."""
    if given is None:
        return asker.ask(question)
    problem = question.problem_with(given)
    if problem:
        raise ConfigError(f"command line: {question.flag}: {problem}")
    return given


def something_typed(typed: str) -> str | None:
    """Refuse an empty answer."""
    return None if typed.strip() else "something is needed"


def say(text: str, *, first: str = "", rest: str = "") -> None:
    """Print a paragraph, broken into lines of readable length. first, rest: what its lines begin with."""
    width = min(shutil.get_terminal_size().columns, MOST_COLUMNS)
    print(textwrap.fill(text, max(width - 1, 20), initial_indent=first, subsequent_indent=rest))


def _prompt(question: Question) -> Any:
    import questionary
    from prompt_toolkit.completion import PathCompleter

    if question.choices:
        choices = [
            questionary.Choice(choice.label, value=choice.value, description=choice.why or None)
            for choice in question.choices
        ]
        default = next(choice for choice in choices if choice.value == question.default)
        return questionary.select(question.title, choices, default=default)
    default = question.default
    settings: dict[str, Any] = {
        **({"default": default} if question.is_edited else {"instruction": f"(Enter: {default})"}),
        "validate": lambda text: question.problem_with(text.strip() or ("" if question.is_edited else default)) or True,
        # Looking into a folder at each key that is typed would be slow, and red before the name is whole.
        "validate_while_typing": False,
    }
    if question.is_folder:
        # With Tab only: a list that opens by itself would take the first Enter.
        completer = PathCompleter(only_directories=True, expanduser=True)
        settings |= {"completer": completer, "complete_while_typing": False}
    return questionary.text(question.title, **settings)


def _put(prompt: Any) -> Any:
    # Lists and yes-or-no questions know Ctrl-C only; the end of input must not look like a terminal that hangs.
    if prompt.application.key_bindings and hasattr(prompt.application.key_bindings, "add"):
        prompt.application.key_bindings.add("c-d")(lambda event: event.app.exit(exception=EOFError()))
    return prompt.unsafe_ask()
