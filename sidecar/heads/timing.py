"""What the engine did with one page, for the browser's developer tools: the field Server-Timing (W3C Server Timing).

Counterpart: `proxy` measures. Never: anything about a visitor; a reason and durations alone.
"""

FIELD = b"Server-Timing"


def told(reason: str, *, decide_s: float, rewrite_s: float) -> bytes:
    """The value: a reason, what deciding and rewriting took in milliseconds, and both together. Durations in seconds."""
    metrics = [f'lm;desc="{reason}";dur={_ms(decide_s + rewrite_s)}', f"lm-decide;dur={_ms(decide_s)}"]
    if rewrite_s:
        metrics.append(f"lm-rewrite;dur={_ms(rewrite_s)}")
    return ", ".join(metrics).encode()


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f}"
