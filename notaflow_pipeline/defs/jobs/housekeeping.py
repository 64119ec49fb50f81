"""The housekeeping job: removes old runs with their events and logs, old check results, old attempts, and old pages.

Dagster purges the ticks of sensors and schedules by itself (`retention` in dagster.yaml).
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster_postgres import PostgresEventLogStorage

from notaflow_pipeline.defs.jobs.check_history import prune_check_history, prune_observations
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.document_view.page_files import remove_old_pages
from notaflow_pipeline.job_queue.maintenance.retention import prune_attempts
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import load_settings

FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

BATCH_ASSETS = frozenset({dg.AssetKey("ocr_text")})
"""Assets with a materialisation for every batch. Of others, plots and checks need the newest of each partition."""

RUNS_PER_QUERY = 200
"""Dagster's storage opens a connection for every query, so a query is about many runs."""

MAX_SECONDS = 900.0
"""For each part of a night's work; the rest is done the next night."""


@dataclass(frozen=True)
class RunProducts:
    """The assets that a run materialised, and whether all of them were partitions that a later run computed again."""

    assets: Set[dg.AssetKey]
    superseded: bool


def is_removable(
    products: RunProducts, *, age_days: float, run_retention_days: int, ocr_run_retention_days: int
) -> bool:
    """Whether a finished run and its events are no longer needed.

    Args:
        products: a run that materialised nothing has only its log; a run whose days were all computed again, as today is
            every quarter of an hour, has no point in a plot.
        age_days: since its last change.
        run_retention_days: for these two cases (`NOTAFLOW_RUN_RETENTION_DAYS`).
        ocr_run_retention_days: for batches of `ocr_text` (`NOTAFLOW_OCR_RUN_RETENTION_DAYS`).
    """
    if products.assets and products.assets <= BATCH_ASSETS:
        return age_days >= ocr_run_retention_days
    return (not products.assets or products.superseded) and age_days >= run_retention_days


@dg.op(out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "postgres"})
@described_failures()
def prune_runs(context: dg.OpExecutionContext) -> None:
    """Remove old runs with their events and their captured output, and log how many of which job."""
    settings = load_settings()
    deadline = time.monotonic() + MAX_SECONDS
    newest = _runs_of_newest_batches(context.instance)
    newest_of_partition: dict[dg.AssetKey, Mapping[str, int]] = {}
    removed: Counter[str] = Counter()
    complete = True
    youngest = min(settings.run_retention_days, settings.ocr_run_retention_days)
    for record in _finished_runs(context.instance, older_than_days=youngest):
        if time.monotonic() > deadline:
            complete = False
            break
        run = record.dagster_run
        removable = run.run_id not in newest and is_removable(
            _products_of(context.instance, run.run_id, newest_of_partition),
            age_days=(datetime.now(UTC) - record.update_timestamp.replace(tzinfo=UTC)) / timedelta(days=1),
            run_retention_days=settings.run_retention_days,
            ocr_run_retention_days=settings.ocr_run_retention_days,
        )
        if removable:
            context.instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            context.instance.delete_run(run.run_id)
            removed[run.job_name] += 1
    context.log.info("Removed %s: %s.", count_of(removed.total(), "run"), dict(removed) or "none was old enough")
    context.add_output_metadata(
        {
            "runs_removed": removed.total(),
            "by_job": dict(removed),
            "complete": complete,
            "run_retention_days": settings.run_retention_days,
            "ocr_run_retention_days": settings.ocr_run_retention_days,
        }
    )


@dg.op(ins={"done": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "postgres"})
@described_failures()
def prune_check_results(context: dg.OpExecutionContext) -> None:
    """Remove old check results and observations that belong to no run, and log how many."""
    before = datetime.now(UTC) - timedelta(days=load_settings().run_retention_days)
    storage = context.instance.event_log_storage
    if not isinstance(storage, PostgresEventLogStorage):
        context.log.info("Check results and observations are kept: Dagster's history is not in PostgreSQL.")
        return
    with storage.index_connection() as connection:
        results = prune_check_history(connection, before, seconds=MAX_SECONDS)
        observations = prune_observations(connection, before, seconds=MAX_SECONDS)
    context.log.info(
        "Removed %s and %s.", count_of(results.count, "check result"), count_of(observations.count, "observation")
    )
    context.add_output_metadata(
        {
            "check_results_removed": results.count,
            "observations_removed": observations.count,
            "complete": results.complete and observations.complete,
        }
    )


