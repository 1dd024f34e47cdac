"""What can be probed: a PKCS#11 token by its address, or an emulated token that is made for the run and thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from foundation.keys.pkcs11 import open_pkcs11
from foundation.keys.pkcs11.uri import Pkcs11Uri, parse_uri
from foundation.keys.port import KeyStore
from hsm_emulation.client import HsmClient

EMULATED = "emulated:"


@dataclass(frozen=True)
class Target:
    """A token as one process opens it. Either ``address`` (RFC 7512), or the ``socket`` of a key daemon."""

    pin: str
    address: str | None = None
    socket: str | None = None

    @property
    def uri(self) -> Pkcs11Uri:
        """The PKCS#11 address."""
        return parse_uri(self.address or "")

    @contextmanager
    def opened(self) -> Iterator[KeyStore]:
        """Its key store, logged in."""
        if self.address is not None:
            with open_pkcs11(self.address, self.pin) as store:
                yield store
            return
        with HsmClient(self.socket or "") as client:
            client.login(self.pin)
            yield client

    def memory(self, store: KeyStore) -> int | None:
        """Octets in use where the keys are: in this process for a module, in the daemon for an emulated token."""
        process = store.status()["pid"] if isinstance(store, HsmClient) else "self"
        for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return None


def without_pin_source(address: str) -> str:
    """The same address as what is shown and passed on: the way to the PIN is not in it."""
    head, _, query = address.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith("pin-source=")]
    return f"{head}?{'&'.join(kept)}" if kept else head


def read_pin(uri: Pkcs11Uri) -> str | None:
    """The PIN in the file that the address names, without the end of its line; None when it names none. OSError."""
    return None if uri.pin_source is None else uri.pin_source.read_text(encoding="utf-8").rstrip("\r\n")
