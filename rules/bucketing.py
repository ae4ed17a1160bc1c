"""From a unit to a variation: deterministic, and the same as in GrowthBook's SDKs.

Source: GrowthBook SDK specification, sections "Hashing", "Bucket ranges", "Namespaces"; hash FNV-1a, 32 bit
(Fowler, Noll, Vo). Never: randomness; the same seed and unit always give the same number.
"""

from collections.abc import Sequence

_OFFSET_BASIS = 0x811C9DC5
_PRIME = 0x01000193
_MASK = 0xFFFFFFFF


def fnv1a_32(text: str) -> int:
    """FNV-1a over the UTF-16 code units of `text`, as JavaScript's charCodeAt gives them; 0 to 2**32 - 1."""
    value = _OFFSET_BASIS
    units = text.encode("utf-16-le", "surrogatepass")
    codes = map(ord, text) if len(units) == 2 * len(text) else memoryview(units).cast("H")
    for code in codes:
        value = ((value ^ code) * _PRIME) & _MASK
    return value


def hash_unit(seed: str, value: str, version: int) -> float | None:
    """Where a unit falls, 0 <= n < 1, in steps of 0.001 (version 1) or 0.0001 (version 2); None for another version."""
    if version == 2:
        return fnv1a_32(str(fnv1a_32(seed + value))) % 10_000 / 10_000
    if version == 1:
        return fnv1a_32(value + seed) % 1_000 / 1_000
    return None


def equal_weights(count: int) -> list[float]:
    """`count` equal shares of 1; [] below 1."""
    return [1 / count] * count if count >= 1 else []


def bucket_ranges(variations: int, coverage: float, weights: Sequence[float] | None) -> list[tuple[float, float]]:
    """The half-open range of each variation in 0..1.

    Each variation's range begins where its weight says and is cut to `coverage`, so that raising the coverage never
    moves a unit. Weights that don't sum to 1 (±0.01) or are too few or many count as equal.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != variations or not 0.99 <= sum(weights) <= 1.01:
        weights = equal_weights(variations)
    ranges, start = [], 0.0
    for weight in weights:
        ranges.append((start, start + coverage * weight))
        start += weight
    return ranges


def in_namespace(unit: str, namespace: Sequence[object]) -> bool:
    """Whether a unit is in the share `(id, from, to)` of a namespace; hash version 1, as GrowthBook has it."""
    name, since, until = namespace
    position = hash_unit(f"__{name}", unit, 1)
    assert position is not None
    assert isinstance(since, (int, float))
    assert isinstance(until, (int, float))
    return since <= position < until


def choose_variation(n: float, ranges: Sequence[tuple[float, float, *tuple[object, ...]]]) -> int:
    """The index of the first range that holds `n`; -1 if none does. What stands behind its two ends is the caller's."""
    for index, held in enumerate(ranges):
        if held[0] <= n < held[1]:
            return index
    return -1
