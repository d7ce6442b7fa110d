"""What the wizard writes, and what it leaves alone: in one process, with the answers given by the test."""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import json5
import pytest
from PIL import Image

from helpers.clips import even_times, indexed_frames, write_clip
from reeltune.cli.configure import run
from reeltune.cli.configure.questions import Defaults, Question
from reeltune.cli.configure.talk import Graphics, Wishes
from reeltune.cli.configure.wizard import configure, read_overrides
from reeltune.cli.source import find_datasets
from reeltune.config.load import Loaded, load_run
from reeltune.errors import ConfigError, DataError

QUICKSTART = Path(__file__).parents[2] / "data/quickstart"

CAPTION = "A row of white blocks blinks on a grey wall while the camera stands still."
RTX_4090 = [Graphics("NVIDIA GeForce RTX 4090", 23.99)]

OLD_CONFIG = """{
  // what I found out in June
  "--learning_rate": 3e-5, // higher burns
  "checkpoint_step_interval": 77,
  "model_flavour": "t2v-480p-1.3b-2.1",
  "data_backend_config": "mine/clips.json",
  "output_dir": "output/june",
  "report_to": "tensorboard",
  "num_train_epochs": 3,
  "train_batch_size": 3
}
"""
OLD_DATASETS = """[
  { "id": "old", "disabled": true, "instance_data_dir": "a", "cache_dir_vae": "b" },
  {
    "id": "june", // the good ones
    "dataset_type": "video",
    "instance_data_dir": "elsewhere",
    "cache_dir_vae": "cache/june",
    "repeats": 5,
    "resolution": 512,
    "video": { "num_frames": 81, "min_frames": 81 }
  },
  { "id": "text", "dataset_type": "text_embeds", "cache_dir": "cache/text" }
]
"""


class Scripted:
    """Answers by the beginning of a question, else with its default; keeps what was asked."""

    asks = True

    def __init__(self, answers: Mapping[str, str], *, yes: Sequence[str] = ("Save?",)) -> None:
        self.answers, self.yes, self.asked = answers, yes, list[Question]()

    def ask(self, question: Question) -> str:
        self.asked.append(question)
        given = next(
            (text for title, text in self.answers.items() if question.title.startswith(title)), question.default
        )
        assert question.problem_with(given) is None, (question.title, given)
        return given

    def confirm(self, title: str, *, default: bool) -> bool:
        return title in self.yes


def load(path: Path) -> Loaded:
    return load_run([path], {}, find_datasets=find_datasets)


def loads(paths: Sequence[Path]) -> None:
    """Stands for the plan: whatever cannot be loaded has none."""
    load_run(paths, {}, find_datasets=find_datasets)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two clips of 33 and 60 training frames in `clips`, one with a caption."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for name, count in (("a", 33), ("b", 60)):
        write_clip(tmp_path / f"clips/{name}.mp4", indexed_frames(count), even_times(count, 16))
    (tmp_path / "clips/a.txt").write_text(CAPTION, encoding="utf-8")
    return tmp_path


def go(file: str = "config/config.json", asker: Scripted | Defaults | None = None, **wishes: object) -> int:
    options = read_overrides(wishes.pop("words", ()))  # pyright: ignore[reportArgumentType]
    wished = Wishes(**{"data": "clips", **wishes}, options=options)  # pyright: ignore[reportArgumentType]
    return configure(Path(file), wished, asker=asker or Defaults(), here=RTX_4090, show_plan=loads)


def test_defaults_make_files_that_load(place: Path) -> None:
    assert go() == 0
    loaded = load(Path("config/config.json"))
    flat = loaded.config.flat()
    assert (flat["lora_rank"], flat["flow_schedule_shift"], flat["max_train_steps"]) == (16, 3.0, 600)
    assert (flat["output_dir"], flat["validation_prompt"]) == ("output/clips", CAPTION)
    [clips] = loaded.datasets.trained
    assert (clips.instance_data_dir, clips.video.num_frames, clips.allow_missing_captions) == ("clips", 33, True)
    assert not [note for note in loaded.notes if note.kind in ("trap", "inert")]


