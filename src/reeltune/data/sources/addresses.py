"""Addresses of files: what may be shown of them, and what servers said of each, so that they are asked once.

A file that was fetched counts until it is deleted: neither its server nor any other is asked at the next start. When it
is deleted, or was never fetched, what the server said still names it; if other bytes come then, that is an error, the
server's words are forgotten, and the next start asks again.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from reeltune.data.sources.tries import Broken, Refused
from reeltune.data.sources.web import Headers
from reeltune.remembered import keep, recall

KEY = ("addresses",)
"""Under which it is remembered what servers said."""

Answer = Headers | Refused | Broken
"""What a server says, or why it says nothing."""

_SIGNS = re.compile(
    r"x-(amz|goog|ms|oss)-.*|awsaccesskeyid|googleaccessid|signature|expires|policy|key-pair-id|"
    r"(access_?|auth_?|id_?)?token|api_?key|key|auth|sig|sv|se|sp|sr|st|spr|skoid|sktid|skt|ske|sks|skv",
    re.IGNORECASE,
)
"""Parts of a query that let someone in, and do not say which file is meant."""


@dataclass(frozen=True)
class Address:
    """Where a file is on the web or in an object store.

    secret: the whole of it, as the table has it. shown: without user and query. name: the same with a digest of what
        of the query says which file is meant, and so the same for one file, whoever signed the address and when.
    """

    secret: str
    shown: str
    name: str

    def __repr__(self) -> str:
        return f"Address({self.name})"


def read_address(text: str) -> Address:
    """Split an address. Raises ValueError for one that is none."""
    scheme, _, rest = text.partition("://")
    if scheme.lower() == "s3":
        # What looks like a query is a part of the key here.
        place = f"s3://{rest.rpartition('@')[2] if '@' in rest.partition('/')[0] else rest}"
        return Address(text, place, place)
    parts = urlsplit(text)
    if not parts.hostname:
        raise ValueError("it names no server")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
    asked = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if not _SIGNS.fullmatch(key)]
    # The query may tell files apart, and may hold what nobody should read: its digest does the one without the other.
    digest = hashlib.blake2b(urlencode(asked).encode(), digest_size=6).hexdigest()
    return Address(text, shown, f"{shown}?{digest}" if asked else shown)


def without_access(text: str) -> str:
    """Return an address, or what was meant to be one, without its user and its query."""
    scheme, separator, rest = text.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else text


Ask = Callable[[Sequence[Address]], Sequence[Answer]]
"""Asks the servers of some addresses."""


class KnownAddresses:
    """What servers said of addresses. folder: where that is remembered."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._known = {name: Headers(**said) for name, said in (recall(folder, KEY) or {}).items()}

    def headers(self, addresses: Sequence[Address], ask: Ask) -> dict[str, Answer]:
        """Return by name what is said of each address, asking only for those that are not known."""
        missing = [address for address in addresses if address.name not in self._known]
        fresh = dict(zip((address.name for address in missing), ask(missing), strict=True))
        with self._lock:
            self._known |= {name: answer for name, answer in fresh.items() if isinstance(answer, Headers)}
            if missing:
                self._save()
        return {address.name: fresh.get(address.name) or self._known[address.name] for address in addresses}

    def confirm(self, name: str, came: Headers) -> None:
        """Raise Refused, and forget an address, where what came is not what its server said before."""
        said = self._known.get(name)
        if said is None or _same(said, came):
            return
        with self._lock:
            self._known.pop(name, None)
            self._save()
        raise Refused("the file was changed on its server since it was listed; run the command again")

    def _save(self) -> None:
        keep(self._folder, KEY, {name: asdict(said) for name, said in self._known.items()})


def _same(said: Headers, came: Headers) -> bool:
    if -1 not in (said.size_bytes, came.size_bytes) and said.size_bytes != came.size_bytes:
        return False
    # Servers behind one address may each have an etag of their own for a file that is the same.
    return said.etag == came.etag or (said.modified != "" and said.modified == came.modified)
