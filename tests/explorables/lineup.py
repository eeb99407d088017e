"""What the explorables say to two shapes below each other, as `lineup.js` draws them."""

from __future__ import annotations

MISSING = "missing, counts as 1"


def size(n: int | None) -> str:
    """A size, or what is heard where a shape lacks one."""
    return MISSING if n is None else str(n)


def verdict(m: int | None, n: int | None) -> str:
    """Why a size of a and a size of b broadcast or do not, where None is missing."""
    if None in (m, n):
        longer = max(m or 0, n or 0)
        return f"missing in {'ab'[n is None]}, counts as 1" + (f", repeated {longer} times" if longer != 1 else "")
    if m == n:
        return "equal"
    if 1 in (m, n):
        return f"the 1 of {'ab'[n == 1]} is repeated {n if m == 1 else m} times"
    return f"refused: {m} and {n} differ"


def broadcast_size(m: int | None, n: int | None) -> str:
    """The size of the result, or a question mark."""
    found = {m, n} - {1, None} or {1}
    return str(*found) if len(found) == 1 else "?"
