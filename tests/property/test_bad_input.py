"""Whatever stands in the files or on the command line: a run is read, or refused in words. Never anything else.

Valid files are damaged at random, in their values and in their text, and read by what every command reads them with.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reeltune.cli.source import find_source, load_source
from reeltune.config.json_text import parse_json
from reeltune.config.load import Loaded
from reeltune.errors import ConfigError

ROOT = Path(__file__).parents[2]

FILES = [
    (ROOT / "config/config.json.example", ROOT / "config/wan/multidatabackend.json"),
    (ROOT / "examples/tiny/config.json", ROOT / "examples/tiny/multidatabackend.json"),
]

BASES = [(parse_json(config.read_text("utf-8")), parse_json(data.read_text("utf-8"))) for config, data in FILES]

# Made small again, a failing example would cost minutes.
steady = settings(derandomize=True, deadline=None, database=None, phases=(Phase.generate,))

NUMBERS = [0, -1, 1, 2**63, 10**400, -0.5, 1.5, 1e308, float("inf"), float("nan"), True]
WORDS = [
    "",
    " ",
    "true",
    "no",
    "null",
    "latest",
    "9",
    "[9]",
    "{",
    "../..",
    "~",
    "~x",
    "{model_family}",
    "\0",
    "\ud800",
    "😀",
]

scalars = st.one_of(st.none(), st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.text(max_size=8), st.integers())
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder of its own, in which config.json and data.json are written anew each time."""
    folder, before = tmp_path_factory.mktemp("bad"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def read(config: str, datasets: str, words: tuple[str, ...] = ()) -> Loaded | str:
    """Return the run that two files and a command line describe, or the message that refuses it."""
    # As bytes: a half of an escaped sign can stand in a file only as an escape, and is written as one by json.
    Path("config.json").write_bytes(config.encode("utf-8", "replace"))
    Path("data.json").write_bytes(datasets.encode("utf-8", "replace"))
    try:
        arguments = Namespace(config=Path("config.json"), env=None, example=None)
        loaded = load_source(find_source(arguments, words))
    except ConfigError as error:
        return str(error)
    # What is accepted can be written down and read again: that is what a run does with it.
    flat = loaded.config.flat()
    json.dumps(flat, allow_nan=False, ensure_ascii=False).encode()
    repr(loaded.datasets).encode()
    return loaded


def fresh(number: int) -> tuple[Any, Any]:
    """Return copies of a valid configuration and its dataset file."""
    config, datasets = json.loads(json.dumps(BASES[number]))
    return config | {"data_backend_config": "data.json"}, datasets


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything inside a JSON value."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def damage(content: Any, data: st.DataObject) -> None:
    """Do one thing to a JSON value: replace, remove, rename, double or add something somewhere."""
    found = list(places(content))
    if not found:
        return
    *way, last = data.draw(st.sampled_from(found))
    inside = content
    for key in way:
        inside = inside[key]
    kind = data.draw(st.sampled_from(["replace", "remove", "rename", "double", "add"]))
    if kind == "replace":
        inside[last] = data.draw(junk)
    elif kind == "remove":
        del inside[last]
    elif isinstance(inside, list):
        inside.append(inside[last] if kind == "double" else data.draw(junk))
    elif kind == "rename":
        inside[f"--{last}" if data.draw(st.booleans()) else data.draw(st.text(max_size=6))] = inside.pop(last)
    else:
        inside[last[:-1] + "x" if kind == "double" else data.draw(st.text(max_size=6))] = data.draw(junk)


@pytest.mark.parametrize("number", range(len(FILES)), ids=["shipped", "tiny"])
def test_the_undamaged_files_are_read(number: int) -> None:
    config, datasets = fresh(number)
    assert isinstance(read(json.dumps(config), json.dumps(datasets)), Loaded)


@settings(steady, max_examples=200)
@given(st.sampled_from(range(len(FILES))), st.integers(0, 3), st.integers(0, 3), st.data())
def test_damaged_values_are_read_or_refused(number: int, in_config: int, in_datasets: int, data: st.DataObject) -> None:
    config, datasets = fresh(number)
    for _ in range(in_config):
        damage(config, data)
    for _ in range(in_datasets):
        damage(datasets, data)
    read(json.dumps(config), json.dumps(datasets))


@settings(steady, max_examples=150)
@given(st.booleans(), st.data())
def test_a_damaged_text_is_read_or_refused(in_config: bool, data: st.DataObject) -> None:
    config, datasets = fresh(1)
    texts = [json.dumps(config, indent=1), json.dumps(datasets, indent=1)]
    text = texts[not in_config]
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 30)))
    signs = st.text(alphabet="{}[]:,\"'/*\\\n #u0aeE+-.😀\0", max_size=6)
    inserted = data.draw(st.one_of(signs, st.just(text[start:stop] * 2), st.just("[" * 5000)))
    texts[not in_config] = text[:start] + inserted + text[stop:]
    read(texts[0], texts[1])


