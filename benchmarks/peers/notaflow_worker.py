"""One worker process of this project's queue: the product's own claim and finish, without the OCR between them."""

import os
import time
from datetime import timedelta

from worker_side import Order, await_start_signal, log_event, order, report, simulate_fault, text

from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.claiming.claims import claim_documents
from notaflow_pipeline.job_queue.claiming.lease_renewal import renew
from notaflow_pipeline.job_queue.claiming.outcomes import record_texts
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms, recover
from notaflow_pipeline.job_queue.model import Claim, OcrResult, Recording
from notaflow_pipeline.job_queue.schema.migrate import migrate

SOURCES = ("index",)

# bulk loading is not measured; the columns are those of `enqueue_document`
_ENQUEUE = """
INSERT INTO extraction_queue (document_source, document_number, document_number_normalized, status_id, supabase_path,
                              created_at, updated_at)
SELECT 'index', 'run-' || n, 'run-' || n, 3, 'index/' || n || '.pdf', clock_timestamp(), clock_timestamp()
FROM generate_series(1, %(count)s) AS n
"""


def main() -> None:
    """Do what the order says."""
    given = order()
    if given.command == "install":
        migrate(given.database, sources=SOURCES)
        return
    with connect(given.database) as connection:
        if given.command == "enqueue":
            connection.execute(_ENQUEUE, {"count": given.count})
        elif given.command == "recover":
            recover(
                connection,
                RecoveryTerms(SOURCES, timedelta(minutes=10), mirror_errors=False),
            )
        else:
            await_start_signal()
            _work(connection, given)


def _work(connection, given: Order) -> None:
    cpu, latencies, done = time.process_time(), [], 0
    lease = timedelta(seconds=given.lease_seconds)
    position = ClaimPosition()  # as the pipeline has one
    while given.command != "probe" or len(latencies) < given.count:
        began = time.perf_counter()
        claims = claim_documents(
            connection,
            limit=given.batch,
            sources=SOURCES,
            worker_id=f"bench-{os.getpid()}",
            run_id=None,
            lease=lease,
            position=position,
        )
        if claims:
            latencies.append((time.perf_counter() - began) * 1000)
        elif given.command == "serve":
            time.sleep(0.1)
        else:
            break
        if given.command == "drain" and not given.behaviour:
            # documents that are read at once are there at once, and the pipeline records them with one commit
            content = [(claim, _reading(given)) for claim in claims]
            done += sum(one is Recording.RECORDED for one in record_texts(connection, content).values())
            continue
        for number, claim in enumerate(claims):
            if given.job_seconds:
                renew(connection, [other.token for other in claims[number:]], lease)
            done += _execute(connection, given, claim)
    report(cpu_seconds=time.process_time() - cpu, latencies=latencies, done=done)


def _execute(connection, given: Order, claim: Claim) -> bool:
    log_event(given, "start", claim.document_id)
    simulate_fault(given)
    if given.job_seconds:
        time.sleep(given.job_seconds)
    accepted = record_texts(connection, [(claim, _reading(given))])[claim.token] is Recording.RECORDED
    log_event(given, "end" if accepted else "rejected", claim.document_id)
    return accepted


def _reading(given: Order) -> OcrResult:
    return OcrResult(text(given.result_bytes), 1, 90.0, 0, 0, given.result_bytes, "benchmark")


if __name__ == "__main__":
    main()
