//! What `template.yaml` promises to the code and to those who operate it.
//!
//! Checked on the translated template, where what SAM adds shows as well. cfn-lint does
//! not know what the code relies on.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a template that lacks what a test looks for has failed it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const FUNCTIONS: [&str; 5] = [
    "ArmadaWebhookFunction",
    "ShipdayWebhookFunction",
    "OrderConsumerFunction",
    "WebhookRelayFunction",
    "StatusPublisherFunction",
];
/// What the schedule may do is start a run.
const SCHEDULE_ROLE: &str = "WebhookRelayScheduleRole";
/// What a release may do is move the functions' aliases.
const RELEASE_ROLE: &str = "ReleaseRole";

// ---------------------------------------------------------------- functions

#[test]
fn the_functions_are_the_folders_under_functions() {
    let folders: BTreeSet<String> = std::fs::read_dir(Path::new(ROOT).join("functions"))
        .expect("`functions` is a folder")
        .map(|entry| entry.expect("its entries are readable"))
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();

    let binaries = FUNCTIONS
        .map(|function| text(&resource(function)["Metadata"]["BuildProperties"]["Binary"]));

    assert_eq!(names("AWS::Lambda::Function"), FUNCTIONS.into());
    assert_eq!(folders, binaries.map(str::to_owned).into());
}

#[test]
fn every_function_is_a_plain_rust_binary() {
    for function in FUNCTIONS {
        assert_eq!(
            resource(function)["Metadata"]["BuildMethod"],
            "rust-cargolambda"
        );
        assert_has(
            function,
            &json!({
                "Runtime": "provided.al2023",
                "Handler": "bootstrap",
                "Architectures": [{ "Ref": "Architecture" }],
                "RecursiveLoop": "Terminate",
                "TracingConfig": { "Mode": { "Ref": "Tracing" } },
            }),
        );
    }
}

#[test]
fn every_function_has_a_role_of_its_own() {
    let roles: BTreeSet<&str> = FUNCTIONS.map(role_of).into();

    assert_eq!(roles.len(), FUNCTIONS.len());
    let others: Vec<_> = names("AWS::IAM::Role")
        .difference(&roles)
        .copied()
        .collect();
    assert_eq!(
        others,
        [RELEASE_ROLE, SCHEDULE_ROLE],
        "and only a release and the schedule have one too"
    );
}

#[test]
fn every_function_writes_to_its_own_log_group_and_to_no_other() {
    let groups: BTreeSet<&str> = FUNCTIONS.map(log_group_of).into();
    assert_eq!(groups.len(), FUNCTIONS.len());

    for function in FUNCTIONS {
        let log_grants: Vec<_> = grants(role_of(function))
            .into_iter()
            .filter(|(action, _)| action.starts_with("logs:"))
            .collect();

        let own = log_group_of(function);
        assert_eq!(
            log_grants,
            [("logs:CreateLogStream", own), ("logs:PutLogEvents", own)],
            "{function}"
        );
    }
}

#[test]
fn every_log_group_forgets() {
    for group in names("AWS::Logs::LogGroup") {
        assert_has(
            group,
            &json!({ "RetentionInDays": { "Ref": "LogRetentionDays" } }),
        );
    }
}

