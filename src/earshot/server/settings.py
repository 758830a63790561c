"""What can be set of the server: one typed definition for file, environment and flags.

A flag wins over the environment (`EARSHOT_PORT`), that over the file (TOML), that over what is
written here. It knows nothing of what the settings are used for.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from earshot.errors import UsageError
from earshot.library import default_folder
from kur.errors import nearest

CONFIG_VARIABLE = "EARSHOT_CONFIG"
"""Environment variable that names the file of settings."""

_PREFIX = "EARSHOT_"


class Settings(BaseSettings):
    """All that can be set, with what is true where nothing is."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    library: Path = Field(default_factory=default_folder, description="Folder of the library.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 is every one.")
    port: int = Field(8765, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    database: str = Field(
        "",
        description="SQLAlchemy URL of the server's own tables; empty: SQLite in the library's "
        "folder. PostgreSQL: postgresql+asyncpg://user:password@host/name",
    )
    network: str = Field(
        "", description="Network to listen with (a name or a folder); empty: the library's own."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that answer requests.")
    listeners: int = Field(1, ge=0, le=64, description="Processes that listen to recordings.")
    search_threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Searches at once a worker."
    )
    max_upload_bytes: int = Field(4 << 30, ge=1, description="Largest file that is accepted.")
    max_json_bytes: int = Field(1 << 20, ge=1024, description="Largest body that is no file.")
    max_recording_hours: float = Field(24.0, gt=0, description="Longest recording, in hours.")
    body_seconds: float = Field(
        30.0, gt=0, description="Seconds without a byte after which an upload is given up."
    )
    requests_per_minute: int = Field(
        0, ge=0, description="Requests a minute and key; 0: any number."
    )
    hours_per_day: float = Field(
        0.0, ge=0, description="Hours of audio listened to a day (UTC) and key; 0: any number."
    )
    fetch_networks: tuple[str, ...] = Field(
        (), description="Networks that URLs may lead into although they are not public: 10.0.0.0/8"
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins of web pages that may call the API, e.g. https://example.org"
    )
    logs: Literal["json", "text"] = Field("text", description="Form of the log's lines.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` has merged, so that it can say where each value comes from."""
        return (init_settings,)

    @property
    def folder(self) -> Path:
        """The server's own folder: database, media, other projects."""
        return self.library / "server"

    @property
    def database_url(self) -> str:
        """The URL of the server's own tables."""
        return self.database or f"sqlite+aiosqlite:///{self.folder / 'server.db'}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and by name where each comes from: `default`, `file`, `environment`, `flag`."""

    settings: Settings
    origins: Mapping[str, str]

    def printed(self) -> str:
        """As a file of settings (TOML) that makes the same settings."""
        lines = []
        for name, field in Settings.model_fields.items():
            value = getattr(self.settings, name)
            lines += [
                f"# {field.description} ({self.origins.get(name, 'default')})",
                f"{name} = {_toml(value)}",
                "",
            ]
        return "\n".join(lines)


def load(config: Path | None, flags: Mapping[str, Any]) -> Loaded:
    """Settings of a file (default: what EARSHOT_CONFIG names), the environment and flags.

    A flag that is None was not given. Raises UsageError for an unknown name or a wrong value.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    config = config or (Path(named) if named else None)
    try:
        environment = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise UsageError(f"the environment: {error}, where JSON is expected") from None
    sources = {
        "file": _file(config) if config else {},
        "environment": environment,
        "flag": {name: value for name, value in flags.items() if value is not None},
    }
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, values in sources.items():
        merged |= values
        origins |= dict.fromkeys(values, origin)
    try:
        return Loaded(Settings(**merged), origins)
    except ValidationError as error:
        raise UsageError(_wrong(error, origins, config)) from None


def _file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from None
    for name in values:
        if name not in Settings.model_fields:
            near = nearest(name, Settings.model_fields)
            raise UsageError(f"{path}: there is no setting '{name}'{near}")
    return values


def _wrong(error: ValidationError, origins: Mapping[str, str], config: Path | None) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    origin = origins.get(name, "default")
    where = {"file": f"{config}: {name}", "environment": f"{_PREFIX}{name.upper()}"}.get(
        origin, f"--{name.replace('_', '-')}"
    )
    return f"{where} is {first['input']!r}: {first['msg'].lower()}"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
