"""The work of functions/armada-webhook, call for call, with Powertools' Logger and Metrics."""

import os
import time
import uuid
from typing import Any

from answer import answer
from armada_webhook import ArmadaWebhook, read_webhook
from aws_lambda_powertools.utilities.typing import LambdaContext
from dynamodb import dynamodb
from events_queue import send_event
from installations import find_installation
from observability import logger, metrics, report
from webhook_record import pending_record

WEBHOOKS_TABLE = os.environ["WEBHOOKS_TABLE"]


def put_once(webhook: ArmadaWebhook, request_id: str) -> bool:
    """Puts the record; `False` when another request put it before."""
    try:
        dynamodb.put_item(
            TableName=WEBHOOKS_TABLE,
            Item=pending_record(webhook, request_id),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        # Our own id: the SDK repeated a put whose first answer was lost.
        return error.response.get("Item", {}).get("request_id", {}).get("S") == request_id
    return True


@logger.inject_lambda_context
@metrics.log_metrics
def handler(request: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answers one webhook."""
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
    written = put_once(webhook, request_id)
    if written:
        send_event(webhook.event)
    outcome = "accepted" if written else "duplicate"
    report(outcome, webhook.event, request_id)
    return answer(200, outcome, request_id)
