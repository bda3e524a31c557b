"""Writes Snakemake's events as JSON lines, for `mira` to show. Runs inside Snakemake; imports nothing of `mira_cli`."""

import atexit
import gc
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import LogRecord
from typing import Optional

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

KEPT = ("jobid", "job_id", "jobs", "done", "total", "rule_name", "wildcards", "log", "reason", "exception", "aux")

atexit.register(gc.freeze)  # else Python looks through all that Snakemake has made as it ends, for 0.3 s


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Where the events go."""

    events: Optional[str] = field(  # noqa: UP045  (Snakemake does not understand `str | None`)
        default=None,
        metadata={"help": "file that receives one JSON object an event", "env_var": False, "required": True},
    )


class LogHandler(LogHandlerBase):
    """One line an event: `{"t": seconds, "event": name, "level": name, "message": text, …}`."""

    def __post_init__(self) -> None:
        """Open the file for appending, line by line."""
        assert isinstance(self.settings, LogHandlerSettings)
        assert self.settings.events is not None
        self.stream = open(self.settings.events, "a", buffering=1, encoding="utf-8")  # noqa: SIM115, PTH123

    writes_to_stream = False
    writes_to_file = False
    has_filter = True  # else `--quiet` drops the events before they get here
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Write events, and messages of level warning and above."""
        event = getattr(record, "event", None)
        if event is None and record.levelno < 30:
            return
        line = {"t": record.created, "event": getattr(event, "value", event), "level": record.levelname}
        line["message"] = record.getMessage() if record.msg else None
        line.update({key: _plain(getattr(record, key)) for key in KEPT if hasattr(record, key)})
        self.stream.write(json.dumps(line) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Mapping) or (hasattr(value, "items") and hasattr(value, "keys")):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
