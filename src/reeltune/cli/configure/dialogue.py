"""The questions, in the order they are asked."""

from __future__ import annotations

from pathlib import Path

from reeltune.cli.configure.ask_data import ask_captions, ask_folder, ask_frames
from reeltune.cli.configure.ask_model import ask_goal, ask_model, choose_card, present_model
from reeltune.cli.configure.ask_run import ask_output, ask_prompt, ask_steps
from reeltune.cli.configure.cards import Card
from reeltune.cli.configure.folder import Folder
from reeltune.cli.configure.settings import Answers
from reeltune.cli.configure.talk import Talk
from reeltune.config.model import ModelOptions
from reeltune.config.training import TrainingOptions
from reeltune.families import family_facts


def hold(talk: Talk) -> Answers:
    """Ask everything. Raises ConfigError or DataError where an answer is not possible."""
    facts = family_facts(ModelOptions())
    folder = ask_folder(talk, facts)
    moved = _is_moved(talk, folder)
    goal = ask_goal(talk)
    model, size, graphics = ask_model(talk)
    was = present_model(talk.options)
    card = choose_card(size, graphics) if goal or model != was else None
    captions = ask_captions(talk, folder) if moved else None
    batch_size = _batch_size(talk, card)
    return Answers(
        folder=folder,
        captions=captions,
        goal=goal,
        size=size,
        model=model,
        card=card,
        frames=ask_frames(talk, folder, facts, card=card) if moved or card else None,
        steps=ask_steps(talk, folder, goal, batch_size=batch_size),
        prompt=ask_prompt(talk, folder, captions),
        output=ask_output(talk, folder),
    )


def _is_moved(talk: Talk, folder: Folder) -> bool:
    """Tell whether the clips are elsewhere than the dataset file says, or it says nothing yet."""
    entry = talk.datasets.entry
    return entry is None or Path(str(entry.get("instance_data_dir"))) != folder.path


def _batch_size(talk: Talk, card: Card | None) -> int:
    """Return train_batch_size as it will be: of the command line, of the GPU, of the file, or when nothing is said."""
    usual = TrainingOptions().train_batch_size
    chosen = card.train_batch_size if card else talk.options.values.get("train_batch_size", usual)
    value = talk.wishes.options.get("train_batch_size", chosen)
    # What is no number is the plan's to refuse, with its line.
    return value if isinstance(value, int) and value > 0 else usual
