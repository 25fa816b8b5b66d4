"""The package's making, part by part; `make package-check` builds the whole and tries it on a fresh Debian."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
SITE_PACKAGES = next((TOP / ".venv/lib").glob("python3.*")) / "site-packages"
LOCK = (DEPLOY / "requirements.txt").read_text()
AT = datetime(2026, 5, 1, tzinfo=UTC)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"deploy_{name}", DEPLOY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


package, sbom = load("package"), load("sbom")


# --- The bill of materials ---


def test_the_bill_lists_the_lock() -> None:
    made = sbom.bill(SITE_PACKAGES, LOCK, "1.2.3", AT)
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.MULTILINE))
    assert {one["name"]: one["version"] for one in made["components"]} == pinned
    hashes = sum(len(one["externalReferences"][0]["hashes"]) for one in made["components"])
    assert hashes == LOCK.count("--hash=sha256:")
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    assert made["metadata"]["timestamp"] == "2026-05-01T00:00:00Z"
    refs = {one["bom-ref"] for one in made["components"]} | {made["metadata"]["component"]["bom-ref"]}
    assert {edge["ref"] for edge in made["dependencies"]} == refs


def test_every_package_has_a_licence() -> None:
    made = sbom.bill(SITE_PACKAGES, LOCK, "1.2.3", AT)
    assert [one["name"] for one in made["components"] if not one.get("licenses")] == []


def test_the_bill_is_the_same_again_and_another_for_another_lock() -> None:
    first, again = (sbom.bill(SITE_PACKAGES, LOCK, "1", AT) for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
    other = sbom.bill(SITE_PACKAGES, LOCK.replace("ocpp==2.1.0", "ocpp==2.1.1"), "1", AT)
    assert other["serialNumber"] != first["serialNumber"]


@pytest.mark.parametrize(
    ("headers", "licences"),
    [
        ("License-Expression: MIT OR Apache-2.0\n", [{"expression": "MIT OR Apache-2.0"}]),
        ("Classifier: License :: OSI Approved :: MIT License\n", [{"license": {"name": "MIT License"}}]),
        ("License: BSD\n and more\n", [{"license": {"name": "BSD"}}]),
        ("", []),
    ],
)
def test_licences_as_packages_tell_them(tmp_path: Path, headers: str, licences: list[object]) -> None:
    folder = tmp_path / "One_Two-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: One_Two\n{headers}\n")
    assert sbom.licence_of(sbom.metadata_of(tmp_path)["one-two"]) == licences
    assert sbom.licence_of(None) == []


# --- The tree ---


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's tree, with this checkout's packages in place of the lock's."""
    return tree(tmp_path_factory.mktemp("package") / "root")


def tree(root: Path) -> Path:
    site_packages = package.make_environment(root)
    for name in ("hal", "firmware"):
        subprocess.run(["cp", "-r", TOP / name, site_packages], check=True)
    package.prune(site_packages)
    package.add_commands(root)
    package.compile_bytecode(root)
    package.add_files(root)
    package.control(root)
    return root


def test_what_is_installed_is_there(root: Path) -> None:
    for source, target in package.FILES.items():
        assert (root / target).read_bytes() == (DEPLOY / source).read_bytes()
    assert all((root / file.lstrip("/")).is_file() for file in package.CONFFILES)
    names = {path.name for path in (DEPLOY / "examples").glob("*.toml")}
    assert {path.name for path in (root / "usr/share/doc/evsed/examples").iterdir()} == names
    assert "complete" in (root / "usr/share/bash-completion/completions/evse").read_text()


def test_everything_is_compiled_and_never_checked(root: Path) -> None:
    sources = set((root / package.PREFIX / "lib").rglob("*.py"))
    compiled = list((root / package.PREFIX / "lib").rglob("*.pyc"))
    assert len(compiled) == len(sources) > 50
    for file in compiled:
        flags = int.from_bytes(file.read_bytes()[4:8], "little")
        assert flags == 0b01, "a hash, unchecked"
    assert str(root).encode() not in compiled[0].read_bytes(), "no path of the building machine"


def test_the_commands_run_from_the_tree(root: Path) -> None:
    """With the libraries of this checkout; the environment is closed to what the user's own says."""
    site_packages = next((root / package.PREFIX / "lib").glob("python3.*")) / "site-packages"
    (site_packages / "libraries.pth").write_text(f"{SITE_PACKAGES}\n{TOP}\n")
    place = root / package.PREFIX / "bin"
    environment = os.environ | {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}
    for command, words in (("evsed", "good, 1 EVSE"), ("evse", "good")):
        arguments = ["--check"] if command == "evsed" else ["config", "validate"]
        example = DEPLOY / "examples" / "ac-single.toml"
        done = subprocess.run(
            [place / "python3", "-I", place / command, *arguments, example],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert (place / command).read_text().startswith(f"#!/{package.PREFIX}/bin/python3 -I\n")
        assert str((root / "usr/bin" / command).readlink()) == f"../lib/evsed/bin/{command}"
    (site_packages / "libraries.pth").unlink()


def test_the_same_tree_gives_the_same_package(root: Path, tmp_path: Path) -> None:
    digests = set()
    for number, made in enumerate((root, tree(tmp_path / "again"))):
        out = tmp_path / f"{number}.deb"
        words = ("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", made, out)
        subprocess.run(words, check=True, capture_output=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
        digests.add(out.read_bytes())
    assert len(digests) == 1


def test_what_the_package_says(root: Path) -> None:
    control = (root / "DEBIAN/control").read_text()
    minor = sys.version_info.minor
    assert f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})" in control
    assert "Version: 0." in control
    for name in ("postinst", "prerm", "postrm"):
        assert subprocess.run(["sh", "-n", root / "DEBIAN" / name], check=False).returncode == 0
    sums = (root / "DEBIAN/md5sums").read_text()
    assert "usr/lib/evsed/bin/evsed\n" in sums


def test_maintainer_scripts_name_the_units_that_are_there() -> None:
    units = {Path(target).name for target in package.FILES.values() if "systemd/system" in target}
    for name in ("postinst", "postrm"):
        text = (DEPLOY / "debian" / name).read_text()
        named = set(re.findall(r"evsed[a-z-]*\.(?:service|path|timer)", text))
        assert named <= units
        assert {"evsed.service", "evsed-reboot.path", "evsed-trial.timer", "evsed-firewall.service"} <= named
