"""Libraries of validation prompts: a nickname for each, which names its videos, and the words.

A library of the user's is a JSON object, nickname: prompt. The built-in one covers what a model may lose while it
learns something else: faces, hands, animals, machines, nature, drawn styles, slow and fast motion, night and day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reeltune.config.document import Document, read_document
from reeltune.config.problems import Problems
from reeltune.errors import ConfigError

LONGEST_NAME = 100
"""Bytes of a nickname: with the step, the size and the weights, a file name stays below the usual 255."""


@dataclass(frozen=True)
class NamedPrompt:
    """A prompt, and the nickname that its videos are filed under."""

    name: str
    prompt: str


def load_prompts(path: Path) -> tuple[NamedPrompt, ...]:
    """Read a library from a JSON file; comments are tolerated. Raises ConfigError that lists every problem."""
    document = read_document(path)
    if not isinstance(document.content, dict):
        raise ConfigError(f'{path} holds no prompt library: an object is needed, {{"nickname": "prompt", ...}}')
    if not document.content:
        raise ConfigError(f'{path} holds no prompt: write some, {{"nickname": "prompt", ...}}, or unset the option')
    problems = Problems(str(path))
    for name, problem in [*_repeated(document), *_problems(document.content)]:
        problems.add(name, f"line {document.lines.get((name,), 1)}", problem)
    problems.raise_if_any()
    return _named(document.content)


def parse_prompts(library: Mapping[str, object]) -> tuple[NamedPrompt, ...]:
    """Read a library that stands in the configuration itself. Raises ConfigError that lists every problem."""
    problems = Problems("user_prompt_library")
    for name, problem in _problems(library):
        problems.add(name, "user_prompt_library", problem)
    problems.raise_if_any()
    return _named(library)


def require_distinct(prompts: Sequence[NamedPrompt]) -> None:
    """Raise ConfigError when prompts of several sources would be filed under one name."""
    problems = Problems("validation prompts")
    for name, other in _same_file(prompt.name for prompt in prompts):
        problems.add(name, "user_prompt_library", f"has the same file name as the prompt {other!r}; rename it")
    problems.raise_if_any()


def file_safe(name: str) -> str:
    """Return a name that every file system takes: letters of any script, digits, dots, dashes, underscores."""
    return re.sub(r"(?:[^\w.-]|_)+", "_", name).strip("._") or "video"


def _named(library: Mapping[str, object]) -> tuple[NamedPrompt, ...]:
    return tuple(NamedPrompt(name, str(prompt).strip()) for name, prompt in library.items())


def _repeated(document: Document) -> Iterator[tuple[str, str]]:
    for repeat in document.repeats:
        yield str(repeat.key[0]), f"comes twice, first in line {repeat.earlier}"


def _problems(library: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (nickname, what is wrong with it)."""
    for name, prompt in library.items():
        if not isinstance(prompt, str):
            yield name, f"is {prompt!r}; the text of a prompt is needed"
        elif not prompt.strip():
            yield name, "has no text; a prompt is needed"
        if len(file_safe(name).encode()) > LONGEST_NAME:
            yield name, f"is too long for a file name: {LONGEST_NAME} bytes at most"
    for name, other in _same_file(library):
        yield name, f"becomes the same file name as {other!r}: {file_safe(name)}"


def _same_file(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (name, earlier name) of those that become one file, also where capitals and small letters are the same."""
    first: dict[str, str] = {}
    for name in names:
        file = file_safe(name).casefold()
        if file in first:
            yield name, first[file]
        first.setdefault(file, name)


BUILT_IN = (
    NamedPrompt(
        "fisherman",
        "An old fisherman with a grey beard mends a green net on a wooden pier, his hands working quickly; gulls "
        "circle behind him. The camera moves slowly closer. Early morning, soft light from the sea.",
    ),
    NamedPrompt(
        "street_dancer",
        "A young woman in a yellow raincoat dances through puddles on a city street at night, water flying from her "
        "boots. The camera follows her from the side. Neon signs are mirrored in the wet asphalt.",
    ),
    NamedPrompt(
        "portrait",
        "Close-up of a woman in her fifties with curly hair; she looks out of a train window, then turns to the camera "
        "and begins to smile. The camera is still. Afternoon sun flickers over her face as trees pass.",
    ),
    NamedPrompt(
        "kitchen",
        "A cook tosses vegetables in an iron pan over a high flame, steam and sparks rising. The camera circles around "
        "the stove at the height of the pan. Warm light of a busy restaurant kitchen, shallow focus.",
    ),
    NamedPrompt(
        "dog_beach",
        "A brown dog runs along a beach toward the camera and leaps over a small wave, ears flying, sand and water "
        "thrown up behind it. Slow motion, filmed close to the ground. Low golden sun.",
    ),
    NamedPrompt(
        "owl",
        "A white owl takes off from a snow-covered fence post and glides without a sound across a winter field. The "
        "camera turns to follow its flight. Overcast sky, pale blue light, falling snow.",
    ),
    NamedPrompt(
        "steam_train",
        "A black steam locomotive crosses a stone bridge over a deep valley, white smoke drifting behind it. Aerial "
        "shot that flies alongside the train. Autumn forest, clear evening light.",
    ),
    NamedPrompt(
        "clay_robot",
        "Stop-motion animation of a small clay robot that waters a flower on a windowsill; the flower grows and opens, "
        "and the robot raises its arms. The camera is still. Bright colours, soft light of a studio.",
    ),
    NamedPrompt(
        "ink_dragon",
        "An ink painting comes alive: a dragon of black brush strokes winds upward between misty mountains, ink "
        "running on rough paper where it passes. The camera rises with it. No colour except a red sun.",
    ),
    NamedPrompt(
        "market",
        "A crowded market street in the tropics: vendors stack oranges, a child runs past with a red kite, bicycles "
        "weave through. The camera moves forward through the crowd at eye level. Hard noon light under cloth awnings.",
    ),
    NamedPrompt(
        "storm_lighthouse",
        "Huge waves break against a lighthouse in a storm, spray rising to the lantern whose beam sweeps through the "
        "rain. Wide shot from a distance, the camera swaying slightly. Dusk, dark grey clouds, lightning.",
    ),
    NamedPrompt(
        "glass",
        "Extreme close-up: honey is poured into a glass of tea, turning in slow golden threads. The camera is still "
        "and the focus moves from the spoon to the surface. Light falls through the glass from behind.",
    ),
)
"""Prompts of the kind that Wan was trained on: subject, motion, camera, light."""
