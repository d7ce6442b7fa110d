"""How often each dataset is drawn: its part of an epoch, in exact fractions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class DatasetWeights:
    """What datasets are drawn by.

    probabilities: by dataset; one that is not named has 1.
    by_size: whether a probability multiplies the size of its dataset, or is the weight itself.
    """

    probabilities: Mapping[str, float] = field(default_factory=dict)
    by_size: bool = True

    def per_epoch(self, sizes: Mapping[str, int]) -> dict[str, Fraction]:
        """Return how many micro-batches of each dataset an epoch has, on average.

        The dataset with the most weight for its size is shown whole, and the others as their weights are to that.
        sizes: micro-batches of one pass over each dataset, at least one.
        """
        paces = {name: self._pace(name, size) for name, size in sizes.items()}
        most = max(paces.values(), default=Fraction(1))
        return {name: size * paces[name] / most for name, size in sizes.items()}

    def _pace(self, name: str, size: int) -> Fraction:
        """Return the weight of a dataset over its size: how fast it is passed."""
        # By way of the words: 0.3 is three tenths here, so that three times a tenth is exactly as much.
        probability = Fraction(str(self.probabilities.get(name, 1.0)))
        return probability if self.by_size else probability / size
