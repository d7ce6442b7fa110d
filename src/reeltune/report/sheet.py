"""What a data sheet says, as records: every sample as the model sees it, and every file that it does not see."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from reeltune.contracts.clip import Bucket, ManifestRow, Sample

DULL_DB = 20.0
"""What a trained autoencoder gives back is closer to what it was given than this."""


@dataclass(frozen=True)
class Card:
    """One sample. media, contact: names of files in the sheet's media folder; empty where nothing was decoded.

    round_trip_db: peak signal to noise ratio of the frames that came back to those that were encoded.
    trouble: what went wrong with this sample, for the person who looks.
    """

    sample: Sample
    held_out: bool = False
    media: str = ""
    contact: str = ""
    round_trip_db: float | None = None
    trouble: str = ""

    @property
    def bucket(self) -> Bucket:
        return self.sample.placement.bucket


@dataclass(frozen=True)
class LeftOut:
    """A file that the model does not see. picture: name of a file in the media folder, or empty."""

    row: ManifestRow
    picture: str = ""


@dataclass(frozen=True)
class Sheet:
    """A data sheet. title: of the run. fps: the rate that the model was trained at.

    samples: how many there are, shown or not. overviews: names of pictures in the media folder, by bucket.
    redrawn: datasets of which each epoch shows other parts.
    """

    title: str
    fps: float
    cards: tuple[Card, ...]
    left_out: tuple[LeftOut, ...] = ()
    samples: int = 0
    overviews: Mapping[Bucket, tuple[str, ...]] = field(default_factory=dict)
    redrawn: tuple[str, ...] = ()

    @property
    def buckets(self) -> dict[Bucket, list[Card]]:
        """Return the samples that are shown, by their shape; the shape with the most comes first."""
        groups: dict[Bucket, list[Card]] = {}
        for card in self.cards:
            groups.setdefault(card.bucket, []).append(card)
        return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))

    @property
    def datasets(self) -> list[str]:
        """Return the datasets of which something is shown or left out."""
        rows = [one.row.dataset_id for one in self.left_out]
        return list(dict.fromkeys([*(card.sample.dataset_id for card in self.cards), *rows]))

    @property
    def typical_db(self) -> float | None:
        """Return the median round trip; None where none was measured."""
        measured = [card.round_trip_db for card in self.cards if card.round_trip_db is not None]
        return statistics.median(measured) if measured else None

    def is_dull(self, card: Card) -> bool:
        """Tell whether a sample came back worse than it should, where most samples come back well."""
        return card.round_trip_db is not None and card.round_trip_db < DULL_DB <= (self.typical_db or 0)

    def is_marked(self, card: Card) -> bool:
        """Tell whether a person should look at a sample first."""
        return bool(card.trouble) or self.is_dull(card)
