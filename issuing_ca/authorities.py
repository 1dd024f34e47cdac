"""The authorities of this room: the issuing CA, the TSA CA, and the root's delegated OCSP responder.

An authority begins with a key in the token and a request; a root ceremony makes its certificate; install holds that
against the key and the chain. Checks:

AUTH-KEY       the certificate is for the key that was made for this authority
AUTH-VALIDITY  it and every certificate above it is valid now
AUTH-CHAIN     every certificate is issued, by name and signature, by the next; the last by itself
AUTH-CA        a CA may sign certificates and CRLs; the root's responder has OCSPSigning, from the root itself
AUTH-ROOT      all authorities stand under one root
AUTH-SPECIMEN  where no specimens are made, none of them is one by its name or policies, up to the root
AUTH-CRL       the root's CRL is signed by the root, newer than the one before, and current
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from threading import Lock

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.keys.handles import private_key
from foundation.keys.port import KeyStore
from foundation.x509.csr import build_csr
from foundation.x509.errors import UNREADABLE
from foundation.x509.names import subject_name
from foundation.x509.specimens import is_specimen
from issuing_ca import der_reader, store
from issuing_ca.config import IssuingCaSettings
from issuing_ca.errors import AuthorityExists, AuthorityNotInstalled, AuthorityRefused, AuthorityUnknown, RequestRefused
from issuing_ca.model import ROOT, Authority, AuthorityKind
from issuing_ca.signer import Signer
from issuing_ca.store import StoredCrl

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class Authorities:
    """Makes, installs and gives authorities. Installed ones never change, so they are read once."""

    def __init__(
        self, database: Database, keys: KeyStore, clock: Clock, audit: AuditTrail, settings: IssuingCaSettings
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._audit = audit
        self._settings = settings
        self._installed: dict[str, Authority] = {}
        self._signers: dict[str, Signer] = {}
        self._lock = Lock()

    def init(
        self, name: str, subject: Sequence[tuple[str, str]], actor: str, kind: AuthorityKind | None = None
    ) -> bytes:
        """Make the authority's key in the token and give its CSR as PEM.

        Asked again before its certificate is installed, it gives the same CSR. ``kind`` is the name's own where the
        name is one (``issuing``, ``tsa``, ``root-ocsp``). Raises AuthorityExists, RequestRefused, NameInvalid.
        """
        if not _NAME.fullmatch(name) or name == ROOT:
            raise RequestRefused(field="name")
        if kind is None:
            kind = next((one for one in AuthorityKind if one.value == name), AuthorityKind.ISSUING)
        with self._database.read() as connection:
            try:
                row = store.authority_row(connection, name)
            except AuthorityUnknown:
                row = None
        if row is not None:
            if row.certificate is not None:
                raise AuthorityExists(name=name)
            return bytes(row.request)
        distinguished_name = subject_name(subject)
        label = f"ca-{name}"
        # a key without a row is what a crash between the two leaves: it has signed nothing, and is taken up again
        found = self._keys.find(label=label, use=kind.key_use)
        algorithm = (
            self._settings.unit_algorithm if kind is AuthorityKind.ROOT_OCSP else self._settings.authority_algorithm
        )
        info = found[0] if found else self._keys.generate(label, algorithm, kind.key_use)
        request = build_csr(distinguished_name, private_key(self._keys, info))
        with self._database.unit_of_work() as connection:
            store.add_authority(connection, name, kind, info.key_id, request, self._clock.now())
            self._audit.append(connection, actor, "issuing_ca.authority_requested", name, {"kind": kind.value})
        return request

    def install(
        self, name: str, certificate: x509.Certificate, chain: Sequence[x509.Certificate], actor: str
    ) -> Authority:
        """Give the authority its certificate. ``chain``: from its issuer up, the self-signed root last.

        Raises AuthorityUnknown, AuthorityExists, AuthorityRefused (naming the check).
        """
        with self._database.read() as connection:
            row = store.authority_row(connection, name)
        if row.certificate is not None:
            raise AuthorityExists(name=name)
        kind = AuthorityKind(row.kind)
        self._check(name, kind, self._keys.get(row.key_id).public_key, certificate, chain)
        with self._database.unit_of_work() as connection:
            store.install_authority(connection, name, _der(certificate), b"".join(map(_der, chain)), self._clock.now())
            self._audit.append(
                connection, actor, "issuing_ca.authority_installed", name, {"serial": f"{certificate.serial_number:x}"}
            )
        return self.get(name)

    def get(self, name: str) -> Authority:
        """An installed authority. Raises AuthorityUnknown, AuthorityNotInstalled."""
        known = self._installed.get(name)
        if known is not None:
            return known
        with self._database.read() as connection:
            row = store.authority_row(connection, name)
        if row.certificate is None:
            raise AuthorityNotInstalled(name=name)
        *chain, root = (x509.load_der_x509_certificate(one.whole) for one in der_reader.read_all(row.chain))
        certificate = x509.load_der_x509_certificate(row.certificate)
        authority = Authority(name, AuthorityKind(row.kind), row.key_id, certificate, tuple(chain), root)
        with self._lock:
            self._installed[name] = authority
        return authority

    def issuing(self, name: str) -> Authority:
        """An issuing CA that is installed. Raises AuthorityUnknown (for other kinds too), AuthorityNotInstalled."""
        authority = self.get(name)
        if authority.kind is not AuthorityKind.ISSUING:
            raise AuthorityUnknown(name=name)
        return authority

    def all(self) -> tuple[Authority, ...]:
        """Every installed authority."""
        with self._database.read() as connection:
            names = store.authority_names(connection)
        return tuple(self.get(name) for name in names)

    def signer(self, authority: Authority) -> Signer:
        """The authority's key."""
        known = self._signers.get(authority.key_id)
        if known is None:
            known = Signer.of(self._keys, self._keys.get(authority.key_id))
            with self._lock:
                self._signers[authority.key_id] = known
        return known

    def install_root_crl(self, crl: x509.CertificateRevocationList, actor: str) -> None:
        """Take a CRL of the root, from a ceremony; the same one again is no change. Raises AuthorityRefused."""
        installed = self.all()
        if not installed:
            raise AuthorityRefused(name=ROOT, rule="AUTH-ROOT")
        root, now = installed[0].root, self._clock.now()
        number = _number(crl)
        if number is None or crl.next_update_utc is None or not crl.last_update_utc <= now < crl.next_update_utc:
            raise AuthorityRefused(name=ROOT, rule="AUTH-CRL")
        if not _is_by(crl, root):
            raise AuthorityRefused(name=ROOT, rule="AUTH-CRL")
        data = crl.public_bytes(Encoding.DER)
        with self._database.unit_of_work() as connection:
            latest = store.latest_crl(connection, ROOT)
            if latest is not None and latest.crl == data:
                return
            if latest is not None and latest.number >= number:
                raise AuthorityRefused(name=ROOT, rule="AUTH-CRL")
            stored = StoredCrl(number, crl.last_update_utc, crl.next_update_utc, covers=0, crl=data)
            store.add_crl(connection, ROOT, stored)
            self._audit.append(connection, actor, "issuing_ca.root_crl_installed", ROOT, {"number": number})

    def root_crl(self) -> StoredCrl | None:
        """The root's newest CRL."""
        with self._database.read() as connection:
            return store.latest_crl(connection, ROOT)

    def _check(
        self,
        name: str,
        kind: AuthorityKind,
        public_key: bytes,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
    ) -> None:
        def require(condition: bool, rule: str) -> None:
            if not condition:
                raise AuthorityRefused(name=name, rule=rule)

        require(public_key_of(certificate) == public_key, "AUTH-KEY")
        now, path = self._clock.now(), (certificate, *chain)
        require(all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in path), "AUTH-VALIDITY")
        require(bool(chain), "AUTH-CHAIN")
        for one, issuer in zip(path, (*chain, chain[-1]), strict=True):
            require(issued_by(one, issuer), "AUTH-CHAIN")
        require(all(may_certify(one) for one in chain), "AUTH-CA")
        if kind is AuthorityKind.ROOT_OCSP:
            require(len(chain) == 1 and not may_certify(certificate) and _answers_ocsp(certificate), "AUTH-CA")
        else:
            require(may_certify(certificate), "AUTH-CA")
        require(all(other.root == chain[-1] for other in self.all()), "AUTH-ROOT")
        if self._settings.mark is None:  # nothing that was made for trying may ever stand above what is real
            require(not any(map(is_specimen, path)), "AUTH-SPECIMEN")


# what reading a part of a certificate or CRL raises that is not there, is there twice, or is none
_UNREADABLE = (x509.ExtensionNotFound, *UNREADABLE)


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether name and signature of its issuer are this one's."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def may_certify(certificate: x509.Certificate) -> bool:
    """Whether it is a CA that signs certificates and CRLs."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except _UNREADABLE:
        return False
    return constraints.ca and usage.key_cert_sign and usage.crl_sign


def _answers_ocsp(certificate: x509.Certificate) -> bool:
    try:
        usages: Iterable[x509.ObjectIdentifier] = certificate.extensions.get_extension_for_class(
            x509.ExtendedKeyUsage
        ).value
    except _UNREADABLE:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages


def public_key_of(certificate: x509.Certificate) -> bytes | None:
    """Its SubjectPublicKeyInfo; None where it has a key that cannot be read."""
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _number(crl: x509.CertificateRevocationList) -> int | None:
    """Its number; None where it has none, and where its extensions or its entries cannot be read."""
    try:
        for entry in crl:
            _ = entry.extensions
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except _UNREADABLE:
        return None


def _is_by(crl: x509.CertificateRevocationList, root: x509.Certificate) -> bool:
    try:
        return crl.issuer == root.subject and crl.is_signature_valid(root.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
