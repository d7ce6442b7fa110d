"""Questions about the clips: where they are, where their captions come from, how long a sample is."""

from __future__ import annotations

from pathlib import Path

from reeltune.cli.configure.cards import Card
from reeltune.cli.configure.folder import (
    Folder,
    Length,
    lengths,
    list_files,
    look,
    remarks,
    suggested_length,
    summary,
)
from reeltune.cli.configure.questions import Choice, Question, answer, say, something_typed
from reeltune.cli.configure.settings import Captions
from reeltune.cli.configure.talk import Talk
from reeltune.contracts.facts import Facts
from reeltune.errors import DataError

STILL = 17
"""Frames below which there is hardly a second to learn movement from."""


def ask_folder(talk: Talk, facts: Facts) -> Folder:
    present = talk.datasets.entry.get("instance_data_dir") if talk.datasets.entry else None
    question = Question(
        "Folder of your clips?",
        "Videos (mp4, mov, mkv, ...), or pictures alone, with a text file of the same name beside each: clip.mp4 and "
        "clip.txt. They are only read. Tab completes names.",
        default=str(present) if present else "datasets" if _no_clips("datasets") is None else "",
        flag="--data FOLDER",
        is_folder=True,
        check=_no_clips,
    )
    folder = look(Path(answer(question, talk.wishes.data, talk.asker).strip()), facts, talk.track)
    say(f"{folder.path}: {summary(folder, facts.geometry.usable_frames)}.")
    for remark in remarks(folder):
        say(f"Note: {remark}")
    return folder


def _no_clips(typed: str) -> str | None:
    if not typed.strip():
        return "a folder is needed"
    try:
        list_files(Path(typed.strip()))
    except DataError as error:
        return str(error)
    return None


def ask_captions(talk: Talk, folder: Folder) -> Captions:
    missing = len(folder.clips) - folder.captioned
    if not missing:
        return Captions("textfile")
    some = Choice("textfile", f"from the text files; {folder.noun}s without one ({missing}) are left out")
    whole = Choice(
        "instanceprompt", f"one caption for all {folder.noun}s", "A trigger word alone works, a sentence works better."
    )
    names = Choice("filename", "from the names of the files", f"Such as: {folder.clips[0].path.stem.replace('_', ' ')}")
    question = Question(
        "Where do captions come from?",
        f"{missing} of {len(folder.clips)} {folder.noun}s have no text file. What a caption names can be called for "
        "later; what it leaves out becomes part of every video.",
        default="textfile" if folder.captioned else "instanceprompt",
        choices=(some, whole, names) if folder.captioned else (whole, names),
    )
    strategy = talk.asker.ask(question)
    if strategy == "instanceprompt":
        return Captions(strategy, _trigger(talk, folder))
    return Captions(strategy, allow_missing=strategy == "textfile")


def _trigger(talk: Talk, folder: Folder) -> str:
    question = Question(
        f"The caption of every {folder.noun}?",
        "A word that the model does not know calls the adapter up later; say beside it what it is, as in: a video of "
        "zorbin the cat.",
        default=f"a {folder.form} of {folder.name.replace('_', ' ').replace('-', ' ')}",
        check=something_typed,
    )
    return talk.asker.ask(question)


def ask_frames(talk: Talk, folder: Folder, facts: Facts, *, card: Card | None) -> int | None:
    """Return the length of a sample; None for pictures, which have one frame."""
    if folder.kind == "image":
        return None
    most = card.num_frames if card else 81
    offered = lengths(folder.clips, most=most, usable_frames=facts.geometry.usable_frames)
    suggested = suggested_length(offered, len(folder.clips))
    question = Question(
        "Frames of a sample?",
        f"At {facts.fps:g} frames per second; longer samples teach longer movements, and cost memory and time. Clips "
        "that are shorter are left out.",
        default=str(suggested.frames),
        choices=tuple(Choice(str(length.frames), _length(length, facts, len(folder.clips))) for length in offered),
    )
    frames = int(talk.asker.ask(question))
    if frames < STILL:
        say(f"Note: {frames} frames hold hardly any movement; an adapter of them may make videos stand still.")
    return frames


def _length(length: Length, facts: Facts, clips: int) -> str:
    lost = f"leaves out {length.lost} of {clips} clips" if length.lost else "keeps all clips"
    return f"{length.frames} frames, {length.frames / facts.fps:.1f} s: {lost}"
