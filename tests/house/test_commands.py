"""What the newcomer's pages tell people to type runs, and what they show as files, figures and names is true.

Each page's commands run in its order, in a working folder of its own, as a reader would type them: real clips and the
shipped configuration; where a model must be loaded, the tiny one, for one step. What cannot run here stands in
`ELSEWHERE` with the reason.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from helpers.cli import reeltune, reeltune_here
from helpers.pages import PAGES, ROOT, Block, anchors, blocks, command_lines, inline_code, links
from helpers.tiny import copy_prepared
from reeltune.cli.examples_folder import known_examples
from reeltune.cli.main import COMMANDS, main
from reeltune.config.dataset_file import load_datasets
from reeltune.config.load import load_config
from reeltune.config.lycoris import inert_lycoris_keys, lycoris_of
from reeltune.config.prompts import load_prompts
from reeltune.config.root import all_options
from reeltune.config.words import parse_overrides
from reeltune.demo.clips import make_clips
from reeltune.manual.describe import all_described
from reeltune.media import write_mp4
from reeltune.report.tracker_backends import SCALARS
from reeltune.run.torch_build import OLD

CARTOONS = "sayakpaul/video-dataset-disney-organized"

RUN_BY = {
    "./train.sh": "tests/house/test_scripts.py installs as it does, tests/runs/test_whole_run.py runs the example",
    "./test.sh": "it would run this test",
    "./test.sh -m slow": "tests/runs/test_quickstart.py is what it runs, in minutes",
    "reeltune data sheet": "tests/runs/test_sheet.py makes one, with the tiny model",
}
"""Commands that other tests stand for."""

ELSEWHERE: Mapping[str, str] = RUN_BY | {
    "source .venv/bin/activate": "changes the shell that it is typed into",
    "sudo apt install python3.12 python3.12-venv": "changes the system",
    "sudo apt install nvidia-cuda-toolkit build-essential": "changes the system",
    "sudo apt install amd-smi-lib": "changes the system",
    ".venv/bin/pip install /opt/rocm/share/amd_smi": "needs ROCm",
    "python3.12 -m venv .venv": "installs; tests/house/test_scripts.py has the same step",
    ".venv/bin/pip install --constraint constraints.txt --editable .": "network",
    '.venv/bin/pip install --constraint constraints.txt "reeltune[quant,bnb]"': "network",
    f".venv/bin/{OLD}": "network",
    ".venv/bin/pip install --no-build-isolation git+https://github.com/thu-ml/SageAttention": "network and a GPU",
    'pip install "reeltune[wandb]"': "network",
    'pip install "reeltune[lycoris]"': "network",
    "hf auth login": "network and an account",
    "wandb login": "network and an account",
    f"hf download --repo-type dataset {CARTOONS} --local-dir datasets/disney-black-and-white": "network",
    "hf download Wan-AI/Wan2.1-T2V-1.3B-Diffusers --local-dir models/wan-1.3b": "network",
    "export HF_ENDPOINT=https://hf-mirror.com": "changes the shell that it is typed into",
    "export HF_HOME=/data/huggingface": "changes the shell that it is typed into",
    "export PIP_INDEX_URL=https://mirror.example/simple": "changes the shell that it is typed into",
}
"""Commands that cannot run here, and why."""

ALONE = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "", "WANDB_API_KEY": "", "NETRC": "/nowhere", "CUDA_VISIBLE_DEVICES": ""}
"""A machine without network, logins and GPU."""

ONE_STEP = (
    "data_backend_config=config/small.json",
    "resolution=64",
    "aspect_bucket_alignment=16",
    "mixed_precision=no",
    "base_model_precision=no_change",
    "train_batch_size=1",
    "max_train_steps=1",
    "validation_disable=true",
)
"""What makes training possible here."""

NO_OPTIONS = {"aspect_ratio", "resolution_frames", *SCALARS}
"""Words with underscores that are no options: values of keys of datasets, and what trackers call the numbers."""

SMALL = [
    {"id": "small", "instance_data_dir": "small", "cache_dir_vae": "cache/small", "video": {"num_frames": 5}},
    {"id": "text-embeds", "dataset_type": "text_embeds", "cache_dir": "cache/small-text"},
]

EXAMPLE = ROOT / "config/config.json.example"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen clips of five seconds at 480 lines and a short one, and two tiny ones. Read only."""
    place = tmp_path_factory.mktemp("made")
    folder = place / "datasets/disney-black-and-white"
    folder.mkdir(parents=True)
    for name, frames in (("clip-00", 121), ("short", 60)):
        write_mp4(folder / f"{name}.mp4", grey_that_brightens(frames), fps=24.0)
        (folder / f"{name}.txt").write_text("a black and white cartoon of a light that comes on slowly")
    for number in range(1, 12):
        for kind in ("mp4", "txt"):
            shutil.copy(folder / f"clip-00.{kind}", folder / f"clip-{number:02d}.{kind}")
    make_clips(place / "small", count=2)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A working folder as a reader has it: the shipped configuration, and clips."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    # Without what the one who runs the tests has in it.
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("config.json"))
    (tmp_path / "config/small.json").write_text(json.dumps(SMALL))
    return tmp_path


