"""A scripted vehicle: whole sessions of DIN SPEC 70121, ISO 15118-2 and -20 as the schemas have them, and bad manners.

It is the other end of the SECC and shares the EXI codec with it, nothing else: what a handler gets wrong, it does not.
"""
