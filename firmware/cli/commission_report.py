"""The commissioning report an installer keeps: one page to print, from the record. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

from firmware.cli.checklist import STEPS

Told = dict[str, Any]

STYLE = """
body{font:14px/1.4 sans-serif;margin:2rem auto;max-width:46rem;color:#000;background:#fff}
h1{font-size:1.5rem}table{width:100%;border-collapse:collapse}
th,td{border:1px solid #999;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#eee}.failed,.open{font-weight:bold}.failed td:nth-child(3){background:#fdd}
.open td:nth-child(3){background:#ffd}
.sign{margin-top:3rem;display:grid;grid-template-columns:1fr 1fr;gap:3rem}.sign div{border-top:1px solid #000}
@media print{body{margin:0}}
"""


def html(record: Told) -> str:
    station = record["station"]
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in {
            **station,
            "evse": record["evse"],
            "begun": record["begun"],
            "ended": record["ended"],
        }.items()
    )
    rows = "".join(_row(number, name, record["steps"].get(name)) for number, name in enumerate(STEPS, 1))
    verdict = "passed" if record["passed"] else "NOT passed"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Commissioning of '
        f"{escape(station['identity'])}</title><style>{STYLE}</style></head><body>\n"
        f"<h1>Commissioning report: {verdict}</h1>\n<table>{facts}</table>\n<h2>Checks</h2>\n"
        f"<table><tr><th>No</th><th>Check</th><th>Verdict</th><th>Found</th><th>Time (UTC)</th></tr>\n{rows}</table>\n"
        f'<div class="sign"><div>Installer: {escape(record["technician"])}</div><div>Date and signature</div></div>\n'
        "</body></html>\n"
    )


def _row(number: int, name: str, step: Told | None) -> str:
    title = escape(STEPS[name][0])
    if step is None:
        return f'<tr class="open"><td>{number}</td><td>{title}</td><td>open</td><td></td><td></td></tr>\n'
    measured = " ".join(f"{key}={value}" for key, value in step["measured"].items() if value is not None)
    found = escape(f"{step['detail']}{'; ' if measured else ''}{measured}")
    return (
        f'<tr class="{escape(step["verdict"])}"><td>{number}</td><td>{title}</td><td>{escape(step["verdict"])}</td>'
        f"<td>{found}</td><td>{escape(step['wall_time'][:19].replace('T', ' '))}</td></tr>\n"
    )
