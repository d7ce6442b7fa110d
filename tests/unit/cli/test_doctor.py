"""`reeltune doctor`: what it says, and when it says that a run is possible."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from reeltune.cli import doctor, doctor_checks
from reeltune.machine import packages
from reeltune.machine.check import Check

DATASETS = [
    {"id": "a", "instance_data_dir": "clips", "cache_dir_vae": "cache/a"},
    {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"},
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Path:
    """A working directory with a configuration that can run."""
    config = {
        "pretrained_model_name_or_path": str(tiny_model),
        "data_backend_config": "data.json",
        "output_dir": "output/x",
        "max_train_steps": 10,
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "clips").mkdir()
    (tmp_path / "config/config.json").write_text(json.dumps(config))
    (tmp_path / "data.json").write_text(json.dumps(DATASETS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the machine out: only the configuration is looked at."""
    monkeypatch.setattr(doctor, "examine", lambda configuration: configuration(True))


def diagnose(*words: str) -> int:
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    return doctor.run(*parser.parse_known_args(words))


def states(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[str, str, str]]:
    """Return state, text and fix of each check by name; the exit status must agree."""
    status = diagnose("--json", *words)
    report = json.loads(capsys.readouterr().out)
    found = {check["name"]: (check["state"], check["text"], check["fix"]) for check in report["checks"]}
    assert report["ok"] == all(state != "fail" for state, _, _ in found.values())
    assert status == (0 if report["ok"] else 2)
    return found


