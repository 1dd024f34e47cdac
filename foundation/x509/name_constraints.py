"""Name constraints (RFC 5280 §4.2.1.10): directoryName, dNSName, rfc822Name, URI and IP address.

A constraint of another type (otherName, x400Address, ediPartyName, registeredID) is refused wherever it stands, since
nobody here could say what it allows.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.x509.oid import NameOID

from foundation.x509.name_matching import is_within, name_key

_TYPES: tuple[type[x509.GeneralName], ...] = (
    x509.DirectoryName,
    x509.DNSName,
    x509.RFC822Name,
    x509.UniformResourceIdentifier,
    x509.IPAddress,
)


class ConstraintUnsupported(ValueError):
    """A constraint whose meaning is not known here."""


@dataclass(frozen=True)
class NameConstraintState:
    """permitted_subtrees and excluded_subtrees of RFC 5280 §6.1.2 (b), (c).

    ``permitted`` holds one tuple per certificate that constrained; a name must lie within each of them that says
    anything of its type.
    """

    permitted: tuple[tuple[x509.GeneralName, ...], ...] = ()
    excluded: tuple[x509.GeneralName, ...] = ()

    def narrowed(self, constraints: x509.NameConstraints) -> NameConstraintState:
        """§6.1.4 (g): intersect the permitted, unite the excluded. Raises ConstraintUnsupported."""
        permitted = tuple(constraints.permitted_subtrees or ())
        excluded = tuple(constraints.excluded_subtrees or ())
        for one in (*permitted, *excluded):
            if not isinstance(one, _TYPES):
                raise ConstraintUnsupported(type(one).__name__)
        return replace(
            self,
            permitted=(*self.permitted, permitted) if permitted else self.permitted,
            excluded=(*self.excluded, *excluded),
        )

    def allows(self, certificate: x509.Certificate) -> bool:
        """§6.1.3 (b), (c): whether every name of the certificate is permitted and none is excluded."""
        if not self.permitted and not self.excluded:
            return True
        return all(self._allows(name) for name in names_of(certificate))

    def _allows(self, name: x509.GeneralName) -> bool:
        if isinstance(name, x509.UniformResourceIdentifier) and not _uri_host(name.value):
            # RFC 5280 §4.2.1.10: a URI without a host name is refused where URIs are constrained
            return not any(isinstance(one, type(name)) for step in (*self.permitted, self.excluded) for one in step)
        if any(_inside(name, one) for one in self.excluded):
            return False
        for step in self.permitted:
            alike = [one for one in step if type(one) is type(name)]
            if alike and not any(_inside(name, one) for one in alike):
                return False
        return True


def names_of(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    """The names that constraints apply to: subject, alternative names, and e-mail addresses left in the subject."""
    if certificate.subject.rdns:
        yield x509.DirectoryName(certificate.subject)
    alternatives: list[x509.GeneralName] = []
    with suppress(x509.ExtensionNotFound):
        alternatives = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    yield from alternatives
    if not any(isinstance(one, x509.RFC822Name) for one in alternatives):
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            # An address that cannot be read as one must not slip through: it then matches no permitted subtree.
            yield _address(attribute.value)


def _address(value: str | bytes) -> x509.RFC822Name:
    text = value if isinstance(value, str) else value.decode("latin-1")
    return x509.RFC822Name._init_without_validation(text)


def _inside(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    if type(name) is not type(subtree):
        return False
    check = _CHECKS.get(type(name))
    return check is not None and check(name.value, subtree.value)


def _directory(name: x509.Name, subtree: x509.Name) -> bool:
    return is_within(name_key(name), name_key(subtree))


def _dns(name: str, subtree: str) -> bool:
    name, subtree = name.lower().rstrip("."), subtree.lower().rstrip(".").removeprefix(".")
    return not subtree or name == subtree or name.endswith("." + subtree)


def _host(host: str, subtree: str) -> bool:
    """A host for a name without a leading dot; any host below the domain for one with it."""
    host, subtree = host.lower().rstrip("."), subtree.lower().rstrip(".")
    if not subtree:
        return True
    return host.endswith(subtree) and host != subtree if subtree.startswith(".") else host == subtree


def _mailbox(name: str, subtree: str) -> bool:
    local, _, host = name.rpartition("@")
    if "@" in subtree:
        wanted_local, _, wanted_host = subtree.rpartition("@")
        return local == wanted_local and host.lower() == wanted_host.lower()
    return _host(host, subtree)


def _uri_host(name: str) -> str:
    _, found, rest = name.partition("://")
    authority = rest.replace("?", "/").replace("#", "/").partition("/")[0].rpartition("@")[2]
    host = authority.partition(":")[0]
    return host if found and not authority.startswith("[") and not host.replace(".", "").isdigit() else ""


def _uri(name: str, subtree: str) -> bool:
    return _host(_uri_host(name), subtree)


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _ip(name: object, subtree: _Network) -> bool:
    if isinstance(name, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return name.version == subtree.version and name in subtree
    return False


_CHECKS: dict[type[x509.GeneralName], Callable[..., bool]] = {
    x509.DirectoryName: _directory,
    x509.DNSName: _dns,
    x509.RFC822Name: _mailbox,
    x509.UniformResourceIdentifier: _uri,
    x509.IPAddress: _ip,
}
