"""`reeltune data <what>`: look at the data as training will see it."""

from __future__ import annotations

from reeltune.cli.group import Group

LINE = "look at the data as training will see it: files, captions, frames, what broke"

_GROUP = Group(__name__, ("manifest", "captions", "sheet", "quarantine"))
add_arguments, run = _GROUP.add_arguments, _GROUP.run
