"""Questions about the run: how long it is, which video it is judged by, where its results go."""

from __future__ import annotations

from reeltune.cli.configure.folder import Folder
from reeltune.cli.configure.questions import Question, answer
from reeltune.cli.configure.settings import Captions, suggested_steps
from reeltune.cli.configure.talk import Talk
from reeltune.config.reporting import check_folder


def ask_steps(talk: Talk, folder: Folder, goal: str | None, *, batch_size: int) -> int:
    clips = len(folder.clips)
    present = talk.options.values.get("max_train_steps")
    suggested = suggested_steps(goal or "concept", clips, batch_size=batch_size)
    steps = suggested if goal or not present else int(present)
    question = Question(
        "Steps of training?",
        f"One step is {batch_size} of {clips} {folder.noun}s, so that {steps} steps show each about "
        f"{steps * batch_size / clips:.0f} times. Adapters are saved along the way: the best may not be the last.",
        default=str(steps),
        flag="max_train_steps=N",
        check=_a_count,
    )
    return int(answer(question, talk.wishes.text("max_train_steps"), talk.asker))


def ask_prompt(talk: Talk, folder: Folder, captions: Captions | None) -> str:
    present = talk.options.values.get("validation_prompt")
    from_clips = (captions and captions.instance_prompt) or next((c.caption for c in folder.clips if c.caption), "")
    question = Question(
        "Prompt of the validation videos?",
        "A video of it is rendered along the way, and shows whether the run is learning. A long description in the "
        "manner of your captions works best; empty renders none.",
        default=str(present) if present else from_clips,
        flag="validation_prompt=TEXT",
    )
    return answer(question, talk.wishes.text("validation_prompt"), talk.asker)


def ask_output(talk: Talk, folder: Folder) -> str:
    present = talk.options.values.get("output_dir")
    question = Question(
        "Folder of the results?",
        "Adapter, checkpoints, videos and log go there; its last part names the adapter file.",
        default=str(present) if present else f"output/{folder.name}",
        flag="--output DIR",
        check=_no_folder,
    )
    return answer(question, talk.wishes.output or talk.wishes.text("output_dir"), talk.asker)


def _no_folder(typed: str) -> str | None:
    try:
        check_folder(typed)
    except ValueError as error:
        return str(error)
    return None


def _a_count(typed: str) -> str | None:
    return None if typed.strip().isdecimal() and int(typed) > 0 else f"{typed!r} is no number of steps, such as 2000"
