"""Questions about what is learnt, by which model, on which GPU."""

from __future__ import annotations

from reeltune.cli.configure.cards import CARD_SIZES, LARGE, MODELS, SMALL, Card, card_for, recommended_model
from reeltune.cli.configure.files import OptionsFile
from reeltune.cli.configure.goals import GOALS
from reeltune.cli.configure.questions import Choice, Question, answer, say, something_typed
from reeltune.cli.configure.talk import Graphics, Talk
from reeltune.config.model import FLAVOURS, ModelOptions
from reeltune.families import family_dimensions

KEEP = "keep"
OTHER = "other"


def ask_goal(talk: Talk) -> str | None:
    choices = [Choice(name, f"{name}: {goal.title}", _reasons(name)) for name, goal in GOALS.items()]
    if not talk.options.is_new:
        choices.insert(0, Choice(KEEP, "keep the settings that are in the file"))
    question = Question(
        "What is to be learnt?",
        "It sets the size of the adapter, the learning rate, where in the noise most of the training happens, and how "
        "long it takes.",
        default=choices[0].value if not talk.options.is_new else "concept",
        flag="--goal character|style|motion|concept",
        choices=tuple(choices),
    )
    goal = answer(question, talk.wishes.goal, talk.asker)
    return None if goal == KEEP else goal


def _reasons(name: str) -> str:
    goal = GOALS[name]
    rank, shift = f"rank {goal.lora_rank}", f"shift {goal.flow_schedule_shift:g}"
    return f"{rank}: {goal.whys['lora_rank']};\n  {shift}: {goal.whys['flow_schedule_shift']}"


def _graphics(talk: Talk) -> Graphics:
    if talk.wishes.gpu_gb:
        return Graphics(f"a GPU of {talk.wishes.gpu_gb} GB", float(talk.wishes.gpu_gb))
    if talk.here:
        say(f"GPU: {talk.here[0].name}, {talk.here[0].gb:.0f} GB.")
        return talk.here[0]
    question = Question(
        "Which GPU will train?",
        "None was found here. Its memory decides on batch size, precision, frame size and the longest clips.",
        default="16",
        flag="--gpu GB",
        choices=tuple(Choice(str(gb), f"{gb} GB") for gb in CARD_SIZES),
    )
    gb = int(talk.asker.ask(question))
    return Graphics(f"a GPU of {gb} GB", float(gb))


def ask_model(talk: Talk) -> tuple[str, str, Graphics]:
    """Return the base model, its size as in MODELS, and the GPU."""
    graphics = _graphics(talk)
    present, recommended = present_model(talk.options), recommended_model(graphics.gb)
    choices = [Choice(size, f"{repository} ({_effort(size, graphics.gb)})") for size, repository in MODELS.items()]
    by_path = {path: size for size, path in MODELS.items()}
    if present and present not in by_path:
        choices.insert(0, Choice(present, f"{present} (as in the file)"))
    choices.append(Choice(OTHER, "another folder or hub repository"))
    question = Question(
        "Which model?",
        f"1.3B trains fast and on small GPUs; 14B looks better and takes about six times the work. For {graphics.name} "
        f"{recommended.upper()} is recommended.",
        default=by_path.get(present, present) if present else recommended,
        flag="--model 1.3b|14b|PATH",
        choices=tuple(choices),
    )
    wished = talk.wishes.model or talk.wishes.text("pretrained_model_name_or_path")
    chosen = wished or talk.asker.ask(question)
    if chosen == OTHER:
        chosen = talk.asker.ask(_other_model())
    path = MODELS.get(chosen.lower(), chosen)
    return path, by_path.get(path) or _size(path), graphics


def _other_model() -> Question:
    return Question(
        "Folder or hub repository of the model?",
        "In the diffusers layout: the name of a repository ends in -Diffusers.",
        default="",
        flag="--model PATH",
        check=something_typed,
    )


def _effort(size: str, gb: float) -> str:
    card, fits = card_for(size, gb)
    if not fits:
        return f"needs {card.gb} GB or more"
    rounded = ", 8-bit weights" if card.base_model_precision != "no_change" else ""
    return f"up to {card.num_frames} frames at {card.resolution}{rounded}"


def _size(model: str) -> str:
    """Return which released model another one is like."""
    dimensions = family_dimensions(ModelOptions(pretrained_model_name_or_path=model))
    if dimensions:
        return LARGE if dimensions.width > 3000 else SMALL
    return LARGE if LARGE in model.lower() else SMALL


def present_model(options: OptionsFile) -> str | None:
    flavour = FLAVOURS.get(str(options.values.get("model_flavour")))
    return options.values.get("pretrained_model_name_or_path") or flavour


def choose_card(size: str, graphics: Graphics) -> Card:
    card, fits = card_for(size, graphics.gb)
    if not fits:
        say(
            f"Note: {graphics.name} has less than the {card.gb} GB that {size.upper()} needs at least. The settings "
            f"are those for {card.gb} GB."
        )
    return card
