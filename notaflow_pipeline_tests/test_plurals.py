"""No log message has a fixed plural after a number: it would say "1 documents"."""

import ast
import re
from pathlib import Path

import notaflow_pipeline

PACKAGE = Path(notaflow_pipeline.__file__).parent

LOGGED = {"debug", "info", "warning", "error", "exception"}

FIXED_PLURAL = re.compile(
    r"%d (\w+ )?(documents|runs|rows|pages|days|attempts|results|observations|messages|claims|outcomes)\b"
)


def logged_messages(module: Path) -> list[str]:
    """Return the first arguments of calls of a logger, as far as they are written out."""
    calls = [node for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [
        str(one.value)
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in LOGGED
        for one in call.args[:1]
        if isinstance(one, ast.Constant)
    ]


def test_no_log_message_has_a_fixed_plural_after_a_number() -> None:
    logged = {module: logged_messages(module) for module in PACKAGE.rglob("*.py")}
    assert sum(map(len, logged.values())) > 20, "messages are found"
    assert [one for messages in logged.values() for one in messages if FIXED_PLURAL.search(one)] == []