#[test]
fn every_function_is_told_exactly_what_it_reads() {
    let webhook = |cidrs: &str| {
        json!({
            "RUST_BACKTRACE": "0",
            "STACK_NAME": { "Ref": "AWS::StackName" },
            "INSTALLATIONS_TABLE": { "Ref": "InstallationsTable" },
            "WEBHOOKS_TABLE": { "Ref": "WebhooksTable" },
            "EVENTS_QUEUE_URL": { "Ref": "EventsQueue" },
            "MAX_BODY_BYTES": { "Ref": "MaxBodyBytes" },
            "SOURCE_IP_MODE": { "Ref": "SourceIpMode" },
            "SOURCE_CIDRS": { "Ref": cidrs },
        })
    };
    let consumer = json!({
        "RUST_BACKTRACE": "0",
            "STACK_NAME": { "Ref": "AWS::StackName" },
        "WEBHOOKS_TABLE": { "Ref": "WebhooksTable" },
        "ORDERS_TABLE": { "Ref": "OrdersTable" },
        "EVENTS_QUEUE_URL": { "Ref": "EventsQueue" },
        "DEAD_LETTER_QUEUE_URL": { "Ref": "DeadLetterQueue" },
        "RETENTION_DAYS": { "Ref": "RetentionDays" },
    });
    let relay = json!({
        "RUST_BACKTRACE": "0",
            "STACK_NAME": { "Ref": "AWS::StackName" },
        "WEBHOOKS_TABLE": { "Ref": "WebhooksTable" },
        "EVENTS_QUEUE_URL": { "Ref": "EventsQueue" },
    });

    let publisher = json!({
        "RUST_BACKTRACE": "0",
        "STACK_NAME": { "Ref": "AWS::StackName" },
        "ORDERS_TABLE": { "Ref": "OrdersTable" },
        "ORDER_EVENTS_BUS": { "Ref": "OrderEventsBus" },
        "HOLD_QUEUE_URL": { "Ref": "HoldQueue" },
        "HOLD_SECONDS": { "Ref": "HoldSeconds" },
        "PUBLISH_DRIVER": { "Ref": "PublishDriver" },
    });

    for (function, expected) in [
        ("StatusPublisherFunction", publisher),
        ("ArmadaWebhookFunction", webhook("ArmadaSourceCidrs")),
        ("ShipdayWebhookFunction", webhook("ShipdaySourceCidrs")),
        ("OrderConsumerFunction", consumer),
        ("WebhookRelayFunction", relay),
    ] {
        assert_has(
            function,
            &json!({ "Environment": { "Variables": expected } }),
        );
    }
}

// ---------------------------------------------------------------- releases

#[test]
fn a_release_moves_an_alias_and_goes_back_when_an_alarm_rings() {
    for (function, alarms) in [
        (
            "ArmadaWebhookFunction",
            ["ArmadaWebhookErrors", "ServerErrors"].as_slice(),
        ),
        (
            "ShipdayWebhookFunction",
            &["ShipdayWebhookErrors", "ServerErrors"],
        ),
        ("OrderConsumerFunction", &["OrderConsumerErrors"]),
        ("WebhookRelayFunction", &["WebhookRelayErrors"]),
        ("StatusPublisherFunction", &["StatusPublisherErrors"]),
    ] {
        let group = properties(&format!("{function}DeploymentGroup"));
        let watched: Vec<&str> = list(&group["AlarmConfiguration"]["Alarms"])
            .iter()
            .map(|alarm| text(&alarm["Name"]["Ref"]))
            .collect();
        assert_eq!(watched, alarms, "{function}");
        let back = list(&group["AutoRollbackConfiguration"]["Events"]);
        assert!(
            back.contains(&json!("DEPLOYMENT_STOP_ON_ALARM")),
            "{function}"
        );
        assert_eq!(target(&group["ServiceRoleArn"]), RELEASE_ROLE);
        assert_has(
            &format!("{function}Aliaslive"),
            &json!({ "Name": "live", "FunctionName": { "Ref": function } }),
        );
    }
}

#[test]
fn a_release_moves_the_functions_aliases_and_can_do_nothing_else() {
    let mut expected = BTreeSet::from([("cloudwatch:DescribeAlarms", "*")]);
    for function in [
        "${ArmadaWebhookFunction.Arn}*",
        "${ShipdayWebhookFunction.Arn}*",
        "${OrderConsumerFunction.Arn}*",
        "${WebhookRelayFunction.Arn}*",
        "${StatusPublisherFunction.Arn}*",
    ] {
        for action in [
            "lambda:GetAlias",
            "lambda:GetProvisionedConcurrencyConfig",
            "lambda:UpdateAlias",
        ] {
            expected.insert((action, function));
        }
    }
    assert_eq!(grants(RELEASE_ROLE), expected);
}

