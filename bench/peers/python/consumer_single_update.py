"""What the documentation of Powertools shows of a batch: BatchProcessor, and one conditional UpdateItem a record. It
keeps no timeline, so it does less than functions/order-consumer.
"""

import os
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batch_record import read_event
from dynamodb import dynamodb
from order_event import order_key

ORDERS_TABLE = os.environ["ORDERS_TABLE"]

logger = Logger(service="order-consumer")
processor = BatchProcessor(event_type=EventType.SQS)


def update_status(record: SQSRecord) -> None:
    """Sets the order's status, unless a later one is there."""
    event = read_event(record)
    try:
        dynamodb.update_item(
            TableName=ORDERS_TABLE,
            Key={"pk": {"S": order_key(event)}, "sk": {"S": "state"}},
            UpdateExpression="SET #status = :status, status_since_ms = :since",
            ConditionExpression="attribute_not_exists(status_since_ms) OR status_since_ms <= :since",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":status": {"S": event.get("status", "unknown")},
                ":since": {"N": str(event["occurred_at_ms"])},
            },
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        pass  # A later status is there.
    logger.info("updated", message_id=record.message_id, order_id=event["order_id"], status=event.get("status"))


@logger.inject_lambda_context
def handler(batch: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Updates a batch; failed messages come again alone."""
    return process_partial_response(event=batch, record_handler=update_status, processor=processor, context=context)
