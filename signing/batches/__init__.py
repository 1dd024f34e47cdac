"""Batches: thousands of documents of an agency, sealed by a job while the agency does other things."""
