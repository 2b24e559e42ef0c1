import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';

/** The HTTP response: a status code, and one word. */
export const answer = (
  statusCode: number,
  status: string,
  requestId: string,
): APIGatewayProxyStructuredResultV2 => ({
  statusCode,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-request-id': requestId },
  body: JSON.stringify({ status }),
});
