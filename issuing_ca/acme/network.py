"""Looking at applicants' servers without being led elsewhere.

A name is resolved here and the connection goes to the very address that was checked: public ones, and those of the
networks that the operator names (agencies' own). Redirects are followed a few times, over HTTP alone, to host names
alone, each checked anew. Nothing that comes back is shown to anybody.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import BoundedSemaphore
from urllib.parse import urlsplit

import dns.exception
import dns.rdatatype
import dns.resolver

from foundation.errors import CamTrustError
from issuing_ca.acme.errors import ConnectionFailed, DnsFailed, IncorrectResponse
from issuing_ca.dns_names import dns_name

_MOST = 1024  # octets of a body that anybody needs to see
_REDIRECTS = 5
_ADDRESSES = 4
_TIMEOUT = 5.0
_PATH = re.compile(r"/[\x21-\x7e]*")
_AT_ONCE = BoundedSemaphore(16)

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class DnsResolver:
    """The resolver of this machine, or the servers named (address, port)."""

    def __init__(self, servers: Sequence[str] = (), port: int = 53) -> None:
        self._servers = tuple(servers)
        self._port = port

    def txt(self, name: str) -> tuple[str, ...]:
        """See `ports.TextRecords`."""
        return tuple(b"".join(record.strings).decode("latin-1") for record in self._records(name, dns.rdatatype.TXT))

    def addresses(self, name: str) -> tuple[Address, ...]:
        """The addresses of a host, IPv6 first. Raises DnsFailed."""
        kinds = (dns.rdatatype.AAAA, dns.rdatatype.A)
        return tuple(ip_address(record.address) for kind in kinds for record in self._records(name, kind))

    def _records(self, name: str, kind: dns.rdatatype.RdataType) -> Iterator:  # type: ignore[type-arg]
        try:
            resolver = dns.resolver.Resolver(configure=not self._servers)  # reads the machine's servers as they are now
            if self._servers:
                resolver.nameservers, resolver.port = list(self._servers), self._port
            resolver.lifetime = _TIMEOUT
            yield from resolver.resolve(name, kind, search=False)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            return
        except dns.exception.DNSException:
            raise DnsFailed from None


class HttpFetcher:
    """Fetches over plain HTTP from the port of http-01."""

    def __init__(self, resolver: DnsResolver, networks: Sequence[Network] = (), port: int = 80) -> None:
        self._resolver = resolver
        self._networks = tuple(networks)
        self._port = port

    def fetch(self, host: str, path: str) -> bytes:
        """See `ports.ChallengeFetcher`."""
        with _AT_ONCE:
            for _ in range(_REDIRECTS + 1):
                status, location, body = self._get(host, path)
                if status == 200:
                    return body
                if status not in (301, 302, 303, 307, 308) or location is None:
                    raise IncorrectResponse
                host, path = self._next(host, path, location)
        raise IncorrectResponse

    def allowed(self, address: Address) -> bool:
        """Whether we connect there: a public unicast address, or one of the operator's networks."""
        if any(address in network for network in self._networks if network.version == address.version):
            return True
        if isinstance(address, IPv6Address) and (
            address.ipv4_mapped or address.sixtofour or address.teredo or address.is_site_local
        ):
            return False  # an IPv4 address in disguise, or a network's own
        # Reserved, as the prefixes that translate to IPv4 (RFC 6052, RFC 8215), is global to the library all the same.
        return address.is_global and not address.is_multicast and not address.is_reserved

    def _get(self, host: str, path: str) -> tuple[int, str | None, bytes]:
        found = self._resolver.addresses(host)
        if not found:
            raise DnsFailed
        candidates = [address for address in found if self.allowed(address)][:_ADDRESSES]
        for address in candidates:
            try:
                return self._get_from(address, host, path)
            except (OSError, http.client.HTTPException):
                continue
        raise ConnectionFailed

    def _get_from(self, address: Address, host: str, path: str) -> tuple[int, str | None, bytes]:
        connection = http.client.HTTPConnection(str(address), self._port, timeout=_TIMEOUT)
        shown = host if self._port == 80 else f"{host}:{self._port}"
        try:
            connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", shown), ("User-Agent", "CamTrust-ACME"), ("Connection", "close")):
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            return response.status, response.getheader("Location"), response.read(_MOST)
        finally:
            connection.close()

    def _next(self, host: str, path: str, location: str) -> tuple[str, str]:
        try:
            to = urlsplit(location)
            port = to.port
        except ValueError:
            raise IncorrectResponse from None
        if not to.scheme and not to.netloc:
            target, where = host, to.path or path
        elif to.scheme == "http" and port in (None, 80, self._port) and to.username is None:
            try:
                target, where = dns_name(to.hostname or ""), to.path or "/"
            except CamTrustError:
                raise IncorrectResponse from None
        else:
            raise IncorrectResponse
        where += f"?{to.query}" if to.query else ""
        if (
            not where.startswith("/")
            or not where.isascii()
            or any(ord(one) <= 0x20 or ord(one) == 0x7F for one in where)
        ):
            raise IncorrectResponse
        return target, where
