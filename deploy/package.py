"""Builds the Debian package: the daemon in a virtual environment of its own, made from the lock.

    .venv/bin/python deploy/package.py OUT_DIRECTORY

Everything is compiled ahead (unchecked hashes: a read-only root never writes or checks them), pruned of what a board
has no use for, and dated SOURCE_DATE_EPOCH: the same checkout on the same Debian gives the same bytes.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parent
PREFIX = Path("usr/lib/evsed")
SYSTEM_PYTHON = Path("/usr/bin/python3")
UV = TOP / ".venv" / "bin" / "uv"

PRUNED = (
    "**/__pycache__",
    "**/*.pyi",
    "**/*.c",
    "**/*.h",
    "**/py.typed",
    "**/tests",
    "**/*.jar",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_*.json",
    "*.pth",
    "share",
)
"""The jar is an EXI codec that needs a JVM; the types are for checkers; RECORD would name files that are gone."""

FILES = {
    "systemd/evsed.service": "lib/systemd/system/evsed.service",
    "systemd/evsed-reboot.path": "lib/systemd/system/evsed-reboot.path",
    "systemd/evsed-reboot.service": "lib/systemd/system/evsed-reboot.service",
    "systemd/evsed-trial.timer": "lib/systemd/system/evsed-trial.timer",
    "systemd/evsed-trial.service": "lib/systemd/system/evsed-trial.service",
    "systemd/evsed-firewall.service": "lib/systemd/system/evsed-firewall.service",
    "systemd/evsed.sysusers": "usr/lib/sysusers.d/evsed.conf",
    "systemd/evsed.tmpfiles": "usr/lib/tmpfiles.d/evsed.conf",
    "systemd/journald-evsed.conf": "usr/lib/systemd/journald.conf.d/evsed.conf",
    "network/60-evsed.rules": "etc/udev/rules.d/60-evsed.rules",
    "network/60-evse-plc.link": "etc/systemd/network/60-evse-plc.link",
    "network/60-evse-plc.network": "etc/systemd/network/60-evse-plc.network",
    "network/evsed.nft": f"{PREFIX}/network/evsed.nft",
    "rauc/system.conf": "usr/share/doc/evsed/rauc-system.conf",
    "debian/copyright": "usr/share/doc/evsed/copyright",
}
CONFFILES = [f"/{target}" for target in FILES.values() if target.startswith("etc/")]
DOCUMENTS = ("docs/deploy.md", "docs/provisioning.md", "docs/cli.md", "SECURITY.md")

LAUNCHER = """#!/{prefix}/bin/python3 -I
import sys
from {module} import main
sys.exit(main())
"""
COMMANDS = {"evsed": "firmware.app", "evse": "firmware.cli"}


def run(*words: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in words], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def version() -> str:
    return str(tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"])


def epoch() -> str:
    """When the source was last changed, unless SOURCE_DATE_EPOCH says otherwise."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    return told or run("git", "-C", TOP, "log", "-1", "--format=%ct").strip()


# --- The tree ---


