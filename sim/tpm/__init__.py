"""A TPM 2.0 for tests and the demo: swtpm, a real TPM in software, behind a proxy that many clients share."""
