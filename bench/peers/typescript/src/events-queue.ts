import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { required } from './environment.js';
import { type OrderEvent, SCHEMA_VERSION } from './order-event.js';

// Else this SDK takes its endpoint from the queue's URL and passes over AWS_ENDPOINT_URL_SQS.
const sqs = new SQSClient({ useQueueUrlAsEndpoint: false });
const eventsQueueUrl = required('EVENTS_QUEUE_URL');

/** Sends the event to the queue. On a standard queue the message group means fairness, not order. */
export const sendEvent = async (event: OrderEvent): Promise<void> => {
  await sqs.send(
    new SendMessageCommand({
      QueueUrl: eventsQueueUrl,
      MessageBody: JSON.stringify({ schema_version: SCHEMA_VERSION, event }),
      MessageGroupId: event.merchant_id,
    }),
  );
};
