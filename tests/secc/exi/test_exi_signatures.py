"""Every element that gets signed: its digest and signature made and checked, and checked again without this codec.

The expected octets of the fragments come from a small second reading of the grammar: see `Bits` below. The digests and
signatures are computed by the `cryptography` library over octets that crossed from one side to the other.
"""
