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
    "ROOT-ISSUER": "the issuer is a root that the transcripts made, and its key is the one that the file names",
    "ROOT-ENDED": "the issuer has not ended",
    "ROOT-ARC": "a root's acts name one arc of policies; below an operator's own, no subject says SPECIMEN",
    "ROOT-CSR": "the request can be read, proves possession of its key, and asks for the subject of the file",
    "ROOT-KEY-DISTINCT": "the key was never certified by this root before, and is not a root's",
    "ROOT-NAME-DISTINCT": "the subject is not a root's; of a cross-certificate, not the issuing root's",
    "ROOT-VALIDITY": "the dates fit the profile and lie within the issuer's",
    "ROOT-LINT": "what would be signed has no finding under a throwaway key",
    "ROOT-CRL-NUMBER": "the CRL number is larger than that of every CRL before (RFC 5280 §5.2.3)",
    "ROOT-CRL-PERIOD": "the CRL's dates follow the last one's and span at most 12 months (BR §7.2)",
    "ROOT-CRL-REVOKED": "each revoked certificate was issued here, and none is taken back",
    "ROOT-TWIN": "twins have names of their own, and exactly one of them is an ML-DSA-87 root",
    "ROOT-ROLLOVER": "the new root has the old one's name, and outlives it",
    "ROOT-LINK": "both link certificates lie in the time that both roots are valid (RFC 9810 §4.4)",
    "ROOT-CROSS": "the other root's certificate is self-signed, with the key and the name of the request",
    "ROOT-LICENCE": "the audit covers the licence, and the licensed organisation is one that it may name",
    "ROOT-INCIDENT": "an emergency CRL revokes something new, because of a compromise",
    "ROOT-END": "the last CRL revokes whatever has not expired, and keeps what has (EN 319 411-1 §6.3.9)",
    "ROOT-DESTROY": "the root whose key is destroyed has ended",
}

# Rules that `perform` and `rehearse` hold beside them: steps of the transcript.
STEPS = {
    "ROOT-CHECK": "every check passed",
    "ROOT-CLOCK": "the clock is not before the last act, and what is signed is not over",
    "ROOT-CONFIRM": "the officers typed the words of exactly this file and these inputs",
    "ROOT-LABEL-ABSENT": "no key has the labels of the new keys",
    "ROOT-KEY": "root key and audit key are in the token and are those of the transcripts; a new key was made there",
    "ROOT-PREPARE": "the to-be-signed structure was made and linted under a throwaway key",
    "ROOT-SIGN": "the token signed, and the signature verifies",
    "ROOT-TBS-EQUAL": "the signed bytes are those that were prepared",
    "ROOT-LINT-AFTER": "the finished structure was linted again",
    "ROOT-LINT-OUTSIDE": "what a linter of others found, before signing and after; reported, not enforced",
    "ROOT-DESTROYED": "the token destroyed the key and no longer finds it",
    "ROOT-OUTPUT": "the outputs are complete, under names that did not exist",
}

# Rules that `verify` examines beside them.
VERIFICATION = {
    "ROOT-TRANSCRIPT": "the transcript is canonical, its steps are chained, and the audit key signed it",
    "ROOT-PREVIOUS": "the previous transcript is the one that was continued",
    "ROOT-ARTIFACT": "every ceremony file, input and output is the one that the transcript recorded",
    "ROOT-REBUILD": "the to-be-signed bytes, rebuilt from the inputs, are those that were signed",
    "ROOT-SIGNATURE": "the signature verifies under the root key",
    "ROOT-COSIGNED": "everybody whom the ceremony file names has signed the transcript with their own key",
    "ROOT-TIMESTAMP": "a timestamp beside the transcript is correct and is about this transcript (RFC 3161)",
    "ROOT-PINNED": "root and audit key have the fingerprints that were given",
}

RULES = {**CHECKS, **STEPS, **VERIFICATION}
