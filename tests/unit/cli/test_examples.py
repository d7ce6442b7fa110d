"""`reeltune examples`: what is listed is what is there, and a copy is a configuration of its own."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from helpers.cli import reeltune_here
from reeltune.cli.examples_folder import examples_folder, find_example, known_examples
from reeltune.cli.main import main
from reeltune.cli.source import find_datasets
from reeltune.config.load import load_run
from reeltune.errors import ConfigError


def examples(*words: str, cwd: Path) -> tuple[int, str]:
    """Run `reeltune examples` in a folder; return its status and what it prints."""
    printed = io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(printed):
        status = main(["examples", *words])
    return status, printed.getvalue()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, where the bundled examples are two others: `plain` and `named`."""
    for name, heading in (("plain", "# Only a heading"), ("named", "# named: what it shows: more")):
        folder = tmp_path / "examples" / name
        (folder / "more").mkdir(parents=True)
        (folder / "README.md").write_text(f"{heading}\n\nText.\n", encoding="utf-8")
        lines = [
            "{",
            "  // See examples/named/data.json.",
            '  "a": "examples/named/data.json",',
            '  "b": "my/examples/named/x"',
            "}",
        ]
        (folder / "config.json").write_text("\n".join(lines), encoding="utf-8")
        (folder / "more/x.json").write_text('["examples/named/more/y.json"]', encoding="utf-8")
    monkeypatch.setattr("reeltune.cli.examples_folder.examples_folder", lambda: tmp_path / "examples")
    here = tmp_path / "here"
    here.mkdir()
    return here


def test_the_list_names_each_example_with_its_heading(shelf: Path) -> None:
    status, printed = examples("list", cwd=shelf)
    assert status == 0
    assert printed.splitlines()[:2] == [
        "  named            what it shows: more",
        "  plain            Only a heading",
    ]


def test_a_copy_names_its_own_files_and_keeps_all_else(shelf: Path) -> None:
    status, printed = examples("copy", "named", "my place/ü", cwd=shelf)
    assert status == 0
    copied = shelf / "my place/ü"
    assert (copied / "config.json").read_text(encoding="utf-8").splitlines()[1:4] == [
        "  // See examples/named/data.json.",
        '  "a": "my place/ü/data.json",',
        '  "b": "my/examples/named/x"',
    ]
    assert json.loads((copied / "more/x.json").read_text(encoding="utf-8")) == ["my place/ü/more/y.json"]
    assert (copied / "README.md").exists()
    assert printed == (
        "Copied to my place/ü. Edit my place/ü/config.json, then: reeltune plan --config 'my place/ü/config.json'\n"
    )


def test_a_copy_goes_where_an_environment_is_looked_for(shelf: Path) -> None:
    status, printed = examples("copy", "plain", cwd=shelf)
    assert status == 0
    assert (shelf / "config/plain/config.json").exists()
    assert printed.endswith("then: reeltune plan --env plain\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("copy", "other"), "there is no example 'other'; there are: named, plain"),
        (("copy", "../examples/plain"), "there is no example '../examples/plain'; there are: named, plain"),
        (("copy", "plain", "."), ". exists already; name another folder: reeltune examples copy plain FOLDER"),
        (("copy", "plain", "file/in"), "file/in: Not a directory. A file stands where a folder is needed"),
        (("list", "seed=1"), "command line: seed=1 is too much"),
    ],
)
def test_what_cannot_be_copied_is_said_and_nothing_is_written(shelf: Path, words: tuple, message: str) -> None:
    (shelf / "file").write_text("mine")
    outcome = reeltune_here("examples", *words, cwd=shelf)
    assert outcome.returncode == 2
    assert message in outcome.stderr
    assert [path.name for path in shelf.iterdir()] == ["file"]


def test_a_copy_of_a_bundled_example_is_read_with_its_own_dataset_file(tmp_path: Path) -> None:
    status, printed = examples("copy", "tiny", cwd=tmp_path)
    assert status == 0
    assert printed.splitlines()[-1].endswith("made by: reeltune plan --example tiny")
    asked: list[str] = []

    def find(name: str):
        asked.append(name)
        return find_datasets(str(tmp_path / name))

    loaded = load_run([tmp_path / "config/tiny/config.json"], {}, find_datasets=find)
    assert asked == ["config/tiny/multidatabackend.json"]
    original = load_run([find_example("tiny") / "config.json"], {}, find_datasets=find_datasets)
    assert loaded.datasets == original.datasets


def test_the_bundled_examples_are_those_of_the_checkout() -> None:
    assert examples_folder() == Path(__file__).parents[3] / "examples"
    assert "tiny" in [folder.name for folder in known_examples()]
    with pytest.raises(ConfigError, match="there is no example ''"):
        find_example("")
