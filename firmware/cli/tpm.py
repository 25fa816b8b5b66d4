"""`evse tpm`: the chip that holds the keys, and how it has fared. Exits with 1 when something is wrong with it."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_common(subparsers.add_parser("tpm", help="the chip that holds the keys"))


def run(args: argparse.Namespace) -> int:
    tpm = ask(args, "Station.Status")["tpm"]
    wrong = tpm["trouble"] or ("locked out after too many wrong passwords" if tpm["locked_out"] else "")
    if args.json:
        out.as_json(tpm)
        return FAILED if wrong else 0
    counts = ", ".join(f"{fault}: {count}" for fault, count in tpm["fault_counts"].items())
    out.pairs(
        "TPM",
        [
            ("chip", f"{tpm['manufacturer']} {tpm['firmware']}".strip() or "not seen"),
            ("state", out.styled(wrong, out.RED) if wrong else "good"),
            ("curves", ", ".join(tpm["curves"]) or "none"),
            ("free slots", tpm["persistent_free"]),
            ("lockouts", tpm["lockout_counter"]),
            ("operations", f"{tpm['operations']}, {tpm['recovered']} of them at the second try"),
            ("slowest sign", f"{tpm['slowest_sign_s'] * 1000:.0f} ms"),
            ("faults", counts or "none"),
        ],
    )
    return FAILED if wrong else 0