#[test]
fn production_is_released_gradually() {
    let rule = &translated()["Rules"]["ProdShiftsGradually"];
    assert_eq!(
        rule["RuleCondition"],
        json!({ "Fn::Equals": [{ "Ref": "Stage" }, "prod"] })
    );
    assert_eq!(
        rule["Assertions"][0]["Assert"],
        json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "TrafficShift" }, "AllAtOnce"] }] })
    );
}

// ---------------------------------------------------------------- the API

#[test]
fn the_api_has_two_routes_and_both_take_posts() {
    let routes: BTreeSet<_> = routes()
        .iter()
        .map(|route| (route.method, route.path))
        .collect();

    assert_eq!(
        routes,
        [("post", "/webhooks/armada"), ("post", "/webhooks/shipday")].into()
    );
    assert_eq!(only("AWS::ApiGatewayV2::Api"), "WebhooksApi");
}

#[test]
fn every_route_leads_to_its_provider_in_payload_format_2() {
    for route in routes() {
        let binary = text(&resource(route.function)["Metadata"]["BuildProperties"]["Binary"]);

        assert_eq!(
            route.path.strip_prefix("/webhooks/"),
            binary.strip_suffix("-webhook")
        );
        assert_eq!(
            route.integration["payloadFormatVersion"], "2.0",
            "{}",
            route.path
        );
    }
}

#[test]
fn a_function_gives_up_before_the_gateway_and_the_gateway_before_the_provider() {
    for route in routes() {
        let function = 1_000 * number(&properties(route.function)["Timeout"]);
        let gateway = number(&route.integration["timeoutInMillis"]);
        let provider = 10_000;

        assert!(
            function < gateway && gateway < provider,
            "{}: {function} < {gateway} < {provider}",
            route.path
        );
    }
}

#[test]
fn a_flood_is_throttled_by_the_gateway() {
    assert_has(
        only("AWS::ApiGatewayV2::Stage"),
        &json!({
            "DefaultRouteSettings": {
                "ThrottlingRateLimit": { "Ref": "ThrottleRate" },
                "ThrottlingBurstLimit": { "Ref": "ThrottleBurst" },
            },
        }),
    );
}

#[test]
fn the_access_log_is_json_and_holds_nothing_a_sender_wrote() {
    let log = &properties(only("AWS::ApiGatewayV2::Stage"))["AccessLogSettings"];
    let mut fields: BTreeMap<String, String> =
        serde_json::from_str(text(&log["Format"]["Fn::Sub"])).expect("a flat JSON object");

    assert_eq!(target(&log["DestinationArn"]), "AccessLogs");
    assert_eq!(
        fields.remove("stack").as_deref(),
        Some("${AWS::StackName}"),
        "the dimension of what is counted"
    );
    for (name, value) in &fields {
        assert!(
            value.starts_with("$context."),
            "`{name}` is no fact of the gateway's"
        );
        for word in ["path", "query", "header", "userAgent", "body", "authorizer"] {
            assert!(!value.contains(word), "`{name}` carries the {word}");
        }
    }
}

// ---------------------------------------------------------------- the queue

#[test]
fn the_queue_hides_a_message_six_times_as_long_as_the_consumer_may_run() {
    let hidden = number(&properties("EventsQueue")["VisibilityTimeout"]);

    assert!(
        hidden >= 6 * number(&properties("OrderConsumerFunction")["Timeout"]),
        "{hidden} s"
    );
}

#[test]
fn one_failed_message_does_not_bring_back_its_batch() {
    let source = event_source();

    assert_eq!(target(&source["EventSourceArn"]), "EventsQueue");
    assert_eq!(
        target(&source["FunctionName"]),
        "OrderConsumerFunctionAliaslive"
    );
    assert_eq!(
        source["FunctionResponseTypes"],
        json!(["ReportBatchItemFailures"])
    );
}

#[test]
fn the_event_source_limits_the_consumer_and_a_reservation_does_not() {
    let limit = &event_source()["ScalingConfig"]["MaximumConcurrency"];
    let reservation = properties("OrderConsumerFunction").get("ReservedConcurrentExecutions");

    assert_eq!(*limit, json!({ "Ref": "ConsumerConcurrency" }));
    assert_eq!(reservation, None);
}

