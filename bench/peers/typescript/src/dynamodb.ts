import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

// One client for the life of the environment; the SDK keeps its connections alive by itself.
export const dynamodb = new DynamoDBClient({});
