"""Files on the web: what a server says of an address, and its bytes, over HTTP and HTTPS."""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reeltune.data.sources import tries
from reeltune.data.sources.tries import Broken, Refused, words_of

CONNECT_S, READ_S = 10.0, 60.0
"""Seconds to wait for a connection, and for the next bytes."""

SLOWEST = 64 * 1024
"""Bytes that must come in READ_S: a server that drips bytes would otherwise hold a run for ever."""

AT_ONCE = 16
"""Addresses that are asked at the same time."""

LARGEST = 64 * 2**30
"""Bytes of a file that are fetched at most. One whose size is not announced may also not outgrow the free room."""

_CHUNK = 2**20
SUFFIXES = {
    "video/mp4": ".mp4",
    "video/x-m4v": ".m4v",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/avi": ".avi",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/apng": ".apng",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
    "image/avif": ".avif",
}
"""Extensions of what servers call a file, for addresses that have none."""

_NO_HEAD = (400, 403, 404, 405, 406, 501)
"""What servers answer that know GET only; an address signed for GET is forbidden to HEAD."""

_TOO_LARGE = f"no more is fetched than {LARGEST >> 30} GiB"

_ADVICE = {
    401: "it needs a login; use addresses that are open, or fetch the files yourself",
    403: "it is not open to us, or its signature has expired; renew the address",
    404: "correct the address, or take the row out",
    410: "it is gone for good; take the row out",
}


@dataclass(frozen=True)
class Headers:
    """What a server says of a file before its bytes. size_bytes: -1 where it does not say."""

    size_bytes: int
    etag: str
    modified: str
    kind: str


def look_at(addresses: Sequence[str]) -> list[Headers | Refused | Broken]:
    """Ask for the headers of each address, many at once; what failed after three tries stands for its answer."""
    if not addresses:
        return []
    import asyncio

    return asyncio.run(_look_at_all(addresses))


def bring(address: str, target: Path) -> Headers:
    """Write the bytes of an address to a file, and return the headers they came with. Raises Broken or Refused."""
    import asyncio

    return asyncio.run(_bring(address, target))


async def _look_at_all(addresses: Sequence[str]) -> list[Headers | Refused | Broken]:
    import asyncio

    some = asyncio.Semaphore(AT_ONCE)

    async def looked(session: Any, address: str) -> Headers | Refused | Broken:
        async with some:
            for pause_s in (*tries.PAUSES_S, None):
                try:
                    return await _worded(lambda: _look(session, address))
                except Refused as error:
                    return error
                except Broken as error:
                    if pause_s is None:
                        return error
                    await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns")

    async with _session() as session:
        return await asyncio.gather(*(looked(session, address) for address in addresses))


async def _look(session: Any, address: str) -> Headers:
    async with session.head(_exact(address), allow_redirects=True) as answer:
        if answer.status not in _NO_HEAD:
            _check(answer.status, answer.reason)
            return _headers(answer)
    # The body of this one is never read: it ends with the connection.
    async with session.get(_exact(address)) as answer:
        _check(answer.status, answer.reason)
        return _headers(answer)


async def _bring(address: str, target: Path) -> Headers:
    async def brought() -> Headers:
        async with _session() as session, session.get(_exact(address)) as answer:
            _check(answer.status, answer.reason)
            announced = _headers(answer)
            if announced.size_bytes > LARGEST:
                raise Refused(f"it has {announced.size_bytes} bytes, and {_TOO_LARGE}")
            came = await _write(answer, target, is_announced=announced.size_bytes != -1)
            if announced.size_bytes not in (-1, came) and "Content-Encoding" not in answer.headers:
                raise Broken(f"{came} bytes came of the {announced.size_bytes} that were announced")
            return announced

    return await _worded(brought)


async def _write(answer: Any, target: Path, *, is_announced: bool) -> int:
    came, at, then = 0, 0, time.monotonic()
    with target.open("wb") as file:
        async for chunk in answer.content.iter_chunked(_CHUNK):
            file.write(chunk)
            came += len(chunk)
            # A server that never ends must not fill the disk.
            if not is_announced and came > min(LARGEST, shutil.disk_usage(target.parent).free):
                raise Refused(f"{came} bytes came, no end was announced, and {_TOO_LARGE} or the free room of the disk")
            if time.monotonic() - then > READ_S:
                if came - at < SLOWEST:
                    raise Broken(f"only {came - at} bytes came in {READ_S:g} s")
                at, then = came, time.monotonic()
    return came


async def _worded(action: Callable[[], Awaitable[Headers]]) -> Headers:
    """Turn what the client raises into what can be said and tried again."""
    import aiohttp

    try:
        return await action()
    except (aiohttp.InvalidURL, aiohttp.TooManyRedirects) as error:
        raise Refused("the address leads nowhere; correct it") from error
    except TimeoutError as error:
        raise Broken(f"the server fell silent for {READ_S:g} s; try again later") from error
    except aiohttp.ClientPayloadError as error:
        raise Broken("the connection broke off before the end; run the command again") from error
    except aiohttp.ClientError as error:
        raise Broken(f"the connection failed: {words_of(error)}; check the address and the network") from error


def _check(status: int, reason: str | None) -> None:
    if status < 400:
        return
    said = f"the server answers {status} {reason or ''}".rstrip()
    if status >= 500 or status in (408, 425, 429):
        raise Broken(f"{said}; try again later")
    raise Refused(f"{said}; {_ADVICE.get(status, 'correct the address, or fetch the file yourself')}")


def _headers(answer: Any) -> Headers:
    length = answer.content_length if "Content-Encoding" not in answer.headers else None
    return Headers(
        size_bytes=-1 if length is None else length,
        etag=answer.headers.get("ETag", ""),
        modified=answer.headers.get("Last-Modified", ""),
        kind=answer.content_type or "",
    )


def _session() -> Any:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S)
    # Compressed on the way, a file's announced length would be another one.
    headers = {"Accept-Encoding": "identity"}
    return aiohttp.ClientSession(timeout=timeout, trust_env=True, headers=headers, requote_redirect_url=False)


def _exact(address: str) -> Any:
    """Return an address that is sent as it stands: a signature covers how it was written."""
    from yarl import URL

    return URL(address, encoded=address.isascii() and " " not in address)
