"""Whether a challenge is met (RFC 8555 §8.3, §8.4)."""

from __future__ import annotations

import hashlib
import hmac

from foundation.base64url import encoded
from issuing_ca.acme.errors import IncorrectResponse
from issuing_ca.acme.model import ChallengeKind
from issuing_ca.acme.ports import ChallengeFetcher, TextRecords


def key_authorization(token: str, thumbprint: str) -> str:
    """What shows that whoever controls the name holds the account key (RFC 8555 §8.1)."""
    return f"{token}.{thumbprint}"


def check(
    kind: ChallengeKind, name: str, token: str, thumbprint: str, fetcher: ChallengeFetcher, records: TextRecords
) -> None:
    """Look, once. Raises ConnectionFailed, DnsFailed, IncorrectResponse."""
    wanted = key_authorization(token, thumbprint)
    if kind is ChallengeKind.HTTP:
        found = fetcher.fetch(name, f"/.well-known/acme-challenge/{token}").rstrip(b" \t\r\n")
        if not hmac.compare_digest(found, wanted.encode()):
            raise IncorrectResponse
        return
    digest = encoded(hashlib.sha256(wanted.encode()).digest()).encode()
    given = records.txt(f"_acme-challenge.{name}")
    if not any(hmac.compare_digest(record.encode("latin-1", "replace"), digest) for record in given):
        raise IncorrectResponse
