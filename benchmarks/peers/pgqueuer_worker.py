"""One worker process of PgQueuer, through its public classes, with psycopg; the handler stores the result itself."""

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Self

import psycopg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import EntrypointExecutionParameter, Queries
from pgqueuer.types import QueueExecutionMode
from worker_side import AS_SHIPPED, Order, await_start_signal, log_event, order, report, simulate_fault, text

RESULT_TABLE = "CREATE TABLE IF NOT EXISTS bench_result (job_id BIGINT PRIMARY KEY, content TEXT NOT NULL)"

_STORE = """
INSERT INTO bench_result (job_id, content)
VALUES (%(job_id)s, %(content)s)
ON CONFLICT (job_id) DO UPDATE SET content = EXCLUDED.content
"""


class ListensApart(PsycopgDriver):
    """Its psycopg driver, listening on a connection of its own.

    As shipped, it waits for notifications on the connection of its statements and holds psycopg's lock on it for up to a
    second each time: a drain then crawls. This is the kinder way to measure it; `as_shipped` shows the other.
    """

    def __init__(self, connection: psycopg.AsyncConnection, listening: psycopg.AsyncConnection) -> None:
        super().__init__(connection)
        self.listening = PsycopgDriver(listening)

    async def add_listener(self, channel: str, callback: Callable[[str | bytes | bytearray], None]) -> None:
        """Listen on the other connection."""
        await self.listening.add_listener(channel, callback)

    async def __aenter__(self) -> Self:
        await self.listening.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        await super().__aexit__(*raised)
        await self.listening.__aexit__(*raised)


async def main() -> None:
    """Do what the order says."""
    given = order()
    # one connection for the queue, one for the handlers, and one to listen
    async with (
        await psycopg.AsyncConnection.connect(given.database, autocommit=True) as connection,
        await psycopg.AsyncConnection.connect(given.database, autocommit=True) as results,
        await psycopg.AsyncConnection.connect(given.database, autocommit=True) as listening,
    ):
        shipped = given.behaviour == AS_SHIPPED
        driver = PsycopgDriver(connection) if shipped else ListensApart(connection, listening)
        queries = Queries(driver)
        match given.command:
            case "install":
                await queries.install()
                await results.execute(RESULT_TABLE)
            case "enqueue":
                count = given.count
                await queries.enqueue(["document"] * count, [b"%d" % n for n in range(count)], [0] * count)
            case "recover":
                pass  # its claim takes jobs without a heartbeat by itself
            case "probe":
                await_start_signal()
                await _probe(queries, given)
            case _:
                await _work(driver, results, given)


async def _work(driver, results, given: Order) -> None:
    queuer = PgQueuer(driver)

    @queuer.entrypoint("document", on_failure="hold")
    async def document(job: Job) -> None:
        log_event(given, "start", job.id)
        simulate_fault(given)
        if given.job_seconds:
            await asyncio.sleep(given.job_seconds)
        await results.execute(_STORE, {"job_id": job.id, "content": text(given.result_bytes)})
        log_event(given, "end", job.id)

    await_start_signal()
    cpu = time.process_time()
    serves = given.command == "serve"
    await queuer.run(
        batch_size=given.batch,
        mode=QueueExecutionMode.continuous if serves else QueueExecutionMode.drain,
        dequeue_timeout=timedelta(seconds=0.1 if serves else 30),
        # tests of dying workers bound what one takes at once, as the others do by themselves
        max_concurrent_tasks=max(2, given.batch * 2) if serves else None,
        heartbeat_timeout=timedelta(seconds=given.lease_seconds),
    )
    report(cpu_seconds=time.process_time() - cpu, latencies=None)


async def _probe(queries: Queries, given: Order) -> None:
    latencies = []
    for _ in range(given.count):
        began = time.perf_counter()
        jobs = await queries.dequeue(
            batch_size=given.batch,
            entrypoints={"document": EntrypointExecutionParameter(concurrency_limit=0)},
            queue_manager_id=uuid.uuid4(),
            global_concurrency_limit=None,
            heartbeat_timeout=timedelta(seconds=given.lease_seconds),
        )
        latencies.append((time.perf_counter() - began) * 1000)
        await queries.log_jobs([(job, "successful", None) for job in jobs])
    report(latencies=latencies)


if __name__ == "__main__":
    uvloop.run(main())
