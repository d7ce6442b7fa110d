"""One message to one address over HTTP. The address is a secret: no error that leaves this file has it."""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from reeltune import __version__
from reeltune.report.background import TryAgain

TIMEOUT_S = 5.0
LONGEST_WAIT_S = 60.0
"""A server that wants more time than this before the next message does without the message."""


class Refused(Exception):
    """The server answered that it does not take a message."""

    def __init__(self, status: int, hint: str = "") -> None:
        super().__init__(f"the server answers {status}{hint}")
        self.status = status


def post(address: str, body: bytes, *, kind: str, opener: OpenerDirector) -> None:
    """Send one message. Raises TryAgain where waiting may help, else Refused; neither shows the address."""
    # Services refuse the name that urllib gives itself.
    headers = {"Content-Type": kind, "User-Agent": f"reeltune/{__version__}"}
    try:
        with opener.open(Request(address, data=body, headers=headers, method="POST"), timeout=TIMEOUT_S):
            return
    except HTTPError as error:
        with error:
            failure = _failure(error.code, error.headers.get("Retry-After"))
    except (OSError, HTTPException) as error:
        failure = TryAgain(_reason(error))
    # Raised here, where no other error is under way whose text might have the address.
    raise failure


def opener(*, verify: bool) -> OpenerDirector:
    """Return what opens addresses: no redirects, for they would turn a message into a mere question."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return build_opener(_NoRedirects, HTTPSHandler(context=context))


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *arguments: object) -> None:
        return None


def _failure(status: int, retry_after: str | None) -> TryAgain | Refused:
    if status == 429 or status >= 500:
        after_s = _seconds(retry_after)
        if after_s is None or after_s <= LONGEST_WAIT_S:
            return TryAgain(f"the server answers {status}", after_s=after_s)
        return Refused(status, f" and wants {after_s:.0f} s of rest")
    return Refused(status, HINTS.get(status, ""))


HINTS: Mapping[int, str] = {
    401: ": the address in webhook_config is not, or no longer, valid",
    403: ": the address in webhook_config is not, or no longer, valid",
    404: ": the address in webhook_config is not, or no longer, valid",
    410: ": the address in webhook_config is not, or no longer, valid",
    413: ": the message is too large",
}


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date. None when there is none, or it cannot be read."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _reason(error: OSError | HTTPException) -> str:
    """Say why there is no answer, in words of ours or the system's only."""
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted (ssl_no_verify: true does without)"
    return (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
