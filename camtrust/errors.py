"""What the roof refuses: settings, homes, commands.

CamTrustError
├── SettingsInvalid      a key that is unknown or a value that cannot be
├── HomeRefused          a folder that is not a home of ours
├── HomeMissing          a command that needs a home, and there is none
├── ProbeTokenNotSpoilable  wrong PINs are not tried on a token that does not say that it may be spoilt
├── ProbePinMissing      a token to probe, and no way to its PIN
├── ModulePinMissing     keys.uri names a PKCS#11 token, and keys.pin_file no file with its PIN
├── KeysUnsupported      a key store address that this build cannot open
├── ProductionNotReady   specimen = false, and settings that it needs are missing
├── SpecimenArcRefused   specimen = true, and policies below somebody's own arc
├── AuthoritiesRefused   specimen = false above CAs that are specimens, or the other way round
├── ExampleOidRefused    production start-up with example policy OIDs
├── ProxySecretInvalid   the file with the secret of the TLS proxy cannot be read, or is too short
├── RecordNotMade        a ceremony that does not verify, or a key that cannot sign its record
├── RootsRefused         a root's transcript that does not verify, or is about other roots
├── OperatorsRefused     sets of trust-list operators that do not hold, or do not go on from those that are known
├── OperatorNotInSet     this home's trust-list operator signs no bundles (any more)
├── DocumentsMissing     DEMO_PDFS names no folder with documents
├── OfficerKeyUnusable   a file that holds no private key that an officer can sign with
├── ServiceRefused       what the services answered to a command that asks them
├── ClientCannotSeal     not an active client with the role that sealing asks for
├── OrganisationIdentifierInvalid
├── SealOnHold           the certificate of the client's seal is suspended
├── SealNamedOtherwise   the client has a good seal that names another organisation
└── SealWithdrawn        the credential over a good certificate was withdrawn
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class SettingsInvalid(CamTrustError):
    code = "camtrust.settings_invalid"
    kind = Kind.INVALID


class HomeRefused(CamTrustError):
    code = "camtrust.home_refused"
    kind = Kind.INVALID


class HomeMissing(CamTrustError):
    code = "camtrust.home_missing"
    kind = Kind.NOT_FOUND


class ProbeTokenNotSpoilable(CamTrustError):
    code = "camtrust.probe_token_not_spoilable"
    kind = Kind.FORBIDDEN


class ProbePinMissing(CamTrustError):
    code = "camtrust.probe_pin_missing"
    kind = Kind.INVALID


class ModulePinMissing(CamTrustError):
    code = "camtrust.module_pin_missing"
    kind = Kind.INVALID


class KeysUnsupported(CamTrustError):
    code = "camtrust.keys_unsupported"
    kind = Kind.NOT_IMPLEMENTED


class ProductionNotReady(CamTrustError):
    code = "camtrust.production_not_ready"
    kind = Kind.INVALID


class SpecimenArcRefused(CamTrustError):
    code = "camtrust.specimen_arc_refused"
    kind = Kind.INVALID


class AuthoritiesRefused(CamTrustError):
    code = "camtrust.authorities_refused"
    kind = Kind.CONFLICT


class ExampleOidRefused(CamTrustError):
    code = "camtrust.example_oid_refused"
    kind = Kind.INVALID


class RecordNotMade(CamTrustError):
    code = "camtrust.record_not_made"
    kind = Kind.CONFLICT


class RootsRefused(CamTrustError):
    code = "camtrust.roots_refused"
    kind = Kind.CONFLICT


class OperatorsRefused(CamTrustError):
    """``name`` of the file."""

    code = "camtrust.operators_refused"
    kind = Kind.CONFLICT


class OperatorNotInSet(CamTrustError):
    """``version`` of the set that this home's operator is not in."""

    code = "camtrust.operator_not_in_set"
    kind = Kind.CONFLICT


class DocumentsMissing(CamTrustError):
    code = "camtrust.documents_missing"
    kind = Kind.NOT_FOUND


class HomeBusy(CamTrustError):
    code = "camtrust.home_busy"
    kind = Kind.CONFLICT


class BackupUnusable(CamTrustError):
    code = "camtrust.backup_unusable"
    kind = Kind.INVALID


class EmbeddedOnly(CamTrustError):
    code = "camtrust.embedded_only"
    kind = Kind.INVALID


class SettingsUnsupported(CamTrustError):
    code = "camtrust.settings_unsupported"
    kind = Kind.NOT_IMPLEMENTED


class ProxySecretInvalid(CamTrustError):
    code = "camtrust.proxy_secret_invalid"
    kind = Kind.INVALID


class BundleMissing(CamTrustError):
    code = "camtrust.bundle_missing"
    kind = Kind.NOT_FOUND


class FormInvalid(CamTrustError):
    """``rule`` of `camtrust.web.portal.session`."""

    code = "camtrust.form_invalid"
    kind = Kind.FORBIDDEN


class PortBusy(CamTrustError):
    code = "camtrust.port_busy"
    kind = Kind.CONFLICT


class DemoRefused(CamTrustError):
    code = "camtrust.demo_refused"


class OfficerKeyUnusable(CamTrustError):
    code = "camtrust.officer_key_unusable"
    kind = Kind.INVALID


class ServiceRefused(CamTrustError):
    """Parameters ``code`` and ``detail``: those of the problem document."""

    code = "camtrust.service_refused"


class OutputExists(CamTrustError):
    code = "camtrust.output_exists"
    kind = Kind.CONFLICT


class CredentialNotHere(CamTrustError):
    code = "camtrust.credential_not_here"
    kind = Kind.NOT_FOUND


class ClientCannotSeal(CamTrustError):
    """``actor`` is an id, ``role`` the role that is asked for."""

    code = "camtrust.client_cannot_seal"
    kind = Kind.FORBIDDEN


class OrganisationIdentifierInvalid(CamTrustError):
    """EN 319 412-1 §5.1.4; ``country`` is the country that it must name."""

    code = "camtrust.organisation_identifier_invalid"
    kind = Kind.INVALID


class SealOnHold(CamTrustError):
    code = "camtrust.seal_on_hold"
    kind = Kind.CONFLICT


class SealNamedOtherwise(CamTrustError):
    code = "camtrust.seal_named_otherwise"
    kind = Kind.CONFLICT


class SealWithdrawn(CamTrustError):
    code = "camtrust.seal_withdrawn"
    kind = Kind.CONFLICT
