"""What can be configured of visitors' connections and of the workers behind them: the types of those settings, with what
they mean.

Counterpart: `settings` has a field of each. Never: a default; those stand beside each other in `settings`.
"""

from typing import Annotated

from msgspec import Meta

ProxyProtocol = Annotated[
    bool,
    Meta(
        description="Whether each connection begins with a PROXY protocol header, version 1 or 2, as HAProxy (send-proxy), "
        "AWS NLB and others send it: its source is then the visitor's address. A connection without one is closed, so "
        "switch it on only where nobody else can connect"
    ),
]
HeadS = Annotated[
    float,
    Meta(
        gt=0,
        le=3600,
        description="How long the head of a request may take to come, in seconds from its first byte; then 408. The same for a "
        "PROXY header, from the connection on",
    ),
]
HeadBytesMax = Annotated[
    int,
    Meta(
        ge=4096,
        le=16 * 1024 * 1024,
        description="Largest head of a request, in bytes; beyond it 431. One field may have 65536 at most. The request line may "
        "have 16384; beyond that 414",
    ),
]
HeadFieldsMax = Annotated[int, Meta(ge=16, le=10_000, description="Most header fields of one request; beyond it 431")]
BodyBytesMax = Annotated[
    int,
    Meta(
        ge=0,
        le=2**63 - 1,
        description="Largest body of a request, in bytes; beyond it 413, before the origin is asked where the length is said, "
        "else as soon as it is passed. 0 leaves that to the origin",
    ),
]
ConnectionsMax = Annotated[
    int,
    Meta(
        ge=1,
        le=1_000_000,
        description="Most connections of visitors at once, per worker; less where the limit of open files is low (two for each "
        "connection). Further ones wait in the kernel's queue until one ends or another worker takes them",
    ),
]
UnreadyS = Annotated[
    float,
    Meta(
        ge=0,
        le=600,
        description="When stopping: how long /readyz says no while visitors are still let in, in seconds, so that a balancer "
        "notices before the port closes; in Kubernetes some 5. A restart (SIGHUP) never needs it",
    ),
]
WorkerBytesMax = Annotated[
    int,
    Meta(
        ge=0,
        le=1024**4,
        description="Most memory of a worker with its children, in bytes, beside SIDECAR_MEMO_BYTES_MAX and "
        "SIDECAR_SKELETON_BYTES_MAX; one above it is replaced without a gap, one at half as much again is killed. Linux only. 0 "
        "switches it off",
    ),
]
