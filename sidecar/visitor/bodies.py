"""How long the body of a request may be, where the settings say so.

A length that is said is looked at before the origin is asked; of a body in chunks it shows when it is passed.
Counterparts: `question` has a body on its way, `proxy` answers 413. Never: a byte of a body kept.
"""

from typing import cast

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestPayloadError

from sidecar.origin.upstream import Upload

TOO_LONG = "The body of the request is too long."


def too_long(request: web.BaseRequest, bytes_max: int) -> bool:
    """Whether the request says that its body is longer."""
    length = request.headers.get("Content-Length")
    return length is not None and int(length) > bytes_max


def bounded(request: web.BaseRequest, bytes_max: int) -> StreamReader:
    """The request's body, which fails when it is longer."""
    return cast(StreamReader, Bounded(request.content, bytes_max))


def passed_limit(upload: Upload | None) -> bool:
    """Whether it is for its length that a body failed."""
    return upload is not None and isinstance(upload.content, Bounded) and upload.content.passed


class Bounded:
    """A body of at most so many bytes: as much of a stream as `Upload` asks for."""

    def __init__(self, content: StreamReader, bytes_max: int) -> None:
        self.passed = False
        self._content = content
        self._left = bytes_max

    async def readany(self) -> bytes:
        """The next piece. Raises RequestPayloadError when the body is longer than it may be."""
        piece = await self._content.readany()
        self._left -= len(piece)
        if self._left < 0:
            self.passed = True
            raise RequestPayloadError(TOO_LONG)
        return piece
