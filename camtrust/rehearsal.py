"""``make rehearsal``: a whole root ceremony on throwaway tokens in a folder that is gone afterwards, line by line.

Every act is checked, rehearsed and performed with the words that its check printed; at the end the last transcript is
replayed. It needs no network and is meant to run where there is none.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from camtrust.keys import throwaway_token
from foundation.clock import SystemClock
from foundation.keys.handles import private_key
from foundation.keys.port import KeyAlgorithm, KeyStore, KeyUse
from foundation.x509.csr import build_csr
from foundation.x509.names import subject_name
from root_ca.ceremonies import ISSUING_SUBJECT, OCSP_SUBJECT, TSA_SUBJECT, Place, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.service import check, perform, rehearse, verify

_REQUESTS = {
    "issuing": (ISSUING_SUBJECT, KeyUse.ISSUING_CA),
    "tsa": (TSA_SUBJECT, KeyUse.TSA_CA),
    "root-ocsp": (OCSP_SUBJECT, KeyUse.OCSP_RESPONDER),
}
_PLACE = Place("http://trust.example/ocsp", "http://trust.example/aia/root.cer", "http://trust.example/crl/root.crl")


def main() -> int:
    """Run it; 0 when every act and the replay held."""
    with (
        TemporaryDirectory(prefix="camtrust-rehearsal-") as folder,
        throwaway_token() as root,
        throwaway_token() as spare,
    ):
        return _ceremony(Path(folder), root, spare)


def _ceremony(folder: Path, root: KeyStore, spare: KeyStore) -> int:
    clock = SystemClock()
    acts = specimen_acts(clock.now() - timedelta(minutes=1), _PLACE)
    for name, (subject, use) in _REQUESTS.items():
        info = spare.generate(f"rehearsal-{name}", KeyAlgorithm.EC_P384, use)
        (folder / f"{name}.csr").write_bytes(build_csr(subject_name(subject), private_key(spare, info)))
    for act in acts:
        (folder / act.file).write_text(act.text, encoding="utf-8")
        ceremony = load_ceremony(folder / act.file)
        results = check(ceremony)
        print(f"{act.file}: {sum(one.passed is True for one in results)} of {len(results)} checks passed")
        with throwaway_token() as token:
            rehearse(ceremony, token, clock)
        print("   rehearsed on a throwaway token")
        outcome = perform(ceremony, root, clock, lambda shown: " ".join(shown.words))
        print(f"   performed: {act.output}, SHA-256 {outcome.sha256}")
        for number, line in enumerate(outcome.words):
            print(f"   {'read aloud:' if number == 0 else '           '} {line}")
    replayed = verify(folder / acts[-1].transcript)
    for problem in replayed.problems:
        print(f"CHANGED {problem.artifact}: {problem.rule}: {problem.message}")
    held = "all held" if replayed.valid else "NOT VALID"
    print(f"Replayed {len(replayed.acts)} acts from {acts[-1].transcript}: {held}")
    return 0 if replayed.valid else 1


if __name__ == "__main__":
    sys.exit(main())
