#!/usr/bin/env bash
# A person enrols, signs a PDF and has it judged, with curl (docs/api.md tells what happens).
#
#   docs/examples/tour.sh HOME DOCUMENT.pdf SIGNED.pdf [ORIGIN]
#
# HOME is that of the demo, its services are running. Every run enrols somebody new; SPECIMEN_NUMBER (0 to 99999) says whom.
set -euo pipefail

HOME_DIR=$1 DOCUMENT=$2 SIGNED=$3 ORIGIN=${4:-http://127.0.0.1:8440}
NUMBER=${SPECIMEN_NUMBER:-$((RANDOM + 50000))}
EXAMPLES=$(dirname "${BASH_SOURCE[0]}")
PYTHON=${PYTHON:-.venv/bin/python}
JSON='Content-Type: application/json'
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

field() { "$PYTHON" -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]: value = value[int(name)] if name.isdigit() else value[name]
print(value)' "$@"; }
key() { echo "Idempotency-Key: $("$PYTHON" -c 'import uuid; print(uuid.uuid4())')"; }
call() { curl --silent --show-error --fail-with-body "$@"; }

# 1. Start: anybody may. The session token comes once.
STARTED=$(call "$ORIGIN/ekyc/v1/enrolments" -H "$JSON" -H "$(key)" -d '{"level": "IAL2", "language": "en"}')
ENROLMENT=$(field enrolment id <<<"$STARTED") PERSON=$(field enrolment person_id <<<"$STARTED")
ME="Authorization: Bearer $(field session_token <<<"$STARTED")"
MINE=$ORIGIN/ekyc/v1/enrolments/$ENROLMENT

# 2. Consent to what is in force, by version and digest.
call "$ORIGIN/ekyc/v1/terms" | "$PYTHON" -c 'import json, sys
terms = json.load(sys.stdin)
json.dump({k: terms[k] for k in ("purpose", "consent_version", "agreement_version", "agreement_digest")}, sys.stdout)' \
   >"$WORK/consent.json"
call "$MINE/consent" -H "$ME" -H "$JSON" -d "@$WORK/consent.json" | field state

# 3. A phone number, and the code that was sent to it.
call "$MINE/contact" -H "$ME" -H "$JSON" -d '{"channel": "sms", "address": "012 345 678"}' >"$WORK/sent.json"
CODE=$("$PYTHON" "$EXAMPLES/code_from_outbox.py" "$HOME_DIR" "$PERSON")
VERIFIED=$(call "$MINE/contact/verification" -H "$ME" -H "$JSON" -d "{\"code\": \"$CODE\"}")
field state <<<"$VERIFIED"
ME="Authorization: Bearer $(field session_token <<<"$VERIFIED")"

# 4. The identity card of a specimen person, then the base registry.
"$PYTHON" -c 'import json, sys
from ekyc.registry_simulation.persons import series
one = series(int(sys.argv[1]))
card = {"lines": one.card(), "surname_km": one.surname_km, "given_names_km": one.given_names_km}
json.dump(card, sys.stdout)' "$NUMBER" >"$WORK/card.json"
call "$MINE/document" -H "$ME" -H "$JSON" -d "@$WORK/card.json" | field state
call "$MINE/registry-match" -H "$ME" -H "$JSON" -d '{}' | field state

# 5. An officer looks at the evidence and binds the person. Each request is signed with the officer's own key.
officer() { "$PYTHON" "$EXAMPLES/assertion.py" "$ORIGIN" "$HOME_DIR/officer/key.pem" "$(cat "$HOME_DIR/officer/actor-id.txt")" "$@"; }
REVIEW=/ekyc/v1/reviews/$ENROLMENT
DIGEST=$(call "$ORIGIN$REVIEW" -H "$(officer GET "$REVIEW")" | field evidence_digest)
"$PYTHON" "$EXAMPLES/review.py" "$HOME_DIR/officer/key.pem" "$ENROLMENT" "$DIGEST" bind remote-video person-is-holder >"$WORK/review.json"
call "$ORIGIN$REVIEW" -H "$(officer POST "$REVIEW" "$WORK/review.json")" -H "$JSON" -H "$(key)" \
   --data-binary "@$WORK/review.json" | field state

# 6. PIN and authenticator; the token makes the seed and shows it once.
SEED=$(call "$MINE/factors" -H "$ME" -H "$JSON" -d '{"pin": "402915"}' | field provisioning_uri)
code() { "$PYTHON" -c 'import pyotp, sys, time; print(pyotp.parse_uri(sys.argv[1]).at(time.time(), counter_offset=int(sys.argv[2])))' "$SEED" "$1"; }
call "$MINE/factors/confirmation" -H "$ME" -H "$JSON" -d "{\"code\": \"$(code 0)\"}" | field state

# 7. The key is made in the token and certified.
CREDENTIAL=$(call "$MINE/certificate" -H "$ME" -H "$JSON" -d '{}' | field credential_id)

# 8. Upload, authorise with PIN and the next code, fetch.
UPLOADED=$(call "$ORIGIN/sign/v1/documents" -H "$ME" -H "$(key)" -F "file=@$DOCUMENT;type=application/pdf" | field id)
call "$ORIGIN/sign/v1/authorisations" -H "$ME" -H "$JSON" -H "$(key)" \
   -d "{\"credential\": \"$CREDENTIAL\", \"documents\": [\"$UPLOADED\"], \"pin\": \"402915\", \"totp\": \"$(code 1)\"}" \
   | field documents 0 signed
call "$ORIGIN/sign/v1/documents/$UPLOADED/signed" -H "$ME" -o "$SIGNED"

# 9. The verdict, from the service. Offline: camtrust verify.
call "$ORIGIN/verify/v1/documents" -H 'Content-Type: application/octet-stream' --data-binary "@$SIGNED" | field files 0 indication
