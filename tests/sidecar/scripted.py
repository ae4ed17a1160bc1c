"""A Redis that says what a test wants it to say: errors, silence, half an answer. For the tests of `sidecar.tables.feed`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from tests.sidecar.waiting import until

NOTHING = b"$0\r\n\r\n"
"""Redis's answer where there is no value."""


@asynccontextmanager
async def saying(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[str]:
    """The URL of a server that says what `answer` makes of what it hears, and closes for None; in the end nobody is left."""
    served = set[asyncio.StreamWriter]()

    async def serve(source: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        served.add(back)
        while (asked := await source.read(65_536)) and (said := answer(asked)) is not None:
            back.write(said)
        back.close()
        await back.wait_closed()
        served.remove(back)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"
    await until(lambda: not served)
    server.close()


def by_word(said: Mapping[bytes, bytes | None]) -> Callable[[bytes], bytes | None]:
    """Answers by the first of these words that is heard; a yes to anything else."""
    return lambda asked: next((said[word] for word in said if word in asked), b"+OK\r\n" * asked.count(b"*"))
