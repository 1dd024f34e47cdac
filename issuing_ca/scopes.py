"""What a machine's credential reaches: one CA or more, and profiles, by the roles that it was registered with.

A client with ``ca-read``, ``ca-issue`` or ``ca-revoke`` may do that with certificates of the authorities that it is
scoped to (``ca-of-NAME``) and of its profiles (``ca-profile-NAME``), and with no others: what is outside of its scope
is as unknown to it as what never was. A client without a scope reaches nothing. Officers and operators are people, with
approvals and history of their own; they reach all.
"""

from __future__ import annotations

from dataclasses import dataclass

from foundation.http.actor import Actor, ActorKind
from issuing_ca.errors import CertificateUnknown, ScopeExceeded
from issuing_ca.model import CertificateRecord

OF, PROFILE = "ca-of-", "ca-profile-"


@dataclass(frozen=True)
class Scope:
    """Names of authorities and profiles; None: all of them."""

    authorities: frozenset[str] | None = None
    profiles: frozenset[str] | None = None

    def reaches(self, authority: str, profile: str) -> bool:
        return (self.authorities is None or authority in self.authorities) and (
            self.profiles is None or profile in self.profiles
        )

    def require(self, record: CertificateRecord) -> CertificateRecord:
        """The record. Raises CertificateUnknown for one outside."""
        if not self.reaches(record.authority, record.profile):
            raise CertificateUnknown
        return record

    def require_new(self, authority: str, profile: str) -> None:
        """Raises ScopeExceeded where nothing of this profile may be asked of this authority."""
        if not self.reaches(authority, profile):
            raise ScopeExceeded(authority=authority, profile=profile)


EVERYTHING = Scope()


def scope_of(actor: Actor) -> Scope:
    """What an actor reaches."""
    if actor.kind is not ActorKind.CLIENT:
        return EVERYTHING
    return Scope(_named(actor, OF), _named(actor, PROFILE))


def _named(actor: Actor, prefix: str) -> frozenset[str]:
    return frozenset(role.removeprefix(prefix) for role in actor.roles if role.startswith(prefix))
