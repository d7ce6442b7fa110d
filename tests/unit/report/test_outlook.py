from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from typing import Any, get_args

import pyte
import pytest
from rich.console import Console

from reeltune.contracts.notes import Kind, Note
from reeltune.contracts.outlook import Card, DiskNeed, Length, NoiseLevels, Outlook, Rate, RateCurve, Trained
from reeltune.report.outlook import outlook_json, outlook_page, print_outlook
from reeltune.report.sparkline import ASCII, BLOCKS
from unit.report.samples import quickstart, with_routing

COMMAND = "reeltune train --config config/config.json"


@pytest.fixture(scope="module")
def full() -> Outlook:
    """The quickstart's outlook with a route: every part is there."""
    return replace(quickstart(), routing=with_routing())


def page(outlook: Outlook, *, width: int = 80, encoding: str = "utf-8") -> str:
    return outlook_page(outlook, width=width, command=COMMAND, encoding=encoding)


def small() -> Outlook:
    """An outlook in which all that may be missing is."""
    return Outlook(
        run="output/small",
        components=(),
        trained=Trained("LoRA of rank 4", None, None, "some/model", None, "float32", "", "adamw_bf16", ""),
        datasets=(),
        buckets=(),
        length=Length(1, "max_train_steps", 0, 1, 1, 1, 1, 1.0, 1),
        rates=RateCurve("constant", (Rate(0, 0, 1e-4), Rate(100, 0, 1e-4)), (1e-4, 1e-4)),
        noise=NoiseLevels("no shift", 0.5, (0.5, 1.5, 0.5), ""),
        routing=None,
        cost=None,
        renders=None,
        evaluation=None,
        disk=(),
        memory=(),
        card=None,
        notes=(),
    )


def test_a_page_of_little_says_only_that() -> None:
    assert page(small()) == (
        """\
Plan of output/small

What is trained
  trained         LoRA of rank 4
  base model      some/model
  precision       float32
  optimizer       adamw_bf16

The data

How it is trained
  steps           1, set by max_train_steps
  a step          1 sample (train_batch_size 1, gradient_accumulation_steps 1)
  epochs          1.0 passes over 1 sample (1 batch)
  checkpoints     1 over the run
  learning rate   constant
                  ██
    after            0 %    100 %
    step               0        0
    rate          0.0001   0.0001
  noise levels    no shift; half are above 0.50 (0 is clean, 1 is pure noise)
                  clean ▃█▃ noise

Start with: reeltune train --config config/config.json"""
    )


def changes(value: Any) -> Iterator[Any]:
    """Yield a record again and again, each time with another one of its facts changed."""
    match value:
        case None | ():
            return
        case bool():
            yield not value
        case int():
            yield 2 * value + 1
        case float():
            yield 0.5 * value + 0.25
        case "trap" | "fallback" | "inert" | "fact":
            yield next(kind for kind in get_args(Kind) if kind != value)
        case str():
            yield value + "y"
        case (float(), *_):
            yield value[::-1]
        case tuple():
            for index, item in enumerate(value):
                yield from ((*value[:index], changed, *value[index + 1 :]) for changed in changes(item))
        case _:
            for field in fields(value):
                yield from (replace(value, **{field.name: one}) for one in changes(getattr(value, field.name)))


