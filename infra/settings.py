"""Settings: how and where things run. What determines a run's decisions is its policy (`schemas.policy`).

Precedence: a flag, the environment (`SEDI_...`), the TOML file (`sedi.toml` in the current folder, or the file that
`SEDI_CONFIG` names), the default. `origins` reports which; `sedi doctor` prints it. Secrets are SecretStr: they print
as stars.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from infra.cluster.addresses import endpoint, servers
from schemas.errors import ConfigurationError


def _config_file() -> Path:
    return Path(os.environ.get("SEDI_CONFIG", "sedi.toml"))


class Settings(BaseSettings):
    """All settings, immutable."""

    model_config = SettingsConfigDict(env_prefix="SEDI_", frozen=True, extra="forbid", allow_inf_nan=False)

    # where things are kept on this machine
    state_dir: Path = Field(Path("var"), description="Broker data, logs, checkpoints.")
    cache_dir: Path = Field(Path(".cache"), description="Fetched jars, converted models; may be deleted.")

    # the cluster
    bootstrap_servers: str = Field("127.0.0.1:19092", description="Kafka, host:port[,host:port...].")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How the cluster is spoken to: with TLS, a login, both or neither."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(None, description="Of the login.")
    sasl_username: str | None = Field(None, description="Of the login; its password is SEDI_SASL_PASSWORD.")
    sasl_password: SecretStr | None = None
    tls_ca_file: Path | None = Field(None, description="PEM of the authority that signed the cluster's certificates.")
    tls_cert_file: Path | None = Field(None, description="PEM of our own certificate, where the cluster wants one.")
    tls_key_file: Path | None = Field(None, description="PEM of its key; encrypted: SEDI_TLS_KEY_PASSWORD.")
    tls_key_password: SecretStr | None = None
    replication_factor: int = Field(
        1, ge=1, description="Copies of each partition of created topics; use 3 on a real cluster."
    )
    broker_heap_mb: int = Field(512, ge=256, description="Heap of the local broker, in MiB.")

    # the LLM
    backend: Literal["builtin", "openai", "transformers", "recorded", "load-model"] = Field(
        "builtin", description="What answers: the built-in model, an endpoint, a model in this process, a file, a fake."
    )
    base_url: str | None = Field(None, description="Of an OpenAI-compatible endpoint; none: OpenAI's own.")
    api_key: SecretStr | None = None
    model: str | None = Field(
        None, description="Name at the endpoint; of `transformers` a folder, hub name, `builtin`."
    )
    api: Literal["chat", "completion", "structured"] = Field(
        "chat", description="How the endpoint is asked; structured: chat with a JSON schema."
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="What the endpoint calls the limit of an answer."
    )
    prompt_cache_key: str | None = Field(
        None, description="Sent with chats, so that an endpoint that takes it finds equal beginnings."
    )
    request_timeout_s: float = Field(120.0, gt=0, description="Seconds that one call may take.")
    max_answer_bytes: int = Field(
        1024 * 1024, ge=1024, le=4 * 1024 * 1024, description="Bytes of an answer; a larger one is refused."
    )
    usd_per_1m_prompt_tokens: float | None = Field(
        None, ge=0, description="Price in US dollars of a million prompt tokens; not set: the cost is unknown."
    )
    usd_per_1m_completion_tokens: float | None = Field(
        None, ge=0, description="Price in US dollars of a million completion tokens."
    )
    usd_per_1m_cached_tokens: float | None = Field(
        None, ge=0, description="Of a million prompt tokens that were in the endpoint's cache; not set: the full price."
    )
    batch_price_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Of the prices above, in batches. Default: 0.5 at OpenAI, 1 at any other endpoint.",
    )
    prices_file: Path | None = Field(
        None, description="TOML of prices by model; asked before the program's own table, after the prices above."
    )
    transformers_batch: int = Field(
        8, ge=1, le=256, description="Requests that the model of this process answers at once."
    )
    transformers_device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Of the model of this process.")
    transformers_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Of the model of this process."
    )
    load_model_seed: int = Field(0, description="Random seed of the load model's answers.")
    load_model_pace: float = Field(0.0, ge=0, description="Share of a real latency that the load model waits.")

    # the worker
    standby_replicas: int = Field(0, ge=0, description="Standby copies of each table; needs as many further workers.")
    max_filter_lag: int = Field(32, ge=1, description="Generations written but not yet decided before generators wait.")
    dead_letters_in_a_row: int = Field(
        20, ge=1, description="Of a topic the worker reads; at one more it stops, for then the fault is in a program."
    )
    dead_letter_share: float = Field(
        0.1, gt=0, le=1, description="Of the records of such a topic, from 100 on; above it the worker stops. 1: never."
    )

    # how processes are observed
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Where a process serves /metrics, /healthz and /readyz; 0: a free port."
    )
    metrics_host: str = Field("127.0.0.1", description="The address for that; another than this machine's is open.")
    stall_s: float = Field(
        120.0, gt=0, description="Seconds without a turn of a main loop after which the process dumps its stacks."
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, value: str) -> str:
        return servers(value)

    @field_validator("base_url")
    @classmethod
    def _endpoint(cls, value: str | None) -> str | None:
        return endpoint(value.strip()) if value and value.strip() else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_config_file())

    @property
    def broker_port(self) -> int:
        """Port of the first bootstrap server."""
        return int(self.bootstrap_servers.split(",")[0].rpartition(":")[2])

    @property
    def names_local_address(self) -> bool:
        """Whether the only bootstrap server is at an address that the local broker can have."""
        return "," not in self.bootstrap_servers and self.bootstrap_servers.startswith("127.0.0.1:")

    @property
    def is_local(self) -> bool:
        """Whether the cluster is the local broker, which speaks PLAINTEXT only."""
        return self.names_local_address and self.security_protocol == "PLAINTEXT"


def load(**flags: Any) -> Settings:
    """Settings with some of them given as flags; None means not given.

    Raises ConfigurationError with the wrong setting and the possible sources.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(map(_sentence, error.errors()))
        raise ConfigurationError(
            f"Settings are wrong: {wrong}. They come from flags, SEDI_... variables, or {_config_file()}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{_config_file()} cannot be read as TOML: {error}. Correct or remove it.") from None
    except SettingsError as error:
        raise ConfigurationError(f"Settings are wrong: {error}. Look at the SEDI_... variables.") from None


