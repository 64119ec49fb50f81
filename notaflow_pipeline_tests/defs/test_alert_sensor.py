"""Tests of `alert_sensor`: every event of Dagster's log becomes one message, and no event of a run that is retried."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from dagster._core.events import DagsterEvent, JobFailureData
from dagster_shared.error import SerializableErrorInfo
from psycopg import Connection

from notaflow_pipeline.alerting import condition_log, receiver_registry
from notaflow_pipeline.defs.jobs.named_documents import cancel_documents_job, document_priority_job
from notaflow_pipeline.defs.sensors import alert_events
from notaflow_pipeline.defs.sensors.alerts import STREAM
from notaflow_pipeline.defs.sensors.health import REPORT_INTERVAL_SECONDS, results_to_report
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.alerting.receiver_servers import Webhook, webhook
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, defs

pytestmark = [
    pytest.mark.usefixtures("documents"),
    pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}"),
    pytest.mark.filterwarnings("ignore:Parameter `owners`"),  # of Dagster's own sensors, which it copies
]

SECRET = "Marie-Fictive Untelle"


@pytest.fixture
def hook(documents: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as one:
        monkeypatch.setenv("NOTAFLOW_ALERT_URLS", one.url)
        yield one


def tick(instance: dg.DagsterInstance) -> str:
    decision = defs.resolve_sensor_def("alert_sensor")(dg.build_sensor_context(instance=instance))
    assert isinstance(decision, dg.SkipReason)
    return str(decision.skip_message)


def evaluated(instance: dg.DagsterInstance, name: str, *, passed: bool, partition: str | None = None) -> None:
    table = dg.MetadataValue.table([dg.TableRecord({"text": SECRET})])
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["ocr", "daily"]),
            check_name=name,
            passed=passed,
            description="It is bad." if not passed else "It is well.",
            metadata={"rate": 0.4, "day": "2026-03-08", "rows": table, "note": SECRET},
            partition=partition,
        )
    )


def ended(
    instance: dg.DagsterInstance,
    job: str,
    *,
    failed: bool,
    tags: dict[str, str] | None = None,
    minutes_ago: float = 0,
    error_class: str = "StorageUnavailable",
    assets: frozenset[str] | None = None,
) -> str:
    """Add a run, and the event of its end as its process would write it; before Dagster decides whether it is retried."""
    status = dg.DagsterRunStatus.FAILURE if failed else dg.DagsterRunStatus.SUCCESS
    selection = frozenset(dg.AssetKey(name) for name in assets) if assets else None
    run = instance.add_run(
        dg.DagsterRun(job_name=job, run_id=str(uuid4()), status=status, tags=tags or {}, asset_selection=selection)
    )
    inner = SerializableErrorInfo(f"no text of {SECRET}", [], error_class)
    error = SerializableErrorInfo(f"step failed: {SECRET}", [], "DagsterExecutionStepExecutionError", inner)
    kind = dg.DagsterEventType.RUN_FAILURE if failed else dg.DagsterEventType.RUN_SUCCESS
    entry = dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=10,
        user_message="",
        run_id=run.run_id,
        timestamp=time.time() - 60 * minutes_ago,
        job_name=job,
        dagster_event=DagsterEvent(
            event_type_value=kind.value, job_name=job, event_specific_data=JobFailureData(error) if failed else None
        ),
    )
    instance.event_log_storage.store_event(entry)
    return run.run_id


def test_failed_check_and_its_end_are_reported_once_without_texts(instance: dg.DagsterInstance, hook: Webhook) -> None:
    evaluated(instance, "rate_is_low", passed=False)
    tick(instance)
    evaluated(instance, "rate_is_low", passed=False)
    tick(instance)
    assert hook.titles == ["NotaFlow: check rate_is_low of ocr/daily fails"]
    message = hook.messages[0]["message"]
    assert "It is bad." in message
    assert "rate / taux: 0.4" in message
    assert "day / jour: 2026-03-08" in message
    assert "http://127.0.0.1:3000/assets/ocr/daily?view=checks&checkDetail=rate_is_low" in message
    evaluated(instance, "rate_is_low", passed=True)
    tick(instance)
    assert hook.titles[1:] == ["NotaFlow: check rate_is_low of ocr/daily no longer fails"]
    assert SECRET not in str(hook.messages)


def test_check_of_a_day_is_a_condition_of_its_own(instance: dg.DagsterInstance, hook: Webhook) -> None:
    evaluated(instance, "equals_recount", passed=False, partition="2026-03-07")
    evaluated(instance, "equals_recount", passed=True, partition="2026-03-08")
    tick(instance)
    assert hook.titles == ["NotaFlow: check equals_recount of ocr/daily for 2026-03-07 fails"]


def test_failed_run_is_reported_with_error_and_link_until_a_success(
    instance: dg.DagsterInstance, hook: Webhook
) -> None:
    run_id = ended(instance, "ocr_job", failed=True, tags={"dagster/partition": "2026-03-08"})
    ended(instance, "ocr_job", failed=True)
    ended(instance, "other_job", failed=False)
    tick(instance)
    assert hook.titles == ["NotaFlow: job ocr_job fails"]
    message = hook.messages[0]["message"]
    assert "failed with StorageUnavailable" in message
    assert f"http://127.0.0.1:3000/runs/{run_id}" in message
    assert "day / jour: 2026-03-08" in message
    ended(instance, "ocr_job", failed=False)
    tick(instance)
    assert hook.titles[1:] == ["NotaFlow: job ocr_job no longer fails"]
    assert SECRET not in str(hook.messages)


def test_failure_that_answers_a_person_is_no_alert(instance: dg.DagsterInstance, hook: Webhook) -> None:
    for job in (cancel_documents_job, document_priority_job):
        ended(instance, job.name, failed=True, tags=dict(job.tags))
    tick(instance)
    assert hook.messages == []


def test_interrupted_run_is_a_cancellation_and_no_failure(instance: dg.DagsterInstance, hook: Webhook) -> None:
    ended(instance, "ocr_job", failed=True, error_class="DagsterExecutionInterruptedError")
    tick(instance)
    assert hook.messages == []


def test_failed_materialisation_ends_with_the_success_of_the_assets_job(
    instance: dg.DagsterInstance, hook: Webhook
) -> None:
    ended(instance, "__ASSET_JOB", failed=True, assets=frozenset({"ocr_text"}))
    tick(instance)
    ended(instance, "ocr_job", failed=False)
    tick(instance)
    assert hook.titles == [
        "NotaFlow: job materialising ocr_text fails",
        "NotaFlow: job materialising ocr_text no longer fails",
    ]


def test_description_of_a_failed_run_is_in_the_message(instance: dg.DagsterInstance, hook: Webhook) -> None:
    @dg.op
    def fails() -> None:
        raise dg.Failure("The storage docs cannot be reached. Start it.") from FileNotFoundError(SECRET)

    @dg.job(executor_def=dg.in_process_executor)
    def failing_job() -> None:
        fails()

    assert not failing_job.execute_in_process(instance=instance, raise_on_error=False).success
    tick(instance)
    (message,) = hook.messages
    assert "A run of failing_job failed: The storage docs cannot be reached. Start it." in message["message"]
    assert SECRET not in str(message)


def test_retried_run_raises_no_alarm(instance: dg.DagsterInstance, hook: Webhook) -> None:
    ended(instance, "ocr_job", failed=True, tags={"dagster/will_retry": "true"})
    tick(instance)
    assert hook.messages == []
    ended(instance, "ocr_job", failed=True, tags={"dagster/will_retry": "false"})
    tick(instance)
    assert len(hook.messages) == 1


def test_decision_to_retry_that_is_not_written_yet_is_waited_for(
    instance: dg.DagsterInstance, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_enabled", True)
    retried, final = (ended(instance, job, failed=True) for job in ("ocr_job", "other_job"))
    ended(instance, "without_decision_job", failed=True, minutes_ago=2)
    tick(instance)
    assert hook.titles == ["NotaFlow: job without_decision_job fails"]
    instance.add_run_tags(retried, {"dagster/will_retry": "true"})
    instance.add_run_tags(final, {"dagster/will_retry": "false"})
    tick(instance)
    assert hook.titles[1:] == ["NotaFlow: job other_job fails"]


def test_backlog_is_worked_off_completely_and_in_order(
    instance: dg.DagsterInstance, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_events.read_events, "__kwdefaults__", {"page": 7})
    tick(instance)
    for number in range(60):
        evaluated(instance, f"check_{number:02}", passed=False)
        if number % 3 == 0:
            evaluated(instance, f"check_{number:02}", passed=True)
        if number % 4 == 0:
            ended(instance, f"job_{number:02}", failed=True)
    assert tick(instance).startswith("95 new messages")
    while any(one.waiting for one in _states()):
        tick(instance)
    fails = [title for title in hook.titles if title.endswith(" fails")]
    assert fails == sorted(fails, key=lambda title: re.findall(r"_(\d\d)", title)), "in the order of the log"
    assert len(hook.titles) == 60 + 20 + 15
    assert len(set(hook.titles)) == len(hook.titles)
    tick(instance)
    assert len(hook.titles) == 95, "and what was read once is not told again"


def _states() -> list[receiver_registry.ReceiverState]:
    with psycopg.connect(os.environ["NOTAFLOW_DATABASE_URL"], autocommit=True) as connection:
        return receiver_registry.receiver_states(connection)


def test_event_with_a_lower_id_that_appears_late_is_not_skipped(
    connection: Connection, instance: dg.DagsterInstance, hook: Webhook
) -> None:
    ended(instance, "early_job", failed=True)
    late = alert_events._newest(instance)
    tick(instance)
    assert condition_log.read_position(connection).get(STREAM, 0) < late, "what is younger than a minute is read again"
    ended(instance, "old_job", failed=True, minutes_ago=2)
    tick(instance)
    assert condition_log.read_position(connection).get(STREAM, 0) < late + 1
    assert sorted(hook.titles) == ["NotaFlow: job early_job fails", "NotaFlow: job old_job fails"]


def test_position_moves_over_what_is_settled_and_survives_a_new_storage(
    connection: Connection, instance: dg.DagsterInstance, hook: Webhook
) -> None:
    for number in range(5):
        ended(instance, f"job_{number}", failed=True, minutes_ago=5)
    tick(instance)
    assert condition_log.read_position(connection)[STREAM] > 0
    connection.execute("UPDATE ocr_alert_position SET position = 999999")
    ended(instance, "job_after", failed=True, minutes_ago=2)
    tick(instance)
    assert len(hook.titles) == 6, "Dagster's storage was begun anew: its log is read from its beginning"
    assert condition_log.read_position(connection)[STREAM] < 999999


def test_new_installation_reports_open_conditions_and_no_past_ones(instance: dg.DagsterInstance, hook: Webhook) -> None:
    ended(instance, "ancient_job", failed=True, minutes_ago=60 * 25)
    ended(instance, "repaired_job", failed=True, minutes_ago=30)
    ended(instance, "repaired_job", failed=False, minutes_ago=20)
    ended(instance, "broken_job", failed=True, minutes_ago=10)
    tick(instance)
    assert hook.titles == ["NotaFlow: job broken_job fails"]


def test_second_tick_of_a_new_installation_reports_no_past_events(
    connection: Connection, instance: dg.DagsterInstance, hook: Webhook
) -> None:
    ended(instance, "ancient_job", failed=True, minutes_ago=60 * 25)
    ended(instance, "young_job", failed=True)
    for _ in range(2):
        tick(instance)
        assert condition_log.read_position(connection) == {}, "nothing has settled yet that could be gone on from"
    assert hook.titles == ["NotaFlow: job young_job fails"]
    ended(instance, "settled_job", failed=True, minutes_ago=60 * 23)
    ended(instance, "last_job", failed=True)
    tick(instance)
    assert hook.titles[1:] == ["NotaFlow: job settled_job fails", "NotaFlow: job last_job fails"]


def test_refusing_receiver_fails_no_tick_and_its_url_is_not_logged(
    instance: dg.DagsterInstance, hook: Webhook, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hook.accepts = False
    monkeypatch.setenv("NOTAFLOW_ALERT_URLS", hook.url.replace("//", "//user:geheimwort@"))
    evaluated(instance, "rate_is_low", passed=False)
    assert "0 delivered" in tick(instance)
    output = capfd.readouterr()
    assert "could not be delivered" in output.err + output.out
    assert "geheimwort" not in output.err + output.out


def test_without_receivers_conditions_are_kept(connection: Connection, instance: dg.DagsterInstance) -> None:
    evaluated(instance, "rate_is_low", passed=False)
    assert "no receiver" in tick(instance)
    assert [one.key for one in condition_log.open_conditions(connection)] == ["check:ocr/daily:rate_is_low"]


def test_results_are_written_when_they_change_and_once_an_hour() -> None:
    names, cursor = results_to_report({"a": False, "b": False}, None, now=0)
    assert names == {"a", "b"}
    names, cursor = results_to_report({"a": False, "b": True}, cursor, now=60)
    assert names == {"b"}
    names, cursor = results_to_report({"a": False, "b": True}, cursor, now=REPORT_INTERVAL_SECONDS)
    assert names == {"a"}
    names, _ = results_to_report({"a": False, "b": True}, cursor, now=REPORT_INTERVAL_SECONDS + 60)
    assert names == {"b"}


def test_result_is_reported_again_after_its_asset_was_materialised() -> None:
    _, cursor = results_to_report({"a": False, "b": False}, None, now=100)
    names, cursor = results_to_report({"a": False, "b": False}, cursor, now=160, materialised_at={"a": 130.0})
    assert names == {"a"}
    names, _ = results_to_report({"a": False, "b": False}, cursor, now=220, materialised_at={"a": 130.0})
    assert names == set()


def test_checks_that_need_a_run_get_their_first_one_and_no_second(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    def requested() -> list[str | None]:
        decision = defs.resolve_sensor_def("health_sensor")(dg.build_sensor_context(instance=instance))
        assert isinstance(decision, dg.SensorResult)
        return [request.job_name for request in decision.run_requests or []]

    assert requested() == ["queue_invariants_job", "daily_reconciliation_job"]
    assert defs.resolve_job_def("queue_invariants_job").execute_in_process(instance=instance).success
    assert requested() == ["daily_reconciliation_job"]
    connection.execute("ALTER TABLE ocr_attempt RENAME TO gone")
    job = defs.resolve_job_def("daily_reconciliation_job")
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    connection.execute("ALTER TABLE gone RENAME TO ocr_attempt")
    assert requested() == [], "its schedule launches it again"


def test_sensor_reports_the_health_of_the_queue_and_the_ui_can_ask_it_too(
    connection: Connection, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = defs.resolve_sensor_def("health_sensor")(dg.build_sensor_context(instance=instance))
    assert isinstance(decision, dg.SensorResult)
    assert [one.passed for one in decision.asset_events if isinstance(one, dg.AssetCheckEvaluation)] == [True] * 10
    monkeypatch.setenv("NOTAFLOW_ALERT_EXHAUSTED_HOURS", "0")
    enqueue_document(connection, NewDocument("index", "1", "index/1.png"))
    connection.execute("UPDATE extraction_queue SET ocr_attempts = 3")
    changed = defs.resolve_sensor_def("health_sensor")(
        dg.build_sensor_context(instance=instance, cursor=decision.cursor)
    )
    assert isinstance(changed, dg.SensorResult)
    (alarm,) = changed.asset_events
    assert isinstance(alarm, dg.AssetCheckEvaluation)
    assert (alarm.check_name, alarm.passed) == ("exhausted_acknowledged", False)
    for request in changed.run_requests or []:
        defs.resolve_job_def(str(request.job_name)).execute_in_process(instance=instance)
    again = defs.resolve_sensor_def("health_sensor")(dg.build_sensor_context(instance=instance, cursor=changed.cursor))
    assert isinstance(again, dg.SkipReason)

    everything = dg.define_asset_job("everything", selection=dg.AssetSelection.all_asset_checks())
    repository = dg.Definitions.merge(defs, dg.Definitions(jobs=[everything]))
    result = repository.resolve_job_def("everything").execute_in_process()
    answers = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert answers.keys() == {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert len(answers) == 12, "names are unique, so that a message needs no more than the name"
    assert [name for name, one in answers.items() if not one.passed] == ["exhausted_acknowledged"]
    assert not any(one.blocking for one in answers.values())
    assert result.success, "a check that fails fails no run"
