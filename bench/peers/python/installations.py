"""The registry of installations, remembered for a minute."""

import hashlib
import os
import time
from dataclasses import dataclass

from dynamodb import dynamodb

INSTALLATIONS_TABLE = os.environ["INSTALLATIONS_TABLE"]
REMEMBERED_SECONDS = 60
MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Installation:
    """One merchant's connection to Armada."""

    merchant_id: str
    state: str


_remembered: dict[str, tuple[Installation, float]] = {}


def _registry_key(headers: dict[str, str]) -> str | None:
    app_id = headers.get("x-armada-app-id")
    installation_id = headers.get("x-armada-installation-id")
    if not app_id or not installation_id:
        return None
    credential = f"{app_id}\x1f{installation_id}".encode()
    return f"armada#{hashlib.sha256(credential).hexdigest()}"


def _read(pk: str) -> Installation | None:
    item = dynamodb.get_item(TableName=INSTALLATIONS_TABLE, Key={"pk": {"S": pk}}).get("Item")
    if item is None:
        return None
    return Installation(merchant_id=item["merchant_id"]["S"], state=item["state"]["S"])


def find_installation(headers: dict[str, str]) -> Installation | None:
    """The active installation that sent the webhook."""
    pk = _registry_key(headers)
    if pk is None:
        return None
    now = time.monotonic()
    installation, read_at = _remembered.get(pk, (None, 0.0))
    if installation is None or now - read_at >= REMEMBERED_SECONDS:
        installation = _read(pk)
        if installation is None:
            return None
        if len(_remembered) >= MAX_REMEMBERED:
            _remembered.clear()
        _remembered[pk] = (installation, now)
    return installation if installation.state == "active" else None
