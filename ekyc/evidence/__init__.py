"""The ledger of evidence: what there is of a person, and how it is shown."""