@dg.op(ins={"done": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "postgres"})
@described_failures()
def prune_old_attempts(context: dg.OpExecutionContext, queue: QueueResource) -> None:
    """Remove the attempts of documents that were deleted long ago, if NOTAFLOW_ATTEMPT_RETENTION_DAYS is set."""
    settings = load_settings()
    if settings.attempt_retention_days is None:
        context.log.info("Attempts are kept: NOTAFLOW_ATTEMPT_RETENTION_DAYS is not set.")
        return
    before = datetime.now(UTC) - timedelta(days=settings.attempt_retention_days)
    with queue.pool.connection() as connection:
        pruned = prune_attempts(connection, before, timezone=settings.timezone, seconds=MAX_SECONDS)
    context.log.info(
        "Removed %s of %s without a row.",
        count_of(pruned.attempts, "attempt"),
        count_of(pruned.documents, "document"),
    )
    context.add_output_metadata(
        {
            "attempts_removed": pruned.attempts,
            "documents": pruned.documents,
            "requeues_removed": pruned.requeues,
            "complete": pruned.complete,
            "before": dg.MetadataValue.timestamp(before),
        }
    )


@dg.op(ins={"done": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "python"})
@described_failures()
def remove_old_views(context: dg.OpExecutionContext) -> None:
    """Remove the pages of `notaflow view` that are older than a day, and log how many."""
    removed = remove_old_pages(load_settings().home)
    context.log.info("Removed %s of `notaflow view`.", count_of(removed, "page"))
    context.add_output_metadata({"pages_removed": removed})


@dg.job(
    executor_def=dg.in_process_executor,
    description=(
        "Removes old runs with their events and logs, and (NOTAFLOW_ATTEMPT_RETENTION_DAYS) the attempts of documents that "
        "were deleted long ago. The newest materialisation of each day, the newest batch and the newest "
        "check results are kept. Pages of `notaflow view` are removed after a day."
    ),
)
def housekeeping_job() -> None:
    """Run the ops one after another."""
    remove_old_views(done=prune_old_attempts(done=prune_check_results(done=prune_runs())))


def _finished_runs(instance: dg.DagsterInstance, *, older_than_days: int) -> Iterator[dg.RunRecord]:
    """Yield finished runs, oldest first. All ids are read first: a deleted run cannot be a cursor."""
    wanted = dg.RunsFilter(statuses=list(FINISHED), updated_before=datetime.now(UTC) - timedelta(days=older_than_days))
    oldest_first = instance.get_run_ids(wanted)[::-1]
    for start in range(0, len(oldest_first), RUNS_PER_QUERY):
        page = dg.RunsFilter(run_ids=oldest_first[start : start + RUNS_PER_QUERY])
        yield from instance.get_run_records(page, ascending=True)


def _products_of(
    instance: dg.DagsterInstance, run_id: str, newest_of_partition: dict[dg.AssetKey, Mapping[str, int]]
) -> RunProducts:
    """Return what a run materialised; `newest_of_partition` caches the ids of the newest events by partition."""
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    assets = set()
    superseded = True
    for record in found:
        event = record.event_log_entry.get_dagster_event()
        if event.asset_key is None:
            continue
        assets.add(event.asset_key)
        if event.partition is None:
            superseded = False
            continue
        if event.asset_key not in newest_of_partition:
            newest_of_partition[event.asset_key] = instance.event_log_storage.get_latest_storage_id_by_partition(
                event.asset_key, dg.DagsterEventType.ASSET_MATERIALIZATION
            )
        superseded &= record.storage_id < newest_of_partition[event.asset_key].get(event.partition, 0)
    return RunProducts(frozenset(assets), superseded)


def _runs_of_newest_batches(instance: dg.DagsterInstance) -> frozenset[str]:
    newest = (instance.get_latest_materialization_event(key) for key in BATCH_ASSETS)
    return frozenset(entry.run_id for entry in newest if entry is not None)
