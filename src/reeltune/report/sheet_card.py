"""One sample of a data sheet as HTML: the video, the captions, and which part of the source it is."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from urllib.parse import quote

from reeltune.report.sheet import Card, Sheet
from reeltune.report.sheet_words import facts_of, is_whole, name_of, window_of

MEDIA = "media"
"""The folder beside the page that the pictures and videos lie in."""


def card_html(card: Card, *, number: int, sheet: Sheet) -> str:
    """Return one sample as an article. number: by which it is found in the overview."""
    sample = card.sample
    marked = " marked" * sheet.is_marked(card)
    head = f'data-bucket="{card.bucket}" data-dataset="{escape(sample.dataset_id)}"'
    return "".join(
        [
            f'<article class="card{marked}" id="sample-{number}" {head}>',
            f'<div class="screen">{_screen(card, sheet.fps)}</div>',
            '<div class="words"><div class="searched">',
            f"<h3>{number}. {escape(name_of(card.sample))}</h3>",
            f'<ul class="captions">{_captions(card)}</ul></div>',
            f'<ul class="badges">{"".join(_badges(card, sheet))}</ul>',
            f'<p class="trouble">{escape(card.trouble)}</p>' if card.trouble else "",
            _span(card),
            "<details><summary>frames and facts</summary>",
            _contact(card),
            _crop(card),
            f"<dl>{_facts(card, sheet.fps)}</dl></details>",
            "</div></article>",
        ]
    )


def link_to(name: str, words: str) -> str:
    """Return a link to a file of the media folder."""
    return f'<a href="{address(name)}">{escape(words)}</a>'


def address(name: str) -> str:
    """Return where a file of the media folder is, as the page names it."""
    return f"{MEDIA}/{quote(name, errors='replace')}"


def _screen(card: Card, fps: float) -> str:
    bucket, words = card.bucket, escape(", ".join(card.sample.captions) or name_of(card.sample))
    size = f'width="{bucket.width}" height="{bucket.height}"'
    if not card.media:
        return '<p class="none">nothing to show</p>'
    if bucket.frames == 1:
        return f'<img loading="lazy" src="{address(card.media)}" {size} alt="{words}">'
    return (
        f'<video src="{address(card.media)}" {size} preload="none" muted loop playsinline controls '
        f'data-frames="{bucket.frames}" data-fps="{fps:g}" aria-label="{words}"></video>'
    )


def _captions(card: Card) -> str:
    return "".join(f"<li>{escape(caption)}</li>" for caption in card.sample.captions)


def _badges(card: Card, sheet: Sheet) -> Iterator[str]:
    sample = card.sample
    if window := window_of(sample):
        yield f"<li>window {window}</li>"
    if card.held_out:
        yield "<li>held out</li>"
    if len(sheet.datasets) > 1:
        yield f"<li>{escape(sample.dataset_id)}</li>"
    if card.round_trip_db is not None:
        warn = ' class="warn"' * sheet.is_dull(card)
        yield f"<li{warn}>round trip {card.round_trip_db:.1f} dB</li>"


def _span(card: Card) -> str:
    """Draw which part of the source's time is shown."""
    info = card.sample.info
    if info.frames == 1:
        return ""
    start, stop = card.sample.span_s
    left, width = 100 * start / info.end_s, 100 * (stop - start) / info.end_s
    return (
        f'<span class="span" aria-hidden="true"><i style="left:{left:.2f}%;width:{width:.2f}%"></i></span>'
        f'<div class="spoken"><span>{start:.2f} to {stop:.2f} s</span><span>of {info.end_s:.2f} s</span></div>'
    )


def _contact(card: Card) -> str:
    if not card.contact:
        return ""
    words = f"frames of {escape(name_of(card.sample))} side by side"
    return (
        f'<a href="{address(card.contact)}">'
        f'<img class="contact" loading="lazy" src="{address(card.contact)}" alt="{words}"></a>'
    )


def _crop(card: Card) -> str:
    """Draw which part of the resized picture is kept, where something is cut off."""
    if is_whole(card.sample):
        return ""
    placement, bucket = card.sample.placement, card.bucket
    width, height = placement.resize_width, placement.resize_height
    return (
        f'<svg class="crop" viewBox="-2 -2 {width + 4} {height + 4}" role="img" aria-label="the part that is kept">'
        f'<rect class="source" width="{width}" height="{height}"/>'
        f'<rect class="taken" x="{placement.crop_left}" y="{placement.crop_top}" '
        f'width="{bucket.width}" height="{bucket.height}"/></svg>'
    )


def _facts(card: Card, fps: float) -> str:
    return "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts_of(card.sample, fps))
