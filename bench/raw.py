"""The raw cost of signatures: what `cryptography` alone does, and so what nothing built on it can beat.

Rates are per second of CPU time of this process, so that a busy machine changes them little. Other benchmarks print
:func:`raw_sign_verify_rate` beside their own rate, measured in the same run.

    python -m bench.raw [seconds for each measurement]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

_BATCH = 20


def rate(operation: Callable[[], object], seconds: float, batch: int = _BATCH) -> float:
    """How often ``operation`` runs per second of CPU time, measured for ``seconds`` of it, ``batch`` at a time."""
    for _ in range(batch):
        operation()
    count, begin = 0, time.process_time()
    while (used := time.process_time() - begin) < seconds:
        for _ in range(batch):
            operation()
        count += batch
    return count / used


def raw_sign_rate(seconds: float = 1.0, curve: ec.EllipticCurve | None = None) -> float:
    """Signatures of a digest per CPU-second (P-256 unless another curve is given)."""
    return rate(_operations(curve)[0], seconds)


def raw_verify_rate(seconds: float = 1.0, curve: ec.EllipticCurve | None = None) -> float:
    """Verifications of a signature over a digest per CPU-second."""
    return rate(_operations(curve)[1], seconds)


def raw_sign_verify_rate(seconds: float = 1.0, curve: ec.EllipticCurve | None = None) -> float:
    """Signatures, each verified after it was made as the token does it, per CPU-second."""
    sign, verify = _operations(curve)

    def both() -> None:
        sign()
        verify()

    return rate(both, seconds)


def _operations(curve: ec.EllipticCurve | None) -> tuple[Callable[[], object], Callable[[], object]]:
    curve = curve or ec.SECP256R1()
    hashed = hashes.SHA384() if curve.key_size == 384 else hashes.SHA256()
    algorithm = ec.ECDSA(Prehashed(hashed))
    digest = bytes(range(hashed.digest_size))
    key = ec.generate_private_key(curve)
    public, signature = key.public_key(), key.sign(digest, algorithm)
    return (lambda: key.sign(digest, algorithm)), (lambda: public.verify(signature, digest, algorithm))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print("raw cost with cryptography, per CPU-second        sign      verify  sign+verify")
    for name, curve in (("P-256", ec.SECP256R1()), ("P-384", ec.SECP384R1())):
        rates = (measure(seconds, curve) for measure in (raw_sign_rate, raw_verify_rate, raw_sign_verify_rate))
        print(f"  {name:<40}" + "".join(f"{value:>12,.0f}" for value in rates))


if __name__ == "__main__":
    main()
