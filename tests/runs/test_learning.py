"""Learning is real: losses on fixed draws fall, by much more than chance, when runs are long enough to learn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy.stats import t as student

from helpers.cli import reeltune
from reeltune.demo.model import make_model

pytestmark = pytest.mark.slow

WORDS = (
    *("train", "--example", "tiny", "data_backend_config=data.json", "pretrained_model_name_or_path=model"),
    *("validation_prompt=", "use_ema=false", "caption_dropout_probability=0", "train_batch_size=4", "resolution=64"),
    *("flow_schedule_shift=0", "optimizer=torch-adamw", "lr_end=1e-5", "checkpointing_steps=0", "eval_timesteps=10"),
    *("max_grad_norm=1", "grad_clip_method=norm", "lr_warmup_steps=50", "num_eval_images=9"),
)
LOKR = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 8, "linear_alpha": 8, "factor": 8}


@pytest.fixture
def place(tiny_example: Path, tmp_path: Path) -> Path:
    """A working directory with a model of three blocks with random weights."""
    captions = [path.read_text().strip() for path in sorted((tiny_example / "output/tiny/clips").glob("*.txt"))]
    make_model(tmp_path / "model", captions, blocks=3)
    return tmp_path


def lay_out(place: Path, example: Path, *, trained: Sequence[str], measured: Sequence[str], repeats: int = 0) -> None:
    """Copy clips by the endings of their names, and write the dataset file."""
    entries: list[dict[str, object]] = [{"id": "text", "dataset_type": "text_embeds", "cache_dir": "cache/text"}]
    for name, kind, chosen in (("seen", "video", trained), ("unseen", "eval", measured)):
        shutil.rmtree(place / name, ignore_errors=True)
        (place / name).mkdir()
        for clip in sorted((example / "output/tiny/clips").glob("*.mp4")):
            if any(word in clip.name for word in chosen):
                for file in (clip, clip.with_suffix(".txt")):
                    shutil.copy(file, place / name)
        more = {"repeats": repeats} if kind == "video" and repeats else {}
        folders = {"instance_data_dir": name, "cache_dir_vae": f"cache/{name}"}
        entries.append({"id": name, "dataset_type": kind, **folders, "video": {"num_frames": 17}, **more})
    (place / "data.json").write_text(json.dumps(entries), encoding="utf-8")


def learn(place: Path, run: str, *words: str) -> list[dict[str, float]]:
    """Train, and return by measurement the loss of each held-out clip."""
    ending = reeltune(*WORDS, f"output_dir={run}", *words, cwd=place, timeout_s=600)
    assert ending.returncode == 0, ending.stderr
    lines = (place / run / "evaluation.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {
            clip["id"]: sum(loss for _, loss in clip["losses"]) / len(clip["losses"])
            for clip in json.loads(line)["clips"]
        }
        for line in lines
    ]


def mean(losses: dict[str, float]) -> float:
    return sum(losses.values()) / len(losses)


def interval(before: dict[str, float], after: dict[str, float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean change of a clip's loss."""
    assert before.keys() == after.keys()
    changes = [after[clip] - before[clip] for clip in before]
    low, high = student.interval(
        0.95, len(changes) - 1, loc=sum(changes) / len(changes), scale=_standard_error(changes)
    )
    return float(low), float(high)


def _standard_error(values: Sequence[float]) -> float:
    middle = sum(values) / len(values)
    return (sum((value - middle) ** 2 for value in values) / (len(values) - 1) / len(values)) ** 0.5


def test_one_clip_is_learned_from_random_weights(place: Path, tiny_example: Path) -> None:
    one = ("bouncing-circle",)
    lay_out(place, tiny_example, trained=one, measured=one, repeats=63)
    words = ("model_type=full", "learning_rate=1e-2", "max_train_steps=1200", "eval_steps_interval=600")
    measurements = learn(place, "memory", *words)
    assert mean(measurements[-1]) <= 0.1 * mean(measurements[0]), measurements
    assert (place / "memory/evaluation.png").read_bytes().startswith(b"\x89PNG")


def test_adapters_on_a_base_that_was_trained_for_a_while_lower_the_loss_on_clips_they_never_saw(
    place: Path, tiny_example: Path
) -> None:
    lay_out(place, tiny_example, trained=("circle", "square"), measured=("star",))
    base = learn(
        place, "base", "model_type=full", "learning_rate=5e-3", "max_train_steps=150", "eval_steps_interval=150"
    )
    assert mean(base[-1]) < mean(base[0])
    lay_out(place, tiny_example, trained=("sun", "triangle"), measured=("star",))
    (place / "lokr.json").write_text(json.dumps(LOKR), encoding="utf-8")
    on_base = ("pretrained_transformer_model_name_or_path=base/transformer", "pretrained_transformer_subfolder=none")
    steps = ("max_train_steps=200", "eval_steps_interval=100", "learning_rate=3e-3")
    for kind in (("lora_rank=8",), ("lora_type=lycoris", "lycoris_config=lokr.json")):
        measurements = learn(place, f"run-{kind[0][5:9]}", *on_base, *steps, *kind)
        low, high = interval(measurements[0], measurements[-1])
        assert high < 0, (kind, low, high)
        assert mean(measurements[-1]) < mean(measurements[0])
