"""What is missing on a machine is replaced by something local, with one note each, or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError
from reeltune.machine import packages
from reeltune.machine.gpu import Gpu
from reeltune.run import means as module
from reeltune.run.means import Means, Tracker, find_means

HOOK = {"webhook_type": "raw", "callback_url": "https://example.invalid/hook"}
CARD = Gpu("NVIDIA H100", 80 * 2**30, 70 * 2**30, "580.65.06", 0)


def config_of(**options: Any) -> Config:
    needed = {"pretrained_model_name_or_path": "m", "data_backend_config": "d.json", "output_dir": "o/x"}
    return load_config([], needed | {"max_train_steps": 100} | options)


@pytest.fixture(autouse=True)
def whole_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has every package, a GPU, and all logins."""
    monkeypatch.setattr(packages, "version_of", lambda name: "99.0")
    monkeypatch.setattr(module, "find_gpus", lambda: [CARD])
    monkeypatch.setattr(module, "wandb_login_found", lambda: True)
    monkeypatch.setattr(module, "hub_token_found", lambda: True)
    monkeypatch.delenv("WANDB_MODE", raising=False)


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Take packages away from the machine."""

    def without(*names: str) -> None:
        monkeypatch.setattr(packages, "version_of", lambda name: None if name in names else "99.0")

    return without


def only_note(means: Means) -> Note:
    (note,) = means.notes
    return note


def test_where_all_is_there_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "hook.json").write_text(json.dumps([HOOK, HOOK]))
    means = find_means(
        config_of(
            report_to="wandb,tensorboard",
            webhook_config=str(tmp_path / "hook.json"),
            push_to_hub=True,
            hub_model_id="me/mice",
            optimizer="bnb-lion8bit",
            strict=True,
        )
    )
    assert means.trackers == (Tracker("wandb"), Tracker("tensorboard"))
    assert [hook.address.get_secret_value() for hook in means.webhooks] == [HOOK["callback_url"]] * 2
    assert means.hub == "me/mice"
    assert means.notes == ()


def test_where_nothing_is_asked_for_nothing_is_said() -> None:
    assert find_means(config_of()) == Means((), (), None, ())


ATTENTION = {"attention_mechanism": "sageattention", "validation_prompt": "a mouse"}


def test_an_attention_package_that_is_missing_is_done_without(lose: Callable[..., None]) -> None:
    lose("sageattention")
    note = only_note(find_means(config_of(**ATTENTION)))
    assert (note.kind, note.about) == ("fallback", "attention_mechanism")
    assert note.text.startswith("it is for videos only, and sageattention is not installed (pip install ")
    assert note.text.endswith("; they are made with PyTorch's own attention")


LYCORIS: dict[str, Any] = {"lora_type": "lycoris", "lycoris_config": {"algo": "loha"}}


def test_lycoris_without_its_package_is_refused_with_what_to_type(lose: Callable[..., None]) -> None:
    lose("lycoris-lora")
    with pytest.raises(ConfigError) as failure:
        find_means(config_of(**LYCORIS))
    assert 'lycoris-lora is not installed (pip install "reeltune[lycoris]")' in str(failure.value)
    assert "set lora_type to standard" in str(failure.value)
    assert find_means(config_of(**LYCORIS, model_type="full"))
    assert find_means(config_of(**LYCORIS | {"lora_type": "standard"}))


def test_an_attention_kernel_without_a_gpu_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_gpus", list)
    note = only_note(find_means(config_of(**ATTENTION)))
    assert note.kind == "fallback"
    assert "no GPU was found, and sageattention needs one" in note.text


def test_an_attention_kernel_that_can_run_is_for_videos_only() -> None:
    note = only_note(find_means(config_of(**ATTENTION, strict=True)))
    assert (note.kind, note.about) == ("trap", "attention_mechanism")
    assert "used for videos only" in note.text


def test_an_attention_kernel_that_nothing_uses_is_not_spoken_of(lose: Callable[..., None]) -> None:
    lose("sageattention")
    assert find_means(config_of(attention_mechanism="sageattention")).notes == ()
    assert find_means(config_of(**ATTENTION, validation_disable=True)).notes == ()


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_a_tracker_that_is_missing_becomes_a_table(lose: Callable[..., None], name: str) -> None:
    lose(name)
    means = find_means(config_of(report_to=name))
    assert means.trackers == (Tracker("csv"),)
    note = only_note(means)
    assert (note.kind, note.about) == ("fallback", "report_to")
    assert note.text == (
        f'{name} is not installed (pip install "reeltune[{name}]"); losses go to metrics.csv in the run folder'
    )


def test_two_missing_trackers_make_two_notes_and_one_table(lose: Callable[..., None]) -> None:
    lose("wandb", "tensorboard")
    means = find_means(config_of(report_to="wandb,tensorboard,csv"))
    assert means.trackers == (Tracker("csv"),)
    assert [note.text.partition(" ")[0] for note in means.notes] == ["wandb", "tensorboard"]


def test_a_tracker_without_a_login_is_kept_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wandb_login_found", lambda: False)
    means = find_means(config_of(report_to="wandb"))
    assert means.trackers == (Tracker("wandb", offline=True),)
    note = only_note(means)
    assert (note.kind, note.about) == ("fallback", "report_to")
    assert "`wandb sync` sends it later" in note.text


@pytest.mark.parametrize("mode", ["offline", "dryrun", "disabled"])
def test_a_mode_in_which_nothing_is_sent_needs_no_login(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(module, "wandb_login_found", lambda: False)
    monkeypatch.setenv("WANDB_MODE", mode)
    means = find_means(config_of(report_to="wandb", strict=True))
    assert (means.trackers, means.notes) == ((Tracker("wandb"),), ())


@pytest.mark.parametrize("mode", ["online", "run", "shared", ""])
def test_a_mode_that_sends_does_not_stand_for_a_login(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(module, "wandb_login_found", lambda: False)
    monkeypatch.setenv("WANDB_MODE", mode)
    means = find_means(config_of(report_to="wandb"))
    assert means.trackers == (Tracker("wandb", offline=True),)
    assert "wandb login" in only_note(means).text


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ((), ["wandb", "tensorboard", "csv"]),
        (("wandb",), ["tensorboard", "csv"]),
        (("wandb", "tensorboard"), ["csv"]),
    ],
)
def test_all_means_those_that_are_installed(
    lose: Callable[..., None], missing: tuple[str, ...], names: list[str]
) -> None:
    lose(*missing)
    means = find_means(config_of(report_to="all", strict=True))
    assert [tracker.name for tracker in means.trackers] == names
    assert means.notes == ()


@pytest.mark.parametrize("value", ["none", "", False, None])
def test_no_tracker_is_no_tracker(value: object) -> None:
    assert find_means(config_of(report_to=value)).trackers == ()


def test_a_webhook_file_that_is_missing_is_done_without(tmp_path: Path) -> None:
    means = find_means(config_of(webhook_config=str(tmp_path / "hook.json")))
    assert means.webhooks == ()
    note = only_note(means)
    assert (note.kind, note.about) == ("fallback", "webhook_config")
    assert note.text.startswith(f"{tmp_path / 'hook.json'} does not exist, so no webhook is told")


@pytest.mark.parametrize("content", ["{", '{"webhook_type": "raw"}', '{"webhook_type": "post", "callback_url": "x"}'])
def test_a_webhook_file_that_is_broken_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "hook.json").write_text(content)
    with pytest.raises(ConfigError, match=r"hook\.json"):
        find_means(config_of(webhook_config=str(tmp_path / "hook.json")))


@pytest.mark.parametrize("value", [HOOK, [HOOK], json.dumps(HOOK)], ids=["object", "list", "text"])
def test_a_webhook_may_stand_in_the_configuration(value: object) -> None:
    (hook,) = find_means(config_of(webhook_config=value)).webhooks
    assert hook.address.get_secret_value() == HOOK["callback_url"]


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({"push_to_hub": True}, "push_to_hub"),
        ({"push_checkpoints_to_hub": True}, "push_checkpoints_to_hub"),
        ({"push_to_hub": True, "push_checkpoints_to_hub": True}, "push_to_hub, push_checkpoints_to_hub"),
    ],
)
def test_without_a_token_the_adapter_stays_here(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], about: str
) -> None:
    monkeypatch.setattr(module, "hub_token_found", lambda: False)
    means = find_means(config_of(**options))
    assert means.hub is None
    note = only_note(means)
    assert (note.kind, note.about) == ("fallback", about)
    assert "hf auth login" in note.text


def test_a_repository_without_a_name_is_called_as_the_project() -> None:
    assert find_means(config_of(push_to_hub=True, tracker_project_name="mice")).hub == "mice"
    assert find_means(config_of(hub_model_id="mice")).hub is None


def test_strict_refuses_all_that_is_missing_at_once(
    monkeypatch: pytest.MonkeyPatch, lose: Callable[..., None], tmp_path: Path
) -> None:
    lose("wandb", "sageattention")
    monkeypatch.setattr(module, "hub_token_found", lambda: False)
    missing = tmp_path / "hook.json"
    options = {**ATTENTION, "report_to": "wandb", "webhook_config": str(missing), "push_to_hub": True}
    assert {note.kind for note in find_means(config_of(**options)).notes} == {"fallback"}
    with pytest.raises(
        ConfigError, match="strict is true and something that was asked for is missing: 4 problems"
    ) as it:
        find_means(config_of(**options, strict=True))
    for about in ("attention_mechanism", "report_to", "webhook_config", "push_to_hub"):
        assert f"\n  {about}: " in str(it.value)


def test_what_nothing_can_stand_in_for_is_refused_all_at_once(lose: Callable[..., None]) -> None:
    lose("bitsandbytes", "optimum-quanto")
    with pytest.raises(ConfigError, match="packages that the configuration needs: 2 problems") as it:
        find_means(config_of(optimizer="bnb-lion8bit-paged", base_model_precision="int8-quanto"))
    assert (
        'optimizer bnb-lion8bit-paged cannot be used: bitsandbytes is not installed (pip install "reeltune[bnb]").'
        in str(it.value)
    )
    assert 'int8-quanto cannot be used: optimum-quanto is not installed (pip install "reeltune[quant]").' in str(
        it.value
    )


@pytest.mark.parametrize("option", ["base_model_precision", "text_encoder_1_precision"])
def test_each_quantized_part_needs_its_package(lose: Callable[..., None], option: str) -> None:
    lose("torchao")
    with pytest.raises(ConfigError, match="int8-torchao cannot be used: torchao is not installed"):
        find_means(config_of(**{option: "int8-torchao"}))
    assert find_means(config_of()).notes == ()


def test_what_a_machine_has_is_asked_without_torch() -> None:
    code = "import sys, reeltune.run.means; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