def _sentence(error: Any) -> str:
    """What is wrong with one setting, with its value unless that is, or may be, a secret."""
    name = ".".join(map(str, error["loc"]))
    field = Settings.model_fields.get(name)
    message = str(error["msg"]).removeprefix("Value error, ").removesuffix(".")
    if field is None or SecretStr in get_args(field.annotation) or error["type"] == "value_error":
        return f"{name}: {message}"
    return f"{name} is {error['input']!r}: {message}"


def origins(settings: Settings) -> dict[str, str]:
    """The source of each setting's value: `flag`, `environment`, the TOML file's name, or `default`."""
    environment = EnvSettingsSource(Settings)()
    file = TomlConfigSettingsSource(Settings, toml_file=_config_file())()
    found = {}
    for name in Settings.model_fields:
        if name not in settings.model_fields_set:
            found[name] = "default"
        elif name in environment and _same(settings, name, environment[name]):
            found[name] = "environment"
        elif name in file and _same(settings, name, file[name]):
            found[name] = str(_config_file())
        else:
            found[name] = "flag"
    return found


def _same(settings: Settings, name: str, raw: Any) -> bool:
    value = getattr(settings, name)
    shown = value.get_secret_value() if isinstance(value, SecretStr) else value
    return str(shown) == str(raw) or shown == raw


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, for child processes. Contains secrets: never print it."""
    values = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if value is not None:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            values[f"SEDI_{name.upper()}"] = str(plain)
    return values
