from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import get_token

from reeltune.machine.logins import hub_token_found, wandb_login_found


def test_a_token_in_the_environment_is_enough(tmp_path: Path) -> None:
    assert hub_token_found({"HF_TOKEN": "hf_x"}, tmp_path)
    assert not hub_token_found({"HF_TOKEN": "  "}, tmp_path)
    assert not hub_token_found({}, tmp_path)


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, ".cache/huggingface/token"),
        ({"XDG_CACHE_HOME": "~/xdg"}, "xdg/huggingface/token"),
        ({"HF_HOME": "~/hub"}, "hub/token"),
        ({"HF_HOME": "~/hub", "HF_TOKEN_PATH": "~/mine"}, "mine"),
    ],
)
def test_the_file_of_a_login_is_found(tmp_path: Path, environment: dict[str, str], place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("", encoding="utf-8")
    assert not hub_token_found(environment, tmp_path)
    (tmp_path / place).write_text("hf_x\n", encoding="utf-8")
    assert hub_token_found(environment, tmp_path)


def test_the_answer_is_the_one_of_the_hubs_client() -> None:
    assert hub_token_found() == (get_token() is not None)


def test_a_key_of_weights_and_biases_is_found(tmp_path: Path) -> None:
    assert wandb_login_found({"WANDB_API_KEY": "k"}, tmp_path)
    assert not wandb_login_found({}, tmp_path)


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_a_login_of_weights_and_biases_is_found(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("machine github.com login me password other\n", encoding="utf-8")
    assert not wandb_login_found({}, tmp_path)
    file.write_text("machine api.wandb.ai\n  login user\n  password k\n", encoding="utf-8")
    assert wandb_login_found({}, tmp_path)
    assert not wandb_login_found({"WANDB_BASE_URL": "https://wandb.firm.example"}, tmp_path)


def test_another_netrc_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("machine wandb.firm.example login user password k\n", encoding="utf-8")
    environment = {"NETRC": str(tmp_path / "mine"), "WANDB_BASE_URL": "https://wandb.firm.example"}
    assert wandb_login_found(environment, tmp_path)


def test_a_netrc_that_cannot_be_read_is_no_login(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine\nmachine nonsense here\n", encoding="utf-8")
    assert not wandb_login_found({}, tmp_path)
