"""The events queue."""

import json
import os

import boto3
from order_event import SCHEMA_VERSION, OrderEvent

EVENTS_QUEUE_URL = os.environ["EVENTS_QUEUE_URL"]

sqs = boto3.client("sqs")


def send_event(event: OrderEvent) -> None:
    """Sends the event. On a standard queue the message group means fairness, not order."""
    message = {"schema_version": SCHEMA_VERSION, "event": event}
    sqs.send_message(
        QueueUrl=EVENTS_QUEUE_URL,
        MessageBody=json.dumps(message, separators=(",", ":"), ensure_ascii=False),
        MessageGroupId=event["merchant_id"],
    )
