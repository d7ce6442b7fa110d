"""`reeltune cache`: what is said about the caches is true, and what is removed is what nobody needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from reeltune.cache.entries import entry_files
from reeltune.cache.references import User, write_reference
from reeltune.cache.store import TensorStore
from reeltune.cli.main import main

KEYS = [f"{number:032x}" for number in range(5)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with two caches: of five clips four are needed, and one more; of five texts all."""
    monkeypatch.chdir(tmp_path)
    config = {
        "model_family": "wan",
        "model_type": "lora",
        "data_backend_config": "data.json",
        "output_dir": "output",
        "max_train_steps": 1,
        "optimizer": "torch-adamw",
    }
    data = [
        {"id": "clips", "instance_data_dir": "clips", "cache_dir_vae": "vae"},
        {"id": "texts", "dataset_type": "text_embeds", "cache_dir": "text"},
    ]
    Path("config").mkdir()
    Path("config/config.json").write_text(json.dumps(config), encoding="utf-8")
    Path("data.json").write_text(json.dumps(data), encoding="utf-8")
    for name in ("vae", "text"):
        for key in KEYS:
            TensorStore(Path(name), compress=name == "text").write(key, torch.zeros(8))
    user = User((Path("config/config.json"),), Path("output"))
    write_reference(Path("vae"), user, [*KEYS[:4], "f" * 32])
    write_reference(Path("text"), user, KEYS)
    fetched = Path("vae/fetched/abc/clip.mp4")
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(bytes(1000))
    return tmp_path


def keys_in(name: str) -> list[str]:
    return [entry.key for entry in entry_files(Path(name))]


def test_stats_counts_what_is_there(place: Path, capsys) -> None:
    assert main(["cache", "stats"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^vae \(clips\)\n  entries   5, \d+ bytes, 0 compressed\n  in use    4, 1 more", said, re.M)
    assert re.search(r"^text \(texts\)\n  entries   5, \d+ bytes, 5 compressed\n  in use    5, 0 more", said, re.M)
    assert "  fetched   1 files, 1.0 kB\n" in said
    assert f"  used by   {place / 'output'}\n" in said
    assert re.search(r"^reuse 9, rebuild 1, orphans 1 \(\d+ bytes\); `reeltune cache gc` removes", said, re.M)


def test_gc_removes_what_nobody_needs_and_says_before_what_it_would(place: Path, capsys) -> None:
    assert main(["cache", "gc", "--dry-run"]) == 0
    assert re.match(r"1 entry \(\d+ bytes\) and 0 unfinished drafts to be removed", capsys.readouterr().out)
    assert keys_in("vae") == KEYS
    assert main(["cache", "gc"]) == 0
    assert re.match(r"1 entry \(\d+ bytes\) and 0 unfinished drafts removed", capsys.readouterr().out)
    assert keys_in("vae") == KEYS[:4]
    assert keys_in("text") == KEYS
    assert Path("vae/fetched/abc/clip.mp4").exists()


def test_gc_does_not_empty_a_cache_of_which_it_knows_no_user(place: Path, capsys) -> None:
    for path in Path("vae/references").iterdir():
        path.unlink()
    assert main(["cache", "gc"]) == 2
    assert "Run `reeltune prepare` first" in capsys.readouterr().err
    assert keys_in("vae") == KEYS


def test_verify_removes_what_is_damaged_and_only_that(place: Path, capsys) -> None:
    assert main(["cache", "verify"]) == 0
    assert capsys.readouterr().out == "10 entries read, none damaged\n"
    damaged = [TensorStore(Path(name)).path(key) for name, key in (("vae", KEYS[1]), ("text", KEYS[2]))]
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x20
        path.write_bytes(content)
    assert main(["cache", "verify"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        *(f"damaged, removed: {path}" for path in damaged),
        "10 entries read, 2 damaged; `reeltune prepare` makes them anew",
    ]
    assert [keys_in("vae"), keys_in("text")] == [KEYS[:1] + KEYS[2:], KEYS[:2] + KEYS[3:]]
    assert main(["cache", "verify"]) == 0


def test_advice_is_what_to_type_for_this_configuration(place: Path, capsys) -> None:
    Path("config/config.json").rename("other.json")
    assert main(["cache", "stats", "--config", "other.json"]) == 0
    assert "`reeltune cache gc --config other.json` removes the orphans" in capsys.readouterr().out


def test_stats_of_a_cache_without_a_user_does_not_say_that_nothing_is_missing(place: Path, capsys) -> None:
    for path in Path("vae/references").iterdir():
        path.unlink()
    assert main(["cache", "stats"]) == 0
    said = capsys.readouterr().out
    assert "in use    0, nobody has said yet what is needed\n" in said
    assert said.endswith("`reeltune prepare` finds out what is to be encoded, and does it.\n")
