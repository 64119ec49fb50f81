"""The three queues of the benchmark: how each is filled, and how the figures of a run are read from its tables."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.peers.worker_side import Order

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class System:
    """One queue: its worker program and queries of its tables. `%(mark)s` is an id of its log."""

    name: str
    script: str
    log_table: str
    empty: str
    finished: tuple[str, ...]  # %(rows)s documents that are done, with everything that it keeps of them
    failed: tuple[str, ...]  # %(rows)s documents that were given up, older than all work
    summary: str  # what of the run is unfinished, done, done twice, and stored; first claim; last end
    is_finished: str  # whether nothing is left to do
    waiting: tuple[str, ...] = ()  # %(rows)s documents, older than all work, that wait for their next attempt


NOTAFLOW = System(
    name="this queue",
    script="notaflow_worker.py",
    log_table="ocr_attempt",
    empty="TRUNCATE extraction_queue, ocr_attempt",
    # 64 characters stand for the text: a longer one lies outside the row, and its pointer is no wider than this
    finished=(
        """
        INSERT INTO extraction_queue (document_source, document_number, status_id, supabase_path, file_content,
                                      ocr_attempts, ocr_started_at, ocr_completed_at, created_at, updated_at)
        SELECT 'index', 'old-' || n, 5, 'index/' || n || '.pdf', repeat('x', 64), 1, now(), now(),
               now() - make_interval(days => 30), now()
        FROM generate_series(1, %(rows)s) AS n
        """,
        """
        INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                                 finished_at, outcome, pages, characters)
        SELECT id, 1, 'index', 'old', now(), now(), now(), 'succeeded', 1, 64
        FROM extraction_queue
        WHERE status_id = 5
        """,
    ),
    failed=(
        """
        INSERT INTO extraction_queue (document_source, document_number, status_id, supabase_path, ocr_attempts,
                                      ocr_max_attempts, ocr_error, ocr_last_error_at, created_at, updated_at)
        SELECT 'index', 'dead-' || n, 3, 'index/' || n || '.pdf', 3, 3, 'OCR processing failed: old', now(),
               now() - make_interval(days => 30), now()
        FROM generate_series(1, %(rows)s) AS n
        """,
        """
        INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                                 finished_at, outcome, failure_kind, error)
        SELECT id, 3, 'index', 'old', now(), now(), now(), 'failed', 'engine', 'old'
        FROM extraction_queue
        WHERE status_id = 3
        """,
    ),
    summary="""
        SELECT (SELECT count(*) FROM extraction_queue WHERE document_number LIKE 'run-%%' AND status_id <> 5) AS open,
               count(*) FILTER (WHERE outcome = 'succeeded') AS done,
               count(*) FILTER (WHERE outcome = 'succeeded')
                   - count(DISTINCT queue_id) FILTER (WHERE outcome = 'succeeded') AS twice,
               count(*) FILTER (WHERE outcome = 'succeeded' AND EXISTS (
                   SELECT
                   FROM extraction_queue AS q
                   WHERE q.id = queue_id
                     AND length(q.file_content) = %(bytes)s
               )) AS stored,
               EXTRACT(EPOCH FROM max(finished_at) - min(claimed_at))::double precision AS seconds
        FROM ocr_attempt
        WHERE id > %(mark)s
    """,
    is_finished="""
        SELECT NOT EXISTS (
            SELECT
            FROM extraction_queue
            WHERE status_id = 6
               OR status_id = 3 AND COALESCE(ocr_attempts, 0) < COALESCE(ocr_max_attempts, 3)
        )
    """,
    waiting=(
        """
        INSERT INTO extraction_queue (document_source, document_number, status_id, supabase_path, ocr_attempts,
                                      ocr_max_attempts, ocr_error, ocr_last_error_at, ocr_next_attempt_at, created_at)
        SELECT 'index', 'waits-' || n, 3, 'index/' || n || '.pdf', 1, 3, 'OCR processing failed: old', now(),
               now() + make_interval(days => 1), now() - make_interval(days => 30)
        FROM generate_series(1, %(rows)s) AS n
        """,
    ),
)

PGQUEUER = System(
    name="PgQueuer",
    script="pgqueuer_worker.py",
    log_table="pgqueuer_log",
    empty="TRUNCATE pgqueuer, pgqueuer_log, pgqueuer_statistics, bench_result",
    # a finished job is gone from its queue; its log keeps three lines, which its workers have aggregated
    finished=(
        """
        INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated)
        SELECT -n, s.status::pgqueuer_status, 0, 'document', TRUE
        FROM generate_series(1, %(rows)s) AS n
        CROSS JOIN (VALUES ('queued'), ('picked'), ('successful')) AS s (status)
        """,
        "INSERT INTO bench_result SELECT -n, repeat('x', 64) FROM generate_series(1, %(rows)s) AS n",
    ),
    failed=(
        """
        INSERT INTO pgqueuer (priority, status, entrypoint, payload)
        SELECT 0, 'failed', 'document', '0'
        FROM generate_series(1, %(rows)s) AS n
        """,
        """
        INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated)
        SELECT id, s.status::pgqueuer_status, 0, 'document', TRUE
        FROM pgqueuer
        CROSS JOIN (VALUES ('queued'), ('picked'), ('failed')) AS s (status)
        """,
    ),
    summary="""
        SELECT (SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked')) AS open,
               count(*) FILTER (WHERE status = 'successful') AS done,
               count(*) FILTER (WHERE status = 'successful')
                   - count(DISTINCT job_id) FILTER (WHERE status = 'successful') AS twice,
               count(*) FILTER (WHERE status = 'successful' AND EXISTS (
                   SELECT
                   FROM bench_result AS r
                   WHERE r.job_id = pgqueuer_log.job_id
                     AND length(r.content) = %(bytes)s
               )) AS stored,
               EXTRACT(EPOCH FROM max(created) FILTER (WHERE status = 'successful')
                   - min(created) FILTER (WHERE status = 'picked'))::double precision AS seconds
        FROM pgqueuer_log
        WHERE id > %(mark)s
    """,
    is_finished="SELECT NOT EXISTS (SELECT FROM pgqueuer WHERE status IN ('queued', 'picked'))",
)

PROCRASTINATE = System(
    name="Procrastinate",
    script="procrastinate_worker.py",
    log_table="procrastinate_events",
    empty="TRUNCATE procrastinate_jobs, procrastinate_events, procrastinate_workers, procrastinate_periodic_defers, "
    "bench_result",
    finished=(
        """
        INSERT INTO procrastinate_jobs (queue_name, task_name, status, attempts)
        SELECT 'documents', 'document', 'succeeded', 1
        FROM generate_series(1, %(rows)s) AS n
        """,
        """
        INSERT INTO procrastinate_events (job_id, type)
        SELECT id, s.type::procrastinate_job_event_type
        FROM procrastinate_jobs
        CROSS JOIN (VALUES ('deferred'), ('started'), ('succeeded')) AS s (type)
        WHERE status = 'succeeded'
        """,
        "INSERT INTO bench_result SELECT -n, repeat('x', 64) FROM generate_series(1, %(rows)s) AS n",
    ),
    failed=(
        """
        INSERT INTO procrastinate_jobs (queue_name, task_name, status, attempts)
        SELECT 'documents', 'document', 'failed', 3
        FROM generate_series(1, %(rows)s) AS n
        """,
        """
        INSERT INTO procrastinate_events (job_id, type)
        SELECT id, s.type::procrastinate_job_event_type
        FROM procrastinate_jobs
        CROSS JOIN (VALUES ('deferred'), ('started'), ('failed')) AS s (type)
        WHERE status = 'failed'
        """,
    ),
    summary="""
        SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')) AS open,
               count(*) FILTER (WHERE type = 'succeeded') AS done,
               count(*) FILTER (WHERE type = 'succeeded')
                   - count(DISTINCT job_id) FILTER (WHERE type = 'succeeded') AS twice,
               count(*) FILTER (WHERE type = 'succeeded' AND EXISTS (
                   SELECT
                   FROM bench_result AS r
                   WHERE r.job_id = procrastinate_events.job_id
                     AND length(r.content) = %(bytes)s
               )) AS stored,
               EXTRACT(EPOCH FROM max(at) FILTER (WHERE type = 'succeeded')
                   - min(at) FILTER (WHERE type = 'started'))::double precision AS seconds
        FROM procrastinate_events
        WHERE id > %(mark)s
    """,
    is_finished="SELECT NOT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
)


class Installed:
    """A system in a database of its own on the common server."""

    def __init__(self, system: System, server: str, python: str) -> None:
        """Create the database and let the system install its schema there."""
        self.system = system
        self.python = python
        self.database_name = "bench_" + Path(system.script).stem.removesuffix("_worker")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database_name)))
        self.database = make_conninfo(server, dbname=self.database_name)
        self.connection = psycopg.connect(self.database, autocommit=True)
        self.run("install")

    def order(self, command: str, **settings: object) -> Order:
        """Return an order for a worker of this system."""
        return Order(command, self.database, **settings)

    def start(self, order: Order) -> subprocess.Popen[str]:
        """Start a worker process, which waits for the start signal."""
        command = [self.python, str(HERE / self.system.script), json.dumps(asdict(order))]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, command: str, **settings: object) -> None:
        """Run a command to its end that needs no start signal."""
        arguments = [self.python, str(HERE / self.system.script), json.dumps(asdict(self.order(command, **settings)))]
        subprocess.run(arguments, check=True)

    @contextmanager
    def workers(self, *orders: Order) -> Iterator[list[subprocess.Popen[str]]]:
        """Start workers and yield them once all are ready; none outlives the block."""
        processes = [self.start(order) for order in orders]
        try:
            for process in processes:
                if process.stdout.readline() != "ready\n":
                    raise RuntimeError(f"a worker of {self.system.name} did not start")
            yield processes
        finally:
            for process in processes:
                with suppress(OSError):
                    process.kill()
                process.wait()
                for stream in (process.stdin, process.stdout):
                    with suppress(OSError):
                        stream.close()

    def fill(self, *, finished: int, failed: int, waiting: int) -> None:
        """Empty the tables and fill them with old rows, without the system's triggers."""
        self.connection.execute(self.system.empty)
        with self.connection.transaction():
            self.connection.execute("SET LOCAL session_replication_role = replica")
            for rows, statements in (
                (finished, self.system.finished),
                (failed, self.system.failed),
                (waiting, self.system.waiting),
            ):
                for statement in statements if rows else ():
                    self.connection.execute(statement, {"rows": rows})
        self.vacuum()

    def vacuum(self) -> None:
        """Begin every run from the same state of the server."""
        self.connection.execute("VACUUM ANALYZE")
        self.connection.execute("CHECKPOINT")

    def mark(self) -> int:
        """Return the newest id of the system's log."""
        query = sql.SQL("SELECT COALESCE(max(id), 0) FROM {}").format(sql.Identifier(self.system.log_table))
        return int(self.value(query))

    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.value(self.system.is_finished))

    def value(self, query: str | sql.Composed) -> object:
        """Return the one value of a query."""
        row = self.connection.execute(query).fetchone()
        return row[0] if row else None


def send_start_signal(processes: list[subprocess.Popen[str]]) -> None:
    """Let all workers begin."""
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def reports(processes: list[subprocess.Popen[str]], seconds: float) -> list[dict[str, object]]:
    """Wait for all workers and return their reports."""
    return [json.loads(process.communicate(timeout=seconds)[0].splitlines()[-1]) for process in processes]
