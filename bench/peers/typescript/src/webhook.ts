// The work of functions/armada-webhook, call for call, with Powertools' Logger and Metrics.
import { randomUUID } from 'node:crypto';
import { ConditionalCheckFailedException, PutItemCommand } from '@aws-sdk/client-dynamodb';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { answer } from './answer.js';
import { type ArmadaWebhook, readWebhook } from './armada-webhook.js';
import { dynamodb } from './dynamodb.js';
import { required } from './environment.js';
import { sendEvent } from './events-queue.js';
import { findInstallation } from './installations.js';
import { logger, report } from './observability.js';
import { pendingRecord } from './webhook-record.js';

const webhooksTable = required('WEBHOOKS_TABLE');

/** Puts the record; `false` when another request put it before. */
const putOnce = async (webhook: ArmadaWebhook, requestId: string): Promise<boolean> => {
  try {
    await dynamodb.send(
      new PutItemCommand({
        TableName: webhooksTable,
        Item: pendingRecord(webhook, requestId),
        ConditionExpression: 'attribute_not_exists(pk)',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    );
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) {
      // Our own id: the SDK repeated a put whose first answer was lost.
      return error.Item?.request_id?.S === requestId;
    }
    throw error;
  }
};

export const handler = async (
  request: APIGatewayProxyEventV2,
  context: Context,
): Promise<APIGatewayProxyStructuredResultV2> => {
  logger.addContext(context);
  const receivedAtMs = Date.now();
  const requestId = randomUUID();
  const installation = await findInstallation(request.headers);
  if (installation === undefined) {
    logger.warn('refused', { webhook_request_id: requestId });
    return answer(401, 'unauthorized', requestId);
  }
  const webhook = readWebhook(request, installation.merchantId, receivedAtMs);
  if (webhook === undefined) {
    logger.warn('unreadable', { webhook_request_id: requestId, merchant_id: installation.merchantId });
    return answer(400, 'bad_request', requestId);
  }
  const written = await putOnce(webhook, requestId);
  if (written) {
    await sendEvent(webhook.event);
  }
  const outcome = written ? 'accepted' : 'duplicate';
  report(outcome, webhook.event, requestId);
  return answer(200, outcome, requestId);
};
