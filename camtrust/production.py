"""What `specimen = false` asks for before anything starts, and what keeps specimens and real certificates apart.

What is refused at start:

    policies.arc     specimen = false needs an arc of the operator's own; specimen = true takes none but example arcs
    registry.…       specimen = false needs a real base registry: the simulated one vouches for persons of its own
    ekyc.terms       specimen = false asks nobody to accept the packaged terms, which are specimens
    ca.time_source   specimen = false never takes the clock on somebody's word ("assumed")
    authorities      specimen = false stands under no CA that is a specimen (name, policy), true under no other
    profiles         specimen = false has no policy of the example arc, but for the sandbox's

What starts, and what `camtrust doctor` says is not for real use: :func:`emulated`.
"""

from __future__ import annotations

from camtrust.errors import AuthoritiesRefused, ExampleOidRefused, ProductionNotReady, SpecimenArcRefused
from camtrust.settings import SIMULATED, Settings
from foundation.arc import SANDBOX_SEAL_POLICY, is_example
from foundation.x509.specimens import is_specimen
from issuing_ca.service import CertificateAuthority


def missing(settings: Settings) -> tuple[str, ...]:
    """The keys of the settings that must be other than they are before `specimen = false` starts."""
    arc = settings.policies.arc
    asked = {
        "policies.arc": arc is None or is_example(arc),
        "registry.url": settings.registry.url is None,
        **{
            f"registry.{key}": str(getattr(settings.registry, key)).startswith(f"{SIMULATED}/")
            for key in ("client", "service", "residents_service", "relations_service")
        },
        "ekyc.terms": settings.ekyc.terms is None,
        "ca.time_source": settings.ca.time_source == "assumed",
    }
    return tuple(key for key, wanting in asked.items() if wanting)


def emulated(settings: Settings) -> tuple[str, ...]:
    """The keys of the settings behind which something emulated stands, that starts all the same."""
    asked = {
        "keys.uri": settings.keys.uri == "emulated:",
        "notify.smtp": settings.notify.smtp is None,
        "notify.sms": settings.notify.sms is None,
    }
    return tuple(key for key, so in asked.items() if so)


def require(settings: Settings) -> None:
    """Raises ProductionNotReady naming every key that is missing, and SpecimenArcRefused for a specimen that names
    policies of somebody's own."""
    if settings.specimen:
        if settings.policies.arc is not None and not is_example(settings.policies.arc):
            raise SpecimenArcRefused(arc=settings.policies.arc)
    elif lacking := missing(settings):
        raise ProductionNotReady(keys=", ".join(lacking))


def require_authorities(settings: Settings, ca: CertificateAuthority) -> None:
    """Raises ExampleOidRefused for policies of the example arc in production, AuthoritiesRefused for installed CAs of
    the other kind."""
    if not settings.specimen:
        _refuse_examples(ca)
    for authority in ca.authorities.all():
        for certificate in (authority.certificate, *authority.chain, authority.root):
            if is_specimen(certificate) != settings.specimen:
                raise AuthoritiesRefused(name=authority.name, specimen=str(settings.specimen).lower())


def _refuse_examples(ca: CertificateAuthority) -> None:
    for profile in ca.profiles.values():
        for oid in profile.policies.oids if profile.policies else ():
            if is_example(oid) and oid != SANDBOX_SEAL_POLICY:  # an example on purpose, in every installation
                raise ExampleOidRefused(profile=profile.name)
    for level, oid in ca.settings.policies.items():
        if is_example(oid):
            raise ExampleOidRefused(profile=f"citizen-sign ({level})")
    if is_example(ca.settings.tsa_policy):
        raise ExampleOidRefused(profile="tsa (timestamps)")
