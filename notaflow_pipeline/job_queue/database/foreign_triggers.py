"""Explains errors in triggers of other programs on the queue's tables, such as a missing privilege.

The text of a database error can contain values of a row, in its DETAIL and in statements of its CONTEXT. Only names of
functions, tables and commands are taken from it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

# a context can also name a table: while locking tuple (0,1) in relation "extraction_queue"
_FUNCTION = re.compile(r"([\w.$]+)\(\)|function \"([\w.$]+)\"")

_DENIED = re.compile(r"^permission denied for (table|view|sequence|schema|function) ([\w.$]+)$")

_REFUSED_BY_POLICY = re.compile(r"^new row violates row-level security policy for table \"([\w.$]+)\"$")

_COMMAND = re.compile(r"^[^\"\n]*\"\s*(INSERT|UPDATE|DELETE|SELECT|MERGE)\b", re.IGNORECASE)

_PRIVILEGES = {"sequence": "USAGE", "schema": "USAGE", "function": "EXECUTE"}

SERVER_FUNCTIONS = frozenset({"aclcheck_error", "nextval_internal", "ExecWithCheckOptions"})
"""Functions of PostgreSQL that report a missing privilege; messages that a trigger raises itself are not repeated."""

_START = "the trigger function "

OWN_FUNCTION_PREFIX = "ocr_"
"""Prefix of this project's trigger functions."""


class TriggerLacksPrivilege(psycopg.errors.InsufficientPrivilege):
    """A trigger of another program lacks a privilege as this login; `notaflow migrate --roles` cannot grant it."""


class RaisedByTrigger(TriggerLacksPrivilege):
    """A trigger of another program raised the SQLSTATE of a missing privilege itself, perhaps because of the row."""


@contextmanager
def explaining_triggers() -> Iterator[None]:
    """Replace an error in another program's trigger by one of the same class that names the trigger's function.

    Raises:
        TriggerLacksPrivilege: the message says what to do.
        psycopg.Error: of the original class, without the server's text.
    """
    try:
        yield
    except psycopg.Error as error:
        function = trigger_function(error)
        if function is None:
            raise
        # from None, so that the driver's error is not printed with it
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            is_raised = error.diag.source_function not in SERVER_FUNCTIONS
            kind = RaisedByTrigger if is_raised else TriggerLacksPrivilege
            raise kind(_describe_missing_privilege(function, error)) from None
        raise type(error)(_describe_failure(function, error)) from None


def trigger_function(error: psycopg.Error) -> str | None:
    """Return the outermost trigger function of another program in which an error occurred, or None."""
    lines = (error.diag.context or "").strip().splitlines()
    found = _FUNCTION.search(lines[-1]) if lines else None
    name = None if found is None else found[1] or found[2]
    return None if name is None or name.split(".")[-1].startswith(OWN_FUNCTION_PREFIX) else name


def is_explained(error: psycopg.Error) -> bool:
    """Whether the message is one of `explaining_triggers`, which contains no values of a row."""
    return str(error).startswith(_START)


def is_refused_row(error: psycopg.Error) -> bool:
    """Whether an error of class 42, such as a missing privilege, may be about a row: a policy or a trigger refuses it."""
    in_trigger = is_explained(error) and (error.sqlstate or "").startswith("42")
    return error.diag.source_function == "ExecWithCheckOptions" or (
        in_trigger and type(error) is not TriggerLacksPrivilege
    )


def _describe_missing_privilege(function: str, refused: psycopg.Error) -> str:
    what, grant = _what_is_missing(refused)
    return (
        f"{_START}{function}(), which is not this project's, failed: {what}. `notaflow migrate --roles` cannot "
        f"grant that. Make the function run as its owner (ALTER FUNCTION {function}() SECURITY DEFINER SET search_path = …), "
        f"or {grant}"
    )


def _describe_failure(function: str, error: psycopg.Error) -> str:
    return (
        f"{_START}{function}(), which is not this project's, failed with {type(error).__name__} (SQLSTATE "
        f"{error.sqlstate}); its message is not repeated, because it can contain values of a row"
    )


def _what_is_missing(refused: psycopg.Error) -> tuple[str, str]:
    """Return the server's message, and the grant that would help."""
    general = "grant the worker's login (notaflow_worker) what the function needs"
    message = refused.diag.message_primary or ""
    if refused.diag.source_function not in SERVER_FUNCTIONS:
        return "it refuses this login", general
    if denied := _DENIED.match(message):
        kind, name = denied.groups()
        command = _COMMAND.match(refused.diag.context or "")
        privilege = _PRIVILEGES.get(kind) or (command[1].upper() if command else None)
        if privilege is not None:
            return (
                message,
                f"GRANT {privilege} ON {'' if kind in {'table', 'view'} else kind.upper() + ' '}{name} TO notaflow_worker",
            )
    if refused_row := _REFUSED_BY_POLICY.match(message):
        return message, f"make a policy on {refused_row[1]} that lets notaflow_worker write"
    return message, general