def test_the_machine_and_the_configuration_are_looked_at(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = states(capsys)
    for name in ("Python", "PyTorch", "GPU", "attention math", "memory", "disk", "video codecs", "hub cache"):
        assert found[name][0] in ("ok", "warn"), found[name]
    for name in ("torchao", "wandb", "sageattention", "hub login", "wandb login"):
        assert found[name][0] in ("ok", "absent")
    for name in ("configuration", "folders", "model", "clips a"):
        assert found[name][0] == "ok", found[name]


def test_no_configuration_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert states(capsys)["configuration"][::2] == ("absent", "reeltune configure")


@pytest.mark.parametrize("words", [("--config", "none.json"), ("--env", "none"), ("optimzer=x",)])
def test_a_configuration_that_was_named_and_cannot_be_read_fails(place: Path, quick: None, capsys, words) -> None:
    found = states(capsys, *words)
    assert found["configuration"][0] == "fail"
    assert len(found) == 1


def test_an_example_is_ready_before_its_data_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    found = states(capsys, "--example", "tiny")
    assert {state for state, _, _ in found.values()} == {"ok"}


def test_clips_that_are_not_there_fail(place: Path, quick: None, capsys) -> None:
    (place / "clips").rmdir()
    state, text, fix = states(capsys)["clips a"]
    assert (state, text) == ("fail", "clips is no folder")
    assert "instance_data_dir" in fix


@pytest.mark.parametrize(
    ("entry", "state", "words"),
    [
        ({"type": "csv", "csv_file": "table.csv"}, "fail", "table.csv is no file"),
        ({"type": "csv", "csv_file": "data.json"}, "ok", "data.json"),
        ({"type": "huggingface", "dataset_name": "o/n"}, "ok", "o/n will be read from the hub; nothing was asked"),
        ({"type": "huggingface", "dataset_name": "clips"}, "ok", "clips"),
        ({"type": "aws", "aws_bucket_name": "b"}, "ok", "s3://b/ will be listed; nothing was asked"),
        ({"instance_data_dir": "clips"}, "ok", "clips"),
    ],
)
def test_each_kind_of_dataset_is_looked_for_without_the_network(
    place: Path, quick: None, capsys, entry: dict[str, str], state: str, words: str
) -> None:
    (place / "data.json").write_text(json.dumps([{"id": "a", **entry}, DATASETS[1]]))
    found, text, _ = states(capsys)["clips a"]
    assert (found, text[: len(words)]) == (state, words)


def test_what_reads_a_bucket_is_named_where_it_is_missing(
    place: Path, quick: None, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "version_of", lambda name: None)
    (place / "data.json").write_text(json.dumps([{"id": "a", "type": "aws", "aws_bucket_name": "b"}, DATASETS[1]]))
    state, text, fix = states(capsys)["clips a"]
    assert (state, fix) == ("fail", 'pip install "reeltune[s3]"')
    assert "s3fs is not installed" in text


def test_a_table_of_captions_that_is_not_there_fails(place: Path, quick: None, capsys) -> None:
    entry = DATASETS[0] | {"caption_strategy": "parquet", "parquet": {"path": "captions.parquet"}}
    (place / "data.json").write_text(json.dumps([entry, DATASETS[1]]))
    found = states(capsys)
    assert found["clips a"][0] == "ok"
    assert found["captions a"][:2] == ("fail", "captions.parquet is no file")


def test_a_model_that_is_nowhere_fails(place: Path, quick: None, capsys) -> None:
    state, text, _ = states(capsys, "pretrained_model_name_or_path=models/none/here")["model"]
    assert state == "fail"
    assert "models/none/here" in text


def test_a_folder_that_cannot_be_made_fails(place: Path, quick: None, capsys) -> None:
    (place / "output").write_text("a file")
    state, text, _ = states(capsys)["folders"]
    assert state == "fail"
    assert "output_dir" in text


def test_bf16_on_a_gpu_without_it_fails_and_float32_does_not(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda configuration: configuration(False))
    assert states(capsys)["precision"][::2] == ("fail", "mixed_precision=no")
    assert "precision" not in states(capsys, "mixed_precision=no")


def test_without_pytorch_nothing_is_said_against_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reeltune.run.torch_build", None)
    checks = list(doctor.examine(lambda bfloat16: [Check("bfloat16", "ok", str(bfloat16))]))
    states = {check.name: check for check in checks}
    assert (states["PyTorch"].state, states["PyTorch"].fix) == ("fail", "pip install --force-reinstall torch==2.13.0")
    assert states["bfloat16"].text == "True"


def test_what_is_asked_for_and_missing_is_a_warning_and_with_strict_a_failure(
    place: Path, quick: None, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("reeltune.machine.packages.version_of", lambda name: None)
    assert states(capsys, "report_to=tensorboard")["report_to"][0] == "warn"
    assert states(capsys, "report_to=tensorboard", "strict=true")["packages"][0] == "fail"


def test_an_optimizer_whose_package_is_missing_fails(
    place: Path, quick: None, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("reeltune.machine.packages.version_of", lambda name: None)
    state, text, _ = states(capsys, "optimizer=bnb-adamw8bit")["packages"]
    assert state == "fail"
    assert 'pip install "reeltune[bnb]"' in text


def test_a_codec_that_does_not_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_checks.codec_check().state == "ok"

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no libx264")

    monkeypatch.setattr("reeltune.media.write_mp4", broken)
    check = doctor_checks.codec_check()
    assert (check.state, check.fix) == ("fail", "pip install --force-reinstall av")


CHECKS = [
    Check("disk", "ok", "9 GiB free"),
    Check("GPU", "fail", "too old a driver\nby far", "pip install x"),
    Check("hub login", "absent", "none"),
]


def test_lines_are_aligned_and_plain_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.show(CHECKS)
    assert capsys.readouterr().out.splitlines() == [
        "ok    disk       9 GiB free",
        "FAIL  GPU        too old a driver",
        "                 by far",
        "                 -> pip install x",
        "-     hub login  none",
        "1 of 3 checks failed",
    ]


def test_a_terminal_sees_colours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        "rich.console.Console", lambda **options: Console(force_terminal=True, color_system="standard", **options)
    )
    doctor.show(CHECKS)
    assert "\x1b[1;31mFAIL" in capsys.readouterr().out


WIDE = [
    Check("disk", "ok", "9 GiB free"),
    Check(
        "attention sageattention", "warn", " ".join(f"word{n}" for n in range(30)) + "\nand more", "pip install 'a' b"
    ),
    Check("x", "warn", "y", "pip install --no-build-isolation git+https://example.invalid/kernels/of-sages"),
    Check("hub cache", "ok", f"/{'z' * 90} can be written"),
]


def test_a_terminal_of_80_columns_sees_whole_words_behind_the_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rich.console.Console", lambda **options: Console(force_terminal=True, width=80, **options))
    monkeypatch.setenv("NO_COLOR", "1")
    doctor.show(WIDE)
    printed = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    lines = printed.splitlines()
    # Only the path is wider: nothing in it may be broken.
    assert [len(line) <= 80 for line in lines].count(False) == 1
    hanging = " " * len("warn  attention sageattention  ")
    assert lines[1].startswith("warn  attention sageattention  word0 word1")
    assert lines[2].startswith(f"{hanging}word")
    assert f"{hanging}and more" in lines
    assert f"{hanging}-> pip install 'a' b" in lines
    assert any(line.endswith(WIDE[2].fix) for line in lines)
    assert printed.split() == [
        word
        for mark, check in zip(("ok", "warn", "warn", "ok"), WIDE, strict=True)
        for word in f"{mark} {check.name} {check.text} {'-> ' * bool(check.fix)}{check.fix}".split()
    ] + ["Nothing", "stands", "in", "the", "way."]


def test_on_a_pipe_each_check_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(["word"] * 90)
    doctor.show([Check("x", "ok", words)])
    assert capsys.readouterr().out.splitlines()[0] == f"ok    x  {words}"


def test_long_lines_stay_whole_so_that_commands_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.show([Check("x", "warn", "y", "pip install " + "z" * 300)])
    assert "pip install " + "z" * 300 in capsys.readouterr().out.splitlines()[1]
