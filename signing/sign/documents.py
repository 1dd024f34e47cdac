"""One door to all formats: a document of any form is prepared, signed with others in one call, and completed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from signing.errors import SignatureNotAccepted
from signing.forms import PADES, Form
from signing.model import Level, Signatory
from signing.pdf_options import PdfOptions
from signing.ports import SignsDigests
from signing.sign import pause
from signing.sign.ades import AdesSigner, PreparedForm
from signing.sign.pades import PadesSigner, Prepared
from signing.sign.token_signer import sign_digests
from signing.templates.appearance import Appearance

AnyPrepared = Prepared | PreparedForm


class DocumentSigner:
    """Makes signatures of every form."""

    def __init__(self, keys: SignsDigests, pades: PadesSigner, ades: AdesSigner) -> None:
        self._keys = keys
        self._pades = pades
        self.ades = ades

    def prepare(
        self,
        data: bytes,
        *,
        form: Form,
        name: str,
        signatory: Signatory,
        level: Level,
        password: str | None = None,
        options: PdfOptions | None = None,
        parallel: Signatory | None = None,
        pss: bool = False,
        appearance: Appearance | None = None,
    ) -> AnyPrepared:
        """Everything up to the digest that is to be authorised; see `PadesSigner.prepare` and `AdesSigner.prepare`.

        ``password``, ``options`` and ``appearance`` are of PDF alone; ``parallel``: who signs the same beside, in the
        same file; ``pss``: RSA signs with PSS."""
        if form == PADES:
            return self._pades.prepare(
                data,
                signatory=signatory,
                level=level,
                password=password,
                options=options or PdfOptions(),
                parallel=parallel,
                pss=pss,
                appearance=appearance,
            )
        return self.ades.prepare(data, name, form, signatory=signatory, level=level, parallel=parallel, pss=pss)

    def signatures(self, prepared: Sequence[AnyPrepared], activation: bytes | None = None) -> list[bytes]:
        """The signatures over documents of one signatory, in one call to the key store: all or none."""
        first = prepared[0]
        digests = [one.digest for one in prepared]
        return sign_digests(self._keys, first.signatory, first.algorithm, digests, activation)

    def beside(self, prepared: AnyPrepared) -> bytes | None:
        """The signature of whoever signs beside; None where nobody does."""
        other = prepared.parallel
        if other is None:
            return None
        (signature,) = sign_digests(self._keys, other.signatory, other.algorithm, [other.digest])
        return signature

    def complete(self, prepared: AnyPrepared, signature: bytes, parallel: bytes | None = None) -> bytes:
        """The signed file. TimestampUnavailable, StatusUnavailable, CertificateRevoked, SignatureNotAccepted.

        ``parallel``: what :meth:`beside` gave."""
        if isinstance(prepared, PreparedForm):
            return self.ades.complete(prepared, signature, parallel)
        return self._pades.complete(prepared, signature, parallel)

    def put_aside(self, prepared: AnyPrepared) -> bytes:
        """The octets of what waits for its signer. A form that is no PDF is made again from when it was prepared."""
        if isinstance(prepared, Prepared):
            return pause.put_aside(prepared)
        head = {
            "at": prepared.job.at.isoformat(),
            "level": prepared.level.value,
            "digest": prepared.digest.hex(),
        }
        return json.dumps(head).encode()

    def take_up(
        self, data: bytes, *, form: Form, name: str, original: bytes, password: str | None, signatory: Signatory
    ) -> AnyPrepared:
        """The inverse, for octets that a seal has vouched for. SignatureNotAccepted where it comes out otherwise."""
        if form == PADES:
            return pause.take_up(data, original=original, password=password, signatory=signatory)
        head = json.loads(data)
        at, level = datetime.fromisoformat(head["at"]), Level(head["level"])
        prepared = self.ades.prepare(original, name, form, signatory=signatory, level=level, at=at)
        if prepared.digest.hex() != head["digest"]:
            raise SignatureNotAccepted(check="SIGN-OUT-AGAIN")
        return prepared
