"""The Yocto layer, as far as it can be judged without bitbake: versions, hashes, names of files and units."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DEPLOY = TOP / "deploy"
LAYER = DEPLOY / "yocto" / "meta-evsed"
LOCK = (DEPLOY / "requirements.txt").read_text()
PINNED = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.MULTILINE))
DAEMON = next(LAYER.glob("recipes-evsed/evsed/evsed_*.bb"))
OWN = sorted(LAYER.glob("recipes-evsed/python/python3-*_*.bb"))


def variable(recipe: Path, name: str) -> str:
    found = re.search(rf'^{re.escape(name)} \??\+?= "((?:[^"\\]|\\\n|\\.)*)"', recipe.read_text(), re.MULTILINE)
    assert found is not None, name
    return found[1].replace("\\\n", " ")


def hashes_of(name: str) -> set[str]:
    block = re.search(rf"^{re.escape(name)}==.*?(?=^\S|\Z)", LOCK, re.MULTILINE | re.DOTALL)
    assert block is not None
    return set(re.findall(r"[0-9a-f]{64}", block[0]))


def test_the_daemon_has_the_projects_version() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert DAEMON.stem == f"evsed_{project['version']}"
    digest = hashlib.md5((TOP / "LICENSE").read_bytes(), usedforsecurity=False).hexdigest()
    assert variable(DAEMON, "LIC_FILES_CHKSUM") == f"file://LICENSE;md5={digest}"


@pytest.mark.parametrize("recipe", OWN, ids=lambda path: path.stem)
def test_a_recipe_of_ours_has_the_locks_version_and_hash(recipe: Path) -> None:
    name, _, version = recipe.stem.removeprefix("python3-").rpartition("_")
    assert PINNED[name] == version
    assert variable(recipe, "PYPI_PACKAGE") == name
    assert variable(recipe, "SRC_URI[sha256sum]") in hashes_of(name)


def test_what_is_compiled_comes_from_recipes() -> None:
    """Every package of the lock is either installed from it, or a dependency of the recipe."""
    compiled = variable(DAEMON, "EVSED_COMPILED").split()
    assert set(compiled) <= set(PINNED)
    needed = variable(DAEMON, "RDEPENDS:${PN}").split()
    assert {f"python3-{name}" for name in compiled} <= set(needed)


def test_the_lock_is_cut_as_the_recipe_cuts_it() -> None:
    """The recipe's own lines, run on the lock: whole entries go, whole entries stay."""
    body = re.search(r"python do_evsed_lock\(\) \{\n(.*?)\n\}", DAEMON.read_text(), re.DOTALL)
    assert body is not None
    compiled, keep, lines = set(variable(DAEMON, "EVSED_COMPILED").split()), True, []
    assert 'if "==" in line and not line.startswith(" "):' in body[1]
    for line in LOCK.splitlines(keepends=True):
        if "==" in line and not line.startswith(" "):
            keep = line.split("==")[0].lower() not in compiled
        if keep:
            lines.append(line)
    pure = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", "".join(lines), re.MULTILINE))
    assert set(pure) == set(PINNED) - compiled
    assert pure.items() <= PINNED.items()


def test_what_it_installs_is_there_and_enabled() -> None:
    text = DAEMON.read_text()
    for name in re.findall(r"\$\{S\}/deploy/(\S+)", text):
        assert list(DEPLOY.glob(name)), name
    units = variable(DAEMON, "SYSTEMD_SERVICE:${PN}").split()
    assert all((DEPLOY / "systemd" / unit).is_file() for unit in units)


def test_the_bundle_fits_the_boards_configuration() -> None:
    bundle, system = LAYER / "recipes-core/bundles/evsed-bundle.bb", (DEPLOY / "rauc" / "system.conf").read_text()
    assert f"compatible={variable(bundle, 'RAUC_BUNDLE_COMPATIBLE')}\n" in system
    assert re.search(r"\+epoch\.\$\{EVSED_EPOCH\}$", variable(bundle, "RAUC_BUNDLE_VERSION"))
    slot = variable(bundle, "RAUC_BUNDLE_SLOTS")
    assert f"[slot.{slot}.0]" in system
    assert f"[slot.{slot}.1]" in system
    assert "bundle-formats=-plain" in system
    assert variable(bundle, "RAUC_BUNDLE_FORMAT") == "verity"
    image = LAYER / f"recipes-core/images/{variable(bundle, 'RAUC_SLOT_rootfs')}.bb"
    assert "read-only-rootfs" in variable(image, "IMAGE_FEATURES")


def test_the_layer_is_complete() -> None:
    conf = (LAYER / "conf" / "layer.conf").read_text()
    for name in ("BBFILE_COLLECTIONS", "BBFILE_PATTERN_evsed", "LAYERDEPENDS_evsed", "LAYERSERIES_COMPAT_evsed"):
        assert name in conf