#[test]
fn a_message_that_may_be_the_only_copy_is_received_fifty_times() {
    let redrive = &properties("EventsQueue")["RedrivePolicy"];

    assert!(number(&redrive["maxReceiveCount"]) >= 50);
    assert_eq!(target(&redrive["deadLetterTargetArn"]), "DeadLetterQueue");
}

#[test]
fn dead_letters_outlive_the_queue_and_records_outlive_dead_letters() {
    let kept = |queue| number(&properties(queue)["MessageRetentionPeriod"]);
    let record = 86_400 * number(&translated()["Parameters"]["RetentionDays"]["MinValue"]);

    assert!(kept("EventsQueue") < kept("DeadLetterQueue"));
    assert!(kept("DeadLetterQueue") < record);
}

#[test]
fn queues_are_encrypted_and_those_of_webhooks_take_a_whole_one() {
    assert_eq!(
        names("AWS::SQS::Queue"),
        [
            "DeadLetterQueue",
            "EventsQueue",
            "HoldQueue",
            "PublisherDeadLetterQueue"
        ]
        .into()
    );
    for queue in ["HoldQueue", "PublisherDeadLetterQueue"] {
        assert_has(queue, &json!({ "SqsManagedSseEnabled": true }));
    }
    for queue in ["EventsQueue", "DeadLetterQueue"] {
        assert_has(
            queue,
            &json!({
                "SqsManagedSseEnabled": true,
                "MaximumMessageSize": 1_048_576,
            }),
        );
    }
}

// ---------------------------------------------------------------- the relay

#[test]
fn the_relay_runs_every_minute_and_is_never_called_twice_for_one_minute() {
    let schedule = only("AWS::Scheduler::Schedule");
    let target_of = &properties(schedule)["Target"];

    assert_has(
        schedule,
        &json!({
            "ScheduleExpression": "rate(1 minute)",
            "FlexibleTimeWindow": { "Mode": "OFF" },
        }),
    );
    assert_eq!(
        properties(schedule).get("Name"),
        None,
        "a second stack in the account has a schedule too"
    );
    assert_eq!(target(&target_of["Arn"]), "WebhookRelayFunctionAliaslive");
    assert_eq!(
        grants(SCHEDULE_ROLE),
        [("lambda:InvokeFunction", "${WebhookRelayFunction.Arn}:live")].into()
    );
    assert_eq!(target(&target_of["RoleArn"]), SCHEDULE_ROLE);
    assert_eq!(target_of["RetryPolicy"]["MaximumRetryAttempts"], 0);
    assert_eq!(
        properties(only("AWS::Lambda::EventInvokeConfig"))["MaximumRetryAttempts"],
        0
    );
}

// ---------------------------------------------------------------- the publisher

#[test]
fn the_stream_tells_the_publisher_of_states_with_what_they_were_and_are() {
    let stream = properties("StatusPublisherFunctionChanges");

    assert_has(
        "OrdersTable",
        &json!({ "StreamSpecification": { "StreamViewType": "NEW_AND_OLD_IMAGES" } }),
    );
    assert_eq!(
        stream["EventSourceArn"],
        json!({ "Fn::GetAtt": ["OrdersTable", "StreamArn"] })
    );
    assert_eq!(
        target(&stream["FunctionName"]),
        "StatusPublisherFunctionAliaslive"
    );
    let filters = list(&stream["FilterCriteria"]["Filters"]);
    let pattern: Value = serde_json::from_str(text(&filters[0]["Pattern"])).expect("JSON");
    assert_eq!(
        (filters.len(), pattern),
        (
            1,
            json!({ "dynamodb": { "Keys": { "sk": { "S": ["state"] } } } })
        )
    );
    // What is from before the mapping is told too: nothing is lost while it is replaced.
    assert_eq!(stream["StartingPosition"], "TRIM_HORIZON");
}

