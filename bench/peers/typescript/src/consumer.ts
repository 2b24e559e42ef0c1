// The work of functions/order-consumer, call for call, with Powertools' BatchProcessor and Logger. The processor
// takes all records of a batch at once.
import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import { Logger } from '@aws-lambda-powertools/logger';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { readEvent } from './batch-record.js';
import { putEntry, readTimeline, saveState } from './orders-table.js';
import { closeRecord } from './webhook-closing.js';

const logger = new Logger({ serviceName: 'order-consumer' });
const processor = new BatchProcessor(EventType.SQS);

const applyRecord = async (record: SQSRecord): Promise<void> => {
  const event = readEvent(record);
  await putEntry(event);
  await saveState(event, await readTimeline(event));
  await closeRecord(event);
  logger.info('applied', { message_id: record.messageId, order_id: event.order_id, webhook_pk: event.webhook_pk });
};

export const handler = async (batch: SQSEvent, context: Context): Promise<SQSBatchResponse> => {
  logger.addContext(context);
  return processPartialResponse(batch, applyRecord, processor, { context });
};
