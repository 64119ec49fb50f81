"""In a running `notaflow dev`: a check fails, a message arrives; it is well again, and so says the next one."""

import signal

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.alerting.receivers import webhook
from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.test_together import free_port, running_dev, wait_until
from notaflow_pipeline_tests.queue.conftest import add_document

pytestmark = pytest.mark.xdist_group("processes")

CHECK = "NotaFlow: check exhausted_documents_were_looked_at of extraction_queue"


@pytest.mark.timeout(300)
def test_alarm_and_its_end_arrive_once_from_a_running_dagster(terminal: Terminal, connection: Connection) -> None:
    with webhook() as hook:
        settings = {
            "NOTAFLOW_ALERT_URLS": hook.url,
            "NOTAFLOW_ALERT_SECONDS": "5",
            "NOTAFLOW_ALERT_EXHAUSTED_HOURS": "0",
        }
        told = Terminal(terminal.folder, terminal.environment | settings)
        with running_dev(told, free_port()) as dev:
            add_document(connection, ocr_attempts=3)
            # the receiver is down when it begins: what is to be said waits
            hook.accepts = False
            wait_until(lambda: hook.requests >= 1)
            hook.accepts = True
            connection.execute("UPDATE ocr_alert_receiver SET next_attempt_at = NULL")
            wait_until(lambda: len(hook.messages) >= 1)
            assert hook.titles == [f"{CHECK} fails"]
            assert "1 documents failed for good" in hook.messages[0]["message"]
            assert "not looked at: 1" in hook.messages[0]["message"]

            assert told.run("alert", "--seen").returncode == 0
            wait_until(lambda: len(hook.messages) >= 2)
            assert hook.titles == [f"{CHECK} fails", f"{CHECK} is well again"]
            dev.send_signal(signal.SIGINT)
            dev.wait(timeout=60)
        assert hook.titles == [f"{CHECK} fails", f"{CHECK} is well again"]