#[test]
fn a_change_that_cannot_be_published_holds_up_no_other_for_ever_and_is_kept() {
    let stream = properties("StatusPublisherFunctionChanges");

    assert_eq!(
        stream["FunctionResponseTypes"],
        json!(["ReportBatchItemFailures"])
    );
    assert_eq!(stream["BisectBatchOnFunctionError"], true);
    assert!(number(&stream["MaximumRetryAttempts"]) <= 100);
    assert!(number(&stream["MaximumRecordAgeInSeconds"]) < 86_400);
    let aside = &stream["DestinationConfig"]["OnFailure"]["Destination"];
    assert_eq!(target(aside), "PublisherDeadLetterQueue");

    let held = properties("StatusPublisherFunctionHeld");
    assert_eq!(target(&held["EventSourceArn"]), "HoldQueue");
    assert_eq!(
        target(&held["FunctionName"]),
        "StatusPublisherFunctionAliaslive"
    );
    assert_eq!(
        held["FunctionResponseTypes"],
        json!(["ReportBatchItemFailures"])
    );
    let queue = properties("HoldQueue");
    assert_eq!(
        target(&queue["RedrivePolicy"]["deadLetterTargetArn"]),
        "PublisherDeadLetterQueue"
    );
    let timeout = number(&properties("StatusPublisherFunction")["Timeout"]);
    assert!(number(&queue["VisibilityTimeout"]) >= 6 * timeout);
}

#[test]
fn nothing_is_held_back_no_driver_told_and_no_endpoint_called_unless_asked_for() {
    let default = |parameter: &str| &translated()["Parameters"][parameter]["Default"];

    assert_eq!(*default("HoldSeconds"), 0);
    assert_eq!(*default("PublishDriver"), "false");
    assert_eq!(*default("MerchantEndpointUrl"), "");
    assert_eq!(
        translated()["Parameters"]["MerchantEndpointKey"]["NoEcho"],
        true
    );
    assert_eq!(
        resource("MerchantEndpoint")["Condition"],
        "TellsMerchantEndpoint"
    );
}

// ---------------------------------------------------------------- permissions

#[test]
fn every_statement_is_named_and_allows_plain_actions() {
    for role in names("AWS::IAM::Role") {
        assert_eq!(properties(role).get("ManagedPolicyArns"), None, "{role}");
        for statement in statements(role) {
            assert!(statement["Sid"].is_string(), "{role}: {statement}");
            assert_eq!(statement["Effect"], "Allow", "{role}: {statement}");
        }
        for (action, resource) in grants(role) {
            assert!(!action.contains(['*', '?']), "{role}: {action}");
            assert!(
                resource != "*"
                    || action.starts_with("xray:Put")
                    || action == "cloudwatch:DescribeAlarms",
                "{role}: {action} on everything"
            );
        }
    }
}

#[test]
fn only_lambda_may_take_the_roles_and_only_a_schedule_of_this_account_and_a_release_their_own() {
    for role in names("AWS::IAM::Role") {
        let trust = list(&properties(role)["AssumeRolePolicyDocument"]["Statement"]);
        let service = match role {
            SCHEDULE_ROLE => {
                let own_account = json!({ "aws:SourceAccount": { "Ref": "AWS::AccountId" } });
                assert_eq!(trust[0]["Condition"]["StringEquals"], own_account);
                "scheduler.amazonaws.com"
            }
            RELEASE_ROLE => "codedeploy.amazonaws.com",
            _ => "lambda.amazonaws.com",
        };

        assert_eq!(trust.len(), 1, "{role}");
        assert_eq!(trust[0]["Principal"], json!({ "Service": service }));
        assert_eq!(trust[0]["Action"], "sts:AssumeRole");
    }
}

#[test]
fn a_webhook_function_looks_up_records_and_forwards_and_can_do_nothing_else() {
    for (role, logs) in [
        ("ArmadaWebhookRole", "ArmadaWebhookLogs"),
        ("ShipdayWebhookRole", "ShipdayWebhookLogs"),
    ] {
        let expected = [
            ("dynamodb:GetItem", "InstallationsTable"),
            ("dynamodb:PutItem", "WebhooksTable"),
            ("sqs:SendMessage", "EventsQueue"),
            ("logs:CreateLogStream", logs),
            ("logs:PutLogEvents", logs),
            ("xray:PutTelemetryRecords", "*"),
            ("xray:PutTraceSegments", "*"),
        ];
        assert_eq!(grants(role), expected.into(), "{role}");
    }
}

