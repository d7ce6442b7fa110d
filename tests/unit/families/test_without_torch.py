"""What a plan needs is told in a second, so it opens without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

PLAN_NEEDS = (
    "reeltune.families",
    "reeltune.families.wan.description",
    "reeltune.randomness",
    "reeltune.data.scan",
    "reeltune.data.sampler",
    "reeltune.data.manifest",
    "reeltune.train.schedule",
    "reeltune.cache.keys",
)


@pytest.mark.parametrize("module", PLAN_NEEDS)
def test_a_module_that_a_plan_needs_opens_without_torch(module: str) -> None:
    look = f"import sys, {module}; print({{'torch', 'diffusers', 'transformers', 'peft'}} & sys.modules.keys())"
    outcome = subprocess.run([sys.executable, "-c", look], check=True, text=True, capture_output=True)
    assert outcome.stdout.strip() == "set()"