def grey_that_brightens(frames: int) -> np.ndarray:
    levels = np.linspace(40, 200, frames).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, 480, 640, 3))


def run_line(line: str, place: Path, *, model: Path) -> tuple[int | None, str]:
    """Run a command line; return its status and what it printed. None is the status of one that no rule fits."""
    words = shlex.split(line)
    if words[0] in ("cp", "mkdir"):
        done = subprocess.run(words, cwd=place, text=True, capture_output=True, check=False)
        return done.returncode, done.stderr
    # The script ends as this command, with the same words.
    words = ["reeltune", "train", *words[1:]] if words[0] == "./train.sh" else words
    if words[0] != "reeltune":
        return None, ""
    if words[1] == "train" and "--help" not in words:
        ending = reeltune_here(*words[1:], *ONE_STEP, f"pretrained_model_name_or_path={model}", cwd=place)
        assert ending.returncode or list(place.glob("output/**/checkpoint-1/trainable.safetensors"))
        return ending.returncode, ending.stderr
    if words[1] in ("data", "cache", "inspect", "export"):
        # In this process, since there are many of them: what they print is tested elsewhere.
        # The base that a file names is the released one for a reader, and here the tiny one.
        base = ["--base", str(model)] if "merged" in words else []
        ending = reeltune_here(*words[1:], *base, cwd=place)
        return ending.returncode, ending.stderr
    asked = ["--yes", "--gpu", "24"] if words[1] == "configure" else []
    done = reeltune(*words[1:], *asked, cwd=place, environment=ALONE | {"HOME": str(place)})
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_runs(page: Path, place: Path, tiny_model: Path) -> None:
    """A block of plain text shows lines of what the command before it printed."""
    printed, problems = "", []
    for block in blocks(page):
        if block.kind == "bash":
            for line in command_lines(block):
                if line in ELSEWHERE:
                    continue
                status, printed = run_line(line, place, model=tiny_model)
                if status is None:
                    problems.append(f"{block}: {line}: neither run here nor in ELSEWHERE")
                elif status != 0:
                    problems.append(f"{block}: {line}: exit status {status}: {printed}")
        elif block.kind == "text":
            lines = [line for line in block.text.splitlines() if line]
            problems += [f"{block}: not printed: {line}" for line in lines if line not in printed.splitlines()]
    assert not problems, "\n".join(problems)


def test_nothing_is_listed_that_no_page_has() -> None:
    typed = {line for page in PAGES for block in blocks(page) if block.kind == "bash" for line in command_lines(block)}
    assert set(ELSEWHERE) <= typed
    for reason in ELSEWHERE.values():
        for name in re.findall(r"tests/\S+\.py", reason):
            assert (ROOT / name).exists(), name