#[test]
fn a_webhook_function_reaches_its_own_provider_only() {
    for (role, keys) in [
        ("ArmadaWebhookRole", "armada#*"),
        ("ShipdayWebhookRole", "shipday#*"),
    ] {
        // `ForAllValues` is also true of a request that names no key at all; `Null` closes that.
        let own_keys = json!({
            "ForAllValues:StringLike": { "dynamodb:LeadingKeys": [keys] },
            "Null": { "dynamodb:LeadingKeys": "false" },
        });
        for statement in statements(role) {
            if one_or_many(&statement["Action"]).any(|action| action.starts_with("dynamodb:")) {
                assert_eq!(
                    statement["Condition"], own_keys,
                    "{role}: {}",
                    statement["Sid"]
                );
            }
        }
    }
}

#[test]
fn the_consumer_takes_messages_and_writes_records_and_orders_and_can_do_nothing_else() {
    let expected = [
        ("sqs:ReceiveMessage", "EventsQueue"),
        ("sqs:DeleteMessage", "EventsQueue"),
        ("sqs:GetQueueAttributes", "EventsQueue"),
        ("sqs:ChangeMessageVisibility", "EventsQueue"),
        ("sqs:SendMessage", "DeadLetterQueue"),
        ("dynamodb:PutItem", "WebhooksTable"),
        ("dynamodb:UpdateItem", "WebhooksTable"),
        ("dynamodb:PutItem", "OrdersTable"),
        ("dynamodb:Query", "OrdersTable"),
        ("dynamodb:UpdateItem", "OrdersTable"),
        ("logs:CreateLogStream", "OrderConsumerLogs"),
        ("logs:PutLogEvents", "OrderConsumerLogs"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    ];
    assert_eq!(grants("OrderConsumerRole"), expected.into());
}

#[test]
fn the_relay_reads_the_index_updates_records_and_sends_and_can_do_nothing_else() {
    let expected = [
        ("dynamodb:Query", "${WebhooksTable.Arn}/index/pending"),
        ("dynamodb:UpdateItem", "WebhooksTable"),
        ("sqs:GetQueueAttributes", "EventsQueue"),
        ("sqs:SendMessage", "EventsQueue"),
        ("logs:CreateLogStream", "WebhookRelayLogs"),
        ("logs:PutLogEvents", "WebhookRelayLogs"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    ];
    assert_eq!(grants("WebhookRelayRole"), expected.into());
}

#[test]
fn a_key_of_ones_own_encrypts_every_table_and_serves_every_function_through_dynamodb_alone() {
    let with_key = json!({
        "SSEEnabled": true,
        "SSEType": "KMS",
        "KMSMasterKeyId": { "Ref": "TablesKeyArn" },
    });
    let no_value = json!({ "Ref": "AWS::NoValue" });
    for table in names("AWS::DynamoDB::Table") {
        let encryption = &properties(table)["SSESpecification"]["Fn::If"];

        assert_eq!(
            *encryption,
            json!(["HasTablesKey", with_key, no_value]),
            "{table}"
        );
    }

    let policy = only("AWS::IAM::Policy");
    let document = &properties(policy)["PolicyDocument"];
    let roles: BTreeSet<_> = list(&properties(policy)["Roles"])
        .iter()
        .map(target)
        .collect();
    let functions = names("AWS::Lambda::Function");
    assert_eq!(resource(policy)["Condition"], "HasTablesKey");
    assert_eq!(roles, functions.into_iter().map(role_of).collect());
    for statement in list(&document["Statement"]) {
        assert_eq!(statement["Resource"], json!({ "Ref": "TablesKeyArn" }));
        assert_eq!(
            statement["Condition"]["StringEquals"]["kms:ViaService"],
            json!({ "Fn::Sub": "dynamodb.${AWS::Region}.amazonaws.com" })
        );
        assert!(one_or_many(&statement["Action"]).all(|action| !action.contains('*')));
    }
}

#[test]
fn the_publisher_reads_the_stream_publishes_and_holds_back_and_can_do_nothing_else() {
    let stream = "${OrdersTable.Arn}/stream/*";
    let expected = [
        ("dynamodb:DescribeStream", stream),
        ("dynamodb:GetRecords", stream),
        ("dynamodb:GetShardIterator", stream),
        ("dynamodb:ListStreams", stream),
        ("events:PutEvents", "OrderEventsBus"),
        ("dynamodb:GetItem", "OrdersTable"),
        ("dynamodb:UpdateItem", "OrdersTable"),
        ("sqs:SendMessage", "HoldQueue"),
        ("sqs:ReceiveMessage", "HoldQueue"),
        ("sqs:DeleteMessage", "HoldQueue"),
        ("sqs:GetQueueAttributes", "HoldQueue"),
        ("sqs:SendMessage", "PublisherDeadLetterQueue"),
        ("logs:CreateLogStream", "StatusPublisherLogs"),
        ("logs:PutLogEvents", "StatusPublisherLogs"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    ];
    assert_eq!(grants("StatusPublisherRole"), expected.into());
}

// ---------------------------------------------------------------- data

#[test]
fn tables_and_queues_outlive_the_stack() {
    for name in &names("AWS::DynamoDB::Table") | &names("AWS::SQS::Queue") {
        let deletion = text(&resource(name)["DeletionPolicy"]);

        assert!(deletion.starts_with("Retain"), "{name}: {deletion}");
        assert_eq!(resource(name)["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn tables_can_be_restored_and_production_refuses_to_delete_them() {
    let is_prod = &translated()["Conditions"]["IsProd"];
    assert_eq!(
        *is_prod,
        json!({ "Fn::Equals": [{ "Ref": "Stage" }, "prod"] })
    );

    for table in names("AWS::DynamoDB::Table") {
        let recovery = &properties(table)["PointInTimeRecoverySpecification"];

        assert_eq!(recovery["PointInTimeRecoveryEnabled"], true, "{table}");
        assert_has(
            table,
            &json!({
                "DeletionProtectionEnabled": { "Fn::If": ["IsProd", true, false] },
                "BillingMode": "PAY_PER_REQUEST",
            }),
        );
    }
}

#[test]
fn raw_bodies_do_not_live_on_in_old_backups() {
    let recovery = &properties("WebhooksTable")["PointInTimeRecoverySpecification"];

    assert!(number(&recovery["RecoveryPeriodInDays"]) <= 7);
}

#[test]
fn the_tables_have_the_keys_of_the_contract() {
    let key = |name, kind| json!({ "AttributeName": name, "KeyType": kind });
    let attribute = |name, kind| json!({ "AttributeName": name, "AttributeType": kind });
    let expected = json!({
        "InstallationsTable": {
            "KeySchema": [key("pk", "HASH")],
            "AttributeDefinitions": [attribute("pk", "S")],
        },
        "WebhooksTable": {
            "KeySchema": [key("pk", "HASH")],
            "AttributeDefinitions": [
                attribute("pk", "S"),
                attribute("pending_shard", "S"),
                attribute("due_at_ms", "N"),
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "pending",
                "KeySchema": [key("pending_shard", "HASH"), key("due_at_ms", "RANGE")],
                "Projection": { "ProjectionType": "KEYS_ONLY" },
            }],
            "TimeToLiveSpecification": { "AttributeName": "expires_at", "Enabled": true },
        },
        "OrdersTable": {
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
            "AttributeDefinitions": [attribute("pk", "S"), attribute("sk", "S")],
        },
    });

    let tables = names("AWS::DynamoDB::Table");
    assert_eq!(
        tables,
        ["InstallationsTable", "OrdersTable", "WebhooksTable"].into()
    );
    for table in tables {
        for part in [
            "KeySchema",
            "AttributeDefinitions",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
            "TimeToLiveSpecification",
        ] {
            let promised = expected[table].get(part);
            assert_eq!(properties(table).get(part), promised, "{table}.{part}");
        }
    }
}

// ---------------------------------------------------------------- reading the template

pub(crate) fn translated() -> &'static Value {
    static TRANSLATED: OnceLock<Value> = OnceLock::new();
    TRANSLATED.get_or_init(|| {
        let run = Command::new(".dev/python/bin/python")
            .args([
                "tests/template/translate.py",
                "template.yaml",
                "/dev/stdout",
            ])
            .current_dir(ROOT)
            .output()
            .expect("`.dev/python` is a virtual environment with `cli/dev/requirements.txt` in it");
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
        serde_json::from_slice(&run.stdout).expect("the translator writes JSON")
    })
}

fn names(kind: &str) -> BTreeSet<&'static str> {
    entries(&translated()["Resources"])
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, _)| name.as_str())
        .collect()
}

#[track_caller]
fn only(kind: &str) -> &'static str {
    let names = names(kind);
    assert_eq!(names.len(), 1, "{kind}: {names:?}");
    names.first().expect("there is one")
}

