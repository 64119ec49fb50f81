"""Finds the documents that a person named by id or number, and says why one of them was not changed."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from psycopg import Connection

from notaflow_pipeline.job_queue.model import ERROR_PREFIX, ExtractionQueueJob
from notaflow_pipeline.job_queue.queries import find_jobs


class NoSuchDocument(Exception):
    """No document has the id or number that was given, or several have the number; the message says which."""


def find_documents(connection: Connection, id_or_number: str) -> list[ExtractionQueueJob]:
    """Return the rows with this id or document number.

    Raises:
        NoSuchDocument: there is none.
    """
    if jobs := find_jobs(connection, id_or_number):
        return jobs
    raise NoSuchDocument(f"no document has the id or number {id_or_number!r}")


def find_document(connection: Connection, id_or_number: str) -> ExtractionQueueJob:
    """Return the row with this id, or with this document number, which no other may have.

    Raises:
        NoSuchDocument: there is none, or several have the number.
    """
    jobs = find_documents(connection, id_or_number)
    if len(jobs) > 1:
        rows = ", ".join(f"{job.id} ({job.document_source})" for job in jobs)
        raise NoSuchDocument(
            f"{len(jobs)} documents have the number {id_or_number!r}; give the id of one of them: {rows}"
        )
    return jobs[0]


def document_ids(connection: Connection, named: Iterable[str]) -> list[UUID]:
    """Return the ids of the documents that a person named, each once; an id is returned whether or not a row has it.

    Raises:
        NoSuchDocument: no document has a number, or several have it.
    """
    return list(dict.fromkeys(_id_of(connection, one) for one in named))


def _id_of(connection: Connection, id_or_number: str) -> UUID:
    try:
        return UUID(id_or_number)
    except ValueError:
        return find_document(connection, id_or_number).id


def reasons_unchanged(
    connection: Connection, wanted: Iterable[UUID], changed: Collection[UUID], sources: Sequence[str]
) -> dict[str, str]:
    """Return why documents were neither cancelled nor given a priority, by their number and id."""
    unchanged = {}
    for id_ in wanted:
        if id_ in changed:
            continue
        jobs = find_jobs(connection, str(id_))
        if jobs:
            unchanged[f"{jobs[0].document_number} ({id_})"] = _reason_unchanged(jobs[0], sources)
        else:
            unchanged[str(id_)] = "there is no such document"
    return unchanged


def _reason_unchanged(job: ExtractionQueueJob, sources: Sequence[str]) -> str:
    if job.document_source not in sources:
        return f"its source {job.document_source} is not in OCR_SOURCES"
    if job.status_id == 6 and job.ocr_claim_id is None:
        return "another program has claimed it"
    if job.status_id == 3 and (job.ocr_error or "").startswith(f"{ERROR_PREFIX}cancelled:"):
        return "it is cancelled already"
    by_status = {
        1: "it is not extracted yet",
        2: "it is not extracted yet",
        4: "it is at status 4",
        5: "it is finished",
    }
    return by_status.get(job.status_id or 0, "a trigger or policy of the database holds it unchanged")
