from __future__ import annotations

import ast
import functools
import importlib
import inspect
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
import yaml
from huggingface_hub import HfApi
from huggingface_hub.utils import filter_repo_objects

from reeltune.contracts.events import CheckpointSaved, RunFinished, RunStarted, SampleRendered
from reeltune.demo.model import make_transformer
from reeltune.report.background import Background
from reeltune.report.hub import ADAPTER_FILES, HubSink, adapter_files
from reeltune.report.model_card import CardFacts, Sampling, model_card, snippet

FILES = (
    "pytorch_lora_weights.safetensors",
    "comfyui/fox.safetensors",
    "ema/pytorch_lora_weights.safetensors",
    "ema/comfyui/fox.safetensors",
)


class Refusal(Exception):
    """An answer of the hub, as its client raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} for https://hub/a?X-Amz-Signature=s3cr3t")
        self.response = SimpleNamespace(status_code=status)


class FakeHub:
    """Stands for HfApi, with its parameters and its choice of files. failures: raised by the first uploads."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.commits: list[tuple[str, dict[str, str]]] = []
        self.failures: list[Exception] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.asked = threading.Event()

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> Any:
        self.made.append({"repo_id": repo_id, "repo_type": repo_type, "private": private, "exist_ok": exist_ok})
        return SimpleNamespace(repo_id=repo_id if "/" in repo_id else f"me/{repo_id}")

    def upload_folder(
        self, *, repo_id: str, repo_type: str, folder_path: str, allow_patterns: list[str], commit_message: str
    ) -> None:
        self.asked.set()
        assert self.may_go_on.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        assert (repo_id, repo_type) == ("me/fox", "model")
        folder = Path(folder_path)
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        chosen = sorted(filter_repo_objects(names, allow_patterns=allow_patterns))
        self.commits.append((commit_message, {name: (folder / name).read_text(encoding="utf-8") for name in chosen}))


