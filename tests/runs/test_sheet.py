"""`reeltune data sheet` shows what lies in the cache, as the stock autoencoder decodes it, in a page that a browser
shows whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from PIL import Image

from helpers.browser import Browser, find_browser
from helpers.cli import reeltune_here
from helpers.clips import even_times, indexed_frames, write_clip
from helpers.video import read_video
from reeltune.cli.source import Source, load_source
from reeltune.config.load import Loaded
from reeltune.contracts.clip import Bucket
from reeltune.media import write_png
from reeltune.report.console import track
from reeltune.report.sheet import Card, Sheet
from reeltune.run import sheet as sheet_module
from reeltune.run.prepare import Prepared
from reeltune.run.sheet import Wanted, choose, make_sheet, round_trip_db
from reeltune.run.training import prepare

HOSTILE = "<script>document.documentElement.dataset.owned = 1</script> & a dog"
NAME = "odd <i>&#'% name.mp4"


@dataclass(frozen=True)
class Place:
    """A folder with a configuration, and what was prepared and shown there."""

    folder: Path
    loaded: Loaded
    prepared: Prepared
    page: Path
    sheet: Sheet

    def media(self, name: str) -> Path:
        return self.page.parent / "media" / name


def datasets(place: Path) -> list[dict[str, Any]]:
    """Return two windows of each clip, one picture, one held-out clip; one clip is too short and one is no video."""
    common = {"caption_strategy": "instanceprompt", "instance_prompt": "a dog"}
    return [
        {
            "id": "clips",
            "dataset_type": "video",
            "instance_data_dir": str(place / "clips"),
            "video": {"num_frames": 5, "frame_selection": "uniform", "windows": 2},
        },
        {"id": "pictures", "dataset_type": "image", "instance_data_dir": str(place / "pictures"), **common},
        {
            "id": "measured",
            "dataset_type": "eval",
            "instance_data_dir": str(place / "measured"),
            "video": {"num_frames": 5},
            **common,
        },
        {"id": "text", "dataset_type": "text_embeds"},
    ]


def write_media(place: Path) -> None:
    for name in ("clips", "pictures", "measured"):
        (place / name).mkdir()
    frames, times = indexed_frames(48), even_times(48, 24)
    write_clip(place / "clips" / NAME, frames, times)
    (place / "clips" / NAME).with_suffix(".txt").write_text(f"{HOSTILE}\na cat\n", encoding="utf-8")
    write_clip(place / "clips/plain.mp4", frames, times)
    write_clip(place / "clips/short.mp4", frames[:3], times[:4])
    (place / "clips/broken.mp4").write_bytes(b"no video" * 100)
    for name in ("plain", "short", "broken"):
        (place / f"clips/{name}.txt").write_text("a plain cat", encoding="utf-8")
    write_png(place / "pictures/one.png", frames[5])
    write_clip(place / "measured/away.mp4", frames[:24], times[:25])


@pytest.fixture(scope="module")
def place(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("sheet")
    write_media(folder)
    (folder / "data.json").write_text(json.dumps(datasets(folder)), encoding="utf-8")
    config = {
        "model_family": "wan",
        "model_type": "lora",
        "pretrained_model_name_or_path": str(tiny_model),
        "mixed_precision": "no",
        "data_backend_config": str(folder / "data.json"),
        "cache_dir": str(folder / "cache"),
        "output_dir": str(folder / "output/my-run"),
        "resolution": 96,
        "resolution_type": "pixel_area",
        "aspect_bucket_alignment": 16,
        "max_train_steps": 1,
        "eval_steps_interval": 1,
        "validation_disable": True,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = load_source(Source((folder / "config.json",), {}))
    kept: list[Prepared] = []

    def remembering(*words: Any, **named: Any) -> Prepared:
        kept.append(prepare(*words, **named))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheet_module, "prepare", remembering)
        page, sheet = make_sheet(
            loaded, Wanted(folder / "output/sheet", most=200, pictures_of_left_out=True), track=track
        )
    return Place(folder, loaded, kept[0], page, sheet)


def made_again(place: Place, wanted: Wanted) -> tuple[Path, Sheet]:
    """Make another sheet of what was prepared already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheet_module, "prepare", lambda loaded, track: place.prepared)
        return make_sheet(place.loaded, wanted, track=track)


def cards_of(place: Place, dataset: str) -> list[Card]:
    return [card for card in place.sheet.cards if card.sample.dataset_id == dataset]


