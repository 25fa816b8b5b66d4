"""Which cases there are, and how each stands: the table of docs/ocpp.md.

A case passes when a test of its name is in this folder; its words are the test's docstring. `python table.py` prints
the document's table.
"""

import ast
from pathlib import Path

FOLDER = Path(__file__).parent

CASES = {
    "A": "1 4 5 6 7 9-12 14 15 19 20 21 22 23",
    "B": "1-3 6 7 9-18 20-30 32-37 39 41 43 45-47 49-57",
    "C": "2 4-18 21-34 36-58",
    "D": "1-10",
    "E": "1-17 19-22 24-35 37-46 50-52 54",
    "F": "1-20 23 24 26 27",
    "G": "1-21",
    "H": "1-4 6-10 12-24",
    "I": "1 2 7",
    "J": "1-4 6-11",
    "K": "1-16 19 21-24 28-44 47 48 50-60 70",
    "L": "1-3 5-8 10-16",
    "M": "1-4 7 9 12-20 22-31",
    "N": "1-3 5 6 8-13 15-32 34-37 39-41 43-53 56 60 62 63",
    "O": "1-14 17-20 22 24 26-28 30 32-38",
    "P": "1 3",
}
"""Charging-station cases, mandatory and conditional: Core, Advanced Security, Local Authorization List, Reservation,
Advanced User Interface, Advanced Device Management,
ISO 15118 Support."""

NOT_APPLICABLE = {
    "TC_B_15": "SummaryInventory is supported",
    "TC_B_28": "an EVSE can be reset by itself",
    "TC_B_29": "an EVSE can be reset by itself",
    "TC_C_47": "there is no display to choose transactions on",
    "TC_C_48": "there is no display to choose transactions on",
    "TC_E_11": "start point DataSigned is not offered: a signing meter begins with the transaction",
    "TC_E_12": "start point ParkingBayOccupancy needs a sensor",
    "TC_E_19": "stop point ParkingBayOccupancy needs a sensor",
    "TC_E_25": "UnlockOnEVSideDisconnect is true and read-only",
    "TC_E_26": "StopTxOnEVSideDisconnect is true and read-only",
    "TC_E_27": "StopTxOnEVSideDisconnect is true and read-only",
    "TC_J_08": "the station knows the EVSE of every transaction",
    **dict.fromkeys(("TC_M_09", "TC_M_30", "TC_M_31"), "AdditionalRootCertificateCheck is false"),
    "TC_N_63": "certificates of customers are not kept",
    "TC_O_17": "every priority is supported",
    "TC_O_18": "every state is supported",
    "TC_K_12": "both charging rate units are supported",
    "TC_K_15": "smart charging is supported",
    "TC_K_38": "smart charging is supported",
    "TC_K_42": "both charging rate units are supported",
    "TC_L_12": "an image is downloaded while transactions run",
    "TC_L_13": "an image is downloaded while transactions run",
    "TC_L_16": "installing waits for transactions to end: the restart would cut them off",
}

NOT_YET: dict[str, str] = {}


def cases() -> list[str]:
    """Every id, in order."""
    ids = []
    for block, text in CASES.items():
        for part in text.split():
            first, _, last = part.partition("-")
            ids += [f"TC_{block}_{number:02}" for number in range(int(first), int(last or first) + 1)]
    return ids


def passing() -> dict[str, str]:
    """The words of each case with a test."""
    found = {}
    for path in sorted(FOLDER.glob("test_ocpp_cases_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_tc_"):
                found[node.name.removeprefix("test_").upper()] = (ast.get_docstring(node) or "").rstrip(".")
    return found


def rows() -> list[str]:
    tested = passing()
    lines = ["| case | status | what, or why not |", "|---|---|---|"]
    for case in cases():
        if case in tested:
            lines.append(f"| {case} | pass | {tested[case]} |")
        elif case in NOT_APPLICABLE:
            lines.append(f"| {case} | not applicable | {NOT_APPLICABLE[case]} |")
        else:
            lines.append(f"| {case} | not yet | {NOT_YET[case]} |")
    return lines


def summary() -> str:
    tested, every = set(passing()), cases()
    passed = sum(case in tested for case in every)
    off = sum(case in NOT_APPLICABLE for case in every)
    return f"{len(every)} cases: {passed} pass, {off} not applicable, {len(every) - passed - off} not yet."


if __name__ == "__main__":
    print("\n".join([summary(), "", *rows()]))