#[track_caller]
fn resource(name: &str) -> &'static Value {
    translated()["Resources"].get(name).expect(name)
}

#[track_caller]
fn properties(name: &str) -> &'static Value {
    &resource(name)["Properties"]
}

/// Asserts that a resource has these properties, whatever others it has.
#[track_caller]
fn assert_has(name: &str, expected: &Value) {
    for (property, value) in entries(expected) {
        assert_eq!(
            properties(name).get(property),
            Some(value),
            "{name}.{property}"
        );
    }
}

#[track_caller]
fn role_of(function: &str) -> &'static str {
    target(&properties(function)["Role"])
}

#[track_caller]
fn log_group_of(function: &str) -> &'static str {
    target(&properties(function)["LoggingConfig"]["LogGroup"])
}

#[track_caller]
fn event_source() -> &'static Value {
    properties("OrderConsumerFunctionBatch")
}

struct Route {
    path: &'static str,
    method: &'static str,
    integration: &'static Value,
    function: &'static str,
}

/// SAM writes the routes into the OpenAPI document of the API.
fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, methods) in entries(&properties("WebhooksApi")["Body"]["paths"]) {
        for (method, operation) in entries(methods) {
            let integration = &operation["x-amazon-apigateway-integration"];
            let uri = text(&integration["uri"]["Fn::Sub"]);
            let (_, uri) = uri
                .split_once("functions/${")
                .expect("a function in the URI");
            let (function, _) = uri
                .split_once("Aliaslive}")
                .expect("the function's alias in the URI");
            routes.push(Route {
                path,
                method,
                integration,
                function,
            });
        }
    }
    routes
}