def as_stock_decodes(vae: AutoencoderKLWan, latents: torch.Tensor) -> np.ndarray:
    mean, std = (torch.tensor(vae.config[f"latents_{name}"]).view(1, -1, 1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        (video,) = vae.decode(latents[None] * std + mean, return_dict=False)[0]
    return ((video / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()


def test_each_video_is_what_lies_in_the_cache_at_the_models_rate(place: Place, tiny_model: Path) -> None:
    items = [*place.prepared.items, *place.prepared.held_out]
    stock = AutoencoderKLWan.from_pretrained(tiny_model / "vae").eval()
    assert len(items) == len(place.sheet.cards) == 6
    for card, item in zip(place.sheet.cards, items, strict=True):
        expected = as_stock_decodes(stock, item.latents.read(0))
        shown = np.stack(list(read_video(place.media(card.media))))
        assert shown.shape == expected.shape
        if len(expected) == 1:
            assert np.array_equal(shown, expected)
            continue
        # H.264 with its halved colors loses some of the random autoencoder's loud ones; another frame is far off.
        assert round_trip_db(shown, expected) > 20 > 15 > round_trip_db(shown[1:], expected[:-1])
        with av.open(str(place.media(card.media))) as container:
            assert container.streams.video[0].average_rate == 16


def test_pictures_windows_and_held_out_samples_are_all_there(place: Place) -> None:
    assert [card.sample.window for card in cards_of(place, "clips")] == [0, 1, 0, 1]
    assert [card.media.endswith(".png") for card in cards_of(place, "pictures")] == [True]
    assert [card.held_out for card in cards_of(place, "measured")] == [True]
    for card in place.sheet.cards:
        with Image.open(place.media(card.contact)) as contact:
            assert contact.width >= 600
    assert {bucket.frames for bucket in place.sheet.overviews} == {1, 5}
    assert all(place.media(name).is_file() for names in place.sheet.overviews.values() for name in names)


def test_what_is_left_out_is_listed_with_a_picture_where_there_is_one(place: Place) -> None:
    left = {one.row.path.name: one for one in place.sheet.left_out}
    assert set(left) == {"short.mp4", "broken.mp4"}
    assert place.media(left["short.mp4"].picture).is_file()
    assert not left["broken.mp4"].picture
    page = place.page.read_text(encoding="utf-8")
    assert all(name in page for name in left)


def test_the_round_trip_is_the_peak_signal_to_noise_ratio(place: Place) -> None:
    given = np.random.default_rng(0).integers(0, 200, (3, 4, 5, 3), dtype=np.uint8)
    assert round_trip_db(given + 10, given) == pytest.approx(10 * np.log10(255**2 / 100))
    assert round_trip_db(given, given) == np.inf
    assert all(card.round_trip_db and 3 < card.round_trip_db < 40 for card in place.sheet.cards)


def test_the_first_of_each_bucket_come_first(place: Place) -> None:
    card = place.sheet.cards[0]

    def of(width: int) -> sheet_module.Shown:
        placement = replace(card.sample.placement, bucket=Bucket(width, 64, 5))
        return sheet_module.Shown(replace(card.sample, placement=placement), place.prepared.items[0], held_out=False)

    many = [of(width) for width in (64, 64, 64, 96, 96, 128)]
    assert [one.sample.placement.bucket.width for one in choose(many, 3)] == [64, 96, 128]
    assert [one.sample.placement.bucket.width for one in choose(many, 4)] == [64, 64, 96, 128]
    assert choose(many, 99) == many


def test_a_damaged_entry_is_said_and_the_rest_is_shown(place: Place, tmp_path: Path) -> None:
    entry = next((place.folder / "cache").rglob(f"{place.prepared.items[0].latent_key}*"))
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-4] + bytes(4))
    page, sheet = made_again(place, Wanted(tmp_path / "sheet", most=2, dataset="clips"))
    entry.write_bytes(whole)
    assert [bool(card.trouble) for card in sheet.cards] == [True, False]
    assert "damaged" in sheet.cards[0].trouble
    assert not sheet.cards[0].media
    assert sheet.samples == 4
    assert "2 samples of 4 not shown" in page.read_text(encoding="utf-8")


def test_a_new_sheet_takes_the_place_of_an_old_one_and_of_nothing_else(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "sheet"
    (folder / "media").mkdir(parents=True)
    stale, own = folder / "media/sample-00009-gone.mp4", folder / "media/notes.txt"
    stale.write_bytes(b"")
    own.write_text("mine", encoding="utf-8")
    shutil.copy(place.page, folder)
    made_again(place, Wanted(folder, most=1, dataset="pictures"))
    assert not stale.exists()
    assert own.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "media"]


@pytest.mark.parametrize(
    ("out", "words"), [("clips/sheet", "is a dataset's folder"), ("config.json", "something else"), (".", "else")]
)
def test_it_never_writes_among_other_files(place: Place, out: str, words: str) -> None:
    before = sorted(place.folder.rglob("*"))
    ending = reeltune_here("data", "sheet", "--config", "config.json", "--out", out, cwd=place.folder)
    assert ending.returncode == 2
    assert words in ending.stderr
    assert sorted(place.folder.rglob("*")) == before


def test_a_dataset_that_is_not_there_is_refused_with_those_that_are(place: Place) -> None:
    ending = reeltune_here("data", "sheet", "--config", "config.json", "--dataset", "nope", cwd=place.folder)
    assert ending.returncode == 2
    assert "--dataset nope: nothing of that name is trained or measured; there is clips, pictures, measured" in (
        ending.stderr
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no chromium and no chrome is installed: the page is not looked at")
    with Browser(program) as opened:
        yield opened


MEDIA = "[...document.querySelectorAll('video, img')]"


def test_a_browser_shows_every_picture_and_video(place: Place, browser: Browser) -> None:
    # Tall enough that nothing waits for scrolling.
    browser.look(width=1280, height=6000)
    browser.open(place.page.as_uri() + "#open=1")
    browser.wait_for(f"{MEDIA}.every(medium => medium.dataset.state)")
    assert browser.ask(f"{MEDIA}.map(medium => medium.dataset.state)") == ["loaded"] * (5 + 1 + 6 + 1)
    assert browser.ask("document.documentElement.dataset.bad") == "0"
    durations = browser.ask("[...document.querySelectorAll('video')].map(video => video.duration)")
    assert durations == pytest.approx([5 / 16] * 5, abs=0.02)
    browser.wait_for("[...document.querySelectorAll('video')].every(video => !video.paused && video.muted)")
    assert browser.complaints == []


def test_captions_are_text_in_a_browser(place: Place, browser: Browser) -> None:
    browser.open(place.page.as_uri())
    captions = browser.ask("[...document.querySelectorAll('.captions li')].map(line => line.textContent)")
    assert captions == [caption for card in by_bucket(place.sheet) for caption in card.sample.captions]
    assert HOSTILE in captions
    assert browser.ask("document.documentElement.dataset.owned ?? null") is None
    assert NAME in browser.ask("document.querySelector('.searched h3').textContent")


def by_bucket(sheet: Sheet) -> list[Card]:
    return [card for cards in sheet.buckets.values() for card in cards]


@pytest.mark.parametrize(
    ("fragment", "shown"),
    [("", 6), ("text=PLAIN+cat", 2), ("text=script", 2), ("dataset=measured", 1), ("marked=1", 0), ("text=cat+dog", 2)],
)
def test_filters_come_with_the_address(place: Place, browser: Browser, fragment: str, shown: int) -> None:
    browser.open(f"{place.page.as_uri()}#{fragment}")
    assert browser.ask("document.getElementById('count').value") == f"{shown} of 6 shown"
    assert browser.ask("[...document.querySelectorAll('.card')].filter(card => card.offsetParent).length") == shown


def test_what_is_typed_filters_and_is_kept_in_the_address(place: Place, browser: Browser) -> None:
    browser.open(place.page.as_uri())
    browser.press("Tab")
    assert browser.ask("document.activeElement.id") == "text"
    browser.write("plain")
    assert browser.ask("document.getElementById('count').value") == "2 of 6 shown"
    assert browser.ask("location.hash") == "#text=plain"


@pytest.mark.parametrize("width", [360, 420, 1280])
def test_nothing_is_wider_than_the_window(place: Place, browser: Browser, width: int) -> None:
    browser.look(width=width, height=800)
    browser.open(place.page.as_uri() + "#open=1")
    assert browser.ask("document.documentElement.scrollWidth <= innerWidth")


def test_it_is_dark_for_those_who_like_it_dark(place: Place, browser: Browser) -> None:
    papers = []
    for dark in (False, True):
        browser.look(width=800, height=600, dark=dark)
        browser.open(place.page.as_uri())
        papers.append(browser.ask("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(245, 246, 248)", "rgb(16, 18, 22)"]


def test_a_page_without_its_media_says_so(place: Place, browser: Browser, tmp_path: Path) -> None:
    shutil.copy(place.page, tmp_path)
    browser.look(width=1280, height=6000)
    browser.open((tmp_path / "index.html").as_uri())
    browser.wait_for("document.documentElement.dataset.bad > 0")
    assert browser.ask("document.getElementById('bad').offsetParent !== null")
    browser.complaints.clear()