def make_environment(root: Path) -> Path:
    """An empty virtual environment on the system's Python; returns its site-packages."""
    place = root / PREFIX
    run(SYSTEM_PYTHON, "-m", "venv", "--without-pip", "--symlinks", place)
    for script in (place / "bin").glob("[Aa]ctivate*"):
        script.unlink()
    (place / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    shutil.rmtree(place / "include", ignore_errors=True)
    (place / "lib64").unlink(missing_ok=True)
    return next((place / "lib").glob("python3.*")) / "site-packages"


def install(site_packages: Path, work: Path) -> None:
    """What the lock names, by its hashes, and the daemon's own wheel."""
    wheel = build_wheel(work)
    common = (UV, "pip", "install", "-q", "--python", SYSTEM_PYTHON, "--target", site_packages, "--no-deps")
    run(*common, "--link-mode", "copy", "--require-hashes", "-r", HERE / "requirements.txt")
    run(*common, "--link-mode", "copy", wheel)


def build_wheel(work: Path) -> Path:
    """From a copy, so that the checkout stays clean and no path of it gets into the compiled part."""
    source = work / "source"
    for name in run("git", "-C", TOP, "ls-files").splitlines():
        if (TOP / name).is_file() and not name.startswith(("tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, source / name)
    flags = f"-O2 -g0 -ffile-prefix-map={source}=."
    run(
        UV, "build", "-q", "--wheel", "--no-build-isolation", "--python", TOP / ".venv/bin/python", source, CFLAGS=flags
    )
    return next((source / "dist").glob("*.whl"))


def prune(site_packages: Path) -> None:
    for pattern in PRUNED:
        for found in list(site_packages.glob(pattern)):
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    shutil.rmtree(site_packages / "bin", ignore_errors=True)
    for library in site_packages.rglob("*.so*"):
        run("strip", "--strip-unneeded", library)


def compile_bytecode(root: Path) -> None:
    """As it will lie on the board; a hash that is not checked needs neither time stamp nor source."""
    words = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", root, "-p", "/")
    run(SYSTEM_PYTHON, *words, root / PREFIX / "lib")


def add_commands(root: Path) -> None:
    links = root / "usr" / "bin"
    links.mkdir(parents=True)
    for name, module in COMMANDS.items():
        launcher = root / PREFIX / "bin" / name
        launcher.write_text(LAUNCHER.format(prefix=PREFIX, module=module))
        launcher.chmod(0o755)
        (links / name).symlink_to(f"../lib/evsed/bin/{name}")


def add_files(root: Path) -> None:
    for source, target in FILES.items():
        put(HERE / source, root / target)
    for document in DOCUMENTS:
        put(TOP / document, root / "usr/share/doc/evsed" / Path(document).name)
    for example in sorted((HERE / "examples").glob("*.toml")):
        put(example, root / "usr/share/doc/evsed/examples" / example.name)
    completion = root / "usr/share/bash-completion/completions/evse"
    completion.parent.mkdir(parents=True)
    completion.write_text(run(TOP / ".venv/bin/evse", "completion", "bash"))


def put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


# --- The package ---


def shared_libraries(root: Path) -> list[str]:
    """The Debian packages of the libraries that our compiled parts ask for."""
    wanted = set()
    for library in sorted(root.rglob("*.so*")):
        dynamic = run("readelf", "-d", library)
        wanted |= set(re.findall(r"\(NEEDED\).*\[(.+?)\]", dynamic))
    packages = set()
    for name in wanted:
        found = subprocess.run(["dpkg", "-S", f"*/{name}"], capture_output=True, text=True, check=False).stdout
        owners = {line.partition(":")[0] for line in found.splitlines()}
        packages |= {owner for owner in owners if not owner.endswith("-dev") and "cross" not in owner}
    return sorted(packages)


def control(root: Path) -> None:
    python = next((root / PREFIX / "lib").glob("python3.*")).name
    minor = int(python.removeprefix("python3."))
    depends = [
        f"python3 (>= 3.{minor})",
        f"python3 (<< 3.{minor + 1})",
        "systemd",
        "nftables",
        "libtss2-tcti-device0",
        *shared_libraries(root),
    ]
    size = sum(file.lstat().st_size for file in root.rglob("*") if not file.is_dir()) // 1024
    folder = root / "DEBIAN"
    folder.mkdir()
    template = (HERE / "debian" / "control").read_text()
    (folder / "control").write_text(
        template.format(
            version=version(),
            architecture=run("dpkg", "--print-architecture").strip(),
            size=size,
            depends=", ".join(depends),
        )
    )
    (folder / "conffiles").write_text("".join(f"{file}\n" for file in CONFFILES))
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(HERE / "debian" / name, folder / name)
        (folder / name).chmod(0o755)
    files = sorted(file for file in root.rglob("*") if file.is_file() and not file.is_symlink())
    sums = [
        f"{hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()}  {file.relative_to(root)}\n"
        for file in files
        if folder not in file.parents
    ]
    (folder / "md5sums").write_text("".join(sums))


def build(out: Path) -> Path:
    """Returns the package's file."""
    at = epoch()
    with tempfile.TemporaryDirectory(prefix="evsed-package-") as made:
        work = Path(made)
        root = work / "root"
        site_packages = make_environment(root)
        install(site_packages, work)
        prune(site_packages)
        add_commands(root)
        bill = run(SYSTEM_PYTHON, HERE / "sbom.py", site_packages, SOURCE_DATE_EPOCH=at, EVSED_VERSION=version())
        compile_bytecode(root)
        add_files(root)
        (root / "usr/share/doc/evsed/evsed.cdx.json").write_text(bill)
        control(root)
        for directory in [root, *(entry for entry in root.rglob("*") if entry.is_dir() and not entry.is_symlink())]:
            directory.chmod(0o755)
        out.mkdir(parents=True, exist_ok=True)
        run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, out, SOURCE_DATE_EPOCH=at)
    return max(out.glob("evsed_*.deb"), key=lambda file: file.stat().st_mtime)


if __name__ == "__main__":
    package = build(Path(sys.argv[1]))
    print(f"{package}: {package.stat().st_size / 1e6:.1f} MB")
