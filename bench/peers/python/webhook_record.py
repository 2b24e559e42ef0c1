"""The item of the `webhooks` table."""

import zlib
from typing import Any

from armada_webhook import ArmadaWebhook
from order_event import order_key

FIRST_DUE_AFTER_MS = 180_000
PENDING_SHARDS = 32
COMPRESSION_LEVEL = 6


def pending_record(webhook: ArmadaWebhook, request_id: str) -> dict[str, Any]:
    """The record of a webhook that is not applied yet."""
    event = webhook.event
    shard = int(event["body_sha256"][:2], 16) % PENDING_SHARDS
    return {
        "pk": {"S": event["webhook_pk"]},
        "state": {"S": "pending"},
        "merchant_id": {"S": event["merchant_id"]},
        "received_at_ms": {"N": str(event["received_at_ms"])},
        # Negative window bits: raw DEFLATE, without zlib's header.
        "body": {"B": zlib.compress(webhook.body, level=COMPRESSION_LEVEL, wbits=-zlib.MAX_WBITS)},
        "body_sha256": {"S": event["body_sha256"]},
        "request_id": {"S": request_id},
        "forward_attempts": {"N": "0"},
        "order_key": {"S": order_key(event)},
        "headers": {"M": {name: {"S": value} for name, value in webhook.headers.items()}},
        "pending_shard": {"S": f"{shard:02}"},
        "due_at_ms": {"N": str(event["received_at_ms"] + FIRST_DUE_AFTER_MS)},
    }
