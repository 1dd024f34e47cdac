"""The rules of a ceremony. Each ID stands in code, tests, transcripts and docs/ceremony.md."""

from __future__ import annotations

# Rules that `check` examines: they need files alone, no key.
CHECKS = {
    "ROOT-PATHS": "every path is relative and stays in the folder of the ceremony file",
    "ROOT-OUTPUT-ABSENT": "no output exists, and none is named twice or is an input",
    "ROOT-UNFINISHED": "no earlier run of this act stopped half-way",
    "ROOT-INPUT": "every input can be read and has the SHA-256 that the file states",
    "ROOT-PROFILE": "the profile fits the act, and the file cites its section of the CP/CPS",
    "ROOT-URLS": "the file gives exactly the addresses that the profile wants",
    "ROOT-CHAIN": "the previous transcript verifies, back to the making of the root",
    "ROOT-ISSUER": "the issuer is the root that the transcripts made",
    "ROOT-CSR": "the request can be read, proves possession of its key, and asks for the subject of the file",
    "ROOT-KEY-DISTINCT": "the key was never certified by this root before, and is not the root's",
    "ROOT-NAME-DISTINCT": "the subject is not the root's",
    "ROOT-VALIDITY": "the dates fit the profile and lie within the issuer's",
    "ROOT-LINT": "what would be signed has no finding under a throwaway key",
    "ROOT-CRL-NUMBER": "the CRL number is larger than that of every CRL before (RFC 5280 §5.2.3)",
    "ROOT-CRL-PERIOD": "the CRL's dates follow the last one's and span at most 12 months (BR §7.2)",
    "ROOT-CRL-REVOKED": "each revoked certificate was issued here, and none is taken back",
}

# Rules that `perform` and `rehearse` hold beside them: steps of the transcript.
STEPS = {
    "ROOT-CHECK": "every check passed",
    "ROOT-CLOCK": "the clock is not before the last act, and what is signed is not over",
    "ROOT-CONFIRM": "the officers typed the words of exactly this file and these inputs",
    "ROOT-LABEL-ABSENT": "no key has the labels of the new keys",
    "ROOT-KEY": "the root key and the audit key are in the token and are those of the transcripts",
    "ROOT-PREPARE": "the to-be-signed structure was made and linted under a throwaway key",
    "ROOT-SIGN": "the token signed, and the signature verifies",
    "ROOT-TBS-EQUAL": "the signed bytes are those that were prepared",
    "ROOT-LINT-AFTER": "the finished structure was linted again",
    "ROOT-OUTPUT": "the outputs are complete, under names that did not exist",
}

# Rules that `verify` examines beside them.
VERIFICATION = {
    "ROOT-TRANSCRIPT": "the transcript is canonical, its steps are chained, and the audit key signed it",
    "ROOT-PREVIOUS": "the previous transcript is the one that was continued",
    "ROOT-ARTIFACT": "every ceremony file, input and output is the one that the transcript recorded",
    "ROOT-REBUILD": "the to-be-signed bytes, rebuilt from the inputs, are those that were signed",
    "ROOT-SIGNATURE": "the signature verifies under the root key",
    "ROOT-PINNED": "root and audit key have the fingerprints that were given",
}

RULES = {**CHECKS, **STEPS, **VERIFICATION}
