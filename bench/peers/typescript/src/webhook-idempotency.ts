// The same webhook, deduplicated as the documentation of Powertools teaches it: `makeIdempotent` around recording
// and sending. Its calls differ by design: a conditional PutItem and an UpdateItem of the idempotency record
// take the place of webhook.ts's one conditional put, and the record itself is a plain PutItem.
import { randomUUID } from 'node:crypto';
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { PutItemCommand } from '@aws-sdk/client-dynamodb';
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
const EXPIRES_AFTER_SECONDS = 30 * 24 * 3600;

// The idempotency records lie in the webhooks table, whose key has the same form: the bench has no table for them.
const persistenceStore = new DynamoDBPersistenceLayer({
  tableName: webhooksTable,
  keyAttr: 'pk',
  awsSdkV3Client: dynamodb,
});
const config = new IdempotencyConfig({
  eventKeyJmesPath: 'event.webhook_pk',
  throwOnNoIdempotencyKey: true,
  expiresAfterSeconds: EXPIRES_AFTER_SECONDS,
  responseHook: () => ({ outcome: 'duplicate' }),
});

const recordAndSend = makeIdempotent(
  async (webhook: ArmadaWebhook, requestId: string): Promise<{ outcome: string }> => {
    await dynamodb.send(
      new PutItemCommand({ TableName: webhooksTable, Item: pendingRecord(webhook, requestId) }),
    );
    await sendEvent(webhook.event);
    return { outcome: 'accepted' };
  },
  { persistenceStore, config, dataIndexArgument: 0 },
);

export const handler = async (
  request: APIGatewayProxyEventV2,
  context: Context,
): Promise<APIGatewayProxyStructuredResultV2> => {
  logger.addContext(context);
  config.registerLambdaContext(context);
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
  const { outcome } = await recordAndSend(webhook, requestId);
  report(outcome, webhook.event, requestId);
  return answer(200, outcome, requestId);
};
