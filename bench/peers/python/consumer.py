"""The work of functions/order-consumer, call for call, with Powertools' BatchProcessor and Logger. The processor
takes the records of a batch one after the other.
"""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batch_record import read_event
from orders_table import put_entry, read_timeline, save_state
from webhook_closing import close_record

logger = Logger(service="order-consumer")
processor = BatchProcessor(event_type=EventType.SQS)


def apply_record(record: SQSRecord) -> None:
    """Applies the event of one message."""
    event = read_event(record)
    put_entry(event)
    save_state(event, read_timeline(event))
    close_record(event)
    logger.info(
        "applied",
        message_id=record.message_id,
        order_id=event["order_id"],
        webhook_pk=event["webhook_pk"],
    )


@logger.inject_lambda_context
def handler(batch: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Applies a batch; failed messages come again alone."""
    return process_partial_response(event=batch, record_handler=apply_record, processor=processor, context=context)
