"""The wizard as a person meets it: in a terminal, with keys, from the first question to a plan that holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.cli import reeltune
from helpers.clips import even_times, indexed_frames, write_clip
from helpers.terminal import CLEAR_LINE, CTRL_C, CTRL_D, DOWN, ENTER, UP, Terminal
from reeltune.cli.source import find_datasets
from reeltune.config.load import load_run

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working folder with clips of 33, 49 and 60 training frames in `datasets`; the last has no caption."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    for name, count in (("a", 50), ("b", 74), ("c", 90)):
        write_clip(folder / f"{name}.mp4", indexed_frames(count, width=160, height=96), even_times(count, 24))
    for name in "ab":
        (folder / f"{name}.txt").write_text(f"White blocks blink on a grey wall, {name}, the camera is still.")
    return tmp_path


def configure(place: Path, *words: str) -> Terminal:
    return Terminal("configure", *words, cwd=place, environment=NO_GPU)


def test_every_question_is_answered_with_keys_and_the_plan_holds(place: Path) -> None:
    with configure(place) as terminal:
        terminal.wait_for("Folder of your clips?")
        terminal.wait_for("(Enter: datasets)")
        terminal.press("nowhere" + ENTER)
        terminal.wait_for(" nowhere does not exist")
        terminal.press(CLEAR_LINE + ENTER)
        terminal.wait_for("3 clips, 1 without captions, 160x96, 24 fps, 2.1 to 3.8 s")
        terminal.wait_for("What is to be learnt?")
        terminal.press(UP + ENTER)  # from concept to motion
        terminal.wait_for("Which GPU will train?")
        terminal.press(DOWN + ENTER)  # from 16 to 24 GB
        terminal.wait_for("Which model?")
        terminal.press(DOWN + ENTER)  # from 1.3B to 14B
        terminal.wait_for("Where do captions come from?")
        terminal.press(DOWN + ENTER)  # one for all
        terminal.wait_for("The caption of every clip?")
        terminal.press(CLEAR_LINE + "a video of zorbin 猫" + ENTER)
        terminal.wait_for("Frames of a sample?")
        terminal.wait_for("17 frames, 1.1 s: keeps all clips")
        terminal.press(ENTER)
        terminal.wait_for("Steps of training?")
        terminal.press("many" + ENTER)
        terminal.wait_for("'many' is no number of steps")
        terminal.press(CLEAR_LINE + "700" + ENTER)
        terminal.wait_for("Prompt of the validation videos?")
        terminal.press(ENTER)
        terminal.wait_for("Folder of the results?")
        terminal.press(CLEAR_LINE + "output/zorbin" + ENTER)
        terminal.wait_for("Save?")
        assert not (place / "config").exists()
        terminal.press(ENTER)
        assert terminal.finish() == 0
        assert "Wrote config/multidatabackend.json and config/config.json." in terminal.screen
        printed = terminal.printed.decode()
    assert "Plan of output/zorbin" in printed
    assert "movement is decided at high noise" in printed

    # The names in the files are relative to the working folder.
    plan = reeltune("plan", cwd=place, environment=NO_GPU)
    assert plan.returncode == 0, plan.stderr
    loaded = load_run([place / "config/config.json"], {}, find_datasets=lambda name: find_datasets(str(place / name)))
    flat = loaded.config.flat()
    assert (flat["lora_rank"], flat["flow_schedule_shift"], flat["max_train_steps"]) == (32, 5.0, 700)
    assert (flat["learning_rate"], flat["base_model_precision"]) == (3.5e-5, "int8-quanto")
    assert flat["validation_prompt"] == "a video of zorbin 猫"
    [clips] = loaded.datasets.trained
    assert (clips.caption_strategy, clips.instance_prompt) == ("instanceprompt", "a video of zorbin 猫")
    assert (clips.video.num_frames, clips.instance_data_dir) == (17, "datasets")


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("Folder of your clips?", CTRL_C),
        ("What is to be learnt?", CTRL_D),
        ("Steps of training?", CTRL_D),
        ("Save?", CTRL_C),
    ],
)
def test_leaving_at_a_question_writes_nothing(place: Path, question: str, key: str) -> None:
    with configure(place, "--gpu", "16", "--model", "1.3b") as terminal:
        for title in (
            "Folder of your clips?",
            "What is to be learnt?",
            "Where do captions come from?",
            "Frames of a sample?",
            "Steps of training?",
            "Prompt of the validation videos?",
            "Folder of the results?",
            "Save?",
        ):
            terminal.wait_for(title)
            if title == question:
                break
            terminal.press(ENTER)
        # The end of input is what Ctrl-D means on an empty line only.
        terminal.press(CLEAR_LINE + key)
        assert terminal.finish() == 1
        assert "stopped; the configuration is as it was" in terminal.screen
    assert not (place / "config").exists()


def test_a_script_takes_every_default_and_the_plan_holds(place: Path) -> None:
    made = reeltune("configure", "--yes", "--goal", "character", "seed=7", cwd=place, environment=NO_GPU)
    assert made.returncode == 0, made.stderr
    assert "datasets: 3 clips, 1 without captions" in made.stdout
    plan = reeltune("plan", "--json", cwd=place, environment=NO_GPU)
    assert plan.returncode == 0, plan.stderr
    again = reeltune("configure", "--yes", cwd=place, environment=NO_GPU)
    assert "Both files are as they were." in again.stdout


def test_without_a_terminal_it_ends_with_what_to_type(place: Path) -> None:
    ended = reeltune("configure", cwd=place)
    assert ended.returncode == 2
    assert "reeltune configure --yes" in ended.stderr
    assert not (place / "config").exists()
