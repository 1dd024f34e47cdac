"""What a trust list says, as values (ETSI TS 119 612), and which of its services are anchors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from foundation.clock import rfc3339

SOURCE = "trust-list"  # what anchors from here call themselves
_BASE = "http://uri.etsi.org/TrstSvc"
AUTHORITIES = frozenset({f"{_BASE}/Svctype/CA/QC", f"{_BASE}/Svctype/CA/PKC"})
CURRENT = frozenset(
    {
        f"{_BASE}/TrustedList/Svcstatus/granted",
        f"{_BASE}/TrustedList/Svcstatus/recognisedatnationallevel",
    }
)


@dataclass(frozen=True)
class Service:
    """A service of a list: URIs of its type and status, since when, and the certificates that it is known by."""

    kind: str
    name: str
    status: str
    since: datetime
    certificates: tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class TrustList:
    """A list that stood up. ``signer``: SHA-256 of the certificate that signed it, hex."""

    territory: str
    operator: str
    sequence: int
    issued: datetime
    next_update: datetime | None
    services: tuple[Service, ...]
    signer: str

    def json(self) -> dict[str, Any]:
        """What was used of it."""
        return {
            "territory": self.territory,
            "operator": self.operator,
            "sequence": self.sequence,
            "issued": rfc3339(self.issued),
            "next_update": rfc3339(self.next_update) if self.next_update else None,
            "signer": self.signer,
            "anchors": len(self.anchors()),
        }

    def anchors(self) -> tuple[x509.Certificate, ...]:
        """The certificates of authorities that are granted or recognised now, each once."""
        chosen = (one for one in self.services if one.kind in AUTHORITIES and one.status in CURRENT)
        return tuple(dict.fromkeys(certificate for one in chosen for certificate in one.certificates))