def test_the_folder_is_described_before_anything_else_is_asked(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "clips/c.mp4").write_bytes(b"no video")
    (place / "clips/d.png").touch()
    go()
    said = " ".join(capsys.readouterr().out.split())
    assert "2 clips, 1 without captions, 160x96, 16 fps, 2.1 to 3.8 s, the shortest gives 33 frames at 16 fps" in said
    assert "1 file cannot be read, such as clips/c.mp4" in said
    assert "Not read: 1 picture or other file." in said


def pictures(place: Path, *names: str) -> None:
    (place / "stills").mkdir()
    for name in names:
        Image.new("RGB", (640, 480), "grey").save(place / "stills" / name)
        (place / "stills" / name).with_suffix(".txt").write_text(CAPTION, encoding="utf-8")


def test_a_folder_of_pictures_becomes_a_dataset_of_pictures(place: Path, capsys: pytest.CaptureFixture) -> None:
    pictures(place, "a.png", "b.jpg", "c.webp")
    asker = Scripted({})
    assert go(asker=asker, data="stills") == 0
    assert not [question.title for question in asker.asked if "Frames" in question.title]
    said = " ".join(capsys.readouterr().out.split())
    assert "stills: 3 pictures, none without captions, 640x480." in said
    assert "Pictures teach looks and no motion" in said
    loaded = load(Path("config/config.json"))
    (dataset,) = loaded.datasets.trained
    assert (dataset.dataset_type, dataset.instance_data_dir) == ("image", "stills")
    assert not [note for note in loaded.notes if note.kind in ("trap", "inert")]


def test_an_entry_follows_its_folder_from_clips_to_pictures_and_back(place: Path) -> None:
    pictures(place, "a.png")
    for folder, kind in (("clips", "video"), ("stills", "image"), ("clips", "video")):
        assert go(data=folder) == 0
        (dataset,) = load(Path("config/config.json")).datasets.trained
        assert (dataset.dataset_type, dataset.instance_data_dir) == (kind, folder)


def test_a_dataset_that_is_no_folder_is_left_alone(place: Path) -> None:
    bucket = {"id": "far", "type": "aws", "aws_bucket_name": "b"}
    (place / "config").mkdir()
    entries = [bucket, {"id": "near", "instance_data_dir": "clips"}, {"id": "t", "dataset_type": "text_embeds"}]
    (place / "config/data.json").write_text(json5.dumps(entries, quote_keys=True))
    assert go(words=("data_backend_config=config/data.json",)) == 0
    far, near = load(Path("config/config.json")).datasets.trained
    assert (far.type, far.instance_data_dir) == ("aws", None)
    assert (near.id, near.video.num_frames) == ("near", 33)


def test_what_the_command_line_says_is_not_asked_and_wins(place: Path) -> None:
    asker = Scripted({})
    words = ("max_train_steps=123", "validation_prompt=", "--lora_rank", "4", "data_backend_config=config/b.json")
    assert go(asker=asker, words=words, goal="style", model="14b", output="output/mine", gpu_gb=80) == 0
    assert [question.title for question in asker.asked] == ["Where do captions come from?", "Frames of a sample?"]
    flat = load(Path("config/config.json")).config.flat()
    assert (flat["max_train_steps"], flat["lora_rank"], flat["output_dir"]) == (123, 4, "output/mine")
    assert flat["pretrained_model_name_or_path"] == "Wan-AI/Wan2.1-T2V-14B-Diffusers"
    assert not flat["validation_prompt"]
    assert "validation_resolution" not in json5.loads((place / "config/config.json").read_text())


