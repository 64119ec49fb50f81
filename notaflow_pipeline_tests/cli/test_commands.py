"""Tests of the commands: what each does, and its JSON."""

import os
import pty
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from PIL import Image
from psycopg import Connection

from notaflow_pipeline.cli.inspection import pause_seconds
from notaflow_pipeline.job_queue.claiming import claims
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.cli import Terminal, open_terminal
from notaflow_pipeline_tests.ocr import processes, samples
from notaflow_pipeline_tests.testing.job_queue import add_document, ago
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder as a person has it: two documents and something else."""
    place = tmp_path / "files"
    place.mkdir()
    samples.png(place / "2 784 195.png", "Vente du lot 3 770 292")
    Image.new("L", (60, 40), "white").save(place / "blank.png")
    (place / "notes.txt").write_text("not a document")
    return place


def statuses(connection: Connection) -> list[int]:
    return [one for (one,) in connection.execute("SELECT status_id FROM extraction_queue ORDER BY created_at, id")]


def ready_pages(connection: Connection, terminal: Terminal, count: int) -> list[UUID]:
    Image.new("L", (60, 40), "white").save(terminal.documents / "index" / "page.png")
    return [
        enqueue_document(connection, NewDocument("index", f"1 00{number}", "index/page.png")) for number in range(count)
    ]


class TestEnqueue:
    def test_folder_is_enqueued_without_files_of_other_kinds(
        self, terminal: Terminal, connection: Connection, files: Path
    ) -> None:
        printed = terminal.json("enqueue", str(files))
        assert [one["path"] for one in printed] == [str(files / "2 784 195.png"), str(files / "blank.png")]
        for one in printed:
            assert one.keys() == {"id", "path", "supabase_path"}
            assert (terminal.documents / one["supabase_path"]).read_bytes() == Path(one["path"]).read_bytes()
        rows = connection.execute("SELECT id::text, supabase_path, status_id FROM extraction_queue").fetchall()
        assert {row[0]: row[1] for row in rows} == {one["id"]: one["supabase_path"] for one in printed}
        assert statuses(connection) == [3, 3]

    @pytest.mark.owner  # indexes of another source
    def test_file_is_enqueued_for_people(self, terminal: Terminal, connection: Connection, files: Path) -> None:
        done = terminal.run("enqueue", str(files / "blank.png"), "--source", "acte")
        assert (done.returncode, done.stdout) == (0, "1 document enqueued.\n")
        assert done.stderr == "notaflow: documents of acte are not read, because OCR_SOURCES is index\n"
        (row,) = connection.execute("SELECT document_source, supabase_path FROM extraction_queue").fetchall()
        assert row[0] == "acte"
        assert row[1].startswith("actes/")
        assert terminal.run("migrate", OCR_SOURCES="index,acte").returncode == 0
        again = terminal.run("enqueue", str(files / "blank.png"), "--source", "acte", OCR_SOURCES="index,acte")
        assert (again.returncode, again.stderr) == (0, "")

    def test_file_with_an_illegible_name_is_named_and_the_others_taken(
        self, terminal: Terminal, connection: Connection, files: Path
    ) -> None:
        Path(os.fsdecode(os.fsencode(files) + b"/a\xe9.png")).write_bytes(b"scan")
        done = terminal.run("enqueue", str(files))
        assert (done.returncode, done.stdout) == (1, "2 documents enqueued.\n")
        assert "a\\xe9.png: this name is not in UTF-8" in done.stderr
        assert statuses(connection) == [3, 3]

    @pytest.mark.parametrize("source", ["deeds", "plan_cadastraux"])
    def test_source_that_is_not_ocred_is_refused(
        self, terminal: Terminal, connection: Connection, files: Path, source: str
    ) -> None:
        done = terminal.run("enqueue", str(files / "blank.png"), "--source", source)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert statuses(connection) == []


class TestWork:
    def test_everything_is_read_and_shown_from_beginning_to_end(
        self, terminal: Terminal, connection: Connection, files: Path
    ) -> None:
        enqueued = terminal.json("enqueue", str(files))
        (summary,) = terminal.json("work", "--until-empty")
        assert (summary["claimed"], summary["succeeded"], summary["failed"], summary["lost"]) == (2, 2, {}, 0)
        assert summary["pages"] == 2
        assert summary["seconds"] > 0

        lines = terminal.json("export")
        assert [one["id"] for one in lines] == [one["id"] for one in enqueued]
        assert lines[0].keys() == {
            *("id", "document_number", "status_id", "supabase_path", "file_content", "ocr_attempts", "ocr_error"),
            *("mean_confidence", "pages"),
        }
        assert (lines[0]["status_id"], lines[0]["ocr_attempts"], lines[0]["pages"]) == (5, 1, 1)
        assert "3 770 292" in lines[0]["file_content"]
        assert 50 < lines[0]["mean_confidence"] <= 100
        assert (lines[1]["status_id"], lines[1]["file_content"], lines[1]["mean_confidence"]) == (5, "", None)

        (by_number,) = terminal.json("show", "2784195")
        (by_id,) = terminal.json("show", enqueued[0]["id"])
        assert by_number == by_id
        assert by_id["file_content"] == lines[0]["file_content"]
        assert [one["outcome"] for one in by_id["attempts"]] == ["succeeded"]
        for_people = terminal.run("show", "2 784 195")
        assert "3 770 292" in for_people.stdout
        assert "succeeded" in for_people.stdout

        (status,) = terminal.json("status")
        assert status["done"] == 2
        assert status["pages_today"] == 2
        assert statuses(connection) == [5, 5]
        assert list((terminal.folder / "temporary").iterdir()) == []

    def test_no_more_than_the_limit_is_claimed(self, terminal: Terminal, connection: Connection) -> None:
        ready_pages(connection, terminal, 4)
        (summary,) = terminal.json("work", "--limit", "3")
        assert summary["claimed"] == 3
        assert sorted(statuses(connection)) == [3, 5, 5, 5]

    def test_limit_ends_work_that_would_go_on_until_empty(self, terminal: Terminal, connection: Connection) -> None:
        ready_pages(connection, terminal, 4)
        terminal.json("work", "--until-empty", "--limit", "1")
        assert sorted(statuses(connection)) == [3, 3, 3, 5]

    def test_without_until_empty_documents_that_back_off_are_not_waited_for(
        self, terminal: Terminal, connection: Connection
    ) -> None:
        enqueue_document(connection, NewDocument("index", "1", "index/missing.pdf"))
        (summary,) = terminal.json("work")
        assert summary["failed"] == {"not_found": 1}
        (status,) = terminal.json("status")
        assert status["backing_off"] == 1

    def test_until_empty_waits_for_documents_in_backoff_until_exhausted(
        self, terminal: Terminal, connection: Connection
    ) -> None:
        enqueue_document(connection, NewDocument("index", "1", "index/missing.pdf"))
        (summary,) = terminal.json("work", "--until-empty", OCR_RETRY_BASE_SECONDS="0.5")
        assert summary["failed"] == {"not_found": 3}
        (status,) = terminal.json("status")
        assert (status["exhausted"], status["ready"], status["backing_off"]) == (1, 0, 0)

    def test_until_empty_takes_over_what_another_worker_left_behind(
        self, terminal: Terminal, connection: Connection
    ) -> None:
        ready_pages(connection, terminal, 1)
        claims.claim_documents(
            connection, limit=1, sources=["index"], worker_id="dead", run_id=None, lease=timedelta(seconds=3)
        )
        terminal.json("work", "--until-empty")
        assert statuses(connection) == [5]
        outcomes = connection.execute("SELECT outcome FROM ocr_attempt ORDER BY id").fetchall()
        assert outcomes == [("stuck",), ("succeeded",)]

    def test_summary_for_people_names_the_failures(self, terminal: Terminal, connection: Connection) -> None:
        ready_pages(connection, terminal, 1)
        (terminal.documents / "index" / "empty.pdf").touch()
        enqueue_document(connection, NewDocument("index", "1", "index/empty.pdf"))
        done = terminal.run("work")
        assert done.returncode == 0, "a document's failure is data"
        assert done.stdout.startswith("1 read (1 page), 1 failed (1 empty_file), in ")
        assert done.stderr == "", "no bar where nobody is watching"


class TestStatus:
    def test_every_state_is_counted(self, terminal: Terminal, connection: Connection) -> None:
        documents = ready_pages(connection, terminal, 5)
        connection.execute("UPDATE extraction_queue SET ocr_attempts = 3 WHERE id = %s", [documents[0]])
        connection.execute(
            "UPDATE extraction_queue SET ocr_next_attempt_at = clock_timestamp() + interval '1 hour' WHERE id = %s",
            [documents[1]],
        )
        for lease_seconds in (300, 0):
            claims.claim_documents(
                connection,
                limit=1,
                sources=["index"],
                worker_id="other",
                run_id=None,
                lease=timedelta(seconds=lease_seconds),
            )
        (status,) = terminal.json("status")
        assert status.keys() >= {
            *("ready", "active", "stuck", "backing_off", "exhausted", "done", "oldest_waiting_seconds"),
            *("failure_rate_today", "succeeded_today", "failed_today", "pages_today"),
        }
        counted = {name: status[name] for name in ("ready", "active", "stuck", "backing_off", "exhausted", "done")}
        assert counted == {"ready": 1, "active": 1, "stuck": 1, "backing_off": 1, "exhausted": 1, "done": 0}
        assert status["oldest_waiting_seconds"] > 0
        assert status["failure_rate_today"] is None

    def test_oldest_waiting_is_the_same_on_the_page_and_for_the_alert(
        self, terminal: Terminal, connection: Connection
    ) -> None:
        # ordered nine days ago, and there to be read since this morning
        add_document(connection, created_at=ago("9 days"), updated_at=ago("3 hours"))
        (status,), (report,) = terminal.json("status"), terminal.json("report")
        judged = next(one for one in terminal.json("alert", "--check") if one["check"] == "waiting_time")
        assert status["oldest_waiting_seconds"] == pytest.approx(3 * 3600, abs=60)
        assert report["queue"]["oldest_waiting_seconds"] == pytest.approx(3 * 3600, abs=60)
        assert judged["figures"]["oldest_hours"] == pytest.approx(3, abs=0.02)

    def test_watch_goes_on_until_ctrl_c_and_leaves_the_terminal_as_it_was(
        self, terminal: Terminal, connection: Connection
    ) -> None:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*terminal.command, "status", "--watch"],
            env=terminal.environment | {"TERM": "xterm", "COLUMNS": "100"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as watch:
            os.close(theirs)
            shown = b""
            while not re.search(rb"ready[^\n]*0 ", shown):
                shown += os.read(ours, 65536)
            add_document(connection, updated_at=ago("3 hours"), created_at=ago("9 days"))
            while not re.search(rb"ready[^\n]*1 (.|\n)*waiting[^\n]* 3.0 hr", shown):
                shown += os.read(ours, 65536)
            watch.send_signal(signal.SIGINT)
            with suppress(OSError):  # EIO is the end
                while more := os.read(ours, 65536):
                    shown += more
            os.close(ours)
            assert watch.wait(timeout=HANG_SECONDS) == 128 + signal.SIGINT
        assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"), "the cursor is shown again"
        assert b"Traceback" not in shown

    def test_watch_and_json_exclude_each_other(self, terminal: Terminal) -> None:
        done = terminal.run("status", "--watch", "--json")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "--watch" in done.stderr

    @pytest.mark.parametrize(("taken", "pause"), [(0.01, 2), (1.0, 9), (4.0, 36)])
    def test_watch_counts_a_tenth_of_the_time_at_most(self, taken: float, pause: float) -> None:
        assert pause_seconds(taken) == pytest.approx(pause)

    def test_empty_queue_is_shown_to_people(self, terminal: Terminal) -> None:
        done = terminal.run("status")
        assert done.returncode == 0
        assert "oldest waiting" in done.stdout
        assert "none yet" in done.stdout


class TestRecover:
    def test_stuck_rows_are_ready_again(self, terminal: Terminal, connection: Connection) -> None:
        ready_pages(connection, terminal, 2)
        claims.claim_documents(
            connection, limit=1, sources=["index"], worker_id="dead", run_id=None, lease=timedelta(seconds=0)
        )
        connection.execute(
            "UPDATE extraction_queue SET status_id = 6, ocr_attempts = 1, ocr_started_at = NULL WHERE status_id = 3"
        )
        (recovered,) = terminal.json("recover")
        assert (recovered["expired_leases"], recovered["stuck_elsewhere"]) == (1, 1)
        assert statuses(connection) == [3, 3]
        (errors,) = connection.execute("SELECT count(*) FROM extraction_queue WHERE ocr_error IS NOT NULL").fetchall()
        assert errors == (2,)


class TestMigrate:
    def test_check_names_what_an_empty_database_lacks_and_migrate_adds_it(
        self, tmp_path: Path, empty_database_url: str
    ) -> None:
        terminal = open_terminal(tmp_path, empty_database_url)
        before = terminal.run("migrate", "--check")
        assert before.returncode == 1
        assert "- table extraction_queue is missing" in before.stdout
        assert before.stderr.startswith("notaflow: ")
        assert before.stderr.count("\n") == 1
        assert "applied 005_add_ocr_tracking" in terminal.run("migrate").stdout
        after = terminal.run("migrate", "--check")
        assert (after.returncode, after.stdout) == (
            0,
            "The schema is as this version needs it. Its objects are in public.\n",
        )
        assert terminal.run("migrate").stdout == "Nothing to apply.\n"

    def test_scripts_get_differences_and_names(self, tmp_path: Path, empty_database_url: str) -> None:
        terminal = open_terminal(tmp_path, empty_database_url)
        assert terminal.json("migrate", "--to", "2") == [
            {
                "applied": ["001_extraction_status", "002_extraction_queue"],
                "indexed_sources": [],
                "repaired": [],
                "remaining": [],
            }
        ]
        assert terminal.json("migrate", "--down-to", "1") == [{"rolled_back": ["002_extraction_queue"]}]
        done = terminal.run("migrate", "--check", "--json")
        assert done.returncode == 1
        assert '"ready": false' in done.stdout

    def test_options_that_exclude_each_other_are_refused(self, terminal: Terminal) -> None:
        done = terminal.run("migrate", "--check", "--to", "5")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "notaflow: --check, --to, --down-to and --roles cannot be combined\n"


class TestDoctor:
    def test_everything_is_well(self, terminal: Terminal) -> None:
        (report,) = terminal.json("doctor")
        assert {one["subject"]: one["ok"] for one in report["checks"]} == {
            "database": True,
            "schema": True,
            "privileges": True,
            "claim": True,
            "engine": True,
            "storage": True,
            "space": True,
            "settings": True,
            "alerts": True,
        }
        assert "ok     privileges this login" in terminal.run("doctor").stdout
        shown = {one["variable"]: (one["value"], one["origin"]) for one in report["settings"]}
        assert shown["OCR_WORKERS"] == ("2", "environment")
        assert shown["OCR_LANGUAGES"] == ("fra+eng", "default")
        assert shown["NOTAFLOW_DATABASE_URL"] == ("***", "environment")

    def test_doctor_names_a_remedy_for_every_fault(self, terminal: Terminal) -> None:
        done = terminal.run(
            "doctor",
            NOTAFLOW_DATABASE_URL=f"postgresql://notaflow:{SECRET}@127.0.0.1:1/notaflow",
            SUPABASE_SERVICE_KEY=SECRET,
            NOTAFLOW_DOCUMENTS_URL=str(terminal.folder / "nowhere"),
            OCR_LANGUAGES="xyz",
            NOTAFLOW_ALERT_URLS=f"jsno://u:{SECRET}@example.org",
        )
        assert done.returncode == 1
        assert done.stdout.count("not ok") == 5
        for advice in (
            "Is it running, and is NOTAFLOW_DATABASE_URL right?",
            "install tesseract-ocr-xyz",
            "Check that the folder exists",
            "not a URL that apprise understands",
        ):
            assert advice in done.stdout
        assert "***" in done.stdout
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_nothing_is_changed(self, tmp_path: Path, empty_database_url: str) -> None:
        terminal = open_terminal(tmp_path, empty_database_url)
        done = terminal.run("doctor")
        assert done.returncode == 1
        assert "`notaflow migrate` repairs it" in done.stdout
        assert "No row was changed" in done.stdout


class TestEmbeddedDatabase:
    @pytest.fixture
    def terminal(self) -> Iterator[Terminal]:
        """A terminal without a configured database, outside pytest's own folder, which is closed to other users."""
        with tempfile.TemporaryDirectory(prefix="notaflow-test-", ignore_cleanup_errors=True) as folder:
            yield open_terminal(Path(folder), None)

    def test_is_made_ready_when_none_is_configured_and_stopped_afterwards(
        self, terminal: Terminal, files: Path
    ) -> None:
        assert len(terminal.json("enqueue", str(files / "blank.png"))) == 1
        (summary,) = terminal.json("work", "--until-empty")
        assert summary["succeeded"] == 1
        (line,) = terminal.json("export")
        assert line["status_id"] == 5
        data = str(terminal.folder / "home" / "postgres")
        assert Path(data, "PG_VERSION").exists()

        def servers() -> list[psutil.Process]:
            return [one for one in processes.with_argument(data) if one.name() == "postgres"]

        wait_until(lambda: not servers())


class TestCorpus:
    def test_real_pages_are_all_read(self, terminal: Terminal, corpus: Path) -> None:
        pages = sorted((corpus / "pages").glob("*.jpg"))[:4]
        assert len(terminal.json("enqueue", *map(str, pages))) == 4
        terminal.json("work", "--until-empty")
        lines = terminal.json("export")
        assert [one["status_id"] for one in lines] == [5, 5, 5, 5]
        for line in lines:
            assert line["file_content"].startswith("--- Page 1 ---\n")
            assert len(line["file_content"]) > 200
