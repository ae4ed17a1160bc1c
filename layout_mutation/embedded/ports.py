"""Free ports on the loopback interface.

Never holds a port: between the answer and its use somebody else may take it, so whoever asks must cope.
"""

import random
import socket

LOOPBACK = "127.0.0.1"
PORTS = range(15_000, 32_768)
"""Below those that Linux gives to connections (`ip_local_port_range` in ip(7)), of which one may take a server's place while that is
started again. Valkey in cluster mode also listens on port + 10000."""


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {PORTS.start} and {PORTS.stop - 1}")


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now. Connections of an earlier one that still linger do not matter."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
