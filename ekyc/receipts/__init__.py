"""Proof-of-proofing receipts."""
