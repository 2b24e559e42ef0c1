"""The `orders` table: timeline and state."""

import hashlib
import os
import re
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from dynamodb import dynamodb
from order_event import OrderEvent, armada_status, order_key

ORDERS_TABLE = os.environ["ORDERS_TABLE"]
STATE = "state"
PLAIN_WORD = re.compile(r"[A-Za-z0-9_.]{1,64}")
ENTRY_ATTRIBUTES = (
    "webhook_pk",
    "occurred_at_ms",
    "received_at_ms",
    "provider_event",
    "provider_status",
    "provider_event_id",
    "details",
)
OPTIONAL_ATTRIBUTES = (
    "status",
    "status_since_ms",
    "driver",
    "tracking_url",
    "order_amount",
    "delivery_fee",
    "currency",
)

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def _sort_key(event: OrderEvent) -> str:
    status = event.get("provider_status", "")
    spelled = status if event["provider"] == "armada" else f"{event.get('provider_event', '')}.{status}"
    word = spelled if PLAIN_WORD.fullmatch(spelled) else hashlib.sha256(spelled.encode()).hexdigest()[:16]
    return f"event#{event['occurred_at_ms']:013}#{word}#{event.get('provider_event_id', '-')}"


def put_entry(event: OrderEvent) -> None:
    """Adds the event to its order's timeline, once."""
    item = {"pk": {"S": order_key(event)}, "sk": {"S": _sort_key(event)}}
    item |= {name: _serialize(event[name]) for name in ENTRY_ATTRIBUTES if name in event}
    try:
        dynamodb.put_item(TableName=ORDERS_TABLE, Item=item, ConditionExpression="attribute_not_exists(pk)")
    except dynamodb.exceptions.ConditionalCheckFailedException:
        pass  # It is there already.


def read_timeline(event: OrderEvent) -> list[dict[str, Any]]:
    """All entries of the event's order."""
    query: dict[str, Any] = {
        "TableName": ORDERS_TABLE,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": order_key(event)}},
        "ConsistentRead": True,
    }
    entries = []
    while True:
        page = dynamodb.query(**query)
        entries += [
            {name: _deserialize(value) for name, value in item.items()}
            for item in page["Items"]
            if item["sk"]["S"] != STATE
        ]
        if "LastEvaluatedKey" not in page:
            return entries
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _fold(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Where the order stands. Not the project's fold: the entry with the greatest key simply wins."""
    latest = max(entries, key=lambda entry: entry["sk"])
    state = {
        **latest.get("details", {}),
        "event_count": len(entries),
        "status": armada_status(latest.get("provider_status")),
        "status_since_ms": latest["occurred_at_ms"],
    }
    return {name: value for name, value in state.items() if value is not None}


def save_state(event: OrderEvent, entries: list[dict[str, Any]]) -> None:
    """Saves the state, unless the stored one counts more events."""
    state = _fold(entries)
    absent = [name for name in OPTIONAL_ATTRIBUTES if name not in state]
    sets = ["revision = if_not_exists(revision, :zero) + :one", *(f"#{name} = :{name}" for name in state)]
    update = f"SET {', '.join(sets)}"
    if absent:
        update += f" REMOVE {', '.join(f'#{name}' for name in absent)}"
    try:
        dynamodb.update_item(
            TableName=ORDERS_TABLE,
            Key={"pk": {"S": order_key(event)}, "sk": {"S": STATE}},
            UpdateExpression=update,
            ConditionExpression="attribute_not_exists(event_count) OR event_count <= :event_count",
            ExpressionAttributeNames={f"#{name}": name for name in [*state, *absent]},
            ExpressionAttributeValues={f":{name}": _serialize(value) for name, value in state.items()}
            | {":zero": {"N": "0"}, ":one": {"N": "1"}},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        pass  # A state of more events is there.
