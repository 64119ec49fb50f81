"""Measures the cost of alerts: one evaluation of the queue's health, and a backlog of messages to a webhook on loopback.

usage: python -m benchmarks.alerts [--finished N] [--ready N] [--exhausted N] [--messages N] [--repetitions N]
"""

import argparse
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from psycopg import Connection

from benchmarks.paths import write_results
from notaflow_pipeline.alerting import condition_log, receiver_registry
from notaflow_pipeline.alerting.conditions import Observation
from notaflow_pipeline.alerting.delivery import deliver
from notaflow_pipeline.alerting.receivers import Receiver
from notaflow_pipeline.health_checks import evaluate_queue
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline.settings import Settings

FILL = """
INSERT INTO extraction_queue (document_source, document_number, status_id, file_content, ocr_attempts, ocr_last_error_at,
                              created_at, updated_at)
SELECT 'index', number::text, %(status)s::integer, %(text)s::text, %(attempts)s::integer,
       clock_timestamp() - interval '30 hours',
       clock_timestamp() - number * interval '1 second', clock_timestamp() - number * interval '1 second'
FROM generate_series(1, %(count)s::integer) AS number
"""

TEXT = "x" * 2000


class Webhook(BaseHTTPRequestHandler):
    """Accepts every message."""

    def do_POST(self) -> None:
        """Read the message and answer with success."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Write no log."""


def evaluation_milliseconds(connection: Connection, repetitions: int) -> list[float]:
    """Return the milliseconds of one evaluation of the queue's health, measured repeatedly."""
    settings = Settings()
    taken = []
    for _ in range(repetitions):
        began = time.perf_counter()
        list(evaluate_queue(connection, settings))
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def backlog_seconds(url: str, messages: int) -> float:
    """Return the seconds in which the messages are delivered to a webhook."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver = Receiver(f"json://127.0.0.1:{server.server_address[1]}/")
    now = datetime.now(UTC)
    observations = [
        Observation(f"check:a:{n}", True, now, f"check {n} of a", "It is bad.", {}, None) for n in range(messages)
    ]
    with connect(url) as connection:
        receiver_registry.register_receivers(connection, [receiver])
        condition_log.record_observations(connection, observations, timezone="America/Toronto")
    began = time.perf_counter()
    delivered = deliver(lambda: connect(url), [receiver], budget_seconds=600)
    taken = time.perf_counter() - began
    server.shutdown()
    if delivered.messages != messages:
        raise SystemExit(f"{delivered.messages} of {messages} delivered: {delivered.problems}")
    return taken


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=300_000)
    parser.add_argument("--ready", type=int, default=100_000)
    parser.add_argument("--exhausted", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--repetitions", type=int, default=20)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as home, embedded_database(Path(home)) as url:
        migrate(url, sources=["index"])
        with connect(url) as connection:
            empty = evaluation_milliseconds(connection, chosen.repetitions)
            connection.execute(FILL, {"status": 5, "text": TEXT, "attempts": 1, "count": chosen.finished})
            connection.execute(FILL, {"status": 3, "text": None, "attempts": 0, "count": chosen.ready})
            connection.execute(FILL, {"status": 3, "text": None, "attempts": 3, "count": chosen.exhausted})
            connection.execute("VACUUM ANALYZE extraction_queue")
            full = evaluation_milliseconds(connection, chosen.repetitions)
        seconds = backlog_seconds(url, chosen.messages)
    figures = {
        **vars(chosen),
        "evaluation_empty_milliseconds": round(statistics.median(empty), 1),
        "evaluation_full_milliseconds": round(statistics.median(full), 1),
        "evaluation_full_milliseconds_max": round(max(full), 1),
        "messages_per_second": round(chosen.messages / seconds, 1),
    }
    for name, value in figures.items():
        print(f"{name:34} {value}")
    write_results("alerts", figures)


if __name__ == "__main__":
    main()
