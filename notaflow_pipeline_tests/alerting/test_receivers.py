"""Tests of sending one message to one receiver: what arrives, reasons of failures, and that no secret leaves."""

import io
import logging

import pytest

from notaflow_pipeline.alerting import receivers
from notaflow_pipeline.alerting.messages import MessageText, compose_test_message
from notaflow_pipeline.alerting.receivers import Receiver, parse_receivers, send
from notaflow_pipeline_tests.alerting.receiver_servers import smtp_server, webhook
from notaflow_pipeline_tests.testing.ports import free_port
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

UID = "7d5f7a7e-0000-4000-8000-000000000000"
TEXT = MessageText("NotaFlow: check b of a fails", "40 of 100 attempts failed — à voir.\n\nthreshold: 0.2")
SECRET = "correcthorsebattery"
SECRETS = (SECRET, "sekret-header", "sekret-query", "sekret-user", "sekret-path")


def test_urls_are_separated_by_space_or_commas_and_keep_their_own_commas() -> None:
    text = " json://a/x,\n mailto://u:p@b?to=c@d.e,f@g.h  slack://t/o/k,json://a/x,"
    urls = [one.url for one in parse_receivers(text)]
    assert urls == ["json://a/x", "mailto://u:p@b?to=c@d.e,f@g.h", "slack://t/o/k"]
    assert parse_receivers(None) == parse_receivers("  ") == ()


def test_webhook_gets_the_message_its_id_and_whether_it_is_bad_news() -> None:
    with webhook() as hook:
        receiver = Receiver(f"json://{SECRETS[3]}:{SECRET}@127.0.0.1:{hook.port}/{SECRETS[4]}?+X-Token={SECRETS[1]}")
        assert send(receiver, TEXT, uid=UID, seconds=HANG_SECONDS).outcome == "delivered"
        told = compose_test_message("http://ui")
        assert send(receiver, told, uid=UID, failing=False, seconds=HANG_SECONDS).outcome == "delivered"
    first, second = hook.messages
    assert first["title"] == TEXT.subject
    assert first["message"] == f"{TEXT.body}\n\nmessage: {UID}"
    assert (first["type"], second["type"]) == ("failure", "success")
    assert first["headers"]["Idempotency-Key"] == UID
    assert first["headers"]["X-Token"] == SECRETS[1]
    assert "http://ui" in second["message"]


def test_mail_arrives_with_subject_figures_and_id() -> None:
    with smtp_server() as box:
        url = f"mailto://{SECRETS[3]}:{SECRET}@127.0.0.1:{box.port}?from=ocr@notaflow.test&to=clerk@notaflow.test"
        assert send(Receiver(url), TEXT, uid=UID, seconds=HANG_SECONDS).outcome == "delivered"
    (mail,) = box.mails
    assert str(mail["Subject"]) == TEXT.subject
    assert str(mail["Idempotency-Key"]) == UID
    assert box.recipients == ["clerk@notaflow.test"]
    assert box.logins == [(SECRETS[3].encode(), SECRET.encode())]
    text = mail.get_payload(decode=True) if not mail.is_multipart() else mail.get_payload(0).get_payload(decode=True)  # type: ignore[union-attr]
    assert isinstance(text, bytes)
    assert "à voir" in text.decode()
    assert "threshold: 0.2" in text.decode()


@pytest.fixture
def everything_logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a debugging handler would write; pytest's own also receives messages of loggers that do not propagate."""
    log = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers, logging.StreamHandler(log)])
    monkeypatch.setattr(root, "level", logging.DEBUG)
    return log


def test_no_secret_of_a_url_is_in_a_reason_a_label_a_repr_or_a_log(
    everything_logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("somebody").debug("is heard")
    port, login = free_port(), f"{SECRETS[3]}:{SECRET}"
    said = []
    with webhook() as hook:
        hook.accepts = False
        for url in (
            f"json://{login}@127.0.0.1:{hook.port}/{SECRETS[4]}?+X-Token={SECRETS[1]}&-q={SECRETS[2]}",
            f"json://{login}@127.0.0.1:{port}/{SECRETS[4]}?+X-Token={SECRETS[1]}&-q={SECRETS[2]}",
            f"mailto://{login}@127.0.0.1:{port}?from=a@b.ca&to={SECRETS[4]}@b.ca",
            f"slack://{SECRET}",
            f"nothing://{login}@{SECRETS[4]}",
            f"json://{login}@[::bad",
            f"{login}@{SECRETS[4]}",
        ):
            receiver = Receiver(url)
            sending = send(receiver, TEXT, uid=UID, seconds=HANG_SECONDS)
            assert sending.outcome == "refused", url
            assert sending.reason
            said.append(f"{sending.reason} {receiver!r} {receiver.label} {receiver.key}")
    output = capfd.readouterr()
    everything = "\n".join([*said, everything_logged.getvalue(), output.out, output.err])
    assert "is heard" in everything
    for secret in SECRETS:
        assert secret not in everything
    assert "503" in said[0] or "Unavailable" in said[0], "but it says what was wrong"
    assert f"json://127.0.0.1:{hook.port}/***" in said[0]
    assert "slack://*** (" in said[3]


def test_reason_of_apprise_loses_every_part_of_the_url_but_its_host() -> None:
    url = f"json://{SECRETS[3]}:{SECRET}%21@127.0.0.1:99/{SECRETS[4]}?+X-Token={SECRETS[1]}"
    said = receivers._reason(Receiver(url), [f"Could not reach {url},", f"as {SECRET}! at 127.0.0.1:99"])
    assert said == "Could not reach json://***:***@127.0.0.1:99/***?+***=***, as *** at 127.0.0.1:99"


def test_receiver_that_hangs_is_given_only_its_time_limit() -> None:
    with webhook() as hook:
        hook.hangs_seconds = 3600  # longer than a test may take
        sending = send(Receiver(hook.url), TEXT, uid=UID, seconds=1)
        hook.woken.set()
    assert sending.outcome == "unknown", "it may have arrived"


def test_unsupported_url_is_recognised_before_anything_is_sent() -> None:
    assert receivers.is_supported(Receiver("json://127.0.0.1/"))
    for wrong in ("nothing://x", "slack://x", "json://[::bad", "clerk@example.org"):
        assert not receivers.is_supported(Receiver(wrong)), wrong


def test_same_url_is_the_same_receiver_and_another_password_another() -> None:
    one, same, other = (Receiver(f"mailto://u:{word}@h") for word in ("first", "first", "second"))
    assert one.key == same.key != other.key
    assert len(one.key) == 16
