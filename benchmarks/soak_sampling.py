"""Measures a running installation: memory, descriptors, connections, rows and disk, by part."""

import os
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

POSTGRES = "postgres"
PARTS = {"execute_run": "runs", "code_server.py": "code server", "code-server": "code server"}
PARTS |= {"dagster_webserver": "webserver", "dagster-webserver": "webserver", "dagster._daemon": "daemon"}
"""Words of a command line, and the part that such a process belongs to; its children belong to it too."""

SCHEMAS = """
SELECT n.nspname, sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND n.nspname IN ('public', 'dagster')
GROUP BY n.nspname
"""

TABLES = """
SELECT n.nspname || '.' || c.relname, pg_total_relation_size(c.oid)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND n.nspname IN ('public', 'dagster')
  AND pg_total_relation_size(c.oid) > 65536
"""

ROWS = """
SELECT (SELECT count(*) FROM extraction_queue WHERE status_id = 5) AS documents_read,
       (SELECT count(*) FROM ocr_attempt) AS attempts,
       (SELECT count(*) FROM dagster.runs) AS runs,
       (SELECT count(*) FROM dagster.event_logs) AS events,
       (SELECT count(*) FROM dagster.asset_check_executions) AS check_results,
       (SELECT count(*) FROM dagster.job_ticks) AS ticks,
       (SELECT count(*) FROM dagster.job_ticks WHERE status = 'SKIPPED') AS ticks_skipped,
       pg_database_size(current_database()) AS database_bytes
"""

CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'soak'
"""


def count_connections(connection: psycopg.Connection) -> int:
    """Returns the number of client connections, without this one."""
    found = connection.execute(CONNECTIONS).fetchone()
    return int(found[0]) if found else 0


def sample(connection: psycopg.Connection, dev: int, folder: Path) -> dict[str, float]:
    """Return every figure of this moment; names are `part: figure`, sizes in bytes.

    Args:
        connection: to the installation's database, in autocommit.
        dev: the process id of `notaflow dev`.
        folder: where everything of the installation lies.
    """
    figures: dict[str, float] = {}
    postmaster = int((folder / "home" / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    known = _processes(dev, "notaflow dev") | _processes(postmaster, POSTGRES)
    for part, processes in _by_part(known).items():
        for name, value in _figures(processes).items():
            figures[f"{part}: {name}"] = value
    figures["orphans: processes"] = len(_marked(folder) - set(known))
    figures |= {f"schema {name}: bytes": float(size) for name, size in connection.execute(SCHEMAS)}
    figures |= {f"table {name}: bytes": float(size) for name, size in connection.execute(TABLES)}
    cursor = connection.execute(ROWS)
    row = cursor.fetchone()
    figures |= dict(zip([column.name for column in cursor.description or ()], map(float, row or ()), strict=True))
    figures |= {f"disk {name}: bytes": float(_disk_bytes(path)) for name, path in _places(folder).items()}
    figures["temporary: entries"] = len(list((folder / "temporary").iterdir()))
    return figures


def _places(folder: Path) -> dict[str, Path]:
    postgres = folder / "home" / "postgres"
    return {
        "home": folder / "home",
        "tables": postgres / "base",
        "write-ahead log": postgres / "pg_wal",
        "server's log": postgres / "log",
        "temporary": folder / "temporary",
    }


def _disk_bytes(path: Path) -> int:
    total = 0
    for place, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - thousands of files
    return total if path.is_dir() else (path.stat().st_blocks * 512 if path.exists() else 0)


def _processes(root: int, part: str) -> dict[int, tuple[psutil.Process, str]]:
    """Returns the running processes below `root`, each with its part: that of its own command line, or its parent's."""
    found: dict[int, tuple[psutil.Process, str]] = {}

    def visit(process: psutil.Process, part: str) -> None:
        with suppress(psutil.Error):
            words = process.cmdline()[:8]
            of_word = [PARTS[word] for word in PARTS if any(word in given.split("/")[-1] for given in words)]
            mine = of_word[0] if of_word and part not in {"runs", POSTGRES} else part
            found[process.pid] = process, mine
            for child in process.children():
                visit(child, mine)

    with suppress(psutil.NoSuchProcess):
        visit(psutil.Process(root), part)
    return found


def _by_part(known: dict[int, tuple[psutil.Process, str]]) -> dict[str, list[psutil.Process]]:
    parts: dict[str, list[psutil.Process]] = defaultdict(list)
    for process, part in known.values():
        parts[part].append(process)
    return parts


def _figures(processes: list[psutil.Process]) -> dict[str, float]:
    """Returns sums over the processes of a part; CPU includes ended children, if their parent has waited for them."""
    sums: dict[str, float] = defaultdict(float)
    for process in processes:
        with suppress(psutil.Error):
            memory, times = process.memory_full_info(), process.cpu_times()
            sums["rss"] += memory.rss
            sums["pss"] += memory.pss
            sums["uss"] += memory.uss
            sums["descriptors"] += process.num_fds()
            sums["threads"] += process.num_threads()
            sums["cpu"] += times.user + times.system
            sums["cpu of ended children"] += times.children_user + times.children_system
            sums["processes"] += 1
    return dict(sums)


def _marked(folder: Path) -> set[int]:
    """Returns every process that was started from this installation, whatever its parent is now."""
    mark = str(folder / "temporary")
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            old, ended = time.time() - process.create_time() > 60, process.status() == psutil.STATUS_ZOMBIE
            if old and not ended and process.environ().get("TMPDIR") == mark:
                found.add(process.pid)
    return found