@settings(steady, max_examples=150)
@given(st.data())
def test_any_words_on_the_command_line_are_read_or_refused(data: st.DataObject) -> None:
    config, datasets = fresh(1)
    names = st.sampled_from([*config, "validation_guidance_skip_layers", "tread_config", "report_to", "webhook_config"])
    values = st.one_of(st.sampled_from(WORDS), scalars.map(str), st.just("[" * 5000))
    option = st.builds("{}{}={}".format, st.sampled_from(["", "--"]), names, values)
    other = st.one_of(names.map("--{}".format), st.text(max_size=8))
    words = data.draw(st.lists(option, min_size=1, max_size=3)) + data.draw(st.lists(other, max_size=1))
    # No process is ever handed a word with a NUL.
    read(json.dumps(config), json.dumps(datasets), tuple(word.replace("\0", "") for word in words))


@settings(steady, max_examples=15)
@given(st.data(), st.booleans())
def test_a_command_line_value_means_the_same_as_in_a_file(data: st.DataObject, dashes: bool) -> None:
    config, datasets = fresh(1)
    options = [("seed", 7), ("lora_rank", 4), ("use_ema", False), ("learning_rate", 1e-5), ("validation_seed", None)]
    name, value = data.draw(st.sampled_from(options))
    typed = read(json.dumps(config), json.dumps(datasets), (f"{'--' * dashes}{name}={json.dumps(value)}",))
    written = read(json.dumps(config | {name: value}), json.dumps(datasets))
    assert isinstance(typed, Loaded)
    assert isinstance(written, Loaded)
    assert typed.config == written.config


CONFIG_FAULTS: dict[str, Any] = {
    "optimzer": "optimi-lion",
    "max_grad_norm": "fast",
    "lora_rank": 0,
    "seed": -1,
    "mixed_precision": "fp16",
    "base_model_precision": "nf4-bnb",
    "masked_loss_probability": 2,
    "validation_resolution": "832x",
    "use_ema": "perhaps",
    "tread_config": {},
    "validation_guidance_skip_layers": "x",
    "report_to": "comet_ml",
    "webhook_config": 5,
    "output_dir": "",
    "ema_decay": 1,
    "train_batch_size": None,
    "validation_prompt": 5,
    "learning_rate": 1e999,
}

DATASET_FAULTS: dict[tuple[int, str], Any] = {
    (0, "repeats"): -1,
    (0, "vidoe"): {},
    (0, "crop"): "perhaps",
    (0, "crop_style"): "face",
    (0, "type"): "ftp",
    (0, "video.num_frames"): 0,
    (0, "video.fsp"): 16,
    (0, "caption_strategy"): "words",
    (0, "parquet"): 5,
    (0, "crop_aspect_buckets"): [0],
    (0, "caption_filter_list"): ["x"],
    (0, "aws_secret_access_key"): 5,
    (0, "instance_data_dir"): 5,
    (1, "cach_dir"): "x",
    (1, "default"): "perhaps",
    (1, "cache_dir"): 5,
}


@settings(steady, max_examples=100)
@given(
    st.sets(st.sampled_from(sorted(CONFIG_FAULTS)), max_size=6),
    st.sets(st.sampled_from(sorted(DATASET_FAULTS)), max_size=5),
)
def test_every_fault_of_both_files_is_named_in_one_message(
    in_config: set[str], in_datasets: set[tuple[int, str]]
) -> None:
    config, datasets = fresh(1)
    config |= {name: CONFIG_FAULTS[name] for name in in_config}
    for index, key in in_datasets:
        outer, _, inner = key.rpartition(".")
        home = datasets[index].setdefault(outer, {}) if outer else datasets[index]
        home[inner] = DATASET_FAULTS[index, key]
    outcome = read(json.dumps(config, indent=1), json.dumps(datasets, indent=1))
    if not in_config and not in_datasets:
        assert isinstance(outcome, Loaded)
        return
    assert isinstance(outcome, str)
    wanted = {f"{name} (config.json, line " for name in in_config}
    places = {(0, "crop_aspect_buckets"): "crop_aspect_buckets.0"}
    wanted |= {
        f"{datasets[index]['id']}.{places.get((index, key), key)} (data.json, line " for index, key in in_datasets
    }
    # One line for each fault, and none for anything else.
    problems = [line.strip() for line in outcome.splitlines() if line.startswith("  ")]
    assert {begin for begin in wanted if sum(line.startswith(begin) for line in problems) != 1} == set()
    assert len(problems) == len(wanted)
