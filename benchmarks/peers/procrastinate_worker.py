"""One worker process of Procrastinate, through its public app, with psycopg; the handler stores the result itself."""

import asyncio
import logging
import time

import psycopg_pool
import uvloop
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status
from worker_side import Order, await_start_signal, log_event, order, report, simulate_fault, text

RESULT_TABLE = "CREATE TABLE IF NOT EXISTS bench_result (job_id BIGINT PRIMARY KEY, content TEXT NOT NULL)"

_STORE = """
INSERT INTO bench_result (job_id, content)
VALUES (%(job_id)s, %(content)s)
ON CONFLICT (job_id) DO UPDATE SET content = EXCLUDED.content
"""


async def main() -> None:
    """Do what the order says."""
    given = order()
    logging.getLogger("procrastinate").setLevel(logging.ERROR)  # it warns of an app in the main module
    # handlers borrow from the same pool as the queue does: two connections a process
    pool = psycopg_pool.AsyncConnectionPool(given.database, min_size=2, max_size=2, open=False)
    await pool.open(wait=True)
    app = App(
        connector=PsycopgConnector(),
        worker_defaults={"update_heartbeat_interval": given.lease_seconds / 3},
    )

    @app.task(name="document", queue="documents", pass_context=True)
    async def document(context, number: int) -> None:  # noqa: ARG001 - the job's argument
        log_event(given, "start", context.job.id)
        simulate_fault(given)
        if given.job_seconds:
            await asyncio.sleep(given.job_seconds)
        async with pool.connection() as connection:
            await connection.execute(_STORE, {"job_id": context.job.id, "content": text(given.result_bytes)})
        log_event(given, "end", context.job.id)

    async with app.open_async(pool):
        await _obey(app, pool, document, given)
    await pool.close()


async def _obey(app, pool, document, given: Order) -> None:
    match given.command:
        case "install":
            await app.schema_manager.apply_schema_async()
            async with pool.connection() as connection:
                await connection.execute(RESULT_TABLE)
        case "enqueue":
            await document.batch_defer_async(*({"number": number} for number in range(given.count)))
        case "recover":
            # the recipe of its documentation for jobs of dead workers
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=given.lease_seconds):
                await app.job_manager.retry_job(job)
        case "probe":
            await_start_signal()
            await _probe(app, given)
        case _:
            await_start_signal()
            cpu = time.process_time()
            await app.run_worker_async(
                queues=["documents"],
                concurrency=given.batch,
                wait=given.command == "serve",
                listen_notify=False,
                fetch_job_polling_interval=0.1,
            )
            report(cpu_seconds=time.process_time() - cpu, latencies=None)


async def _probe(app, given: Order) -> None:
    worker = await app.job_manager.register_worker()
    latencies = []
    for _ in range(given.count):
        began = time.perf_counter()
        job = await app.job_manager.fetch_job(queues=["documents"], worker_id=worker)
        latencies.append((time.perf_counter() - began) * 1000)
        await app.job_manager.finish_job(job, status=Status.SUCCEEDED, delete_job=False)
    await app.job_manager.unregister_worker(worker)
    report(latencies=latencies)


if __name__ == "__main__":
    uvloop.run(main())
