"""The normalized event, as in docs/schema/queue-message.schema.json."""

from typing import Any

SCHEMA_VERSION = 1

OrderEvent = dict[str, Any]

_STATUS_OF_WORD = {
    "pending": "pending",
    "accepted": "assigned",
    "dispatched": "en_route_to_pickup",
    "waiting_pack": "at_pickup",
    "en_route": "in_transit",
    "completed": "delivered",
    "complete": "delivered",
    "canceled": "canceled",
    "cancelled": "canceled",
    "failed": "failed",
}


def armada_status(word: str | None) -> str | None:
    """What Armada's word means; `None` for an unknown one."""
    return None if word is None else _STATUS_OF_WORD.get(word.strip().lower().replace(" ", "_"))


def order_key(event: OrderEvent) -> str:
    """The key of the event's order in the `orders` table."""
    return f"{event['merchant_id']}#{event['provider']}#{event['order_id']}"
