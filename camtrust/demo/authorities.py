"""Stations of keys and authorities: tokens, the root ceremony, the issuing and timestamping CA, the trust bundle."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from camtrust.assembly import Services
from camtrust.ceremonies import log_transcripts
from camtrust.demo.story import Station, Story
from camtrust.home import Home
from camtrust.keys import ROOT, SERVICES, TRUST_LIST, make_token, open_token
from camtrust.trust import WrittenBundle, write_bundle, write_new
from foundation.clock import Clock, parse_rfc3339, rfc3339
from root_ca.ceremonies import ISSUING_SUBJECT, OCSP_SUBJECT, TSA_SUBJECT, Place, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.service import perform, verify

ACTOR = "demo"
_SUBJECTS = {"issuing": ISSUING_SUBJECT, "tsa": TSA_SUBJECT, "root-ocsp": OCSP_SUBJECT}


def make_tokens(station: Station, home: Home, public_url: str) -> None:
    """The services' token, the root's and the trust-list operator's, each made once."""
    station.made += [name for name in (SERVICES, ROOT, TRUST_LIST) if make_token(home, name, public_url)]


def hold_ceremony(story: Story, station: Station, services: Services) -> None:
    """Five acts, each a file: root, issuing CA, timestamping CA, OCSP responder, CRL. Kept when they were held."""
    home, clock = services.home, services.clock
    folder = home.folder("root")
    acts = specimen_acts(_begin(folder, clock), _place(services.settings.public_url))
    if not (folder / acts[-1].transcript).exists():
        for name, subject in _SUBJECTS.items():
            request = folder / f"{name}.csr"
            if not request.exists():
                write_new(request, services.ca.init(name, subject, ACTOR))
        with open_token(home, ROOT) as token:
            for act in acts:
                if (folder / act.transcript).exists():
                    continue
                (folder / act.file).write_text(act.text, encoding="utf-8")
                outcome = perform(load_ceremony(folder / act.file), token, clock, lambda shown: " ".join(shown.words))
                station.made += [f"root/{act.output}", f"root/{act.transcript}"]
                story.step(f"{act.file}: {act.output}, SHA-256 {outcome.sha256[:16]}…")
                if outcome.act == "root":
                    story.step(f"root fingerprint in words: {outcome.words[0]} …")
    replayed = verify(folder / acts[-1].transcript)
    if not replayed.valid:
        for problem in replayed.problems:
            story.step(f"CHANGED: {problem.artifact}: {problem.message}")
        raise RuntimeError("the transcript of the ceremony does not verify")
    story.step(
        f"transcript replayed: {len(replayed.acts)} acts, every structure rebuilt bit for bit, every signature held"
    )


def install_authorities(station: Station, services: Services) -> None:
    """Give the services' keys their certificates from the ceremony, and the CA its first CRL."""
    home, ca = services.home, services.ca
    root = x509.load_pem_x509_certificate((home.path / "root/root.pem").read_bytes())
    installed = {authority.name for authority in ca.authorities.all()}
    for name in _SUBJECTS:
        if name not in installed:
            certificate = x509.load_pem_x509_certificate((home.path / f"root/{name}.pem").read_bytes())
            ca.install(name, certificate, [root], ACTOR)
    crl = (home.path / "root/root.crl").read_bytes()
    load = x509.load_pem_x509_crl if crl.startswith(b"-----") else x509.load_der_x509_crl
    ca.install_root_crl(load(crl), ACTOR)
    log_transcripts(home.path / "root/transcript.json", ca, services.log)
    folder = home.folder("ca")
    for name in ("issuing", "tsa"):
        file = folder / f"{name}.pem"
        file.write_bytes((home.path / f"root/{name}.pem").read_bytes())
        (folder / f"{name}.crl").write_bytes(ca.current_crl(name))
        station.made += [f"ca/{name}.pem", f"ca/{name}.crl"]


def export_bundle(station: Station, services: Services) -> WrittenBundle:
    """The signed trust bundle of this moment, by the trust-list operator's own token."""
    settings = services.settings
    with open_token(services.home, TRUST_LIST) as operator:
        written = write_bundle(
            services.home,
            services.ca,
            operator,
            services.clock,
            days=settings.trust.bundle_days,
            contact=settings.trust.contact,
            specimen=settings.specimen,
        )
    station.made += ["trust/camtrust.bundle", "trust/bundle-signer.txt"]
    station.notes.update(sequence=written.sequence, signer=written.signer, expires=written.expires)
    return written


def _begin(folder: Path, clock: Clock) -> datetime:
    """When the ceremony began: written down once, so that a run that was interrupted continues the same acts."""
    file = folder / "begun.txt"
    if not file.exists():
        write_new(file, f"{rfc3339((clock.now() - timedelta(minutes=1)).replace(microsecond=0))}\n".encode())
    return parse_rfc3339(file.read_text(encoding="ascii").strip())


def _place(public_url: str) -> Place:
    return Place(ocsp=f"{public_url}/ocsp", issuer=f"{public_url}/aia/root.cer", crl=f"{public_url}/crl/root.crl")
