"""The same webhook, deduplicated as the documentation of Powertools teaches it: `idempotent_function` around
recording and sending. Its calls differ by design: a conditional PutItem and an UpdateItem of the idempotency
record take the place of webhook.py's one conditional put, and the record itself is a plain PutItem.
"""

import os
import time
import uuid
from typing import Any

from answer import answer
from armada_webhook import ArmadaWebhook, read_webhook
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from dynamodb import dynamodb
from events_queue import send_event
from installations import find_installation
from observability import logger, metrics, report
from order_event import OrderEvent
from webhook_record import pending_record

WEBHOOKS_TABLE = os.environ["WEBHOOKS_TABLE"]
EXPIRES_AFTER_SECONDS = 30 * 24 * 3600

# The idempotency records lie in the webhooks table, whose key has the same form: the bench has no table for them.
persistence_store = DynamoDBPersistenceLayer(table_name=WEBHOOKS_TABLE, key_attr="pk", boto3_client=dynamodb)
config = IdempotencyConfig(
    event_key_jmespath="webhook_pk",
    raise_on_no_idempotency_key=True,
    expires_after_seconds=EXPIRES_AFTER_SECONDS,
    response_hook=lambda _response, _record: "duplicate",
)


@idempotent_function(data_keyword_argument="event", persistence_store=persistence_store, config=config)
def record_and_send(*, event: OrderEvent, webhook: ArmadaWebhook, request_id: str) -> str:
    """Records the webhook and sends its event, once for each webhook id."""
    dynamodb.put_item(TableName=WEBHOOKS_TABLE, Item=pending_record(webhook, request_id))
    send_event(event)
    return "accepted"


@logger.inject_lambda_context
@metrics.log_metrics
def handler(request: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one webhook."""
    config.register_lambda_context(context)
    received_at_ms = time.time_ns() // 1_000_000
    request_id = str(uuid.uuid4())
    installation = find_installation(request["headers"])
    if installation is None:
        logger.warning("refused", webhook_request_id=request_id)
        return answer(401, "unauthorized", request_id)
    webhook = read_webhook(request, installation.merchant_id, received_at_ms)
    if webhook is None:
        logger.warning("unreadable", webhook_request_id=request_id, merchant_id=installation.merchant_id)
        return answer(400, "bad_request", request_id)
    outcome = record_and_send(event=webhook.event, webhook=webhook, request_id=request_id)
    report(outcome, webhook.event, request_id)
    return answer(200, outcome, request_id)
