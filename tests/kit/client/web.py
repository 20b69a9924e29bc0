"""A web that serves what is laid ready, by URL."""

from __future__ import annotations

from collections.abc import Mapping

from kitestring.transport.border import FetchError, FetchFault
from kitestring.transport.fetch import DEFAULT_CAPS, FetchCaps, Fetched, Fetcher


class Documents(Fetcher):
    """``served``: the body by URL, or the failure; what is not there is an HTML page with status 404. ``asked`` are the
    URLs with the redirects that were allowed."""

    def __init__(self, served: Mapping[str, str | FetchFault]) -> None:
        super().__init__()
        self.served = served
        self.asked: dict[str, int] = {}

    async def fetch(
        self, url: str, *, own: bool = False, method: str = "GET", body: bytes | None = None,
        headers: Mapping[str, str] | None = None, caps: FetchCaps = DEFAULT_CAPS,
    ) -> Fetched:  # fmt: skip
        assert (own, method, body, headers) == (False, "GET", None, None)
        self.asked[url] = caps.redirects
        found = self.served.get(url)
        if isinstance(found, FetchFault):
            raise FetchError(found, "example.com is away")
        if found is None:
            return Fetched(404, "text/html", b"<!doctype html>", url)
        return Fetched(200, "text/plain", found.encode(), url)
