"""Evaluates sensors, and adds documents for them."""

from uuid import UUID

import dagster as dg
from psycopg import Connection

from notaflow_pipeline.defs.sensors.ocr_ready import ocr_ready_sensor
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document


def tick(
    instance: dg.DagsterInstance, sensor: dg.SensorDefinition = ocr_ready_sensor
) -> dg.SensorResult | dg.SkipReason:
    decision = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(decision, dg.SensorResult | dg.SkipReason)
    return decision


def launched(instance: dg.DagsterInstance, sensor: dg.SensorDefinition = ocr_ready_sensor) -> int:
    decision = tick(instance, sensor)
    return len(decision.run_requests or []) if isinstance(decision, dg.SensorResult) else 0


def enqueued(connection: Connection, count: int = 1, source: str = "index") -> list[UUID]:
    return [
        enqueue_document(connection, NewDocument(source, str(number), f"index/{number}.png")) for number in range(count)
    ]
