"""A test PKI with all the chains of ISO 15118 and OCPP, good and bad. Its keys are files: never for a product."""
