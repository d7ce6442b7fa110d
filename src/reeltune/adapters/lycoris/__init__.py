"""LyCORIS adapters: the tensors of lycoris-lora's own modules, acting through our formulas on any base.

Its modules are made for their tensors, starting values and names. Their forward passes are not used: they rebuild the
whole weight, which a quantized layer does not have, turn biases along with outputs, or draw from Python's own random
numbers, which no recomputation restores.
"""

from reeltune.adapters.lycoris.adapter import Lycoris
from reeltune.adapters.lycoris.attach import attach_lycoris

__all__ = ["Lycoris", "attach_lycoris"]
