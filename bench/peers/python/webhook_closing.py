"""The end of a webhook's record."""

import os
import time

from dynamodb import dynamodb
from order_event import OrderEvent

WEBHOOKS_TABLE = os.environ["WEBHOOKS_TABLE"]
RETENTION_SECONDS = 30 * 24 * 3600


def close_record(event: OrderEvent) -> None:
    """Closes the record of an applied event, so that no relay sends it again."""
    try:
        dynamodb.update_item(
            TableName=WEBHOOKS_TABLE,
            Key={"pk": {"S": event["webhook_pk"]}},
            UpdateExpression="SET #state = :applied, expires_at = :expires_at REMOVE pending_shard, due_at_ms",
            ConditionExpression="attribute_exists(pk) AND body_sha256 = :digest AND #state IN (:pending, :parked)",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":applied": {"S": "applied"},
                ":expires_at": {"N": str(int(time.time()) + RETENTION_SECONDS)},
                ":digest": {"S": event["body_sha256"]},
                ":pending": {"S": "pending"},
                ":parked": {"S": "parked"},
            },
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        pass  # There is nothing to close.
