"""The data sheet says what is true of each sample, shows captions as text, and leaves nothing out without a word."""

from __future__ import annotations

import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reeltune.contracts.clip import Bucket, ClipInfo, FileRef, ManifestRow, Placement, Sample
from reeltune.report.sheet import Card, LeftOut, Sheet
from reeltune.report.sheet_page import page_html
from reeltune.report.sheet_picture import Tile, contact_sheet, evenly, thumbnail
from reeltune.report.sheet_words import facts_of, frame_label, speed_of, told

HOSTILE = '<script>document.title="mine"</script> <img src=x onerror=alert(1)> & "quotes"\n\'too\''


def sample(
    *, fps: float = 24.0, total: int = 120, indices: tuple[int, ...] = (24, 25, 27, 28, 30), **changes: Any
) -> Sample:
    """Return five frames at 16 fps out of a clip of 24 fps: 832x480 from the middle of 1920x1080."""
    base = Sample(
        dataset_id="clips",
        file=FileRef(Path("/clips/a cat.mp4"), 1, 1),
        info=ClipInfo(1920, 1080, tuple(index / fps for index in range(total)), total / fps),
        placement=Placement(Bucket(832, 480, len(indices)), indices, 853, 480, crop_left=10, crop_top=0),
        captions=("a cat",),
    )
    return replace(base, **changes)


