"""Which certificates a CRL is about, and where it is published."""

from __future__ import annotations

FULL, DELTA = "full", "delta"


def partition_of(serial: int, count: int) -> str:
    """The partition that a certificate belongs to."""
    return f"{count}-{serial % count}"


def ending(scope: str) -> str:
    """The last hexadecimal digits of the serial numbers in a partition (counts are powers of 16)."""
    count, _, index = scope.partition("-")
    return format(int(index), "x").zfill(len(format(int(count), "x")) - 1)


def crl_url(public_url: str, authority: str, scope: str = FULL) -> str:
    """Where a CRL is published."""
    base = f"{public_url.rstrip('/')}/crl/{authority}"
    return f"{base}.crl" if scope == FULL else f"{base}/{scope}.crl"
