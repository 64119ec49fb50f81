"""Tests of the page that shows a document's scan and text side by side, and what they share."""

from datetime import UTC, datetime
from io import BytesIO
from uuid import UUID

from PIL import Image

from notaflow_pipeline.document_view.html_page import ViewData
from notaflow_pipeline.job_queue.model import Attempt, ExtractionQueueJob
from notaflow_pipeline.ocr.document import DocumentText, PageText
from notaflow_pipeline.ocr.page_view import PageView, PlacedWord, ReadImage

KEY = UUID("00000000-0000-4000-8000-000000000001")
MOMENT = datetime(2026, 11, 12, 15, tzinfo=UTC)

HOSTILE = (
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=document.title='taken'>",
    "\" onmouseover=\"document.title='taken'",
    "' autofocus onfocus='document.title=1",
    "</style><style>body{display:none}</style>",
    "</svg></title><svg onload=document.title=1>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;",
    "3 770 \u202e292\u202c",
    "\x0c\x1b[31m\ufeff\u2066",
)


def jpeg(size: tuple[int, int] = (200, 100)) -> bytes:
    into = BytesIO()
    Image.new("L", size, 240).save(into, "JPEG")
    return into.getvalue()


def read_image(*words: str, confidence: float | None = 90.0, text: str | None = None, **more: object) -> ReadImage:
    """An image with words in one row."""
    placed = tuple(PlacedWord(one, confidence, (10.0 + 60 * n, 20.0, 50.0, 16.0)) for n, one in enumerate(words))
    said = " ".join(words) if text is None else text
    return ReadImage(jpeg(), 200, 100, said, placed, **more)  # type: ignore[arg-type]


def page_of(number: int, *images: ReadImage, text: str | None = None, scan: bytes | None = None) -> PageText:
    said = "\n\n".join(image.text for image in images) if text is None else text
    words = sum(len(image.words) for image in images)
    return PageText(number, said, words, 90.0, 1.0, coverage=0.9, view=PageView(images, scan))


def job(number: str = "2 784 195", source: str = "index") -> ExtractionQueueJob:
    return ExtractionQueueJob(
        KEY,
        source,
        number,
        5,
        "index/secret-name.pdf?token=abc",
        None,
        None,
        None,
        None,
        1,
        3,
        None,
        None,
        None,
        None,
        0,
    )


def attempt(outcome: str | None = "succeeded", kind: str | None = None, error: str | None = None) -> Attempt:
    return Attempt(
        1, KEY, 1, "index", "worker-7", "run-9", MOMENT, MOMENT, MOMENT, outcome, kind, error,
        2, 100, 88.25, 1.0, 1.0, 1, "older engine", 0, 0, 0, 0, 0.1, 3, 0.93,
    )  # fmt: skip


def viewed(
    *pages: PageText, stored: str | None = None, attempts: tuple[Attempt, ...] = (), number: str = "2 784 195"
) -> ViewData:
    document = DocumentText(pages, pages_in_file=max(page.number for page in pages))
    return ViewData(job(number), attempts, stored, document, "tesserocr (fra+eng)", MOMENT, "America/Toronto")
