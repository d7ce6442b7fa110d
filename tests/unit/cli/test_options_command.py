"""The command `reeltune options`: its forms, and that it answers at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from reeltune.cli.main import main
from reeltune.manual import compatibility, page


@pytest.mark.parametrize(("form", "text"), [("--markdown", page.markdown), ("--compatibility", compatibility.markdown)])
def test_a_page_is_printed_as_it_is_stored(capsys, form: str, text) -> None:
    assert main(["options", form]) == 0
    assert capsys.readouterr().out == text()


def test_the_schema_is_printed_as_json(capsys) -> None:
    assert main(["options", "--json"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["lora_rank"]["minimum"] == 1
    assert schema["$defs"]["dataset_file"]["type"] == "array"


def test_words_with_and_without_dashes_are_names(capsys) -> None:
    assert main(["options", "--lora_rank"]) == 0
    dashes = capsys.readouterr().out
    assert main(["options", "lora_rank"]) == 0
    assert capsys.readouterr().out == dashes


def test_a_word_that_nothing_has_ends_with_2(capsys) -> None:
    assert main(["options", "qqq"]) == 2
    assert "no option has 'qqq'" in capsys.readouterr().err


def test_the_list_opens_without_torch_and_at_once() -> None:
    code = "import sys; from reeltune.cli.main import main; main(['options']); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout
    assert "lora_rank" in found
    assert not {"torch", "diffusers", "numpy", "transformers"} & set(found.splitlines()[-1].split())
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "reeltune", "options", "lora_rank"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.8
