"""`reeltune cache <what>`: what the caches hold, whether it is whole, and what of it nobody needs any more."""

from __future__ import annotations

from reeltune.cli.group import Group

LINE = "look at encoded clips and captions: what is used, what is damaged, what nobody needs"

_GROUP = Group(__name__, ("stats", "verify", "gc"))
add_arguments, run = _GROUP.add_arguments, _GROUP.run
