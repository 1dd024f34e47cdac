"""What a long CRL costs: a million entries encoded, joined, signed and verified, with the key in memory.

    python -m bench.lists [entries]

It runs in a process of its own, so that its peak memory is its own. The goal: under 3 s of CPU time and 400 MiB.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.goals import goal
from bench.raw import raw_sign_verify_rate
from foundation.x509.crl import RevokedEntry, crl_tbs, encode_entries, signed_crl
from foundation.x509.names import subject_name

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_REASONS = (None, x509.ReasonFlags.superseded, x509.ReasonFlags.key_compromise, x509.ReasonFlags.certificate_hold)


def entries(count: int) -> Iterator[RevokedEntry]:
    """Serial numbers of 16 octets; each second another date; four reasons."""
    for number in range(count):
        serial = (1 << 126) + number * 0x9E3779B97F4A7C15
        yield RevokedEntry(serial, BEGIN + timedelta(seconds=number // 4), _REASONS[number % 4])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    key = ec.generate_private_key(ec.SECP256R1())
    name = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Issuing CA")])
    issuer = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    raw = raw_sign_verify_rate(0.3)
    before = time.process_time()
    for _ in entries(count):
        pass
    made = time.process_time() - before
    before = time.process_time()
    tbs = crl_tbs(issuer, 1, BEGIN, BEGIN + timedelta(days=7), encode_entries(entries(count)))
    data = signed_crl(issuer, key, tbs)
    used = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"CRL of {count:,} entries, {len(data) / 1e6:.1f} MB: {used:.2f} s CPU, peak memory {peak:.0f} MiB")
    each = f"{used / count * 1e6:.2f} us an entry, of which {made / count * 1e6:.2f} to make it up"
    print(f"  {each}; in all {used * raw:,.0f} x sign + verify")
    if count == 1_000_000:
        goal(
            "CRL of a million entries", "3 s of CPU, 400 MiB", f"{used:.2f} s, {peak:.0f} MiB", used < 3 and peak < 400
        )
    listed = x509.load_der_x509_crl(data)
    assert listed.is_signature_valid(key.public_key())
    assert len(listed) == count


if __name__ == "__main__":
    main()
