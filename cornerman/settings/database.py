"""Which database is used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr

from cornerman.domain.errors import SettingsError
from cornerman.settings.secrets import mask_address
from cornerman.settings.values import SettingsGroup

SUPABASE_ADDRESSES = ("SUPABASE_SANDBOX_URL", "SANDBOX_SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL")
_SUPABASE_HOST = re.compile(r"([a-z0-9][a-z0-9-]*)\.supabase\.co", re.IGNORECASE)
_POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_GIVE_POSTGRES = "Give a postgresql:// address (Supabase: Project Settings, Database)"


@dataclass(frozen=True)
class DatabaseTarget:
    """The database's SQLAlchemy address, and the variable it came from (or `default`)."""

    url: SecretStr
    source: str

    @property
    def shown(self) -> str:
        """The address without its credentials."""
        return mask_address(self.url.get_secret_value())


class DatabaseSettings(SettingsGroup):
    """Where things are stored. Addresses may hold a password, so they count as secrets."""

    cornerman_home: Path = Field(
        default=Path("~/.cornerman"), description="Folder of the default database and of reports."
    )
    use_local_db: bool = Field(
        default=False, description="Use LOCAL_DB_URL before all other addresses."
    )
    local_db_url: SecretStr | None = Field(
        default=None,
        description="postgresql:// or sqlite:/// address, used when USE_LOCAL_DB is true.",
    )
    supabase_sandbox_url: SecretStr | None = Field(
        default=None,
        description="Supabase https:// or postgresql:// address; first of the three names.",
    )
    sandbox_supabase_url: SecretStr | None = Field(
        default=None, description="The older name of SUPABASE_SANDBOX_URL; second of the three."
    )
    next_public_supabase_url: SecretStr | None = Field(
        default=None, description="Supabase address of the app; last of the three names."
    )
    supabase_db_password: SecretStr | None = Field(
        default=None, description="Database password that goes with a Supabase https:// address."
    )
    sandbox_supabase_service_role_key: SecretStr | None = Field(
        default=None, description="Accepted and not needed: the database is reached as PostgreSQL."
    )
    sandbox_supabase_anon_key: SecretStr | None = Field(
        default=None, description="Accepted and not needed: the database is reached as PostgreSQL."
    )

    @property
    def home(self) -> Path:
        """CORNERMAN_HOME as an absolute path.

        Raises:
            SettingsError: The user has no home folder that `~` could stand for.
        """
        try:
            return self.cornerman_home.expanduser().absolute()
        except RuntimeError as error:
            raise SettingsError(
                f"CORNERMAN_HOME is {str(self.cornerman_home)!r}, and this user has no home.",
                field="CORNERMAN_HOME",
                hint="Set CORNERMAN_HOME to a folder you may write to.",
            ) from error

    def address_in_use(self) -> str | None:
        """Name of the variable that gives the database; None: the default SQLite file."""
        if self.use_local_db:
            return "LOCAL_DB_URL"
        return next((name for name in SUPABASE_ADDRESSES if self._address(name)), None)

    def database_url(self) -> DatabaseTarget:
        """The database to use.

        Raises:
            SettingsError: The address that comes first cannot be used as it stands.
        """
        name = self.address_in_use()
        if name is None:
            return DatabaseTarget(SecretStr(f"sqlite:///{self.home}/cornerman.db"), "default")
        address = self._address(name)
        if address is None:
            raise SettingsError(
                "USE_LOCAL_DB is true, but LOCAL_DB_URL is not set.",
                field="LOCAL_DB_URL",
                hint="Set LOCAL_DB_URL=postgresql://localhost:5432/sandbox, or USE_LOCAL_DB=false.",
            )
        return DatabaseTarget(SecretStr(self._engine_address(name, address)), name)

    def _address(self, name: str) -> str | None:
        held: SecretStr | None = getattr(self, name.lower())
        return held.get_secret_value() if held else None

    def _engine_address(self, name: str, address: str) -> str:
        scheme, _, rest = address.partition("://")
        if scheme.lower() in _POSTGRES_SCHEMES:
            return _checked_postgres(name, f"postgresql+psycopg://{rest}")
        if scheme.lower() == "sqlite" and name == "LOCAL_DB_URL":
            return _checked_sqlite(name, address)
        host = _SUPABASE_HOST.fullmatch(_host(address)) if scheme.lower() == "https" else None
        if host is None:
            kinds = "postgresql:// or sqlite:/// address"
            if name != "LOCAL_DB_URL":
                kinds = "postgresql:// or https://REF.supabase.co address"
            raise _refused(name, address, f"it must be a {kinds}", f"{_GIVE_POSTGRES}.")
        if self.supabase_db_password is None:
            problem = "a Supabase https:// address needs SUPABASE_DB_PASSWORD, which is not set"
            fix = f"{_GIVE_POSTGRES}, or set SUPABASE_DB_PASSWORD."
            raise _refused(name, address, problem, fix)
        # safe="": a slash or an @ in the password would end it early.
        password = quote(self.supabase_db_password.get_secret_value(), safe="")
        place = f"db.{host[1].lower()}.supabase.co:5432/postgres"
        return f"postgresql+psycopg://postgres:{password}@{place}"


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _checked_postgres(name: str, address: str) -> str:
    try:
        usable = urlsplit(address).port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _refused(
            name,
            address,
            "its host or port cannot be read",
            "Write postgresql://USER:PASSWORD@HOST:5432/DATABASE, with special characters of "
            "the password percent-encoded (@ is %40, / is %2F, # is %23).",
        )
    return address


def _checked_sqlite(name: str, address: str) -> str:
    path = address[len("sqlite:///") :] if address.lower().startswith("sqlite:///") else ""
    if not path or path.startswith(":memory:"):
        # The writer and the readers are threads with connections of their own.
        fix = f"Set {name}=sqlite:////folder/cornerman.db"
        raise _refused(name, address, "a SQLite address must name a file", fix)
    return f"sqlite:///{Path(path).expanduser() if path.startswith('~') else path}"


def _refused(name: str, address: str, problem: str, hint: str) -> SettingsError:
    return SettingsError(f"{name} is {mask_address(address)!r}; {problem}.", field=name, hint=hint)
