"""Checks that the lock files pin every dependency by hash, agree, and contain no known vulnerability.

Without a network: every package of every lock file is pinned to one version with its hashes, and the files agree. With one:
pip-audit queries PyPI's advisory database about each. If the database is unavailable, the check says so and passes.

usage: python scripts/audit.py [--require-advisories]      (a release requires that the database is available)
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-kubernetes.lock")

TIMEOUT_SECONDS = 300

PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]+\])?==(?P<version>[^\s;\\]+)")


def main() -> int:
    """Print what was found; return 1 for a lock that is not one, or for a known vulnerability."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--require-advisories", action="store_true", help="fail where the database cannot be asked")
    arguments = parser.parse_args()
    faults = [fault for lock in LOCKS for fault in faults_of_lock((PROJECT / lock).read_text(encoding="utf-8"), lock)]
    faults += disagreements(*(pins((PROJECT / lock).read_text(encoding="utf-8")) for lock in LOCKS))
    for fault in faults:
        print(f"audit: {fault}")
    if faults:
        return 1
    known, unasked = advisories()
    for vulnerability in known:
        print(f"audit: {vulnerability}")
    if unasked:
        print(f"audit: every package is pinned with its hashes; vulnerabilities were not looked up: {unasked}")
    else:
        print("audit: every package is pinned with its hashes, and none has a known vulnerability" if not known else "")
    return 1 if known or (unasked and arguments.require_advisories) else 0


def entries(lock: str) -> list[str]:
    """Return the requirements of a lock file, each with its continued lines as one."""
    joined = lock.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pins(lock: str) -> dict[str, set[str]]:
    """Return the versions of each package; markers may choose among several."""
    found: dict[str, set[str]] = {}
    for entry in entries(lock):
        if pinned := PINNED.match(entry):
            found.setdefault(pinned["name"].lower(), set()).add(pinned["version"])
    return found


def faults_of_lock(lock: str, name: str) -> list[str]:
    """Return what is not pinned, comes from elsewhere than an index, or has no hash."""
    faults = []
    for entry in entries(lock):
        if PINNED.match(entry) is None:
            faults.append(f"{name}: not pinned to one version: {entry[:80]}")
        elif "--hash=sha256:" not in entry:
            faults.append(f"{name}: no hash: {entry[:80]}")
    return faults


def disagreements(runtime: dict[str, set[str]], *others: dict[str, set[str]]) -> list[str]:
    """Return packages of which tests, or pods, would see another version than users; in the order of `LOCKS`."""
    return [
        f"{package} is {sorted(versions)} in {LOCKS[0]} and {sorted(other.get(package, set()))} in {name}"
        for name, other in zip(LOCKS[1:], others, strict=False)
        for package, versions in runtime.items()
        if other.get(package) != versions
    ]


def advisories() -> tuple[list[str], str]:
    """Return known vulnerabilities, and why they could not be looked up, or nothing."""
    if importlib.util.find_spec("pip_audit") is None:
        return [], "pip-audit is not installed (make setup-dev)"
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps"]
    for lock in LOCKS[1:]:  # each holds all of the first
        command += ["--requirement", str(PROJECT / lock)]
    try:
        done = subprocess.run(
            [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "10"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [], f"the advisory database did not answer within {TIMEOUT_SECONDS} s"
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return [], "the advisory database cannot be reached"
    return judge(packages)


def judge(packages: list[dict[str, object]]) -> tuple[list[str], str]:
    """Return what pip-audit's answer says. It counts packages that it could not ask about as good: they are counted here."""
    known = [
        f"{package['name']} {package['version']} has {vulnerability['id']}, fixed in {vulnerability['fix_versions']}"
        for package in packages
        for vulnerability in package.get("vulns", [])  # type: ignore[attr-defined]
    ]
    skipped = sum("skip_reason" in package for package in packages)
    if skipped == 0:
        return known, ""
    return (
        known,
        f"the advisory database knew nothing of {skipped} of {len(packages)} packages (no way to it from here?)",
    )


if __name__ == "__main__":
    sys.exit(main())
