"""Decides whether failures at one step of a batch are the fault of the documents or of the infrastructure.

A failure that could be either is recorded for its document once the same step succeeds for another document, or when no
other document is left that could show it. Several failures in a row without a success are the fault of the infrastructure:
the run fails, and the documents are released with the reason `INFRASTRUCTURE_FAILURE`, so that their attempts do not count.
After `MAX_RELEASES` such releases in a row the next failure of a document is its own; otherwise a few bad documents with the
highest priority would block the queue.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.model import Attempt, Claim, Failure, Outcome

INFRASTRUCTURE_FAILURE = "the other documents of its run failed too, so the infrastructure is taken to be the cause"
"""The reason with which these documents of a failed run are released; stored in `ocr_attempt.error`."""

MAX_RELEASES = 5
"""So many runs may fail with one document; with the sensor's pauses they take a quarter of an hour."""

MAX_IN_A_ROW = 5
"""So many failures in a row are the fault of the infrastructure, even if its check succeeds."""

MAX_FIRST_ATTEMPT_FAILURES = 2
"""So many failed first attempts are the fault of the infrastructure, if no document of the batch passed the step."""


@dataclass(frozen=True)
class _Unattributed:
    claim: Claim
    failure: Failure
    error: Exception


class UnattributedFailures:
    """The failures at one step of a batch, for example fetching, whose cause is not known yet."""

    def __init__(self, step: str) -> None:
        """Start with none; `step` completes the sentence "5 documents in a row could not be …"."""
        self._step = step
        self._failures: dict[int, _Unattributed] = {}
        self.has_succeeded = False
        """Whether the step has succeeded for a document of this batch."""
        self._is_infrastructure = False

    def __len__(self) -> int:
        return len(self._failures)

    @property
    def infrastructure_tokens(self) -> list[int]:
        """The claims to release with `INFRASTRUCTURE_FAILURE`: all, once an infrastructure failure was raised."""
        return list(self._failures) if self._is_infrastructure else []

    def add(self, claim: Claim, failure: Failure, error: Exception) -> None:
        """Add a failure.

        Args:
            claim: of the document.
            failure: what is recorded if the document is at fault.
            error: what is raised if the infrastructure is at fault; its type takes one message.

        Raises:
            Exception: of the type of `error`, when too many have failed in a row.
        """
        self._failures[claim.token] = _Unattributed(claim, failure, error)
        if len(self._failures) >= MAX_IN_A_ROW:
            raise self._infrastructure_failure()

    def remove(self, token: int) -> None:
        """Remove a document that is finished or recorded."""
        self._failures.pop(token, None)

    def attribute(self) -> list[tuple[int, Failure]]:
        """Return the failures to record, when no other document is left that could show whose fault they are.

        Missing files and other hosts do not count against the storage here: a few are found at any time. Second attempts
        do not count either: their documents failed before, in a run where others did not.

        Raises:
            Exception: the infrastructure is at fault.
        """
        first = sum(
            one.claim.attempt_number == 1
            and one.failure.kind not in {FailureKind.NOT_FOUND, FailureKind.REFUSED_LOCATION}
            for one in self._failures.values()
        )
        if not self.has_succeeded and first >= MAX_FIRST_ATTEMPT_FAILURES:
            raise self._infrastructure_failure()
        return self.failures()

    def failures(self) -> list[tuple[int, Failure]]:
        """Return every failure with its claim's token."""
        return [(token, one.failure) for token, one in self._failures.items()]

    def _infrastructure_failure(self) -> Exception:
        self._is_infrastructure = True
        *_, last = self._failures.values()
        return type(last.error)(f"{len(self)} documents in a row could not be {self._step}; the last: {last.error}")


def count_infrastructure_releases(attempts: Iterable[Attempt]) -> int:
    """Count the latest releases in a row with `INFRASTRUCTURE_FAILURE`; other releases are ignored.

    `attempts` are all attempts of the document, oldest first; an open one is ignored.
    """
    count = 0
    for attempt in reversed(list(attempts)):
        if attempt.outcome == Outcome.RELEASED:
            count += attempt.error == INFRASTRUCTURE_FAILURE
        elif attempt.outcome is not None:
            break
    return count


def was_missing(attempts: Iterable[Attempt]) -> bool:
    """Whether the last counted attempt failed because the file was missing; `attempts` as above."""
    counted = [one for one in attempts if one.outcome not in (None, Outcome.RELEASED)]
    return bool(counted) and counted[-1].failure_kind == FailureKind.NOT_FOUND
