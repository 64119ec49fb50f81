"""The programs with which the pipeline is compared, and the measurement of a command's time, CPU, memory and text."""

import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pypdfium2
from PIL import Image

SAMPLE_SECONDS = 0.1


@dataclass
class Measured:
    """One run over all pages: seconds of wall-clock time, CPU seconds of all processes, and peak memory.

    `machine_cpu_seconds` is the CPU time of the whole machine meanwhile; if it is much more, another program was running.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    machine_cpu_seconds: float = 0.0
    peak_bytes: int = 0
    texts: dict[str, str] = field(default_factory=dict, repr=False)


@contextmanager
def measuring() -> Iterator[Measured]:
    """Measures the child processes of this process within the block."""
    measured, done = Measured(), threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            measured.peak_bytes = max(measured.peak_bytes, _children_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began, cpu, machine = time.monotonic(), _cpu_seconds(), _machine_cpu_seconds()
    try:
        yield measured
    finally:
        measured.seconds, measured.cpu_seconds = time.monotonic() - began, _cpu_seconds() - cpu
        measured.machine_cpu_seconds = _machine_cpu_seconds() - machine
        done.set()
        watcher.join()


def bare_tesseract(files: list[Path], workers: int, languages: str, output: Path) -> Measured:
    """`tesseract FILE OUTPUT` under `xargs -P workers`, one thread a page."""
    output.mkdir(parents=True)
    lines = "".join(f"{path}\0{output / path.stem}\0" for path in files)
    command = ["xargs", "-0", "-n", "2", "-P", str(workers), "sh", "-c"]
    command += [f'tesseract "$1" "$2" -l {languages} 2>/dev/null', "sh"]
    with measuring() as measured:
        subprocess.run(command, input=lines, text=True, check=True, env={**os.environ, "OMP_THREAD_LIMIT": "1"})
    measured.texts = {path.stem: (output / f"{path.stem}.txt").read_text(encoding="utf-8") for path in files}
    return measured


def ocrmypdf(program: str, files: list[Path], workers: int, languages: str, output: Path) -> Measured:
    """OCRmyPDF with all workers on one PDF of all pages, which is faster for it than one document per page."""
    output.mkdir(parents=True)
    bound, sidecar = output / "bound.pdf", output / "read.txt"
    bind(files, bound)
    command = [program, "-l", languages, "-j", str(workers), "--output-type", "pdf", "-O", "0", "-q"]
    command += ["--sidecar", str(sidecar), str(bound), str(output / "read.pdf")]
    with measuring() as measured:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pages = sidecar.read_text(encoding="utf-8").split("\f")
    measured.texts = {path.stem: text for path, text in zip(files, pages, strict=False)}
    return measured


def bind(files: list[Path], target: Path) -> None:
    """Writes one PDF with each image as a page: JPEG unchanged, others as JPEG of the best quality."""
    document = pypdfium2.PdfDocument.new()
    for path in files:
        with Image.open(path) as image:
            width, height = image.size
            dpi = float(image.info.get("dpi", (0, 0))[0])
            source = path
            if image.format != "JPEG":
                source = target.with_name(f"{path.stem}.jpg")
                flat = Image.new("RGB", image.size, "white")
                flat.paste(image, mask=image.getchannel("A") if "A" in image.getbands() else None)
                flat.save(source, quality=100)
        scale = 72 / dpi if dpi > 96 else 595 / width
        page = document.new_page(width * scale, height * scale)
        picture = pypdfium2.PdfImage.new(document)
        picture.load_jpeg(source, inline=True)
        picture.set_matrix(pypdfium2.PdfMatrix().scale(width * scale, height * scale))
        page.insert_obj(picture)
        page.gen_content()
    document.save(target)


def find_ocrmypdf(program: str | None) -> str | None:
    """Returns the OCRmyPDF to compare with: the named one, or the one on PATH; None without one."""
    return shutil.which(program or "ocrmypdf")


def server_cpu_seconds(url: str) -> float:
    """Returns the CPU seconds of a PostgreSQL server on this machine: its running and its ended processes."""
    with psycopg.connect(url) as connection:
        [(pid,)] = connection.execute("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int").fetchall()
    postmaster = psutil.Process(pid)
    own = postmaster.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)


def _children_bytes() -> int:
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _machine_cpu_seconds() -> float:
    """Returns the CPU seconds of all processes, with those taken by the machine's host; guests count as user time
    already.
    """
    times = psutil.cpu_times()._asdict()
    return float(sum(times.values()) - sum(times.get(name, 0) for name in ("idle", "iowait", "guest", "guest_nice")))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
