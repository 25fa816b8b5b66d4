"""A CycloneDX 1.5 bill of materials from the lock: every package with version, hashes and licence.

    python deploy/sbom.py SITE_PACKAGES > evsed.cdx.json

The lock says what and with which hashes; the installed metadata say under which licence. Same input, same bytes: the
time is SOURCE_DATE_EPOCH, the serial number is made from the content.
"""

import json
import os
import re
import sys
import uuid
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.txt")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_CLASSIFIER = "License :: OSI Approved :: "


def locked(text: str) -> dict[str, tuple[str, list[str]]]:
    """Version and SHA-256 hashes of the release's files, by name."""
    found: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in text.splitlines():
        if pinned := _PINNED.match(line):
            name = pinned[1].lower()
            found[name] = pinned[2], []
        found_here = _HASH.findall(line)
        if found_here:
            found[name][1].extend(found_here)
    return found


def metadata_of(site_packages: Path) -> dict[str, Message]:
    """By name, as the lock writes it. What says no licence but brings Apache's text is told to be under it."""
    found = {}
    for file in sorted(site_packages.glob("*.dist-info/METADATA")):
        one = HeaderParser().parsestr(file.read_text(encoding="utf-8", errors="replace"))
        if not licence_of(one) and any(_is_apache(text) for text in file.parent.rglob("LICENSE*")):
            one["License-Expression"] = "Apache-2.0"
        found[re.sub(r"[-_.]+", "-", str(one["Name"])).lower()] = one
    return found


def _is_apache(file: Path) -> bool:
    head = " ".join(file.read_text(encoding="utf-8", errors="replace")[:500].split())
    return head.startswith("Apache License Version 2.0")


def licence_of(metadata: Message | None) -> list[dict[str, object]]:
    """An SPDX expression where the package has one, else the words it has."""
    if metadata is None:
        return []
    if expression := metadata["License-Expression"]:
        return [{"expression": str(expression)}]
    classifiers = [str(line) for line in metadata.get_all("Classifier", [])]
    names = [line.removeprefix(_CLASSIFIER) for line in classifiers if line.startswith(_CLASSIFIER)]
    if not names and (text := str(metadata["License"] or "").strip()):
        names = [text.splitlines()[0][:100]]
    return [{"license": {"name": name}} for name in names]


def component(name: str, version: str, hashes: list[str], metadata: Message | None) -> dict[str, object]:
    purl = f"pkg:pypi/{name}@{version}"
    made: dict[str, object] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licences := licence_of(metadata):
        made["licenses"] = licences
    if hashes:
        files = [{"alg": "SHA-256", "content": content} for content in sorted(hashes)]
        made["externalReferences"] = [
            {"type": "distribution", "url": purl, "comment": "one hash for each file of the release", "hashes": files}
        ]
    return made


def bill(site_packages: Path, lock: str, version: str, at: datetime) -> dict[str, object]:
    installed = metadata_of(site_packages)
    main: dict[str, object] = {
        "type": "application",
        "bom-ref": f"evsed@{version}",
        "name": "evsed",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    components = [
        component(name, pinned, hashes, installed.get(re.sub(r"[-_.]+", "-", name)))
        for name, (pinned, hashes) in sorted(locked(lock).items())
    ]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([main, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": main},
        "components": components,
        "dependencies": [
            {"ref": main["bom-ref"], "dependsOn": [str(one["bom-ref"]) for one in components]},
            *({"ref": one["bom-ref"]} for one in components),
        ],
    }


def main() -> None:
    at = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    version = os.environ.get("EVSED_VERSION", "0")
    print(json.dumps(bill(Path(sys.argv[1]), LOCK.read_text(), version, at), indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