def test_every_fact_is_on_the_page(full: Outlook) -> None:
    # At one width: that the words are the same at others is tested below. On a machine where nothing fits, for there
    # the page says what would help.
    card = Card("NVIDIA GeForce RTX 3060", 6_000_000_000, 5_000_000_000)
    cramped = replace(full, card=card, disk=tuple(replace(need, free_bytes=10**9) for need in full.disk))
    before = page(cramped)
    unseen = [changed for changed in changes(cramped) if page(changed) == before]
    trained, held_out = cramped.datasets
    # How often clips are repeated means nothing where none is trained.
    assert unseen == [replace(cramped, datasets=(trained, replace(held_out, repeats=1)))]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words",
    [
        "LoRA of rank 16: 11.8 million parameters on 240 layers (attention of all blocks)",
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers, 1.42 billion parameters",
        "in the hub's cache: transformer, autoencoder to be fetched: tokenizer, text encoder",
        "69 files found, 57 used, 57 captions; each trained once an epoch (repeats 0)",
        "11 left out: too short (such as videos/clip_0012.mp4: 60 frames at 16 fps, 73 are needed; lower",
        "640 x 352 px x 73 frames 51 26 16,720",
        "400,000, set by max_train_steps",
        "13,793 passes over 57 samples (29 batches)",
        "after 0 % 1 % 10 % 50 % 100 % step 0 4,000 40,000 200,000 399,999 rate 5e-05 5e-05 4.88e-05 2.5e-05 0",
        "half are above 0.75",
        "blocks 2 to 28 15,390 of 17,100 tokens",
        "4,001 times in the run; 1 video of 1 prompt each time 832 x 480 px, 81 frames, 40 steps of UniPC",
        "held-out loss 1,600 times in the run; 4 clips of disney-held-out 28 noise levels each, 224 forward passes",
        "642 TFLOP a step, 23,300 TFLOP for the videos each time, 22,000 TFLOP for the held-out loss each time",
        "videos' share 24 % of the run's time",
        "at least, on a step videos each time held-out loss whole run",
        "RTX 4090 3.9 s 2.4 min 2.5 min 27 days",
        "Disk space: 21.2 GB of 212.6 GB free",
        "checkpoints 1.2 GB output/wan",
        "NVIDIA GeForce RTX 4090, 24.0 GiB, of which 23.2 are free",
        "training 11.1 GiB transformer 2.6, LoRA 0.04, gradients 0.04,",
    ],
)
def test_facts_are_said_in_rounded_numbers_with_units(full: Outlook, width: int, words: str) -> None:
    assert words in " ".join(page(full, width=width).split())


@pytest.mark.parametrize("width", [80, 120])
def test_each_note_stands_under_its_kind(full: Outlook, width: int) -> None:
    text = " ".join(page(full, width=width).split())
    headings = ("Works, but not as the words suggest", "Missing here, and", "Set, but changes nothing", "Also good to")
    edges = [text.index(heading) for heading in headings] + [len(text)]
    for note in full.notes:
        number = get_args(Kind).index(note.kind)
        assert f"{note.text}." in text[edges[number] : edges[number + 1]]
        assert note.about in text[edges[number] : edges[number + 1]]


def test_notes_with_the_same_words_are_one() -> None:
    notes = (Note("inert", "resolution", "is unused"), Note("trap", "a", "is unused"), Note("inert", "b", "is unused"))
    assert page(replace(small(), notes=notes)).count("is unused.") == 2
    assert "    resolution, b: is unused.\n" in page(replace(small(), notes=notes))


def test_the_top_counts_what_the_end_explains(full: Outlook) -> None:
    traps, fallbacks, inert = (sum(note.kind == kind for note in full.notes) for kind in ("trap", "fallback", "inert"))
    assert page(full).splitlines()[1] == (
        f"See the end: {traps} settings with a catch, {fallbacks} things missing and {inert} unused settings."
    )


