"""What a message of the events queue holds."""

import json

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from order_event import SCHEMA_VERSION, OrderEvent


def read_event(record: SQSRecord) -> OrderEvent:
    """The event in a message; a message of another form fails its record."""
    message = json.loads(record.body)
    if message["schema_version"] != SCHEMA_VERSION:
        raise ValueError("not a message of this schema version")
    return message["event"]