class Reader(HTMLParser):
    """Takes a page apart as a browser does. captions: their texts. tags: what was opened, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.captions: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "ul":
            self._inside.append(dict(attrs).get("class") or "")
        if tag == "li" and self._inside[-1:] == ["captions"]:
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "ul":
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside[-1:] == ["captions"]:
            self.captions[-1] += data


def sheet(*cards: Card, **changes: Any) -> Sheet:
    base = Sheet("my-run", 16.0, cards, samples=len(cards))
    return replace(base, **changes)


def test_the_span_lasts_until_the_next_frame_is_shown() -> None:
    assert sample().span_s == (1.0, pytest.approx(31 / 24))
    assert sample(total=31).span_s == (1.0, pytest.approx(31 / 24))


@pytest.mark.parametrize(
    ("fps", "indices", "words"),
    [
        (24.0, tuple(step * 24 // 16 for step in range(73)), "24 to 16 fps, at the clip's own speed"),
        (30.0, tuple(step * 30 // 16 for step in range(5)), "30 to 16 fps, at the clip's own speed"),
        (24.0, tuple(range(73)), "24 to 16 fps, at 0.667 times the clip's own speed"),
        (15.0, tuple(range(73)), "15 to 16 fps, at 1.07 times the clip's own speed"),
        (23.976, (7,), ""),
    ],
)
def test_the_speed_is_that_of_the_time_stamps(fps: float, indices: tuple[int, ...], words: str) -> None:
    assert speed_of(sample(fps=fps, total=200, indices=indices), 16.0) == words


def test_the_facts_say_what_was_taken_from_where() -> None:
    facts = dict(facts_of(sample(window=1, windows=3), 16.0))
    assert facts["window"] == "2 of 3"
    assert facts["source"] == "1920x1080, 24 fps, 120 frames, 5.00 s"
    assert facts["seconds"] == "1.00 to 1.29 s, frames 24 to 30 of the source"
    assert facts["resize"] == "1920x1080 to 853x480"
    # 853 / 1920 of a pixel: ten pixels after the resize are 22.5 before it.
    assert facts["crop"] == "832x480 at (10, 0) of that: 1873x1080 at (23, 0) of the source"
    assert frame_label(sample(), 2) == "2: source frame 27, 1.125 s"


def test_captions_and_names_are_text_on_the_page() -> None:
    odd = FileRef(Path("/clips/<s>&\udcff.mp4"), 1, 1)
    card = Card(sample(captions=(HOSTILE, "two"), file=odd), media='a"b.mp4', trouble=HOSTILE)
    left = LeftOut(ManifestRow(Path("/clips/<i>.mp4"), None, f"odd: {HOSTILE}", "<u>"))
    page = Reader(page_html(sheet(card, left_out=(left,))))
    assert page.captions == [HOSTILE, "two"]
    assert [tag for tag, _ in page.tags].count("script") == 1
    # The page itself has <i> for its bars of time and no other: one per sample.
    assert [tag for tag, _ in page.tags if tag in ("s", "u", "i")] == ["i"]
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert [attributes["src"] for tag, attributes in page.tags if tag == "video"] == ["media/a%22b.mp4"]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = page_html(sheet(Card(sample(), media="a.mp4", contact="a.png"), overviews={Bucket(832, 480, 5): ("b.png",)}))
    places = [attributes.get("src") or attributes.get("href") for _, attributes in Reader(text).tags]
    assert set(filter(None, places)) == {"media/a.mp4", "media/a.png", "media/b.png"}
    assert "http" not in text


def test_every_file_that_is_left_out_is_listed_with_its_reason() -> None:
    rows = [ManifestRow(Path(f"/clips/{number}.mp4"), None, f"too short: by {number}") for number in range(700)]
    text = Reader(page_html(sheet(left_out=tuple(map(LeftOut, rows))))).text
    assert all(f"/clips/{number}.mp4by {number}" in text for number in range(700))
    assert "too short: 700" in text


def test_what_is_beyond_the_most_is_said() -> None:
    text = Reader(page_html(sheet(Card(sample()), samples=412))).text
    assert "411 samples of 412 not shown" in text
    assert told(sheet(Card(sample()), samples=412), Path("/sheet/index.html")) == (
        "The sheet shows 1 sample of 412, 0 files left out. Open it in a browser: /sheet/index.html"
    )


def test_parts_that_change_with_each_epoch_are_said_to() -> None:
    assert "Of a, b, each epoch shows other parts" in page_html(sheet(Card(sample()), redrawn=("a", "b")))
    assert "each epoch" not in page_html(sheet(Card(sample())))


def test_one_bad_sample_among_good_ones_is_marked() -> None:
    good, bad = Card(sample(), round_trip_db=33.0), Card(sample(), round_trip_db=12.0)
    shown = sheet(good, good, bad)
    assert [shown.is_marked(card) for card in shown.cards] == [False, False, True]
    assert shown.is_marked(Card(sample(), trouble="damaged"))


def test_an_autoencoder_that_is_bad_at_everything_is_one_notice() -> None:
    shown = sheet(Card(sample(), round_trip_db=12.0), Card(sample(), round_trip_db=11.0))
    assert not any(map(shown.is_marked, shown.cards))
    assert "Most samples come back below 20 dB" in page_html(shown)


@pytest.mark.parametrize(("count", "most"), [(1, 16), (5, 16), (16, 16), (17, 16), (81, 16), (81, 1)])
def test_frames_are_chosen_evenly_with_both_ends(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert chosen[0] == 0
    assert most == 1 or chosen[-1] == count - 1
    gaps = np.diff(chosen)
    assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(("width", "height"), [(832, 480), (480, 832), (96, 64), (32, 2048)])
def test_a_thumbnail_keeps_its_aspect_and_has_room_for_a_label(width: int, height: int) -> None:
    small = thumbnail(np.zeros((height, width, 3), np.uint8))
    assert small.shape[1] >= 190
    assert small.shape[1] / small.shape[0] == pytest.approx(width / height, rel=0.01)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_a_contact_sheet_shows_every_tile_whole(tmp_path: Path) -> None:
    colors = [(200, 10 * number, 40) for number in range(7)]
    tiles = [Tile(np.full((40, 200, 3), color, np.uint8), f"frame {number}") for number, color in enumerate(colors)]
    contact_sheet(tmp_path / "a.png", tiles, columns=4, title=["a caption"], facts=["file: a.mp4"])
    pixels = opened(tmp_path / "a.png")
    assert [int((pixels == color).all(axis=2).sum()) for color in colors] == [40 * 200] * 7


def test_a_huge_caption_stays_a_heading(tmp_path: Path) -> None:
    tiles, started = [Tile(np.zeros((40, 200, 3), np.uint8), "x" * 100_000)], time.monotonic()
    contact_sheet(tmp_path / "a.png", tiles, columns=4, title=["a\udcff\n" * 300_000], facts=["\0"])
    assert len(opened(tmp_path / "a.png")) < 500
    assert time.monotonic() - started < 5
