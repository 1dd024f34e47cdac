"""Signing requests: an agency's client asks a person to sign, and the person sees, signs, refuses or reports."""