def test_a_command_without_a_rule_is_noticed(place: Path) -> None:
    assert run_line("make everything", place, model=place)[0] is None
    assert run_line("reeltune plan --config nowhere.json", place, model=place)[0] == 2


FILES = [block for page in PAGES for block in blocks(page) if block.kind.startswith("json")]


@pytest.mark.parametrize("block", FILES, ids=str)
def test_every_shown_file_is_read_by_the_real_reader(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "shown.json"
    path.write_text(block.text, encoding="utf-8")
    content = json.loads(block.text)
    if block.kind == "json prompts":
        assert load_prompts(path)
    elif block.kind == "json lycoris":
        assert lycoris_of(str(path))
        assert not inert_lycoris_keys(str(path))
    elif block.kind == "json dataset":
        path.write_text(json.dumps([content, *SMALL]), encoding="utf-8")
        assert len(load_datasets(path, []).clips) == 2
    elif isinstance(content, list):
        assert load_datasets(path, []).trained
    else:
        # One with all that is needed stands alone, others are added to the shipped one.
        whole = {"output_dir", "data_backend_config"} <= set(content)
        assert load_config([path] if whole else [EXAMPLE, path], {}).given()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_in_the_text_are_real(page: Path) -> None:
    options = (name for one in all_described() for name in (one.name, *one.also, *one.opposite))
    values = {value for _, _, field in all_options() for value in get_args(field.annotation)}
    known = {part for name in options for part in name.split(".")} | values | NO_OPTIONS
    for code in inline_code(page):
        words = code.split()
        if words[0] == "reeltune" and len(words) > 1:
            assert words[1] in COMMANDS, code
        elif all(re.fullmatch(r"[a-z0-9_]+=\S*", word) for word in words):
            assert load_config([EXAMPLE], parse_overrides(words)).given(), code
        elif re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", code):
            assert code in known, code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for file, anchor in links(page):
        assert file.exists(), file
        assert not anchor or anchor in anchors(file), f"{file}#{anchor}"


def test_python_in_a_page_is_python_and_its_names_exist() -> None:
    found = [block for page in PAGES for block in blocks(page) if block.kind == "python"]
    assert found
    for block in found:
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names), block


ROW = re.compile(r"^\| `([^`]+=[^`]+)` \| ([\d.]+) GiB \| ([\d.]+) GiB \| ([\d.]+) GiB \|$", re.MULTILINE)


def test_the_quickstarts_figures_of_memory_are_those_of_the_plan(place: Path) -> None:
    rows = ROW.findall((ROOT / "docs/quickstart.md").read_text(encoding="utf-8"))
    assert len(rows) >= 5
    for words, *figures in rows:
        stages = memory(place, *words.split())
        assert [stages[stage] for stage in ("text encoding", "training", "rendering")] == figures, words


def memory(place: Path, *words: str) -> dict[str, str]:
    """Return the GiB of each stage by the plan of the shipped configuration."""
    printed = io.StringIO()
    with contextlib.chdir(place), contextlib.redirect_stdout(printed):
        assert main(["plan", "--json", "--config", "config/config.json.example", *words]) == 0
    return {need["stage"]: f"{need['need_bytes'] / 2**30:.1f}" for need in json.loads(printed.getvalue())["memory"]}


def test_the_shipped_configuration_passes_the_plan(place: Path) -> None:
    words = ("--config", "config/config.json.example", "user_prompt_library=config/user_prompt_library.json.example")
    outcome = reeltune("plan", *words, "strict=true", cwd=place, environment=ALONE | {"HOME": str(place)})
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("name", [folder.name for folder in known_examples()])
def test_each_example_passes_the_plan(name: str, tiny_example: Path, tmp_path: Path) -> None:
    copy_prepared(tiny_example, tmp_path)
    outcome = reeltune("plan", "--example", name, cwd=tmp_path, environment=ALONE | {"HOME": str(tmp_path)})
    assert outcome.returncode == 0, outcome.stderr
