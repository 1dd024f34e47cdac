"""Units: keys of the service's own under an authority, with short-lived certificates that roll over by themselves.

One is the delegated OCSP responder of each CA (RFC 6960 §4.2.2.2), the other the timestamping unit of the TSA CA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

from cryptography import x509

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.keys.handles import public_key
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse
from issuing_ca import store
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.issuance import OCSP_RESPONDER, TSA_UNIT, Issuance
from issuing_ca.model import Authority, CertificateRequest, CertificateState
from issuing_ca.signer import Signer
from issuing_ca.store import StoredUnit

_ACTOR = "service:issuing_ca"


@dataclass(frozen=True)
class Unit:
    """A working unit: its certificate and its key."""

    certificate: x509.Certificate
    signer: Signer


class Units:
    """Gives the working unit of an authority; makes the next one in time."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        authorities: Authorities,
        issuance: Issuance,
        clock: Clock,
        settings: IssuingCaSettings,
    ) -> None:
        self._database = database
        self._keys = keys
        self._authorities = authorities
        self._issuance = issuance
        self._clock = clock
        self._settings = settings
        self._loaded: dict[tuple[str, str], tuple[int, Unit]] = {}
        self._lock = Lock()

    def ocsp_responder(self, authority: Authority) -> Unit:
        """The delegated responder of a CA."""
        return self._current(
            authority, OCSP_RESPONDER, KeyUse.OCSP_RESPONDER, "OCSP Responder", self._settings.responder_renew_before
        )

    def timestamp_unit(self, authority: Authority) -> Unit:
        """The timestamping unit of the TSA CA."""
        return self._current(authority, TSA_UNIT, KeyUse.TSA, "Timestamping Unit", self._settings.tsa_renew_before)
