"""How many modules of a class a test has brought to life, whatever earlier tests of the process left behind."""

import gc
import weakref
from collections.abc import Callable

from torch import nn


def living_modules() -> list[nn.Module]:
    """Every module in memory."""
    return [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Module)]


def counting_from_here() -> Callable[[type[nn.Module]], int]:
    """The function returned counts the living modules of exactly that class which do not exist yet at this call."""
    gc.collect()
    earlier = weakref.WeakSet(living_modules())
    return lambda kind: sum(type(module) is kind and module not in earlier for module in living_modules())
