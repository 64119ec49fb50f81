"""Runs all security tests and prints a table of the attacks, their number and their results."""

import sys
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

ATTACKS: dict[str, list[str]] = {
    "paths, hosts, redirects, symlinks": [
        "documents/test_location.py",
        "documents/test_local.py",
        "documents/test_supabase.py",
        "documents/test_opening.py",
    ],
    "decompression bombs, crashes, sandbox": [
        "ocr/input/test_probe.py",
        "ocr/input/test_page_loading.py",
        "ocr/workers/test_process.py",
        "ocr/workers/test_document_pool.py",
        "ocr/workers/test_resource_limits.py",
        "ocr/workers/test_sandbox.py",
        "fuzz/test_fuzzing.py",
    ],
    "roles and row-level security": ["job_queue/schema/test_roles.py"],
    "leaks of secrets and texts": ["security/test_leaks.py", "test_settings.py"],
    "SQL in text fields": ["security/test_injection.py"],
    "hostile run config": ["defs/test_hostile_config.py", "browser/test_hostile_graphql.py"],
}


class Table:
    """Collects the outcomes of each test function, with all its parameters together."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            path, _, name = report.nodeid.partition("::")
            sentence = name.partition("[")[0].rpartition("::")[2].removeprefix("test_").replace("_", " ")
            self.outcomes[path.removeprefix("notaflow_pipeline_tests/"), sentence].append(report.outcome)

    def print(self) -> None:
        for attack, files in ATTACKS.items():
            print(f"\n{attack}\n{'-' * len(attack)}")
            for (path, sentence), outcomes in self.outcomes.items():
                if path in files:
                    broken, skipped = outcomes.count("failed"), outcomes.count("skipped")
                    held = f"held, {len(outcomes)} of {len(outcomes)}"
                    if broken:
                        held = f"BROKEN, {broken} of {len(outcomes)}"
                    elif skipped:
                        held = f"not tried here, {skipped} of {len(outcomes)}"
                    print(f"  {held:<22} {sentence}")


def main() -> int:
    """Runs the tests and returns the exit code of pytest."""
    table = Table()
    files = [str(TESTS / file) for files in ATTACKS.values() for file in files]
    code = pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", *files, *sys.argv[1:]], plugins=[table])
    table.print()
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
