"""Where reports go: XML for programs, a page for people, a package for a court. The file's ending says which.

    OUT.xml     ETSI TS 119 102-2 (`report`)
    OUT.json    the verdict as ``--json`` prints it, with the bundle
    OUT.pdf     to print (made by the roof, which has the fonts)
    OUT.zip     evidence: the document, the trust bundle, its pin, the reports, and how to verify it all again

For several documents OUT is a folder, and each gets an XML report by its name. A file is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.catalogue import Language, text
from foundation.clock import rfc3339
from signing.verify.errors import (
    DocumentChanged,
    NothingToReport,
    ReportKindUnknown,
    ReportNeedsFolder,
    ReportNotWritten,
)
from signing.verify.report import ReportSource, has_report, validation_report
from signing.verify.trust import Trust

Printer = Callable[[ReportSource, Trust], bytes]
KINDS = (".xml", ".json", ".pdf", ".zip")


@dataclass(frozen=True)
class Judged:
    """What reports are made from: a verdict with the file's SHA-256, the trust, and the octets that both rest on.

    ``read_document`` gives the file again; a package refuses octets that are no longer those that were judged.
    """

    source: ReportSource
    trust: Trust
    bundle: bytes | None
    pins: frozenset[str]
    read_document: Callable[[], bytes]


def check_target(target: Path, documents: int, printer: Printer | None) -> None:
    """Before the work begins: whether a report can go there. Raises ReportNeedsFolder, ReportKindUnknown."""
    if target.is_dir():
        return
    if documents > 1:
        raise ReportNeedsFolder
    if target.suffix.lower() not in KINDS or (target.suffix.lower() == ".pdf" and printer is None):
        raise ReportKindUnknown


def write_reports(target: Path, every: Sequence[Judged], printer: Printer | None) -> list[Path]:
    """Write the report of each; gives the paths. A file without signatures has none and is passed over in a folder.

    Raises NothingToReport, DocumentChanged, ReportKindUnknown, ReportNotWritten.
    """
    if not target.is_dir():
        (one,) = every
        _write(target, _octets(target.suffix.lower(), one, printer))
        return [target]
    written: list[Path] = []
    for one in every:
        if not has_report(one.source.verdict):
            continue
        path = _free(target, f"{Path(one.source.verdict.file).name}.report.xml", written)
        _write(path, validation_report(one.source))
        written.append(path)
    return written


def verdict_json(source: ReportSource, trust: Trust) -> bytes:
    """The verdict and the bundle it rests on, as JSON."""
    document: dict[str, Any] = {
        "file": source.verdict.json(),
        "bundle": trust.json(),
        "judged_at": rfc3339(source.at.replace(microsecond=0)),
        "policy": source.policy,
    }
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def evidence_package(judged: Judged, printer: Printer | None) -> bytes:
    """A ZIP with everything that somebody needs to come to the same verdict. Raises DocumentChanged."""
    source = judged.source
    document = judged.read_document()
    if hashlib.sha256(document).hexdigest() != source.sha256:
        raise DocumentChanged
    name = Path(source.verdict.file).name
    files = {f"document/{name}": document, "report/verdict.json": verdict_json(source, judged.trust)}
    if has_report(source.verdict):
        files["report/report.xml"] = validation_report(source)
    if printer is not None:
        files["report/report.pdf"] = printer(source, judged.trust)
    if judged.bundle is not None:
        files["trust/camtrust.bundle"] = judged.bundle
        files["trust/bundle-signer.txt"] = "".join(f"{pin}\n" for pin in sorted(judged.pins)).encode()
    for language in Language:
        lines = text("signing.verify_package", language, name=name, at=rfc3339(source.at.replace(microsecond=0)))
        files[f"README.{language.value}.txt"] = lines.encode()
    sums = "".join(f"{hashlib.sha256(octets).hexdigest()}  {path}\n" for path, octets in sorted(files.items()))
    files["SHA256SUMS"] = sums.encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return buffer.getvalue()


def _octets(kind: str, one: Judged, printer: Printer | None) -> bytes:
    if kind == ".json":
        return verdict_json(one.source, one.trust)
    if kind == ".pdf" and printer is not None:
        return printer(one.source, one.trust)
    if kind == ".zip":
        return evidence_package(one, printer)
    if kind != ".xml":
        raise ReportKindUnknown
    if not has_report(one.source.verdict):
        raise NothingToReport
    return validation_report(one.source)


def _free(folder: Path, name: str, taken: Sequence[Path]) -> Path:
    """Two documents of one name in different folders get two reports."""
    path, number = folder / name, 1
    while path in taken:
        number += 1
        path = folder / f"{number}-{name}"
    return path


def _write(path: Path, octets: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise ReportNotWritten(name=str(path)) from None
