"""Engines that fail in the ways of real ones. The module imports little, because workers import it."""

import json
import os
import resource
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines.interface import Recognition
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, NoRoomForPage

FAILING_WIDTH = 777
"""Pages of this width are the ones on which these engines fail; others are read by `NullEngine`."""


@dataclass(frozen=True)
class FailingEngine(NullEngine, ABC):
    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        if image.width == FAILING_WIDTH:
            self.fail()
        return super().recognise(image, dpi, timeout_seconds)

    @abstractmethod
    def fail(self) -> None: ...


@dataclass(frozen=True)
class LowCoverageEngine(NullEngine):
    """Accounts for three quarters of the ink of a page, and for less of a failing one."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        coverage = 0.375 if image.width == FAILING_WIDTH else 0.75
        return replace(super().recognise(image, dpi, timeout_seconds), coverage=coverage)


@dataclass(frozen=True)
class CrashingEngine(FailingEngine):
    def fail(self) -> None:
        os._exit(7)


@dataclass(frozen=True)
class RaisingEngine(FailingEngine):
    def fail(self) -> None:
        raise ZeroDivisionError("Me Tremblay, notaire")


@dataclass(frozen=True)
class RefusingEngine(FailingEngine):
    def fail(self) -> None:
        raise DocumentFailure(FailureKind.ENGINE, "It would not.")


@dataclass(frozen=True)
class MissingEngine(FailingEngine):
    def check(self) -> None:
        raise EngineUnavailable("It is not there.")

    def fail(self) -> None:
        self.check()


@dataclass(frozen=True)
class NoRoomEngine(FailingEngine):
    def fail(self) -> None:
        raise NoRoomForPage("It does not fit.")


@dataclass(frozen=True)
class LongTextEngine(NullEngine):
    """Finds 3,000,000 characters on a failing page."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        found = super().recognise(image, dpi, timeout_seconds)
        return Recognition("x" * 3_000_000, 1, 90.0) if image.width == FAILING_WIDTH else found


@dataclass(frozen=True)
class WaitingEngine(FailingEngine):
    """Waits for a child process that can be recognised by its argument, as an engine waits for a hanging Tesseract."""

    mark: str = "86399"

    def fail(self) -> None:
        subprocess.run(["sleep", self.mark], check=False)


@dataclass(frozen=True)
class ComputingEngine(NullEngine):
    """Computes for so many CPU seconds on each page."""

    cpu_seconds: float = 0.2

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        end = time.process_time() + self.cpu_seconds
        while time.process_time() < end:
            pass
        return super().recognise(image, dpi, timeout_seconds)


@dataclass(frozen=True)
class EndlessProgramEngine(FailingEngine):
    """Waits for a program that computes without end."""

    mark: str = "86398"

    def fail(self) -> None:
        subprocess.run(["sh", "-c", "while :; do :; done", self.mark], check=False)


@dataclass(frozen=True)
class LargePageCrashingEngine(NullEngine):
    """Dies of large pages, and reads small ones."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        if image.width > 2000:
            os._exit(7)
        return super().recognise(image, dpi, timeout_seconds)


@dataclass(frozen=True)
class MemoryEngine(FailingEngine):
    step_bytes: int = 1 << 40

    def fail(self) -> None:
        eaten = []
        while True:
            eaten.append(b"x" * self.step_bytes)


@dataclass(frozen=True)
class ReportingEngine(NullEngine):
    """Reports the environment and the resource limits of its process as JSON."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        initial_environment = Path("/proc/self/environ").read_text().split("\0")
        names = {entry.split("=")[0] for entry in initial_environment} | set(os.environ)
        limits = {name: resource.getrlimit(getattr(resource, name))[0] for name in REPORTED_LIMITS}
        return Recognition(json.dumps({"environment": sorted(names), "limits": limits}), 1, 90.0)


REPORTED_LIMITS = ("RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_CPU")
