"""Every form of supabase_path is parsed; paths out of their bucket or to other hosts are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notaflow_pipeline.documents.failures import DocumentUnavailable
from notaflow_pipeline.documents.location import Location, locate, safe_file_name

HOST = "abc.supabase.co"
OBJECT_URL = f"https://{HOST}/storage/v1/object"


@pytest.mark.parametrize(
    ("supabase_path", "document_source", "expected"),
    [
        ("index/1358-176.pdf", "acte", Location("index", "1358-176.pdf")),
        ("actes/2025/10/a.pdf", "index", Location("actes", "2025/10/a.pdf")),
        ("foo/a.pdf", "index", Location("foo", "a.pdf")),
        ("a.pdf", "index", Location("index", "a.pdf")),
        ("a.pdf", "acte", Location("actes", "a.pdf")),
        ("a.pdf", "plan_cadastraux", Location("plans-cadastraux", "a.pdf")),
        (f"{OBJECT_URL}/public/index/a.pdf", "acte", Location("index", "a.pdf")),
        (f"{OBJECT_URL}/sign/index/a.pdf?token=eyJ.x.y", "acte", Location("index", "a.pdf")),
        (f"{OBJECT_URL}/authenticated/index/b/a.pdf", "acte", Location("index", "b/a.pdf")),
        (f"{OBJECT_URL}/index/a.pdf", "acte", Location("index", "a.pdf")),
        (f"{OBJECT_URL}/index/a.pdf#page=2", "acte", Location("index", "a.pdf")),
        (f"{OBJECT_URL}/public/index/2%20784%20195.pdf", "index", Location("index", "2 784 195.pdf")),
        ("index/Montr%C3%A9al.pdf", "index", Location("index", "Montréal.pdf")),
        ("index%2Fa.pdf", "acte", Location("index", "a.pdf")),
        ("index/100%.pdf", "index", Location("index", "100%.pdf")),
        ("HTTPS://ABC.Supabase.CO/storage/v1/object/public/index/a.pdf", "acte", Location("index", "a.pdf")),
        (f"https://{HOST}:443/storage/v1/object/index/a.pdf", "acte", Location("index", "a.pdf")),
    ],
)
def test_each_form_of_the_field_is_read(supabase_path: str, document_source: str, expected: Location) -> None:
    assert locate(supabase_path, document_source, HOST) == expected


def test_host_with_port_is_compared_whole() -> None:
    url = "http://127.0.0.1:54321/storage/v1/object/public/index/a.pdf"
    assert locate(url, "index", "127.0.0.1:54321") == Location("index", "a.pdf")
    with pytest.raises(DocumentUnavailable):
        locate(url, "index", "127.0.0.1")


def test_encoding_is_undone_once_so_that_double_encoding_is_literal_text() -> None:
    assert locate("index/%252e%252e/a.pdf", "index", None) == Location("index", "%2e%2e/a.pdf")
    assert locate(f"{OBJECT_URL}/index/%252e%252e/a.pdf", "index", HOST) == Location("index", "%2e%2e/a.pdf")


@pytest.mark.parametrize(
    "supabase_path",
    [
        "../a.pdf",
        "index/../actes/a.pdf",
        "index/../../etc/passwd",
        "..",
        ".",
        "index/./a.pdf",
        "index/%2e%2e/actes/a.pdf",
        "index/%2E./a.pdf",
        "index%2F..%2Fa.pdf",
        f"{OBJECT_URL}/public/index/../actes/a.pdf",
        f"{OBJECT_URL}/public/index/%2e%2e/a.pdf",
        "/etc/passwd",
        "%2Fetc/passwd",
        "//evil.example/a.pdf",
        "index//a.pdf",
        "index/",
        "index/%2Fetc%2Fpasswd",
        "index\\a.pdf",
        "..\\a.pdf",
        "index/%5C..%5Ca.pdf",
        "C:\\a.pdf",
        "index/a\0.pdf",
        "index/a%00.pdf",
        "index/a\n.pdf",
        "index/%0d%0aHost:evil/a.pdf",
        "index/a\x85.pdf",
        "index/a\u2028.pdf",
        "index/a\ud800.pdf",
        "index/%ff.pdf",
        "index/" + "a" * 1024,
        "index/" + "é" * 600,
        "a" * 10_000,
    ],
)
def test_path_that_leaves_its_bucket_or_is_no_path_is_refused(supabase_path: str) -> None:
    with pytest.raises(DocumentUnavailable) as failure:
        locate(supabase_path, "index", HOST)
    assert failure.value.kind == "refused_location"
    assert not failure.value.kind.retryable
    assert "supabase_path" in failure.value.sentence


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/storage/v1/object/public/index/a.pdf",
        f"https://{HOST}@evil.example/storage/v1/object/public/index/a.pdf",
        f"https://user:secret@{HOST}/storage/v1/object/public/index/a.pdf",
        f"https://{HOST}:8443/storage/v1/object/public/index/a.pdf",
        f"https://{HOST}:80/storage/v1/object/public/index/a.pdf",
        f"https://{HOST}.evil.example/storage/v1/object/public/index/a.pdf",
        f"https://evil.example#{HOST}/storage/v1/object/public/index/a.pdf",
        f"https://evil.example?{HOST}/storage/v1/object/public/index/a.pdf",
        f"https://{HOST}\\@evil.example/storage/v1/object/public/index/a.pdf",
        f"https://{HOST}:99999/storage/v1/object/public/index/a.pdf",
        "https://[::1/storage/v1/object/public/index/a.pdf",
        "https:///storage/v1/object/public/index/a.pdf",
        f"https:{HOST}/storage/v1/object/public/index/a.pdf",
        f"ftp://{HOST}/storage/v1/object/public/index/a.pdf",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "s3://index/a.pdf",
        f"https://{HOST}/a.pdf",
        f"https://{HOST}/storage/v1/object/public/",
        f"https://{HOST}/storage/v1/object/public/index",
        f"https://{HOST}/storage/v1/object/public/index/",
    ],
)
def test_url_of_another_host_scheme_or_form_is_refused(url: str) -> None:
    with pytest.raises(DocumentUnavailable) as failure:
        locate(url, "index", HOST)
    assert failure.value.kind == "refused_location"
    assert "secret" not in failure.value.sentence


def test_refusal_of_another_host_names_both_hosts_and_not_the_token() -> None:
    with pytest.raises(DocumentUnavailable) as failure:
        locate("https://evil.example/storage/v1/object/sign/index/a.pdf?token=signed", "index", HOST)
    assert "evil.example" in failure.value.sentence
    assert HOST in failure.value.sentence
    assert "signed" not in failure.value.sentence


def test_url_is_refused_where_no_host_is_configured() -> None:
    with pytest.raises(DocumentUnavailable, match="none is configured"):
        locate(f"{OBJECT_URL}/public/index/a.pdf", "index", None)


@pytest.mark.parametrize("supabase_path", [None, "", "  ", "\n"])
def test_row_without_path_is_refused_with_a_sentence_of_its_own(supabase_path: str | None) -> None:
    with pytest.raises(DocumentUnavailable, match="no supabase_path") as failure:
        locate(supabase_path, "index", HOST)
    assert failure.value.kind == "refused_location"


def test_bare_name_of_unknown_source_is_refused() -> None:
    with pytest.raises(DocumentUnavailable, match="document_source"):
        locate("a.pdf", "photo", HOST)


def test_token_in_a_plain_path_is_not_shown() -> None:
    assert str(locate("index/a.pdf?token=signed", "index", None)) == "index/a.pdf"


# fmt: off
pieces = st.sampled_from([
    "..", ".", "/", "//", "\\", "%2e", "%2f", "%5c", "%00", "%25", "%", "\0", "é", "?", "#", "@", ":", "[", "]", "٪", "．．",
    "index", "a.pdf", "https:", "file:", HOST, "evil.example", "/storage/v1/object/", "public/", "sign/", OBJECT_URL,
])
# fmt: on
paths = st.one_of(
    st.text(),
    st.text(st.characters()),  # lone surrogates too
    st.lists(st.one_of(pieces, st.text(max_size=3))).map("".join),
    st.lists(pieces).map(lambda parts: OBJECT_URL + "/" + "".join(parts)),
)


@settings(deadline=None)
@given(paths, st.sampled_from(["index", "acte", "plan_cadastraux", "", "photo"]), st.sampled_from([None, HOST]))
def test_any_text_is_a_location_inside_its_bucket_or_refused(path: str, source: str, host: str | None) -> None:
    try:
        location = locate(path, source, host)
    except DocumentUnavailable as failure:
        assert failure.kind == "refused_location"  # noqa: PT017 - a location is as good an response
        return
    parts = [location.bucket, *location.name.split("/")]
    assert not {"", ".", ".."} & set(parts)
    assert "/" not in location.bucket
    assert "\\" not in location.bucket + location.name
    assert "\0" not in location.bucket + location.name
    assert len(f"{location.bucket}/{location.name}".encode()) <= 1024


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("2784195-Montmagny-Cadastre-1760000000000.pdf", "2784195-Montmagny-Cadastre-1760000000000.pdf"),
        ("2 784 195.PDF", "2_784_195.pdf"),
        ("Québec (copie).v2.pdf", "Qu_bec__copie__v2.pdf"),
        ("../../etc/passwd", "______etc_passwd"),
        ("scan.tiff", "scan.tiff"),
        ("a.pdf/", "a_pdf_"),
        (".pdf", "_.pdf"),
        ("", "_"),
    ],
)
def test_safe_file_name_follows_the_rule_of_the_field(original: str, expected: str) -> None:
    assert safe_file_name(original) == expected


@settings(deadline=None)
@given(st.text())
def test_safe_file_name_is_a_name_that_any_storage_takes(original: str) -> None:
    location = locate(safe_file_name(original), "index", None)
    assert location == Location("index", safe_file_name(original))
    assert len(location.name) <= 255
