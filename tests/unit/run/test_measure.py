"""What is measured of a base that is loaded, and what is remembered of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from reeltune.config.load import build_config
from reeltune.families.wan.family import Wan
from reeltune.run.measure import Measurement, rounding_error_of
