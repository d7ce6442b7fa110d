"""What adapters do to one linear layer: each kind is a record of its tensors and one formula.

A layer with weight W computes y = W x + b. A change stands for another weight W + D, and gives what is to be added to
y: D x, without building D where the formula allows. One set of formulas serves training, videos, files, and merging.

Letters: W is (out, in), r a rank; x is (..., in). Formulas work in the number type of x; for exactness give float32.
Tensors of a record may carry gradients, and may lie on another device or have another number type than x.
"""

from reeltune.adapters.changes.base import Base, Change, mapped, matrix_of, placed, uses_product
from reeltune.adapters.changes.decomposed import Decomposed, lengths
from reeltune.adapters.changes.dense import Dense, Generalized, Hadamard, Kronecker, LowRank
from reeltune.adapters.changes.scaled import Scaling
from reeltune.adapters.changes.turned import Butterfly, Rotation

__all__ = [
    "Base",
    "Butterfly",
    "Change",
    "Decomposed",
    "Dense",
    "Generalized",
    "Hadamard",
    "Kronecker",
    "LowRank",
    "Rotation",
    "Scaling",
    "lengths",
    "mapped",
    "matrix_of",
    "placed",
    "uses_product",
]
