"""``camtrust ca``: the issuing CA of a home."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from camtrust.cli.ca_log import add_log_commands
from camtrust.cli.context import Context
from camtrust.cli.services import ACTOR, services_of

Name = Annotated[str, typer.Argument(help="issuing, tsa or root-ocsp")]
OutputFile = Annotated[Path | None, typer.Option("-o", "--output", help="write here; must not exist")]


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(help="The issuing CA.", no_args_is_help=True, add_completion=False)

    @app.command()
    def init(
        name: Name,
        subject: Annotated[str, typer.Option(help='as "C=KH, O=SPECIMEN CamTrust, CN=SPECIMEN Issuing CA 1"')],
        output: OutputFile = None,
    ) -> None:
        """Make an authority's key in the token and give its CSR for a root ceremony."""
        with services_of(context) as services:
            request = services.ca.init(name, subject_pairs(subject), ACTOR)
        deliver(context, {"name": name, "csr": request.decode()}, request, output)

    @app.command()
    def install(
        name: Name,
        certificate: Annotated[Path, typer.Argument(help="from the ceremony, PEM", exists=True)],
        root: Annotated[Path, typer.Option(help="the root certificate, PEM", exists=True)],
        root_crl: Annotated[Path | None, typer.Option(help="the root's newest CRL, PEM or DER", exists=True)] = None,
        transcript: Annotated[
            Path | None, typer.Option(help="of the ceremony: its digest and all before it go into the log", exists=True)
        ] = None,
    ) -> None:
        """Give an authority the certificate that a ceremony made; checked against its key and the root."""
        from camtrust.ceremonies import log_transcripts
        from foundation.x509.pem import read_certificate, read_crl

        with services_of(context) as services:
            installed = services.ca.install(
                name,
                read_certificate(certificate.read_bytes(), certificate.name),
                [read_certificate(root.read_bytes(), root.name)],
                ACTOR,
            )
            if root_crl is not None:
                services.ca.install_root_crl(read_crl(root_crl.read_bytes(), root_crl.name), ACTOR)
            logged = log_transcripts(transcript, services.ca, services.log) if transcript is not None else {}
        serial = f"{installed.certificate.serial_number:x}"
        lines = [f"Installed {name}, certificate {serial}.", *(f"Logged {file}: {one}" for file, one in logged.items())]
        context.terminal.result({"name": name, "serial": serial, "transcripts": logged}, lines)

    @app.command(name="install-root-update")
    def install_root_update(
        new: Annotated[Path, typer.Argument(help="the new root certificate, from a ceremony's rollover", exists=True)],
        new_with_old: Annotated[Path, typer.Option(help="the new key under the old one", exists=True)],
        old_with_new: Annotated[Path, typer.Option(help="the old key under the new one", exists=True)],
    ) -> None:
        """Have CMP clients find the root's next key (rootCaCert): its certificate and both links, checked."""
        from foundation.x509.pem import read_certificate

        files = (new, new_with_old, old_with_new)
        with services_of(context) as services:
            root, by_old, by_new = (read_certificate(one.read_bytes(), one.name) for one in files)
            services.ca.root_updates.install(root, by_old, by_new, ACTOR)
        serial = f"{root.serial_number:x}"
        context.terminal.result({"root": serial}, [f"Clients that ask for the root's next key get {serial}."])

    @app.command()
    def profile(name: Annotated[str | None, typer.Argument(help="one profile; else all by name")] = None) -> None:
        """Show certificate profiles, each rule with its clause; policies as the settings of the home have them."""
        from camtrust.ca_settings import policy_arc_of
        from camtrust.settings import load_settings
        from issuing_ca.errors import ProfileUnknown
        from issuing_ca.service import packaged_profiles

        home = context.home_if_any()
        profiles = packaged_profiles(policy_arc_of(load_settings(home.settings_file if home else None)))
        if name is None:
            value = {key: one.title for key, one in profiles.items()}
            context.terminal.result(value, [f"{key:<20} {title}" for key, title in value.items()])
            return
        if name not in profiles:
            raise ProfileUnknown(name=name)
        data = profiles[name].data()
        lines = [f"{key}: {value}" for key, value in data.items()]
        context.terminal.result(data, lines)

    @app.command()
    def issue(
        profile_name: Annotated[
            str, typer.Option("--profile", help="one that `ca profile` lists and officers may ask for")
        ],
        csr: Annotated[Path, typer.Argument(help="the request: gives the key, never the name", exists=True)],
        subject: Annotated[str, typer.Option(help='the verified name, as "C=KH, O=SPECIMEN …, CN=SPECIMEN …"')],
        owner: Annotated[str, typer.Option(help="opaque id of whom it names")],
        dns_name: Annotated[
            list[str] | None, typer.Option(help="a host name that was verified; may be repeated")
        ] = None,
        authority: Annotated[str, typer.Option("--ca", help="the CA that issues it")] = "issuing",
        output: OutputFile = None,
    ) -> None:
        """Issue a certificate to an organisation, officer or API client that holds its own key."""
        from cryptography.hazmat.primitives.serialization import Encoding

        with services_of(context) as services:
            issued = services.ca.issue_for_request(
                profile_name, csr.read_bytes(), subject_pairs(subject), owner, ACTOR, None, authority, dns_name or ()
            )
        pem = issued.certificate.public_bytes(Encoding.PEM)
        deliver(context, {"serial": issued.serial, "certificate": pem.decode()}, pem, output)

    @app.command(name="acme-credential")
    def acme_credential(
        profile_name: Annotated[str, typer.Option("--profile", help="tls-server, camdx-auth or camdx-auth-ec")],
        subject: Annotated[str, typer.Option(help='the verified name without CN, as "C=KH, O=SPECIMEN …"')],
        owner: Annotated[str, typer.Option(help="opaque id of the organisation")],
        domain: Annotated[
            list[str] | None, typer.Option(help="a domain that may be asked for, with all below it; may be repeated")
        ] = None,
        days: Annotated[int, typer.Option(min=1, max=365, help="until when it must be used")] = 30,
        authority: Annotated[str, typer.Option("--ca", help="the CA that it is good at")] = "issuing",
    ) -> None:
        """Make an external account credential for one ACME account; its HMAC key is shown this once."""
        with services_of(context) as services:
            made = services.acme.of(authority).accounts.new_credential(
                profile_name, subject_pairs(subject), domain or (), owner, ACTOR, days
            )
        value = {"kid": made.credential.kid, "hmac_key": made.hmac_key}
        lines = [f"Key identifier: {made.credential.kid}", f"HMAC key:       {made.hmac_key}"]
        context.terminal.result(value, [*lines, f"To be used by   {made.credential.expires_at:%Y-%m-%d}"])

    @app.command(name="enrolment-credential")
    def enrolment_credential(
        profile_name: Annotated[str, typer.Option("--profile", help="one that officers may ask for")],
        subject: Annotated[str, typer.Option(help='the whole verified name, as "C=KH, O=SPECIMEN …, CN=…"')],
        owner: Annotated[str, typer.Option(help="opaque id of whom it names")],
        dns_name: Annotated[list[str] | None, typer.Option(help="a verified host name; may be repeated")] = None,
        days: Annotated[int, typer.Option(min=1, max=365, help="until when it must be used")] = 30,
        authority: Annotated[str, typer.Option("--ca", help="the CA that it is good at")] = "issuing",
    ) -> None:
        """Make a credential by which one machine enrols through EST or CMP; its secret is shown this once."""
        with services_of(context) as services:
            made = services.enrolment.new_credential(
                profile_name, subject_pairs(subject), dns_name or (), owner, ACTOR, days, authority
            )
        value = {"reference": made.credential.reference, "secret": made.secret}
        lines = [f"Reference: {made.credential.reference}", f"Secret:    {made.secret}"]
        context.terminal.result(value, [*lines, f"To be used by {made.credential.expires_at:%Y-%m-%d}"])

    @app.command()
    def revoke(
        serial: Annotated[str, typer.Argument(help="serial number, hexadecimal")],
        reason: Annotated[str, typer.Option("--reason", help="RFC 5280 name or number; removeFromCRL releases a hold")],
    ) -> None:
        """Revoke, hold or release a certificate; its key is switched in the token and a new CRL is made at once."""
        from issuing_ca.model import Reason

        with services_of(context) as services:
            record = services.ca.revoke(serial.lower().lstrip("0"), Reason.parse(reason), ACTOR)
        value = {"serial": record.serial, "state": record.state.value, "reason": record.reason}
        context.terminal.result(value, [f"Certificate {record.serial} is {record.state.value}."])

    @app.command(name="revoke-matching")
    def revoke_matching(
        reason: Annotated[str, typer.Option("--reason", help="RFC 5280 name or number, for good")],
        profile_name: Annotated[str | None, typer.Option("--profile")] = None,
        owner: Annotated[str | None, typer.Option(help="opaque id of whom they name")] = None,
        requested_by: Annotated[str | None, typer.Option(help="as acme:ACCOUNT or officer:ID")] = None,
        evidence: Annotated[str | None, typer.Option(help="hexadecimal: what they were issued on")] = None,
        issued_from: Annotated[datetime | None, typer.Option(help="in UTC")] = None,
        issued_until: Annotated[datetime | None, typer.Option(help="in UTC")] = None,
        digest: Annotated[
            str | None, typer.Option(help="from the dry run: revokes what it found; without it nothing is revoked")
        ] = None,
    ) -> None:
        """Revoke every certificate that meets all conditions. Without --digest a dry run, which gives the digest.

        Where ca.two_officers has bulk-revocation, it is proposed, and an officer approves it."""
        from foundation.http.actor import Actor, ActorKind
        from issuing_ca.config import BULK_REVOCATION
        from issuing_ca.model import Reason
        from issuing_ca.ra.model import CertificateQuery

        moments = [one.replace(tzinfo=UTC) if one else None for one in (issued_from, issued_until)]
        query = CertificateQuery(profile_name, owner, evidence, requested_by, moments[0], moments[1])
        wanted = Reason.parse(reason)
        with services_of(context) as services:
            found = services.registration.matching(query)
            if digest is None:
                first = [one.serial for one in found.first]
                value = {"count": found.count, "digest": found.digest, "first": first}
                lines = [f"{found.count} certificates would be revoked ({wanted.value}):", *first]
                context.terminal.result(value, [*lines, f"To revoke them: --digest {found.digest}"])
                return
            actor, done = Actor(ActorKind.OPERATOR, ACTOR.partition(":")[2]), 0
            if BULK_REVOCATION in services.registration.ca.settings.two_officers:
                one = services.revocation_proposals.propose(actor, query, wanted, digest)
                lines = [f"Proposed the revocation of {one.count} certificates; nothing is revoked yet."]
                value = {"proposal": one.id, "count": one.count, "digest": one.digest}
                lines.append(f"An officer approves it: camtrust ra approve-revocation {one.id} --digest {one.digest}")
                context.terminal.result(value, [*lines, f"until {one.expires_at:%Y-%m-%d %H:%M} UTC."])
                return
            with Progress(console=Console(stderr=True)) as progress:
                bar = progress.add_task("Revoking", total=found.count)
                while True:
                    part = services.registration.revoke_matching(actor, query, wanted, digest)
                    done, digest = done + part.revoked, part.digest
                    progress.update(bar, completed=done)
                    if not part.remaining:
                        break
        context.terminal.result({"revoked": done}, [f"Revoked {done} certificates."])

    @app.command(name="revocation-proposals")
    def revocation_proposals() -> None:
        """List bulk revocations that were proposed, and what became of them."""
        from foundation.clock import rfc3339

        with services_of(context) as services:
            found = services.revocation_proposals.list(limit=200)
        value = [
            {"proposal": one.id, "state": one.state.value, "count": one.count, "done": one.done, "digest": one.digest}
            | {"reason": one.reason.value, "conditions": dict(one.conditions), "proposed_by": one.proposed_by}
            | {"proposed_at": rfc3339(one.proposed_at), "decided_by": one.decided_by}
            for one in found
        ]
        lines = [
            f"{one.id}  {one.state.value}, {one.done} of {one.count} ({one.reason.value}), by {one.proposed_by}"
            for one in found
        ]
        context.terminal.result({"proposals": value}, lines or ["There is none."])

    @app.command()
    def crl(
        name: Annotated[str, typer.Argument(help="issuing, tsa or root")] = "issuing", output: OutputFile = None
    ) -> None:
        """Give the current CRL, made anew when it is due."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        with services_of(context) as services:
            data = services.ca.current_crl(name)
        pem = x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)
        deliver(context, {"name": name, "crl": pem.decode()}, data if output else pem, output)

    @app.command()
    def ocsp(serial: Annotated[str, typer.Argument(help="serial number, hexadecimal")]) -> None:
        """Ask our own responder about a certificate of ours."""
        from cryptography import x509
        from cryptography.x509 import ocsp as status

        from issuing_ca.errors import CertificateUnknown

        with services_of(context) as services:
            record = services.ca.certificate(serial.lower().lstrip("0"))
            if record.certificate is None:
                raise CertificateUnknown(serial=serial)
            answer = services.ca.fresh_ocsp(x509.load_der_x509_certificate(record.certificate))
        if answer is None:
            raise CertificateUnknown(serial=serial)
        response = status.load_der_ocsp_response(answer)
        value = {"serial": record.serial, "status": response.certificate_status.name.lower()}
        context.terminal.result(value, [f"{record.serial}: {value['status']}"])

    @app.command()
    def audit() -> None:
        """Walk the audit chain, hold it against its published heads and those against the log; tell orphaned serial
        numbers and token switches that still wait."""
        from foundation.clock import rfc3339

        with services_of(context) as services:
            services.log.verify()
            walked = services.audit_heads.verify()
            orphans = services.ca.orphans()
            waiting = services.ca.reconcile()
        published = None if walked.published_at is None else rfc3339(walked.published_at)
        value = {
            **{"events": walked.events, "heads": walked.heads, "last_head_at": published},
            **{"orphans": [one.serial for one in orphans], "waiting": list(waiting)},
        }
        lines = [f"Audit chain: {walked.events} events, unbroken"]
        lines += [f"Published heads: {walked.heads}, all met; the newest at {published or 'no time'}"]
        lines += [f"Orphan {one.serial} ({one.profile}, signing: {one.signing})" for one in orphans]
        lines += [f"Key of {serial} still waits for its switch" for serial in waiting]
        context.terminal.result(value, lines)

    @app.command()
    def log() -> None:
        """Rebuild the public issuance log from its entries, check it against its checkpoint, and show both."""
        with services_of(context) as services:
            services.log.integrate()
            checkpoint = services.log.checkpoint().decode()
            entries = services.log.verify()
            key = str(services.log.verifier_key())
        value = {"entries": entries, "verifier_key": key, "checkpoint": checkpoint}
        lines = [f"{entries} entries, rebuilt and as signed", f"Key to pin: {key}", "", *checkpoint.splitlines()]
        context.terminal.result(value, lines)

    @app.command()
    def reconcile(
        statement: Annotated[
            Path | None,
            typer.Option(help="write what officers have to sign here; or, with assertions, what they signed"),
        ] = None,
        assertion: Annotated[
            list[Path] | None, typer.Option(help="an officer's assertion over the statement; two of them", exists=True)
        ] = None,
    ) -> None:
        """Go on with a database that is behind what was published, as two officers agree who sign the statement."""
        from camtrust import reconciliation

        with services_of(context, rolled_back=True) as services:
            if not assertion:
                data = reconciliation.statement(services)
                value = {"statement": data.decode(), "htm": reconciliation.METHOD}
                value["htu"] = reconciliation.address(services.settings.public_url)
                deliver(context, value, data, statement)
                return
            if statement is None:
                raise typer.BadParameter("name the file that was signed", param_hint="--statement")
            given = [one.read_text(encoding="ascii") for one in assertion]
            done = reconciliation.reconcile(services, statement.read_bytes(), given)
        outcome = {"again": list(done.again), "missing": list(done.missing)}
        lines = [f"Reconciled: {len(done.again)} status changes done again."]
        lines += [f"Certificate {serial} is not in this database; it stays unknown." for serial in done.missing]
        context.terminal.result(outcome, lines)

    add_log_commands(app, context)
    return app


def subject_pairs(text: str) -> list[tuple[str, str]]:
    """NAME=VALUE pairs of an option, in their order. Raises BadParameter."""
    pairs = [part.strip().partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise typer.BadParameter("a subject is NAME=VALUE pairs with commas between", param_hint="--subject")
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def deliver(context: Context, value: object, data: bytes, output: Path | None) -> None:
    """To a file that must not exist, or to the terminal."""
    if output is not None:
        from camtrust.errors import OutputExists
        from camtrust.trust import write_new

        try:
            write_new(output, data)
        except FileExistsError:
            raise OutputExists(file=str(output)) from None
        context.terminal.result(value, [f"Written to {output}"])
    else:
        context.terminal.result(value, [data.decode().rstrip()])
