import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { unlessConditionFails } from './conditional-write.js';
import { dynamodb } from './dynamodb.js';
import { required } from './environment.js';
import type { OrderEvent } from './order-event.js';

const webhooksTable = required('WEBHOOKS_TABLE');
const RETENTION_SECONDS = 30 * 24 * 3600;

/** Closes the record of an applied event, so that no relay sends it again. */
export const closeRecord = async (event: OrderEvent): Promise<void> => {
  const expiresAt = Math.floor(Date.now() / 1000) + RETENTION_SECONDS;
  await unlessConditionFails(
    dynamodb.send(
      new UpdateItemCommand({
        TableName: webhooksTable,
        Key: { pk: { S: event.webhook_pk } },
        UpdateExpression: 'SET #state = :applied, expires_at = :expires_at REMOVE pending_shard, due_at_ms',
        ConditionExpression: 'attribute_exists(pk) AND body_sha256 = :digest AND #state IN (:pending, :parked)',
        ExpressionAttributeNames: { '#state': 'state' },
        ExpressionAttributeValues: {
          ':applied': { S: 'applied' },
          ':expires_at': { N: String(expiresAt) },
          ':digest': { S: event.body_sha256 },
          ':pending': { S: 'pending' },
          ':parked': { S: 'parked' },
        },
      }),
    ),
  );
};
