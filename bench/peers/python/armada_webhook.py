"""An Armada webhook to its normalized event."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from order_event import OrderEvent, armada_status

RETAINED_HEADERS = (
    "x-armada-webhook-id",
    "x-armada-webhook-topic",
    "x-armada-timestamp",
    "x-armada-api-version",
)
PLACEHOLDERS = {"", "not provided", "n/a", "null"}


@dataclass(frozen=True, slots=True)
class ArmadaWebhook:
    """An authenticated webhook that was read."""

    body: bytes
    headers: dict[str, str]
    event: OrderEvent


def read_webhook(request: dict[str, Any], merchant_id: str, received_at_ms: int) -> ArmadaWebhook | None:
    """Reads a webhook of the merchant; `None` when it has no order, no id, no time or no known status."""
    body = (request.get("body") or "").encode()
    if request.get("isBase64Encoded"):
        body = base64.b64decode(body)
    order = _parse(body)
    headers = request["headers"]
    webhook_id = headers.get("x-armada-webhook-id")
    topic = headers.get("x-armada-webhook-topic")
    order_id = _text(order.get("code"))
    word = _text(order.get("status"))
    status = armada_status(word)
    occurred_at_ms = _time(headers.get("x-armada-timestamp"))
    if not webhook_id or not topic or order_id is None or status is None or occurred_at_ms is None:
        return None
    event = {
        "webhook_pk": f"armada#{merchant_id}#{topic}#{webhook_id}",
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "merchant_id": merchant_id,
        "provider": "armada",
        "order_id": order_id,
        "occurred_at_ms": occurred_at_ms,
        "received_at_ms": received_at_ms,
        "provider_status": word,
        "provider_event_id": webhook_id,
        "status": status,
        "details": _details(order),
    }
    retained = {name: headers[name] for name in RETAINED_HEADERS if name in headers}
    return ArmadaWebhook(body, retained, event)


def _details(order: dict[str, Any]) -> dict[str, Any]:
    driver = _object(order.get("driver"))
    return _present(
        driver=_present(name=_text(driver.get("name")), phone=_text(driver.get("phone"))) or None,
        tracking_url=_text(_object(order.get("logistics")).get("tracking_url")),
        order_amount=_money(order.get("amount")),
        delivery_fee=_money(order.get("delivery_fee")),
        currency=_text(order.get("currency")),
        schedule=_present(placed_at_ms=_time(order.get("created_at"))),
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        # Numbers stay text, so that an amount keeps every digit.
        return _object(json.loads(body, parse_int=str, parse_float=str))
    except ValueError:
        return {}


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    trimmed = value.strip()
    return None if trimmed.lower() in PLACEHOLDERS else trimmed


def _money(value: Any) -> str | None:
    digits = _text(value)
    try:
        return digits if digits is not None and Decimal(digits).is_finite() else None
    except InvalidOperation:
        return None


def _time(value: Any) -> int | None:
    try:
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    except (TypeError, ValueError):
        return None