@pytest.mark.parametrize("wishes", [{"data": "nowhere"}, {"data": ""}, {"output": "output/.."}, {"words": ("lr=1",)}])
def test_an_answer_that_will_not_do_is_refused_and_nothing_is_written(place: Path, wishes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        go(**wishes)
    assert not (place / "config").exists()


def test_a_script_without_a_folder_is_told_the_flag(place: Path) -> None:
    with pytest.raises(ConfigError, match="--data FOLDER"):
        go(data=None)


@pytest.mark.parametrize(
    ("answers", "strategy", "prompt", "missing"),
    [
        ({}, "textfile", None, True),
        ({"Where do": "filename"}, "filename", None, False),
        (
            {"Where do": "instanceprompt", "The caption": "a video of zorbin"},
            "instanceprompt",
            "a video of zorbin",
            False,
        ),
    ],
)
def test_missing_captions_are_asked_about(
    place: Path, answers: dict[str, str], strategy: str, prompt: str | None, missing: bool
) -> None:
    assert go(asker=Scripted(answers)) == 0
    [clips] = load(Path("config/config.json")).datasets.trained
    assert (clips.caption_strategy, clips.instance_prompt, clips.allow_missing_captions) == (strategy, prompt, missing)


def test_captions_that_are_all_there_are_not_asked_about(place: Path) -> None:
    (place / "clips/b.txt").write_text("words", encoding="utf-8")
    asker = Scripted({})
    assert go(asker=asker) == 0
    assert not [question for question in asker.asked if "captions come" in question.title]


def edit(place: Path, **wishes: str) -> str:
    (place / "mine").mkdir()
    (place / "mine/clips.json").write_text(OLD_DATASETS, encoding="utf-8")
    (place / "old.json").write_text(OLD_CONFIG, encoding="utf-8")
    assert go("old.json", **wishes) == 0  # pyright: ignore[reportArgumentType]  # none of them is an asker
    load(place / "old.json")
    return (place / "old.json").read_text(encoding="utf-8")


def test_editing_keeps_comments_order_and_what_is_not_asked_about(place: Path) -> None:
    text = edit(place)
    for line in OLD_CONFIG.splitlines()[1:-1]:
        if "flavour" not in line and "epochs" not in line:
            assert line.rstrip(",") in text, line
    assert json5.loads(text) == json5.loads(OLD_CONFIG) | {
        "model_flavour": None,
        "num_train_epochs": 0,
        "model_family": "wan",
        "model_type": "lora",
        "pretrained_model_name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "max_train_steps": 200,
        "validation_prompt": CAPTION,
        "seed": 42,
    }


def test_editing_changes_the_first_dataset_in_use_and_nothing_else(place: Path) -> None:
    edit(place)
    text = (place / "mine/clips.json").read_text(encoding="utf-8")
    expected = (
        OLD_DATASETS.replace('"elsewhere"', '"clips"')
        .replace('"num_frames": 81', '"num_frames": 33')
        .replace('"min_frames": 81 }\n', '"min_frames": 33 },\n    "caption_strategy": "textfile",\n')
        .replace('"textfile",\n', '"textfile",\n    "allow_missing_captions": true\n')
    )
    assert json5.loads(text) == json5.loads(expected)
    assert "// the good ones" in text
    assert OLD_DATASETS.splitlines()[1] in text


@pytest.fixture
def pasted(place: Path) -> Path:
    """The quickstart's files where its prose puts them: the configuration names a dataset file that is not there."""
    shutil.copytree(QUICKSTART, place / "config")
    return place


def test_a_dataset_file_that_is_used_instead_is_edited_and_named(pasted: Path, capsys: pytest.CaptureFixture) -> None:
    before = {path.name: json5.loads(path.read_text(encoding="utf-8")) for path in (pasted / "config").iterdir()}
    assert [note.kind for note in load(Path("config/config.json")).notes if note.about == "data_backend_config"]
    assert go() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "config/wan/multidatabackend.json does not exist; config/multidatabackend.json is used instead. "
        "data_backend_config will name that one." in said
    )
    assert 'data_backend_config = "config/multidatabackend.json" (was "config/wan/multidatabackend.json")' in said
    assert "Wrote config/multidatabackend.json and config/config.json." in said
    assert not (pasted / "config/wan").exists()
    loaded = load(Path("config/config.json"))
    assert not [note for note in loaded.notes if note.about == "data_backend_config"]
    [clips] = loaded.datasets.trained
    assert (clips.id, clips.instance_data_dir) == ("disney-black-and-white", "clips")
    after = json5.loads((pasted / "config/config.json").read_text(encoding="utf-8"))
    assert {name for name in after if after[name] != before["config.json"].get(name)} == {"data_backend_config"}
    assert go(data=None) == 0
    assert "Both files are as they were." in capsys.readouterr().out


def test_no_other_configuration_s_clips_stand_in_for_a_file_that_is_asked_for(pasted: Path) -> None:
    shared = (pasted / "config/multidatabackend.json").read_bytes()
    assert go("config/wan/config.json") == 0
    assert go("c.json", words=("data_backend_config=mine/multidatabackend.json",)) == 0
    for file in ("config/wan/multidatabackend.json", "mine/multidatabackend.json"):
        assert json5.loads((pasted / file).read_text())[0]["id"] == "clips"
    assert (pasted / "config/multidatabackend.json").read_bytes() == shared


