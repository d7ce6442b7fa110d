"""What can be wrong is found before training, said in one message, and leaves nothing half-written."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.cli import reeltune, reeltune_here
from helpers.tiny import TinyRun, copy_prepared


@pytest.fixture
def run(tiny_example: Path, tmp_path: Path) -> TinyRun:
    """A working directory of its own with the tiny clips and model."""
    return copy_prepared(tiny_example, tmp_path)


def clips(run: TinyRun) -> Path:
    return run.place / "output/tiny/clips"


def model(run: TinyRun) -> Path:
    return run.place / "output/tiny/model"


def no_clips(run: TinyRun) -> None:
    for path in clips(run).iterdir():
        path.unlink()


def no_captions(run: TinyRun) -> None:
    for path in clips(run).glob("*.txt"):
        path.unlink()


def nothing_but_text(run: TinyRun) -> None:
    for path in clips(run).glob("*.mp4"):
        path.write_text("this is not a video")


def a_file_for_a_folder(run: TinyRun) -> None:
    shutil.rmtree(clips(run))
    clips(run).write_text("x")


def no_weights(run: TinyRun) -> None:
    for path in (model(run) / "transformer").glob("*.safetensors"):
        path.unlink()


def empty_weights(run: TinyRun) -> None:
    for path in (model(run) / "vae").glob("*.safetensors"):
        path.write_bytes(b"")


def no_text_encoder(run: TinyRun) -> None:
    shutil.rmtree(model(run) / "text_encoder")


def image_to_video(run: TinyRun) -> None:
    path = model(run) / "transformer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_dim": 1280, "in_channels": 36}))


def untouched(run: TinyRun) -> None:
    """Leave everything as it is: the words are what is wrong."""


CASES: dict[str, tuple[Callable[[TinyRun], None], list[str], list[str]]] = {
    "no clips": (no_clips, [], ["output/tiny/clips", ".mp4"]),
    "no captions": (no_captions, [], ["24 of 24 clips have no caption", ".txt", "caption_strategy"]),
    "files that are no videos": (nothing_but_text, [], ["no clip can be trained", "unreadable"]),
    "a file where a folder should be": (a_file_for_a_folder, [], ["output/tiny/clips", "folder"]),
    "a model without weights": (no_weights, [], ["output/tiny/model/transformer", "no *.safetensors weights"]),
    "a model with empty weights": (empty_weights, [], ["is empty", "hf download"]),
    "a model without a part": (no_text_encoder, [], ["no folder 'text_encoder'", "diffusers layout"]),
    "an image-to-video model": (image_to_video, [], ["image-to-video", "Wan2.1-T2V-1.3B-Diffusers"]),
    "a name that is no repository": (
        untouched,
        ["pretrained_model_name_or_path=no/such/model"],
        ["no/such/model", "neither a folder nor a hub repository"],
    ),
    "a repository while offline": (
        untouched,
        ["pretrained_model_name_or_path=no-one/no-model"],
        ["no-one/no-model", "HF_HUB_OFFLINE"],
    ),
    "a misspelt option": (untouched, ["lora_rnak=4"], ["lora_rnak (command line)", "nearest is lora_rank"]),
    "an unknown example": (untouched, ["--example", "huge"], ["there is no example 'huge'; there are: tiny"]),
    "a checkpoint that is not there": (
        untouched,
        ["resume_from_checkpoint=checkpoint-9"],
        ["checkpoint-9", "there: none"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_before_training(run: TinyRun, case: str) -> None:
    spoil, words, parts = CASES[case]
    spoil(run)
    example = () if "--example" in words else ("--example", "tiny")
    outcome = reeltune_here("train", *example, *words, cwd=run.place)
    assert outcome.returncode == 2, outcome.stderr
    message = outcome.stderr[outcome.stderr.index("reeltune: ") :]
    assert all(part in message for part in parts), message
    assert "Traceback" not in outcome.stderr
    assert not run.folder.exists()


def test_a_missing_dataset_folder_is_named(run: TinyRun) -> None:
    datasets = [
        {"id": "a", "instance_data_dir": "datasets/nowhere", "cache_dir_vae": "cache/a"},
        {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"},
    ]
    (run.place / "data.json").write_text(json.dumps(datasets))
    outcome = reeltune_here("train", "--example", "tiny", "data_backend_config=data.json", cwd=run.place)
    assert outcome.returncode == 2
    assert "datasets/nowhere" in outcome.stderr
    assert not (run.place / "cache").exists()


def test_no_configuration_at_all_names_the_example(tmp_path: Path) -> None:
    outcome = reeltune_here("train", cwd=tmp_path)
    assert outcome.returncode == 2
    assert "config/config.json does not exist" in outcome.stderr
    assert "reeltune train --example tiny" in outcome.stderr


@pytest.mark.parametrize("option", ["output_dir", "text cache"])
def test_a_folder_without_permission_is_named(run: TinyRun, option: str) -> None:
    # A file in the way of the folder refuses the superuser too, who would be let through a mere permission.
    (run.place / "locked").write_text("")
    if option == "output_dir":
        words = ["output_dir=locked/run"]
    else:
        datasets = json.loads((Path(__file__).parents[2] / "examples/tiny/multidatabackend.json").read_text())
        datasets[1]["cache_dir"] = "locked/text"
        (run.place / "data.json").write_text(json.dumps(datasets))
        words = ["data_backend_config=data.json"]
    outcome = reeltune_here("train", "--example", "tiny", *words, cwd=run.place)
    assert outcome.returncode == 2, outcome.stderr
    assert "locked" in outcome.stderr
    assert "cannot be written" in outcome.stderr
    assert not run.folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="user ids are not a Windows notion")
def test_a_read_only_folder_is_refused_for_ordinary_users(tmp_path: Path) -> None:
    from reeltune.errors import ShortageError
    from reeltune.run.preflight import require_writable

    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid() == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(ShortageError, match="Permission denied"):
            require_writable(locked / "run", "output_dir")
    finally:
        os.seteuid(user)


def test_a_full_disk_is_foreseen_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reeltune.errors import ShortageError
    from reeltune.run import preflight

    free = shutil.disk_usage(tmp_path)._replace(free=500_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    preflight.require_room(tmp_path / "cache", 100_000_000, "the encoded clips")
    with pytest.raises(ShortageError, match=r"4\.0 GB are needed at .* for the encoded clips, and 500\.0 MB are free"):
        preflight.require_room(tmp_path / "cache", 4_000_000_000, "the encoded clips")


class NoSuchRepository(http.server.BaseHTTPRequestHandler):
    """A hub that answers every question as the real one does for a name that nobody has taken."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Error-Message", "Repository not found")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a hub on this machine that holds nothing."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NoSuchRepository)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_repository_that_does_not_exist_is_named_with_the_hub_that_was_asked(run: TinyRun, hub: str) -> None:
    outcome = reeltune(
        *("train", "--example", "tiny", "pretrained_model_name_or_path=Wan-AI/Wan2.1-T2V-1.3B-Difusers"),
        cwd=run.place,
        environment={"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub, "HF_HOME": str(run.place / "home")},
    )
    assert outcome.returncode == 2, outcome.stderr
    assert f"Wan-AI/Wan2.1-T2V-1.3B-Difusers is not on the hub ({hub})" in outcome.stderr
    assert not run.folder.exists()


def test_a_model_in_the_hubs_cache_is_used_offline(run: TinyRun) -> None:
    repository = run.place / "home/hub/models--someone--tiny"
    shutil.copytree(model(run), repository / "snapshots/abc")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("abc")
    outcome = reeltune(
        *("train", "--example", "tiny", "pretrained_model_name_or_path=someone/tiny"),
        *("max_train_steps=1", "validation_prompt="),
        cwd=run.place,
        environment={"HF_HOME": str(run.place / "home")},
    )
    assert outcome.returncode == 0, outcome.stderr
