"""The Cloud Signature Consortium API: signing of digests that a program elsewhere has made."""