def test_a_goal_sets_what_it_is_about_in_an_old_file_too(place: Path) -> None:
    text = edit(place, goal="motion")
    new = json5.loads(text)
    assert (new["--learning_rate"], new["lora_rank"], new["train_batch_size"]) == (7e-5, 32, 1)
    assert '"--learning_rate": 7e-05, // higher burns' in text
    assert new["checkpoint_step_interval"] == 150
    datasets = json5.loads((place / "mine/clips.json").read_text(encoding="utf-8"))
    # The dataset's own size would undo the one that was chosen.
    assert datasets[1]["resolution"] == new["resolution"] == 256


def test_a_second_time_with_the_same_answers_changes_nothing(place: Path) -> None:
    assert go() == 0
    before = {path: path.read_bytes() for path in (place / "config").iterdir()}
    times = {path: path.stat().st_mtime_ns for path in before}
    assert go(data=None) == 0
    assert {path: path.read_bytes() for path in (place / "config").iterdir()} == before
    assert {path: path.stat().st_mtime_ns for path in before} == times


def test_another_model_brings_the_settings_that_it_needs(place: Path) -> None:
    go()
    assert go(data=None, model="14b") == 0
    flat = load(Path("config/config.json")).config.flat()
    assert (flat["base_model_precision"], flat["lora_rank"]) == ("int8-quanto", 16)


def test_changes_are_shown_with_what_was_there(place: Path, capsys: pytest.CaptureFixture) -> None:
    edit(place, goal="motion")
    assert "learning_rate = 7e-05 (was 3e-05)" in capsys.readouterr().out


def test_no_means_that_nothing_is_written(place: Path) -> None:
    assert go(asker=Scripted({}, yes=())) == 1
    assert sorted(path.name for path in place.iterdir()) == ["clips"]


def broken(paths: Sequence[Path]) -> None:
    raise DataError(f"{paths[0]} cannot be planned")


def test_without_a_plan_a_script_stops_and_a_person_decides(place: Path) -> None:
    def try_with(asker: Scripted | Defaults) -> int:
        return configure(Path("c.json"), Wishes(data="clips"), asker=asker, here=RTX_4090, show_plan=broken)

    # The message names the file that the user knows, not the draft.
    with pytest.raises(ConfigError, match="^c.json cannot be planned"):
        try_with(Defaults())
    assert try_with(Scripted({})) == 1
    assert not Path("c.json").exists()
    assert try_with(Scripted({}, yes=("Go on all the same?", "Save?"))) == 0
    assert Path("c.json").exists()


def test_both_files_are_written_or_none(place: Path) -> None:
    # A file stands where a folder is needed, so the second of the two cannot be written.
    (place / "config").touch()
    with pytest.raises(FileExistsError):
        go(words=("data_backend_config=data.json",))
    assert sorted(path.name for path in place.iterdir()) == ["clips", "config"]


def test_a_configuration_of_another_name_has_clips_of_its_own(place: Path) -> None:
    assert go("other.json") == 0
    assert sorted(path.name for path in place.iterdir()) == ["clips", "other.datasets.json", "other.json"]


def test_without_a_gpu_its_size_is_asked(place: Path) -> None:
    asker = Scripted({"Which GPU": "80"})
    assert configure(Path("c.json"), Wishes(data="clips"), asker=asker, here=[], show_plan=loads) == 0
    config = load(Path("c.json")).config.flat()
    assert config["train_batch_size"] == 1  # 14B, which is the default of such a GPU
    assert config["pretrained_model_name_or_path"].endswith("14B-Diffusers")


def test_every_question_explains_itself(place: Path) -> None:
    others = {"Where do": "instanceprompt", "Which model": "other", "Folder or hub": "me/Wan-14b"}
    asker = Scripted({"Folder of your clips": "clips", **others})
    assert configure(Path("c.json"), Wishes(), asker=asker, here=[], show_plan=loads) == 0
    assert len(asker.asked) == 11
    for question in asker.asked:
        assert len(question.why) > 40, question.title
        assert question.title.endswith("?")


def test_without_a_terminal_it_says_what_to_type(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ConfigError, match="--yes"):
        run(argparse.Namespace(yes=False), [])
