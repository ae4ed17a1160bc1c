"""What can be configured of visitors' connections, and of the workers behind them.

Counterpart: `settings` has the rest, and is the struct that is loaded. Never: a default that refuses what browsers do.
"""

from typing import Annotated

from msgspec import Meta

from sidecar.origin_settings import OriginSettings


class VisitorSettings(OriginSettings, frozen=True, kw_only=True):
    """The settings of the visitor's end. Durations are in the unit their name ends with."""

    unready_s: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="When stopping: how long /readyz says no while visitors are still let in, in seconds, so that a balancer "
            "notices before the port closes; in Kubernetes some 5. A restart (SIGHUP) never needs it",
        ),
    ] = 0.0
    worker_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1024**4,
            description="Most memory of a worker with its children, in bytes, beside SIDECAR_MEMO_BYTES_MAX and "
            "SIDECAR_SKELETON_BYTES_MAX; one above it is replaced without a gap, one at half as much again is killed. Linux only. 0 "
            "switches it off",
        ),
    ] = 1024**3
    connections_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Most connections of visitors at once, per worker; less where the limit of open files is low (two for each "
            "connection). Further ones wait in the kernel's queue until one ends or another worker takes them",
        ),
    ] = 10_000
    proxy_protocol: Annotated[
        bool,
        Meta(
            description="Whether each connection begins with a PROXY protocol header, version 1 or 2, as HAProxy (send-proxy), "
            "AWS NLB and others send it: its source is then the visitor's address. A connection without one is closed, so "
            "switch it on only where nobody else can connect"
        ),
    ] = False
    head_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long the head of a request may take to come, in seconds from its first byte; then 408. The same for a "
            "PROXY header, from the connection on",
        ),
    ] = 20.0
    head_bytes_max: Annotated[
        int,
        Meta(
            ge=4096,
            le=16 * 1024 * 1024,
            description="Largest head of a request, in bytes; beyond it 431. One field may have 65536 at most. The request line may "
            "have 16384; beyond that 414",
        ),
    ] = 128 * 1024
    head_fields_max: Annotated[
        int, Meta(ge=16, le=10_000, description="Most header fields of one request; beyond it 431")
    ] = 256
    body_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            le=2**63 - 1,
            description="Largest body of a request, in bytes; beyond it 413, before the origin is asked where the length is said, "
            "else as soon as it is passed. 0 leaves that to the origin",
        ),
    ] = 0
