"""What a plan says of masks: how many clips have one, and what follows. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow, samples_of
from reeltune.contracts.notes import Note
from reeltune.data.manifest import by_dataset
from reeltune.data.masks import count_masks


def mask_notes(config: Config, datasets: Datasets, rows: Sequence[ManifestRow]) -> Iterator[Note]:
    """Say how many clips of each dataset have a mask, louder where many have none. rows: of what is trained."""
    own = by_dataset(rows)
    for dataset in datasets.trained:
        masks = datasets.masks_of(dataset)
        samples = samples_of(own.get(dataset.id, []))
        if not masks or not samples:
            continue
        about, count = f"{dataset.id}.conditioning_data", count_masks(samples)
        share = config.objective.masked_loss_probability
        have = f"{count.masked} of {count.clips} clips have a mask in {masks.id}"
        yield Note("trap" if share else "fact", about, f"{have}, {_use(share)}")
        if count.masked < count.clips:
            text = f"{count.clips - count.masked} of {count.clips} clips have no mask and are trained whole"
            more = ", more than a tenth; a mask has the name of its clip" if count.lacks_many else ""
            yield Note("trap" if count.lacks_many else "fact", about, text + more)
        if config.training.tread_config:
            yield Note(
                "fact",
                "tread_config",
                f"tokens that count in a mask of {dataset.id} are never dropped: routed blocks work on as many as the "
                "largest mask of a batch needs",
            )


def _use(share: float) -> str:
    """Return what is done with masks. share: of the samples with one that are judged by it."""
    if not share:
        return "and masked_loss_probability is 0: all are trained whole"
    learned = "only what is white in it is learned"
    if share < 1:
        learned = f"in {100 * share:.3g} % of their samples {learned} (masked_loss_probability)"
    return f"and {learned}: the quickstart advises against that on this model, and it is done all the same"
