"""The page of a data sheet: HTML with its style and its script inside, beside one folder of pictures and videos.

Everything that comes from files, such as captions and names, is text: escaped here, and read as text by the script.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

from reeltune.contracts.clip import Bucket
from reeltune.report.outlook_words import counted
from reeltune.report.sheet import DULL_DB, Card, LeftOut, Sheet
from reeltune.report.sheet_card import address, card_html, link_to

MARK = '<meta name="generator" content="reeltune data sheet">'
"""Tells a page of ours from another one."""


def page_html(sheet: Sheet) -> str:
    """Return the text of index.html."""
    numbers = {id(card): number for number, card in enumerate(sheet.cards, start=1)}
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            MARK,
            f"<title>{escape(sheet.title)}: what the model sees</title>",
            f"<style>{_part('sheet.css')}</style>",
            "</head>",
            "<body>",
            *_head(sheet),
            "<main>",
            _filters(sheet),
            *(
                line
                for bucket, cards in sheet.buckets.items()
                for line in _bucket(sheet, bucket, [(numbers[id(card)], card) for card in cards])
            ),
            *_left_out(sheet.left_out, datasets=len(sheet.datasets)),
            "</main>",
            f"<script>{_part('sheet.js')}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _part(name: str) -> str:
    return files("reeltune.report").joinpath(name).read_text(encoding="utf-8")


def _head(sheet: Sheet) -> Iterator[str]:
    yield "<header>"
    yield "<h1>What the model sees</h1>"
    yield (
        f'<p class="dim">{escape(sheet.title)}. Every sample was decoded back from the cached latents, and every '
        f"video plays at the model's {sheet.fps:g} frames per second: nothing else is trained on.</p>"
    )
    tiles = "".join(f"<li><b>{escape(value)}</b><span>{escape(name)}</span></li>" for value, name in _totals(sheet))
    yield f'<ul class="totals">{tiles}</ul>'
    yield from (f'<p class="notice">{text}</p>' for text in _notices(sheet))
    yield '<p class="notice" id="bad" role="status" hidden></p>'
    yield "</header>"


def _totals(sheet: Sheet) -> Iterator[tuple[str, str]]:
    samples = [card.sample for card in sheet.cards]
    seconds = sum(stop - start for start, stop in (sample.span_s for sample in samples))
    yield f"{len(samples):,}", "sample" if len(samples) == 1 else "samples"
    yield f"{len({sample.file.origin for sample in samples}):,}", "files"
    yield f"{len(sheet.buckets):,}", "bucket" if len(sheet.buckets) == 1 else "buckets"
    yield f"{seconds:,.1f} s", "of source"
    yield f"{len({caption for sample in samples for caption in sample.captions}):,}", "different captions"
    yield f"{len(sheet.left_out):,}", "left out"
    if sheet.typical_db is not None:
        yield f"{sheet.typical_db:.1f} dB", "median round trip"


def _notices(sheet: Sheet) -> Iterator[str]:
    """Yield what is remarkable, as HTML."""
    if (beyond := sheet.samples - len(sheet.cards)) > 0:
        yield (
            f"{counted(beyond, 'sample')} of {sheet.samples:,} not shown, to keep this page small: the first of each "
            f"bucket are here. <code>--most {sheet.samples}</code> shows all."
        )
    if sheet.redrawn:
        yield f"Of {escape(', '.join(sheet.redrawn))}, each epoch shows other parts; this is what the first one shows."
    if sheet.typical_db is not None and sheet.typical_db < DULL_DB:
        yield (
            f"Most samples come back below {DULL_DB:g} dB. A trained autoencoder gives back more: check "
            "<code>pretrained_vae_model_name_or_path</code>, unless this one is meant to be a toy."
        )
    if marked := sum(map(sheet.is_marked, sheet.cards)):
        yield f"{counted(marked, 'sample')} came back badly or not at all; tick <em>only marked</em> to see which."


def _filters(sheet: Sheet) -> str:
    buckets = _options("all buckets", map(str, sheet.buckets))
    datasets = _options("all datasets", sheet.datasets)
    return (
        '<form class="filters" role="search" aria-label="Filter the samples" onsubmit="return false">'
        '<label>caption or file <input type="search" id="text" autocomplete="off"></label>'
        f'<label>bucket <select id="bucket">{buckets}</select></label>'
        f'<label{" hidden" * (len(sheet.datasets) < 2)}>dataset <select id="dataset">{datasets}</select></label>'
        '<label class="box"><input type="checkbox" id="marked"> only marked</label>'
        '<label class="box"><input type="checkbox" id="open"> all details</label>'
        '<output id="count" aria-live="polite"></output>'
        "</form>"
    )


def _options(all_of_them: str, names: Iterable[str]) -> str:
    options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in names)
    return f'<option value="">{all_of_them}</option>{options}'


def _bucket(sheet: Sheet, bucket: Bucket, cards: Sequence[tuple[int, Card]]) -> Iterator[str]:
    length = "a picture" if bucket.frames == 1 else f"{bucket.frames} frames, {bucket.frames / sheet.fps:.2f} s"
    overviews = sheet.overviews.get(bucket, ())
    several = len(overviews) > 1
    links = [link_to(name, "first frames" + f" {page}" * several) for page, name in enumerate(overviews, start=1)]
    yield f'<section class="bucket" aria-label="{bucket}">'
    yield f"<h2>{bucket.width} x {bucket.height}, {length}</h2>"
    yield f'<p class="dim">{", ".join([counted(len(cards), "sample"), *links])}</p>'
    yield '<div class="grid">'
    yield from (card_html(card, number=number, sheet=sheet) for number, card in cards)
    yield "</div>"
    yield "</section>"


def _left_out(left_out: Sequence[LeftOut], *, datasets: int) -> Iterator[str]:
    yield '<section aria-label="Left out">'
    yield f"<h2>Left out: {counted(len(left_out), 'file') if left_out else 'nothing'}</h2>"
    if not left_out:
        yield '<p class="dim">Every file of the datasets is trained or measured.</p>'
    ordered = sorted(left_out, key=lambda one: one.row.kind)
    for kind, group in groupby(ordered, key=lambda one: one.row.kind):
        yield from _left_out_group(kind, list(group), datasets=datasets)
    yield "</section>"


def _left_out_group(kind: str, group: Sequence[LeftOut], *, datasets: int) -> Iterator[str]:
    names = ["file", "why, and what would admit it", *["dataset"] * (datasets > 1)]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    yield f"<h3>{escape(kind)}: {len(group):,}</h3>"
    yield f'<table class="left"><thead><tr>{head}</tr></thead><tbody>'
    yield from (_left_out_row(one, several=datasets > 1) for one in group)
    yield "</tbody></table>"


def _left_out_row(one: LeftOut, *, several: bool) -> str:
    dataset, reason = escape(one.row.dataset_id), escape(one.row.why)
    picture = f'<img loading="lazy" src="{address(one.picture)}" alt="">' if one.picture else ""
    cells = [f'<td class="searched">{picture}{escape(one.row.origin)}</td>', f"<td>{reason}</td>"]
    return f'<tr data-dataset="{dataset}">{"".join(cells)}{f"<td>{dataset}</td>" * several}</tr>'
