"""A development CSMS for OCPP 2.0.1: security profiles 1 to 3, strict schema checks, scripted behaviour."""
