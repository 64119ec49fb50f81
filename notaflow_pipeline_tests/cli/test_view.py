"""Tests of `notaflow view`: a private page of one document that is read again, and the errors."""

import shutil
import stat
from pathlib import Path

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.testing.job_queue import add_document, document


def views(terminal: Terminal) -> list[Path]:
    return sorted((terminal.folder / "home").rglob("*.html"))


def test_read_document_is_shown_beside_its_text(connection: Connection, terminal: Terminal) -> None:
    samples.scanned_pdf(terminal.documents / "index" / "a.pdf", "Vente du lot 3 770 292", "Bail du lot", "Quittance")
    samples.scanned_pdf(terminal.documents / "index" / "b.pdf", "Servitude")
    key = add_document(connection, document_number="2 784 195", supabase_path="index/a.pdf")
    add_document(connection, document_number="9 999 999", supabase_path="index/b.pdf")
    terminal.json("work")
    before = document(connection, key)

    [said] = terminal.json("view", "2 784 195", "--pages", "1-2")
    assert said == {
        "id": str(key),
        "file": str(terminal.folder / "home" / "views" / f"{key}.html"),
        "pages": [1, 2],
        "pages_in_file": 3,
        "differing": [],
    }
    assert document(connection, key) == before, "nothing in the queue was changed"
    [path] = views(terminal)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = path.read_text()
    assert ">292</span>" in page
    assert "Quittance" not in page
    for other in ("Servitude", "9 999 999", "a.pdf", str(terminal.folder)):
        assert other not in page

    connection.execute("UPDATE extraction_queue SET file_content = replace(file_content, '292', '299')")
    [said] = terminal.json("view", str(key))
    assert (said["pages"], said["differing"]) == ([1, 2, 3], [1])
    assert views(terminal) == [path], "the newest page alone"
    temporary = terminal.folder / "temporary"
    assert list(temporary.rglob("document*")) == [], "the document's file is gone"


def test_page_is_opened_in_the_browser_unless_disabled(connection: Connection, terminal: Terminal) -> None:
    samples.png(terminal.documents / "index" / "a.png", "Vente")
    add_document(connection, document_number="12", supabase_path="index/a.png")
    opened = terminal.folder / "opened"
    browser = terminal.folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n')
    browser.chmod(0o755)
    shown = f"{terminal.folder / 'home' / 'views'}"
    done = terminal.run("view", "12", "--no-open", BROWSER=str(browser))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(shown)
    assert "shows page 1 of 1; open it in a browser." in done.stdout
    assert not opened.exists()
    done = terminal.run("view", "12", "--language", "en", BROWSER=str(browser))
    assert "shows page 1 of 1." in done.stdout
    assert opened.read_text().strip() == views(terminal)[0].as_uri()


def test_file_is_named_on_a_machine_without_a_browser(connection: Connection, terminal: Terminal) -> None:
    samples.png(terminal.documents / "index" / "a.png", "Vente")
    add_document(connection, document_number="12", supabase_path="index/a.png")
    nothing = terminal.folder / "nothing"
    nothing.mkdir()
    (nothing / "tesseract").symlink_to(shutil.which("tesseract") or "/usr/bin/tesseract")
    done = terminal.run("view", "12", PATH=str(nothing), DISPLAY="", WAYLAND_DISPLAY="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "; open it in a browser." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("404",), "no document has the id or number '404'"),
        (("twice",), "2 documents have the number 'twice'; give the id of one of them: "),
        (("missing",), "index/missing.pdf"),
        (("nowhere",), "The row has no supabase_path"),
        (("locked",), "requires a password"),
        (("short", "--pages", "7-9"), "the document has no page 7: its last page is 1"),
        (("short", "--pages", "0"), "--pages takes a page or a range of at most 50"),
        (("short", "--pages", "5-2"), "--pages takes a page or a range of at most 50"),
        (("short", "--pages", "1-51"), "--pages takes a page or a range of at most 50"),
    ],
)
def test_document_that_cannot_be_shown_is_one_line_of_error(
    connection: Connection, terminal: Terminal, arguments: tuple[str, ...], sentence: str
) -> None:
    samples.locked_pdf(terminal.documents / "index" / "locked.pdf")
    samples.png(terminal.documents / "index" / "short.png", "Vente")
    for number, path in (
        ("twice", "index/short.png"),
        ("twice", "index/short.png"),
        ("missing", "index/missing.pdf"),
        ("nowhere", None),
        ("locked", "index/locked.pdf"),
        ("short", "index/short.png"),
    ):
        add_document(connection, document_number=number, supabase_path=path)
    done = terminal.run("view", *arguments, "--no-open")
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert views(terminal) == []


def test_storage_that_cannot_be_reached_is_named(connection: Connection, terminal: Terminal) -> None:
    add_document(connection, document_number="12", supabase_path="index/a.png")
    shutil.rmtree(terminal.documents)
    done = terminal.run("view", "12", "--no-open")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(terminal.documents) in done.stderr