fn statements(role: &str) -> impl Iterator<Item = &'static Value> {
    let policies = list(&properties(role)["Policies"]).iter();
    policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]))
}

/// What a role may do, as pairs of an action and the resource it may do it to.
fn grants(role: &str) -> BTreeSet<(&'static str, &'static str)> {
    statements(role)
        .flat_map(|statement| {
            let resources = &statement["Resource"];
            let resources = resources
                .as_array()
                .map_or(std::slice::from_ref(resources), Vec::as_slice);
            resources.iter().flat_map(|resource| {
                one_or_many(&statement["Action"]).map(|action| (action, target(resource)))
            })
        })
        .collect()
}

/// The resource that a `Ref` or the ARN that a `GetAtt` means; the text of a `Sub` and plain text as they are.
#[track_caller]
fn target(reference: &'static Value) -> &'static str {
    match &reference["Fn::GetAtt"] {
        Value::Array(parts) => {
            assert_eq!(parts[1], "Arn");
            text(&parts[0])
        }
        _ => {
            let named = reference.get("Ref").or_else(|| reference.get("Fn::Sub"));
            text(named.unwrap_or(reference))
        }
    }
}

fn one_or_many(value: &'static Value) -> impl Iterator<Item = &'static str> {
    let many = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    many.iter().map(text)
}

#[track_caller]
fn entries(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[track_caller]
fn text(value: &'static Value) -> &'static str {
    value.as_str().expect("text")
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().expect("a whole number")
}
