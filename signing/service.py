"""The use cases of signing: credentials, documents, authorisations, seals.

Everything that belongs to somebody is looked up together with its owner, who is the authenticated actor: what is
another's is as absent as what never was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography import x509
from sqlalchemy import Connection

from foundation.clock import Clock, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor
from foundation.keys.factors import PersonFactors
from foundation.keys.port import KeyUse, WrappedKey
from foundation.randomness import Randomness
from signing import store
from signing.approval import Approvals, Asked
from signing.authorisation import Authorisations
from signing.config import MIB, SigningConfig
from signing.credentials import Credentials
from signing.cursor import read_cursor, write_cursor
from signing.custody import Custody
from signing.errors import (
    DocumentNotFound,
    DocumentNotSigned,
    DocumentOfRequest,
    DocumentTooLarge,
    LevelNotAllowed,
    SigningHeld,
    SigningStopped,
    TooManyDocuments,
)
from signing.file_name import plain_name
from signing.forms import PADES, Form
from signing.history import OWN, History, Through
from signing.model import (
    Credential,
    Document,
    DocumentState,
    Level,
    NamedDocument,
    Outcome,
    Page,
)
from signing.pdf_options import PdfOptions
from signing.ports import CertificateStanding, Restraints, SigningKeys
from signing.requests.store import holding
from signing.seal_policy import ClientPolicy, SealPolicies
from signing.sign.documents import DocumentSigner
from signing.sign.extend import Extender
from signing.taking import Taking
from signing.templates.appearance import Appearance
from signing.templates.approved import ApprovedTemplates, named_in

MAX_PAGE = 100
_PLAIN = PdfOptions()


class SigningService:
    """Signing for persons (their key, both factors) and for agencies' clients (their seal)."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        config: SigningConfig,
        keys: SigningKeys,
        factors: PersonFactors,
        signer: DocumentSigner,
        custody: Custody,
        extender: Extender,
        standing: CertificateStanding,
        history: History,
        restraints: Restraints,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._randomness = randomness
        self.config = config
        self._keys = keys
        self.signer = signer
        self.extender = extender
        self._restraints = restraints
        self._custody = custody
        self.seal_policies = SealPolicies(database, audit)
        self._templates = ApprovedTemplates(database)
        self.taking = Taking(config, clock, randomness, custody, signer)
        self.history = history
        self.holdings = Credentials(database, audit, clock, randomness, keys, standing, history)
        self._authorisations = Authorisations(database, audit, clock, config, signer, custody, factors, keys, history)
        self.approvals = Approvals(
            database, audit, clock, config.audience, self._authorisations, custody, factors, signer
        )

    # --- persons' keys ------------------------------------------------------------------------------------------------

    def keep_key(self, connection: Connection, key: WrappedKey) -> None:
        """Keep a person's key, in the caller's transaction: the only copy there is of it."""
        store.insert_wrapped_key(connection, key, self._clock.now())

    def kept_keys(self, owner: str) -> frozenset[str]:
        """The ids of a person's keys that are kept."""
        with self._database.read() as connection:
            return store.wrapped_keys_of_owner(connection, owner)

    # --- credentials ----------------------------------------------------------------------------------------------

    def register_credential(
        self, by: str, owner: str, key_id: str, certificate: x509.Certificate, chain: Sequence[x509.Certificate]
    ) -> Credential:
        """Make a certificate usable by ``owner``; ``chain`` is what is above it, issuer first, root last.

        A certificate that is registered already gives its credential. ``by``: who does this, for the audit trail.
        Raises CredentialMismatch when key, owner, certificate and chain do not belong together; KeyHandleInvalid.
        """
        return self.holdings.register(by, owner, key_id, certificate, chain)

    def withdraw_credential(self, by: str, credential_id: str) -> bool:
        """Make a credential unusable for good; False when it was so already or is not known."""
        return bool(self.holdings.withdraw(by, "credential_id", credential_id))

    def withdraw_key(self, by: str, key_id: str) -> tuple[str, ...]:
        """Withdraw every credential over a key, as when its certificate is revoked; gives their ids."""
        return self.holdings.withdraw(by, "key_id", key_id)

    def owner_of(self, credential_id: str) -> str | None:
        """Whose credential this is (an opaque id); None where there is none. For the machine's own commands."""
        return self.holdings.owner_of(credential_id)

    def credentials(self, actor: Actor) -> tuple[Credential, ...]:
        """The actor's own, with the status that they have now."""
        return self.holdings.of(actor)

    # --- documents ------------------------------------------------------------------------------------------------

    def upload(
        self,
        actor: Actor,
        name: str,
        data: bytes,
        *,
        form: Form = PADES,
        password: str | None = None,
        options: PdfOptions = _PLAIN,
    ) -> NamedDocument:
        """Take a document that can be signed in this form; ``password`` and ``options`` are of PDF alone.

        Raises a DocumentRefused with the cause, TooManyDocuments: nothing is kept.
        """
        named, sealed = self.taking.take(actor.id, name, data, form, password, options)
        document_id, document = named.document.document_id, named.document
        try:
            with self._database.unit_of_work() as connection:
                if store.count_documents(connection, actor.id) >= self.config.maximum_documents_kept:
                    raise TooManyDocuments(limit=self.config.maximum_documents_kept)
                store.insert_document(connection, document, sealed)
                details = {"sha256": document.sha256.hex(), "size": document.size}
                self._audit.append(connection, str(actor), "signing.document_uploaded", document_id, details)
        except BaseException:
            self.taking.discard(document_id)
            raise
        return named

    def document(self, actor: Actor, document_id: str) -> NamedDocument:
        """One of the actor's documents; DocumentNotFound."""
        document, sealed = self._document(actor, document_id)
        return NamedDocument(document, self._custody.name(document, sealed))

    def documents(self, actor: Actor, cursor: str | None = None, limit: int = 50) -> Page:
        """The actor's documents, the newest first. CursorInvalid for a cursor that no page gave."""
        limit = max(1, min(limit, MAX_PAGE))
        with self._database.read() as connection:
            rows = store.documents_of_owner(connection, actor.id, read_cursor(cursor), limit + 1)
        named = tuple(
            NamedDocument(document, self._custody.name(document, sealed)) for document, sealed in rows[:limit]
        )
        return Page(named, write_cursor(named[-1].document.sequence) if len(rows) > limit else None)

    def signed(self, actor: Actor, document_id: str) -> tuple[str, bytes]:
        """The document's name and the signed file; DocumentNotSigned when there is none (yet)."""
        document, sealed = self._document(actor, document_id)
        if document.state is not DocumentState.SIGNED:
            raise DocumentNotSigned
        return self._custody.name(document, sealed), self._custody.signed(document)

    def delete(self, actor: Actor, document_id: str) -> None:
        """Remove a document, its signed version, name and password; DocumentNotFound, DocumentBusy."""
        with self._database.unit_of_work() as connection:
            found = store.document_of_owner(connection, actor.id, document_id)
            if found is None:
                raise DocumentNotFound
            if holding(connection, [document_id]):
                raise DocumentOfRequest
            store.remove(connection, found[0])
            self._audit.append(connection, str(actor), "signing.document_deleted", document_id)
            # Before the commit: whatever fails here leaves the row, and deleting can be asked for again.
            self._custody.discard(document_id, found[0].version)

    # --- signing --------------------------------------------------------------------------------------------------

    def authorise(
        self,
        actor: Actor,
        credential_id: str,
        document_ids: Sequence[str],
        *,
        pin: str,
        totp: str,
        level: Level | None = None,
        request: str | None = None,
        through: Through = OWN,
    ) -> tuple[Outcome, ...]:
        """Sign documents of a person who proves both factors: one outcome a document, in the order asked.

        ``request``: the signing request that is answered; what another one holds is not signed (DocumentOfRequest).
        ``through``: where it came in, for the person's history.

        Raises LevelNotAllowed below B-T (sub-decree 246 of 2017 asks for the time of signing), CredentialNotFound,
        CredentialNotUsable, TooManyDocuments, and PinIncorrect, PinLocked, CodeUsed, ... of the key store: then
        nothing was signed and every document can be authorised again.
        """
        level = self.level(level)
        credential = self.person_credential(actor, credential_id)
        return self._authorisations.authorise(
            actor, credential, document_ids, pin=pin, totp=totp, level=level, request=request, through=through
        )

    def ask_passkey(
        self,
        actor: Actor,
        credential_id: str,
        document_ids: Sequence[str],
        *,
        level: Level | None = None,
        request: str | None = None,
    ) -> Asked:
        """Have the person's device asked to approve exactly these documents; :meth:`answer_passkey` signs them.

        Raises what :meth:`authorise` raises before anything is signed, the reason of the first document when none can
        be signed, FactorsNotEnrolled for a person without a passkey, MethodRefused.
        """
        level = self.level(level)
        credential = self.person_credential(actor, credential_id)
        return self.approvals.ask(actor, credential, document_ids, level, request)

    def answer_passkey(
        self, actor: Actor, approval_id: str, assertion: str, through: Through = OWN
    ) -> tuple[Outcome, ...]:
        """Sign what the device approved: one outcome a document. ``assertion``: the JSON of the PublicKeyCredential.

        Raises ApprovalNotFound, CredentialNotUsable, PasskeyInvalid, PasskeyCloned, ActivationInvalid.
        """
        credential_id = self.approvals.credential_of(actor, approval_id)
        credential = self.person_credential(actor, credential_id)
        return self.approvals.answer(actor, credential, approval_id, assertion, through)

    def seal(
        self,
        actor: Actor,
        credential_id: str,
        data: bytes,
        *,
        name: str = "document",
        form: Form = PADES,
        level: Level | None = None,
        password: str | None = None,
        options: PdfOptions = _PLAIN,
        released_by: str | None = None,
    ) -> bytes:
        """The document with the organisation's seal, in this form. Nothing of the document is kept. Where the client's
        policy names a credential for it, a second signature stands beside: both, or none.

        ``released_by``: who released a held seal (`signing.held`), whose number was used up before. Raises
        CredentialNotFound, CredentialNotUsable, SealNotAllowed, SealNeedsRelease, DocumentRefused, ….
        """
        credential = self.credential(actor, credential_id, KeyUse.ORGANISATION_SEAL)
        level = form.level(level, self.config.default_level)
        client = self.seal_policies.of_actor(actor)
        appearance = self._appearance(client, actor, level, form, options)
        if released_by is None:
            client.take(level, form, len(data), self._clock.now())
        else:
            client.still(level, form, len(data), self._clock.now())
        parallel = client.beside(
            credential, level, form, lambda one: self.credential(actor, one, KeyUse.ORGANISATION_SEAL)
        )
        prepared = self.signer.prepare(
            data,
            form=form,
            name=plain_name(name),
            signatory=credential.signatory,
            level=level,
            password=password,
            options=options,
            parallel=parallel,
            pss=client.policy.rsa_pss,
            appearance=appearance,
        )
        (signature,) = self.signer.signatures([prepared])
        sealed = self.signer.complete(prepared, signature, self.signer.beside(prepared))
        with self._database.unit_of_work() as connection:
            details = {"form": str(form), "level": level.value, "digest": prepared.digest.hex()}
            details |= {"released_by": released_by} if released_by else {}
            details |= {"beside": f"{parallel.certificate.serial_number:x}"} if parallel is not None else {}
            self._audit.append(connection, str(actor), "signing.sealed", credential.credential_id, details)
        return sealed

    def appearance(self, actor: Actor, level: Level, form: Form, options: PdfOptions) -> Appearance | None:
        """The approved template that a client asks for, as its policy lets it; None where it asks for none.

        Raises SealNotAllowed, TemplateUnknown.
        """
        return self._appearance(self.seal_policies.of_actor(actor), actor, level, form, options)

    def _appearance(
        self, client: ClientPolicy, actor: Actor, level: Level, form: Form, options: PdfOptions
    ) -> Appearance | None:
        client.appearance(level, form, named_in(options))
        template = options.visible.template if options.visible is not None else None
        return None if template is None else self._templates.of_client(actor.id, template)

    def extend(
        self,
        by: str,
        data: bytes,
        *,
        level: Level = Level.B_LTA,
        password: str | None = None,
        detached: bytes | None = None,
    ) -> bytes:
        """The signed document at a higher level, or with its archive timestamp renewed. Nothing of it is kept.

        ``by``: who asks, for the audit trail; ``detached``: what a CAdES signature is about, where it is not inside.
        Raises DocumentTooLarge and what `Extender.extend` raises.
        """
        if len(data) > self.config.maximum_document_bytes:
            raise DocumentTooLarge(limit=self.config.maximum_document_bytes // MIB)
        extended = self.extender.extend(data, level, password=password, detached=detached)
        with self._database.unit_of_work() as connection:
            digest = hashlib.sha256(extended).hexdigest()
            self._audit.append(connection, by, "signing.extended", digest, {"level": level.value})
        return extended

    def record(self, by: str, documents: Sequence[bytes]) -> list[bytes]:
        """Evidence records (RFC 4998) for documents of any kind, by one timestamp for all. TimestampUnavailable."""
        records = self.extender.record(documents)
        with self._database.unit_of_work() as connection:
            digest = hashlib.sha256(records[0]).hexdigest()
            self._audit.append(connection, by, "signing.recorded", digest, {"documents": len(records)})
        return records

    # --------------------------------------------------------------------------------------------------------------

    def level(self, level: Level | None) -> Level | None:
        """The level that was asked for; None: the default, or what a document's form has where that is less."""
        lowest = level or self.config.default_level
        if not lowest.includes(Level.B_T):
            raise LevelNotAllowed(level=lowest.value)
        return level

    def person_credential(self, actor: Actor, credential_id: str) -> Credential:
        """A person's own credential that can be signed with now. Raises CredentialNotFound, CredentialNotUsable,
        SigningHeld, SigningStopped.
        """
        credential = self.credential(actor, credential_id, KeyUse.CITIZEN_SIGN)
        hold = self._restraints.held(actor.id)
        if hold is not None:
            raise SigningStopped if hold.until is None else SigningHeld(until=rfc3339(hold.until))
        return credential

    def credential(self, actor: Actor, credential_id: str, use: KeyUse) -> Credential:
        """The actor's own credential that can be used so now. Raises CredentialNotFound, CredentialNotUsable."""
        return self.holdings.usable(actor, credential_id, use)

    def _document(self, actor: Actor, document_id: str) -> tuple[Document, store.Sealed]:
        with self._database.read() as connection:
            found = store.document_of_owner(connection, actor.id, document_id)
        if found is None:
            raise DocumentNotFound
        return found

    def _new_id(self) -> str:
        return self._randomness.bytes(16).hex()
