// What the documentation of Powertools shows of a batch: BatchProcessor, and one conditional UpdateItem a record. It
// keeps no timeline, so it does less than functions/order-consumer.
import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import { Logger } from '@aws-lambda-powertools/logger';
import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { readEvent } from './batch-record.js';
import { unlessConditionFails } from './conditional-write.js';
import { dynamodb } from './dynamodb.js';
import { required } from './environment.js';
import { orderKey } from './order-event.js';

const ordersTable = required('ORDERS_TABLE');
const logger = new Logger({ serviceName: 'order-consumer' });
const processor = new BatchProcessor(EventType.SQS);

const updateStatus = async (record: SQSRecord): Promise<void> => {
  const event = readEvent(record);
  await unlessConditionFails(
    dynamodb.send(
      new UpdateItemCommand({
        TableName: ordersTable,
        Key: { pk: { S: orderKey(event) }, sk: { S: 'state' } },
        UpdateExpression: 'SET #status = :status, status_since_ms = :since',
        ConditionExpression: 'attribute_not_exists(status_since_ms) OR status_since_ms <= :since',
        ExpressionAttributeNames: { '#status': 'status' },
        ExpressionAttributeValues: {
          ':status': { S: event.status ?? 'unknown' },
          ':since': { N: String(event.occurred_at_ms) },
        },
      }),
    ),
  );
  logger.info('updated', { message_id: record.messageId, order_id: event.order_id, status: event.status });
};

export const handler = async (batch: SQSEvent, context: Context): Promise<SQSBatchResponse> => {
  logger.addContext(context);
  return processPartialResponse(batch, updateStatus, processor, { context });
};
