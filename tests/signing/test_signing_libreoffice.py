"""LibreOffice 7.4 takes our signatures for valid: on real documents, at every level, seen and unseen."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from signing.model import Level
from signing.pdf_options import PdfOptions, Visible
from tests import programs
from tests.signing.conftest import Desk
from tests.signing.sample_pdf import sample
from tests.signing.test_signing_locks import CLOSED, sealed, signed_by

NAMES = ("multicolumn.pdf", "GeoTopo-komprimiert.pdf", "libreoffice-form.pdf", "crazyones-pdfa.pdf", "pdfkit.pdf")
JUDGE = Path(__file__).with_name("libreoffice_judge.py")


def test_libreoffice_accepts_what_we_sign(desk: Desk, test_data: Path, tmp_path: Path) -> None:
    """With tables and streams, security stores and locks. Of a document timestamp it knows nothing, and says so: it is
    the last that it finds at B-LTA, and not valid. An octet changed, and the signature is not valid either."""
    documents = {name: sealed(desk, (test_data / "pdfs" / name).read_bytes()) for name in NAMES}
    documents |= {f"{level}.pdf": sealed(desk, sample(), level) for level in Level}
    seen = PdfOptions(lock=CLOSED, visible=Visible.parse("auto qr"))
    both = sealed(desk, signed_by(desk, desk.person(), sample()), options=seen)
    altered = bytearray(documents["B-LT.pdf"])
    altered[altered.index(b"/M (D") + 12] ^= 1
    documents |= {"both.pdf": both, "altered.pdf": bytes(altered)}
    for name, data in documents.items():
        (tmp_path / name).write_bytes(data)
    assert judged(tmp_path, [*documents]) == {
        **{key: [True] for key in (*NAMES, "B-B.pdf", "B-T.pdf", "B-LT.pdf")},
        "B-LTA.pdf": [True, False],
        "both.pdf": [True, True],
        "altered.pdf": [False],
    }


def judged(folder: Path, names: list[str]) -> dict[str, list[bool]]:
    programs.path("soffice")
    python = "/usr/bin/python3"  # Debian's: the bindings are for that one
    done = subprocess.run(
        [python, str(JUDGE), str(folder / "profile"), *(str(folder / name) for name in names)],
        capture_output=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr.decode()
    return {Path(name).name: valid for name, valid in json.loads(done.stdout.splitlines()[-1]).items()}
