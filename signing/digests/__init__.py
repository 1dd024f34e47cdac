"""Seals over digests: what the document is, the agency's client alone knows."""
