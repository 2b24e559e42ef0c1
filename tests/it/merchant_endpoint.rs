//! What `merchant-endpoint.yaml` promises about a merchant's own endpoint, as far as the local stack does not keep to it:
//! there, nothing is sent again or set aside, and nobody asks who may call.

use serde_json::{Value, json};

use crate::operations::read;

fn properties(name: &str) -> Value {
    read("merchant-endpoint.yaml")["Resources"][name]["Properties"].take()
}

#[test]
fn the_endpoint_gets_every_change_of_a_real_order_without_the_envelope() {
    let rule = properties("EveryChange");

    assert_eq!(
        rule["EventPattern"],
        json!({
            "source": ["delivery-webhooks"],
            "detail-type": ["OrderStatusChanged"],
            "detail": { "merchant_id": [{ "anything-but": { "prefix": "smoke-test-" } }] },
        })
    );
    assert_eq!(rule["Targets"][0]["InputPath"], "$.detail");
    assert_eq!(rule["Targets"].as_array().unwrap().len(), 1);
}

#[test]
fn what_the_endpoint_does_not_take_is_sent_for_a_day_and_then_kept() {
    let target = &properties("EveryChange")["Targets"][0];

    assert_eq!(target["RetryPolicy"]["MaximumEventAgeInSeconds"], 86_400);
    assert_eq!(target["RetryPolicy"]["MaximumRetryAttempts"], 185);
    assert_eq!(
        target["DeadLetterConfig"]["Arn"],
        json!({ "Fn::GetAtt": ["DeadLetterQueue", "Arn"] })
    );
    let queue = properties("DeadLetterQueue");
    assert_eq!(queue["MessageRetentionPeriod"], 14 * 86_400);
    assert_eq!(queue["SqsManagedSseEnabled"], true);
    let alarm = properties("EndpointDeadLetters");
    assert_eq!(alarm["Threshold"], 0);
    let description = alarm["AlarmDescription"].as_str().unwrap();
    assert!(description.starts_with("TICKET R13."), "{description}");
}

#[test]
fn only_this_rule_may_call_the_endpoint_and_set_aside() {
    let statement = &properties("Role")["Policies"][0]["PolicyDocument"]["Statement"];
    let send = json!([{
        "Sid": "Send",
        "Effect": "Allow",
        "Action": "events:InvokeApiDestination",
        "Resource": { "Fn::GetAtt": ["Destination", "Arn"] },
    }]);
    assert_eq!(*statement, send);
    let policy = &properties("DeadLetterPolicy")["PolicyDocument"]["Statement"][0];
    assert_eq!(
        policy["Condition"],
        json!({ "ArnEquals": { "aws:SourceArn": { "Fn::GetAtt": ["EveryChange", "Arn"] } } })
    );
}

#[test]
fn the_endpoints_key_is_a_secret_and_its_rate_is_kept() {
    let parameters = read("merchant-endpoint.yaml")["Parameters"].take();
    assert_eq!(parameters["Key"]["NoEcho"], true);
    let destination = properties("Destination");
    assert_eq!(
        destination["InvocationRateLimitPerSecond"],
        json!({ "Ref": "Rate" })
    );
    assert_eq!(destination["InvocationEndpoint"], json!({ "Ref": "Url" }));
    let key = &properties("Connection")["AuthParameters"]["ApiKeyAuthParameters"];
    assert_eq!(
        *key,
        json!({ "ApiKeyName": "x-api-key", "ApiKeyValue": { "Ref": "Key" } })
    );
}