def write_files(folder: Path, content: str) -> None:
    for name in (*FILES, "optimizer.safetensors", "ema.safetensors", "state.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[int], CheckpointSaved]:
    def save(step: int) -> CheckpointSaved:
        write_files(tmp_path / f"checkpoint-{step}", f"weights {step}")
        return CheckpointSaved(step, tmp_path / f"checkpoint-{step}", 0.5)

    return save


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def sink(hub: FakeHub, tmp_path: Path) -> Callable[..., HubSink]:
    def make(repo: str = "fox", **more: Any) -> HubSink:
        settings: dict[str, Any] = {"push_checkpoints": True, "private": True, "write_card": None, **more}
        background = Background("push_to_hub", waits=(0.01, 0.01))
        return HubSink(repo, folder=tmp_path, connect=lambda: hub, background=background, **settings)

    return make


FACTS = CardFacts(
    title="fox",
    base_model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    settings={"learning_rate": 1e-4, "lora_rank": 16, "caption": "a | b\nc", "webhook_config": "https://h/s3cr3t"},
    sampling=Sampling(
        prompt='a "red" fox: \N{FOX FACE}\nrunning',
        negative_prompt="blurry",
        width=832,
        height=480,
        frames=81,
        fps=16.0,
        steps=30,
        guidance=5.0,
        sampler="unipc",
        flow_shift=3.0,
    ),
    prompts={"fox": "a red fox", "fox-den": "a den"},
)
VIDEOS = ["validation/step-000009-fox-raw.mp4", "validation/step-000009-fox-den-raw.mp4"]


def test_the_client_has_the_parameters_that_are_used() -> None:
    for name in ("create_repo", "upload_folder"):
        ours = set(inspect.signature(getattr(FakeHub, name)).parameters)
        assert ours <= set(inspect.signature(getattr(HfApi, name)).parameters)


def test_the_repository_is_made_when_the_run_begins(sink: Callable[..., HubSink], hub: FakeHub) -> None:
    one = sink("fox")
    one.receive(RunStarted(0, 9))
    one.close()
    assert hub.made == [{"repo_id": "fox", "repo_type": "model", "private": True, "exist_ok": True}]


def test_adapter_files_of_a_checkpoint_are_uploaded(
    sink: Callable[..., HubSink], hub: FakeHub, checkpoint: Callable[[int], CheckpointSaved], tmp_path: Path
) -> None:
    one = sink()
    one.receive(checkpoint(5))
    one.close()
    assert hub.commits == [("Checkpoint of step 5", {name: "weights 5" for name in sorted(FILES)})]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-5"]


def test_our_rule_for_files_is_the_clients(tmp_path: Path) -> None:
    write_files(tmp_path, "x")
    write_files(tmp_path / "checkpoint-5", "x")
    names = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(filter_repo_objects(names, allow_patterns=list(ADAPTER_FILES))) == sorted(adapter_files(tmp_path))
    assert sorted(adapter_files(tmp_path)) == sorted(FILES)


def test_checkpoints_stay_here_unless_asked_for(
    sink: Callable[..., HubSink], hub: FakeHub, checkpoint: Callable[[int], CheckpointSaved]
) -> None:
    one = sink(push_checkpoints=False)
    one.receive(checkpoint(5))
    one.close()
    assert hub.commits == []


def test_while_one_is_uploaded_only_the_newest_waits_and_rotation_takes_none_away(
    sink: Callable[..., HubSink], hub: FakeHub, checkpoint: Callable[[int], CheckpointSaved], tmp_path: Path
) -> None:
    hub.may_go_on.clear()
    one = sink()
    started = time.monotonic()
    for step in (1, 2, 3):
        one.receive(checkpoint(step))
        assert hub.asked.wait(5)
        shutil.rmtree(tmp_path / f"checkpoint-{step}")
    assert time.monotonic() - started < 2.0
    hub.may_go_on.set()
    one.close()
    assert [(message, set(files.values())) for message, files in hub.commits] == [
        ("Checkpoint of step 1", {"weights 1"}),
        ("Checkpoint of step 3", {"weights 3"}),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_tried_again_is_itself_and_not_the_one_that_came_meanwhile(
    sink: Callable[..., HubSink],
    hub: FakeHub,
    checkpoint: Callable[[int], CheckpointSaved],
    said: list[str],
    tmp_path: Path,
) -> None:
    hub.may_go_on.clear()
    hub.failures = [ConnectionError("reset")]
    one = sink()
    for step in (10, 20):
        one.receive(checkpoint(step))
        assert hub.asked.wait(5)
        shutil.rmtree(tmp_path / f"checkpoint-{step}")
    hub.may_go_on.set()
    one.close()
    assert [(message, set(files.values())) for message, files in hub.commits] == [
        ("Checkpoint of step 10", {"weights 10"}),
        ("Checkpoint of step 20", {"weights 20"}),
    ]
    assert not [line for line in said if "failed" in line]
    assert list(tmp_path.iterdir()) == []


def test_without_hard_links_a_checkpoint_is_uploaded_from_its_place(
    sink: Callable[..., HubSink],
    hub: FakeHub,
    checkpoint: Callable[[int], CheckpointSaved],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def refuse(*names: object) -> None:
        raise OSError("not on this file system")

    monkeypatch.setattr("os.link", refuse)
    one = sink()
    one.receive(checkpoint(5))
    one.close()
    assert [set(files) for _, files in hub.commits] == [set(FILES)]
    assert (tmp_path / "checkpoint-5" / FILES[0]).exists()


def test_results_and_card_are_uploaded_at_the_end(sink: Callable[..., HubSink], hub: FakeHub, tmp_path: Path) -> None:
    write_files(tmp_path, "result")
    (tmp_path / "validation").mkdir()
    one = sink(push_checkpoints=False, write_card=functools.partial(model_card, FACTS))
    for step in (5, 9):
        video = tmp_path / "validation" / f"step-{step:06d}-fox-raw.mp4"
        video.write_text("film", encoding="utf-8")
        one.receive(SampleRendered(step, video, "raw", 1.0))
    one.receive(RunFinished(9, False))
    one.close()
    (first, weights), (second, card) = hub.commits
    assert (first, second) == ("Results after step 9", "Model card")
    assert set(weights) == set(FILES)
    assert set(card) == {"README.md", "validation/step-000009-fox-raw.mp4"}
    assert 'load_lora_weights("me/fox"' in card["README.md"]


def test_results_stay_here_where_only_checkpoints_are_asked_for(
    sink: Callable[..., HubSink], hub: FakeHub, tmp_path: Path
) -> None:
    write_files(tmp_path, "result")
    one = sink(push_results=False)
    one.receive(RunFinished(9, False))
    one.close()
    assert hub.commits == []


@pytest.mark.parametrize("failure", [ConnectionError("reset"), Refusal(500), Refusal(429)])
def test_a_hub_in_trouble_is_asked_again(
    sink: Callable[..., HubSink],
    hub: FakeHub,
    checkpoint: Callable[[int], CheckpointSaved],
    said: list[str],
    failure: Exception,
) -> None:
    hub.failures = [failure]
    one = sink()
    one.receive(checkpoint(5))
    one.close()
    assert len(hub.commits) == 1
    assert not [line for line in said if "failed" in line]


@pytest.mark.parametrize(("status", "word"), [(403, "hf auth login"), (400, "400 for https://hub/a.")])
def test_a_refusal_is_told_once_and_not_asked_again(
    sink: Callable[..., HubSink],
    hub: FakeHub,
    checkpoint: Callable[[int], CheckpointSaved],
    said: list[str],
    status: int,
    word: str,
) -> None:
    hub.failures = [Refusal(status)]
    one = sink()
    one.receive(checkpoint(5))
    one.close()
    assert hub.commits == []
    (line,) = [line for line in said if "failed" in line]
    assert word in line
    assert "s3cr3t" not in line


def head(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    return yaml.safe_load(text)


def test_the_head_of_a_card_says_what_it_is() -> None:
    said = head(model_card(FACTS, repo="me/fox", videos=VIDEOS))
    assert said["base_model"] == "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
    assert said["base_model_relation"] == "adapter"
    assert (said["pipeline_tag"], said["library_name"]) == ("text-to-video", "diffusers")
    assert {"text-to-video", "diffusers", "lora", "reeltune"} <= set(said["tags"])
    assert [(one["text"], one["output"]["url"]) for one in said["widget"]] == [
        ("a red fox", VIDEOS[0]),
        ("a den", VIDEOS[1]),
    ]


def test_a_base_model_of_ones_own_is_not_claimed_to_be_on_the_hub() -> None:
    own = replace(FACTS, base_model=None)
    said = head(model_card(own, repo="me/fox", videos=[]))
    assert "base_model" not in said
    assert "widget" not in said


def test_a_card_shows_settings_and_nothing_secret() -> None:
    token = "hf_" + "a1" * 17
    settings = {**FACTS.settings, "hub_token": "plain", "note": f"with {token}", "url": "https://me:pw@h/x?sig=s3cr3t"}
    card = model_card(replace(FACTS, settings=settings), repo="me/fox", videos=VIDEOS)
    assert "| learning_rate | 0.0001 |" in card
    assert "| lora_rank | 16 |" in card
    assert "| caption | a \\| b c |" in card
    assert "| sampler | unipc |" in card
    assert "| flow shift | 3.0 |" in card
    for secret in ("s3cr3t", "webhook", token, "pw@", "plain"):
        assert secret not in card


def test_the_code_of_a_card_calls_diffusers_as_it_is() -> None:
    code = snippet(FACTS, "me/fox")
    calls = {ast.unparse(node.func): node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}
    arguments = {word.arg: ast.literal_eval(word.value) for word in calls["pipe"].keywords}
    assert arguments == {
        "prompt": FACTS.sampling.prompt,
        "negative_prompt": "blurry",
        "width": 832,
        "height": 480,
        "num_frames": 81,
        "num_inference_steps": 30,
        "guidance_scale": 5.0,
    }
    assert "pipe.load_lora_weights" in calls


def scheduler_after(**changes: Any) -> Any:
    """Return the scheduler that a pipeline has after the lines of a card's code about it have run."""
    code = snippet(replace(FACTS, sampling=replace(FACTS.sampling, **changes)), "me/fox")
    lines = [node for node in ast.parse(code).body if ast.unparse(node).startswith("pipe.scheduler")]
    own = diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=7.0)
    pipe = SimpleNamespace(scheduler=own)
    exec(compile(ast.Module(lines, []), "card", "exec"), {"pipe": pipe})
    return pipe.scheduler


@pytest.mark.parametrize(("flow_shift", "shift"), [(3.0, 3.0), (None, 7.0)])
def test_the_code_of_a_card_has_the_models_own_scheduler_with_the_shift_of_the_videos(
    flow_shift: float | None, shift: float
) -> None:
    scheduler = scheduler_after(flow_shift=flow_shift)
    assert type(scheduler) is diffusers.UniPCMultistepScheduler
    wanted = {"flow_shift": shift, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    assert {name: scheduler.config[name] for name in wanted} == wanted


def test_a_card_of_videos_by_another_sampler_leaves_the_scheduler_alone_and_says_so() -> None:
    other = replace(FACTS, sampling=replace(FACTS.sampling, sampler="euler"))
    assert scheduler_after(sampler="euler").config.flow_shift == 7.0
    assert "# The validation videos were made with another sampler, reeltune's euler." in snippet(other, "me/fox")
    assert "another sampler" not in snippet(FACTS, "me/fox")


def test_the_code_of_a_card_uses_parameters_that_the_pipeline_has() -> None:
    known = set(inspect.signature(diffusers.WanPipeline.__call__).parameters)
    tree = ast.parse(snippet(FACTS, "me/fox"))
    (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "pipe"]
    assert {word.arg for word in call.keywords} <= known


def names_in(code: str) -> set[str]:
    """Return the dotted names that a card's code calls."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}


def test_the_code_of_a_card_loads_lycoris_by_its_own_library() -> None:
    code = snippet(replace(FACTS, kind="lycoris"), "me/fox")
    assert {"create_lycoris_from_weights", "network.apply_to", "network.to"} <= names_in(code)
    assert "pipe.load_lora_weights" not in names_in(code)
    from lycoris import LycorisNetwork, create_lycoris_from_weights

    assert list(inspect.signature(create_lycoris_from_weights).parameters)[:3] == ["multiplier", "file", "module"]
    assert callable(LycorisNetwork.apply_to)
    assert "'pytorch_lora_weights.safetensors'" in code.replace('"', "'")


def test_the_code_of_a_card_puts_a_trained_transformer_into_its_pipeline(tmp_path: Path) -> None:
    code = snippet(replace(FACTS, kind="full", base_model="the/base"), "me/fox")
    assigned = {ast.unparse(node.targets[0]): node for node in ast.parse(code).body if isinstance(node, ast.Assign)}
    make_transformer(1).save_pretrained(tmp_path / "transformer")
    names: dict[str, Any] = {"AutoModel": diffusers.AutoModel, "torch": torch}
    source = ast.unparse(assigned["transformer"]).replace("me/fox", str(tmp_path))
    exec(source, names)
    assert type(names["transformer"]) is diffusers.WanTransformer3DModel
    assert names["transformer"].dtype == torch.bfloat16
    assert "transformer=transformer" in ast.unparse(assigned["pipe"])


@pytest.mark.parametrize("kind", ["lora", "lycoris", "full"])
def test_the_code_of_every_card_imports_what_there_is(kind: Any) -> None:
    for node in ast.walk(ast.parse(snippet(replace(FACTS, kind=kind), "me/fox"))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names)