@pytest.mark.parametrize("width", [76, 80, 100, 120])
def test_no_line_is_wider_than_the_page(full: Outlook, width: int) -> None:
    lines = page(full, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []


def test_words_are_the_same_at_any_width_and_never_broken(full: Outlook) -> None:
    wide, narrow = ([word for word in page(full, width=width).split() if word[0] not in BLOCKS] for width in (120, 76))
    assert narrow == wide


def test_the_room_of_a_wide_terminal_is_used(full: Outlook) -> None:
    narrow, wide = (page(full, width=width).splitlines() for width in (80, 120))
    assert len(wide) < len(narrow)
    assert max(map(len, wide)) > 110
    assert page(full, width=200) == page(full, width=120)


def test_what_has_no_room_on_any_line_stays_whole() -> None:
    path = "/data/" + "a-long-folder-name/" * 6 + "run"
    need = DiskNeed("checkpoints", path, 10**9, 10**10, "output_dir")
    lines = page(replace(small(), disk=(need,))).splitlines()
    assert path in lines  # a terminal wraps it, and it can be copied
    assert lines[lines.index(path) - 1] == "  checkpoints   1.0 GB"


def test_wide_characters_are_counted_as_a_terminal_does() -> None:
    words = "两只 拟人化的猫咪 身穿 舒适的 拳击装备 " * 6
    lines = page(replace(small(), notes=(Note("fact", "validation_prompt", words),))).splitlines()
    assert "".join(words.split()) in "".join("".join(lines).split())
    assert max(len(line) + len(re.findall("[一-鿿]", line)) for line in lines) <= 80


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_stream_without_unicode_gets_what_it_can_take(full: Outlook, encoding: str) -> None:
    text = page(replace(full, run="output/猫\x1b[31m\udc80\n"), encoding=encoding)
    assert text.isascii()
    assert text.startswith(r"Plan of output/\u732b\x1b[31m\udc80")
    assert re.search(rf"clean [{re.escape(ASCII)}]{{40,}} noise", text)


def test_control_characters_of_file_names_do_not_reach_the_terminal() -> None:
    text = page(replace(small(), run="a\x1b[2J\rb\udc80c"))
    assert text.startswith(r"Plan of a\x1b[2J b\udc80c" + "\n")


def test_what_does_not_fit_is_said_in_its_place_and_at_the_end(full: Outlook) -> None:
    card = Card("NVIDIA GeForce RTX 3060", 11_000_000_000, 6_000_000_000)
    disk = (
        DiskNeed("encoded clips", "a", 40, 100, "cache_dir_vae"),
        DiskNeed("encoded clips", "a2", 20, 100, "cache_dir_vae"),
        DiskNeed("videos", "b", 50, 100, "output_dir"),
        DiskNeed("nothing", "d", 0, 100, "cache_dir"),
        DiskNeed("more", "c", 1, 90, "output_dir"),
    )
    text = page(replace(full, card=card, disk=disk))
    assert "Disk space: 110 bytes of 100 bytes free, NOT ENOUGH\n" in text
    assert "Another disk: 1 byte of 90 bytes free\n" in text
    assert "   MORE THAN THE CARD HAS: transformer 2.6," in text
    assert "   MORE THAN IS FREE NOW: autoencoder 0.5," in text
    end = " ".join(text.partition("Worth knowing before you start")[2].split())
    assert (
        "Will not fit encoded clips, videos: 110 bytes are needed and 100 bytes are free; make room, or name folders "
        "on another disk: cache_dir_vae, output_dir. encoding texts:"
    ) in end
    lacking = "training: 11.1 GiB of GPU memory, more than the card has; less with train_batch_size, resolution."
    assert lacking in end
    assert (
        "encoding clips: 5.9 GiB of GPU memory, more than is free now; end what else uses it; less with resolution."
    ) in end
    assert "5 shortages, " in text.splitlines()[1]


def test_without_a_gpu_memory_is_an_estimate_for_any(full: Outlook) -> None:
    text = page(replace(full, card=None))
    assert "GPU memory, estimated: no GPU was found here\n" in text
    assert "MORE THAN" not in text


def test_a_resumed_run_says_what_is_done() -> None:
    length = replace(small().length, total_steps=3000, done=1000, checkpoints=6)
    assert "  done so far     1,000 steps, saved in a checkpoint; 2,000 are left\n" in page(
        replace(small(), length=length)
    )


def on_console(outlook: Outlook, *, width: int, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system="standard" if terminal else None)
    print_outlook(outlook, console, command=COMMAND)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_the_page_as_it_is(full: Outlook, width: int) -> None:
    printed = on_console(full, width=width, terminal=True)
    assert "\x1b[1m" in printed
    assert "\x1b[33m" in printed
    screen = pyte.Screen(width, 200)
    pyte.Stream(screen).feed(printed.replace("\n", "\r\n"))
    assert [line.rstrip() for line in screen.display if line.strip()] == [
        line for line in page(full, width=width).splitlines() if line
    ]


def test_a_pipe_gets_the_page_without_colours(full: Outlook) -> None:
    assert on_console(full, width=80, terminal=False) == page(full, width=80) + "\n"


def test_the_page_fits_a_stream_that_is_ascii_only(full: Outlook) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_outlook(full, Console(file=file, width=80), command=COMMAND)


def test_the_json_holds_the_record_in_its_order_and_unrounded(full: Outlook) -> None:
    text = outlook_json(full)
    read = json.loads(text)
    assert read == json.loads(json.dumps(asdict(full)))
    assert read["length"]["epochs"] == full.length.epochs
    assert read["memory"][2]["parts"][5] == ["kept for the backward pass", 8_873_256_320]
    assert list(read) == [field.name for field in fields(Outlook)]
    assert text.splitlines()[1] == '  "run": "output/wan",'
    assert text.isascii()
