//! What has to be different in `template.yaml` for MiniStack, and nothing else.
//!
//! [`Change::ALL`] is the whole list. A test compares the real template before and after, so that nothing is
//! changed that is not in it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::template::{self, Function, TemplateError};

/// One thing in which the deployed template differs from `template.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Each function's `CodeUri` is where its code was uploaded to: what `sam package` does.
    CodeWhereItWasUploaded,
    /// `MaximumConcurrency` is its parameter's default as a number. MiniStack would hand it on as text, and then stop
    /// polling every queue.
    ConcurrencyAsNumber,
    /// Each `HttpApi` event also has its integration and its route as resources: SAM puts them into the API's `Body`,
    /// which MiniStack does not read.
    RoutesAsResources,
    /// Statements about `dynamodb:LeadingKeys` do not ask for keys to be there, because MiniStack never says which
    /// keys a request has. Only where policies are enforced.
    NoNullCondition,
    /// Whoever may do `sqs:SendMessage` may also do `sqs:SendMessageBatch`: AWS asks for the first for both, MiniStack
    /// for an action of the call's own name. Only where policies are enforced.
    BatchesAreSends,
    /// The applications in `operations.yaml` and `merchant-endpoint.yaml` are not there: `sam package` would have to upload them first,
    /// nobody is called because of a local stack, and MiniStack's CloudFormation knows no API destinations (`endpoint.rs` has them).
    NobodyWatches,
    /// Functions have no alias and no gradual release: MiniStack has no CodeDeploy, and here a new version is called at once.
    NobodyReleases,
    /// Each function has the variable that makes MiniStack hand its calls to `cargo lambda watch`. Only where the
    /// functions are watched.
    CallsGoToWatch,
}

/// What the changes depend on.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Where each function's code was uploaded to, by the name of its binary.
    pub(crate) code: BTreeMap<String, String>,
    /// Whether policies are enforced.
    pub(crate) enforce_iam: bool,
    /// The port of `cargo lambda watch`, where the functions are watched.
    pub(crate) watch_port: Option<u16>,
}

/// Changes the template for MiniStack.
pub(crate) fn apply(
    template: &mut Value,
    surroundings: &Surroundings,
) -> Result<(), TemplateError> {
    for change in Change::ALL {
        change.apply(template, surroundings)?;
    }
    Ok(())
}

impl Change {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::CodeWhereItWasUploaded,
        Self::ConcurrencyAsNumber,
        Self::RoutesAsResources,
        Self::NoNullCondition,
        Self::BatchesAreSends,
        Self::NobodyWatches,
        Self::NobodyReleases,
        Self::CallsGoToWatch,
    ];

    fn apply(self, template: &mut Value, surroundings: &Surroundings) -> Result<(), TemplateError> {
        match self {
            Self::CodeWhereItWasUploaded => {
                code_where_it_was_uploaded(template, &surroundings.code)
            }
            Self::ConcurrencyAsNumber => concurrency_as_number(template),
            Self::RoutesAsResources => routes_as_resources(template),
            Self::NoNullCondition if surroundings.enforce_iam => no_null_condition(template),
            Self::BatchesAreSends if surroundings.enforce_iam => batches_are_sends(template),
            Self::NoNullCondition | Self::BatchesAreSends => Ok(()),
            Self::NobodyWatches => nobody_watches(template),
            Self::NobodyReleases => nobody_releases(template),
            Self::CallsGoToWatch => match surroundings.watch_port {
                Some(port) => calls_go_to_watch(template, port),
                None => Ok(()),
            },
        }
    }
}

fn code_where_it_was_uploaded(
    template: &mut Value,
    code: &BTreeMap<String, String>,
) -> Result<(), TemplateError> {
    for Function {
        logical_id, binary, ..
    } in template::functions(template)?
    {
        let address = code
            .get(&binary)
            .ok_or_else(|| TemplateError::new(&logical_id, "code that was uploaded"))?;
        object(template, &["Resources", &logical_id, "Properties"])?
            .insert("CodeUri".to_owned(), json!(address));
    }
    object(template, &["Globals", "Function"])?.remove("CodeUri");
    Ok(())
}

fn concurrency_as_number(template: &mut Value) -> Result<(), TemplateError> {
    let parameters = object(template, &["Parameters"])?.clone();
    let default = |parameter: &str| {
        parameters
            .get(parameter)
            .and_then(|it| it.get("Default"))
            .cloned()
    };
    for event in events(template)? {
        if let Some(limit) = event.pointer_mut("/Properties/ScalingConfig/MaximumConcurrency")
            && let Some(parameter) = limit.get("Ref").and_then(Value::as_str)
        {
            *limit =
                default(parameter).ok_or_else(|| TemplateError::new(parameter, "a default"))?;
        }
    }
    Ok(())
}

fn routes_as_resources(template: &mut Value) -> Result<(), TemplateError> {
    for Function {
        logical_id, routes, ..
    } in template::functions(template)?
    {
        for route in routes {
            let integration = format!("{logical_id}{}Integration", route.event);
            let resources = object(template, &["Resources"])?;
            resources.insert(
                integration.clone(),
                json!({
                    "Type": "AWS::ApiGatewayV2::Integration",
                    "Properties": {
                        "ApiId": route.api,
                        "IntegrationType": "AWS_PROXY",
                        "IntegrationUri": { "Fn::GetAtt": [&logical_id, "Arn"] },
                        "PayloadFormatVersion": route.payload_format_version,
                        "TimeoutInMillis": route.timeout_in_millis,
                    },
                }),
            );
            resources.insert(
                format!("{logical_id}{}Route", route.event),
                json!({
                    "Type": "AWS::ApiGatewayV2::Route",
                    "Properties": {
                        "ApiId": route.api,
                        "RouteKey": format!("{} {}", route.method, route.path),
                        "Target": { "Fn::Sub": format!("integrations/${{{integration}}}") },
                    },
                }),
            );
        }
    }
    Ok(())
}

fn no_null_condition(template: &mut Value) -> Result<(), TemplateError> {
    for condition in statements(template)?
        .filter_map(|statement| statement.get_mut("Condition")?.as_object_mut())
    {
        if condition
            .get("Null")
            .is_some_and(|null| null.get("dynamodb:LeadingKeys").is_some())
        {
            condition.remove("Null");
        }
    }
    Ok(())
}

fn batches_are_sends(template: &mut Value) -> Result<(), TemplateError> {
    for actions in statements(template)?.filter_map(|statement| statement.get_mut("Action")) {
        let mut all = match &*actions {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        if all.contains(&json!("sqs:SendMessage")) {
            all.push(json!("sqs:SendMessageBatch"));
            *actions = Value::Array(all);
        }
    }
    Ok(())
}

fn nobody_watches(template: &mut Value) -> Result<(), TemplateError> {
    object(template, &["Resources"])?
        .retain(|_, resource| !is(resource, "AWS::Serverless::Application"));
    Ok(())
}

fn nobody_releases(template: &mut Value) -> Result<(), TemplateError> {
    object(template, &["Globals", "Function"])?.remove("AutoPublishAlias");
    for Function { logical_id, .. } in template::functions(template)? {
        let properties = object(template, &["Resources", &logical_id, "Properties"])?;
        properties.remove("AutoPublishAliasAllProperties");
        properties.remove("DeploymentPreference");
    }
    Ok(())
}

/// Every statement of the roles' own policies.
fn statements(template: &mut Value) -> Result<impl Iterator<Item = &mut Value>, TemplateError> {
    let roles = object(template, &["Resources"])?
        .values_mut()
        .filter(|it| is(it, "AWS::IAM::Role"));
    let policies = roles
        .filter_map(|role| role.pointer_mut("/Properties/Policies")?.as_array_mut())
        .flatten();
    Ok(policies
        .filter_map(|policy| {
            policy
                .pointer_mut("/PolicyDocument/Statement")?
                .as_array_mut()
        })
        .flatten())
}

fn calls_go_to_watch(template: &mut Value, port: u16) -> Result<(), TemplateError> {
    for Function {
        logical_id, binary, ..
    } in template::functions(template)?
    {
        object(
            template,
            &[
                "Resources",
                &logical_id,
                "Properties",
                "Environment",
                "Variables",
            ],
        )?
        .insert(
            WATCH_VARIABLE.to_owned(),
            json!(super::watch::invocations_url(port, &binary)),
        );
    }
    Ok(())
}

/// Where MiniStack sends a function's calls to, instead of starting it.
pub(crate) const WATCH_VARIABLE: &str = "MINISTACK_LAMBDA_PROXY_URL";

fn events(template: &mut Value) -> Result<impl Iterator<Item = &mut Value>, TemplateError> {
    let functions = object(template, &["Resources"])?
        .values_mut()
        .filter(|it| is(it, template::FUNCTION));
    Ok(functions
        .filter_map(|function| function.pointer_mut("/Properties/Events")?.as_object_mut())
        .flat_map(|events| events.values_mut()))
}

fn is(resource: &Value, resource_type: &str) -> bool {
    resource.get("Type").and_then(Value::as_str) == Some(resource_type)
}

fn object<'a>(
    template: &'a mut Value,
    path: &[&str],
) -> Result<&'a mut Map<String, Value>, TemplateError> {
    let found = path
        .iter()
        .try_fold(template, |value, name| value.get_mut(name));
    found
        .and_then(Value::as_object_mut)
        .ok_or_else(|| TemplateError::new(&path.join("."), "the form expected"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use expect_test::{Expect, expect};

    use super::*;
    use crate::repository_root;

    fn real_template() -> Value {
        let root = repository_root().unwrap();
        template::read(&root).expect("run `make tools` first")
    }

    fn surroundings() -> Surroundings {
        let binaries = [
            "armada-webhook",
            "shipday-webhook",
            "order-consumer",
            "webhook-relay",
            "status-publisher",
        ];
        Surroundings {
            code: binaries
                .map(|it| (it.to_owned(), format!("s3://code/{it}")))
                .into(),
            enforce_iam: false,
            watch_port: None,
        }
    }

    /// Every place where two templates differ, with what is there before and after.
    fn differences(
        path: &str,
        before: Option<&Value>,
        after: Option<&Value>,
        found: &mut Vec<String>,
    ) {
        if let (Some(Value::Object(a)), Some(Value::Object(b))) = (before, after) {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                differences(&format!("{path}/{name}"), a.get(name), b.get(name), found);
            }
        } else if let (Some(Value::Array(a)), Some(Value::Array(b))) = (before, after) {
            for place in 0..a.len().max(b.len()) {
                differences(
                    &format!("{path}/{place}"),
                    a.get(place),
                    b.get(place),
                    found,
                );
            }
        } else if before != after {
            let show = |it: Option<&Value>| it.map_or("nothing".to_owned(), Value::to_string);
            found.push(format!(
                "{path}\n    - {}\n    + {}\n",
                show(before),
                show(after)
            ));
        }
    }

    fn changed(template: &Value, surroundings: &Surroundings) -> Value {
        let mut changed = template.clone();
        apply(&mut changed, surroundings).unwrap();
        changed
    }

    fn check(before: &Value, after: &Value, expected: &Expect) {
        let mut found = Vec::new();
        differences("", Some(before), Some(after), &mut found);
        expected.assert_eq(&found.concat());
    }

    #[test]
    fn nothing_is_changed_that_is_not_in_the_list() {
        let before = real_template();
        let after = changed(&before, &surroundings());

        check(
            &before,
            &after,
            &expect![[r#"
                /Globals/Function/AutoPublishAlias
                    - "live"
                    + nothing
                /Globals/Function/CodeUri
                    - "."
                    + nothing
                /Resources/ArmadaWebhookFunction/Properties/AutoPublishAliasAllProperties
                    - true
                    + nothing
                /Resources/ArmadaWebhookFunction/Properties/CodeUri
                    - nothing
                    + "s3://code/armada-webhook"
                /Resources/ArmadaWebhookFunction/Properties/DeploymentPreference
                    - {"Alarms":[{"Ref":"ArmadaWebhookErrors"},{"Ref":"ServerErrors"}],"Role":{"Fn::GetAtt":["ReleaseRole","Arn"]},"Type":{"Ref":"TrafficShift"}}
                    + nothing
                /Resources/ArmadaWebhookFunctionWebhookIntegration
                    - nothing
                    + {"Properties":{"ApiId":{"Ref":"WebhooksApi"},"IntegrationType":"AWS_PROXY","IntegrationUri":{"Fn::GetAtt":["ArmadaWebhookFunction","Arn"]},"PayloadFormatVersion":"2.0","TimeoutInMillis":9000},"Type":"AWS::ApiGatewayV2::Integration"}
                /Resources/ArmadaWebhookFunctionWebhookRoute
                    - nothing
                    + {"Properties":{"ApiId":{"Ref":"WebhooksApi"},"RouteKey":"POST /webhooks/armada","Target":{"Fn::Sub":"integrations/${ArmadaWebhookFunctionWebhookIntegration}"}},"Type":"AWS::ApiGatewayV2::Route"}
                /Resources/MerchantEndpoint
                    - {"Condition":"TellsMerchantEndpoint","Properties":{"Location":"merchant-endpoint.yaml","Parameters":{"Bus":{"Ref":"OrderEventsBus"},"Key":{"Ref":"MerchantEndpointKey"},"Rate":{"Ref":"MerchantEndpointRate"},"TicketTopic":{"Ref":"TicketTopic"},"Url":{"Ref":"MerchantEndpointUrl"}}},"Type":"AWS::Serverless::Application"}
                    + nothing
                /Resources/Operations
                    - {"Properties":{"Location":"operations.yaml","Parameters":{"AccessLogs":{"Ref":"AccessLogs"},"ApiId":{"Ref":"WebhooksApi"},"ArmadaSilentHours":{"Ref":"ArmadaSilentHours"},"ArmadaWebhookErrors":{"Ref":"ArmadaWebhookErrors"},"ArmadaWebhookFunction":{"Ref":"ArmadaWebhookFunction"},"ArmadaWebhookLogs":{"Ref":"ArmadaWebhookLogs"},"DeadLetterQueue":{"Fn::GetAtt":["DeadLetterQueue","QueueName"]},"EventsQueue":{"Fn::GetAtt":["EventsQueue","QueueName"]},"OrderConsumerErrors":{"Ref":"OrderConsumerErrors"},"OrderConsumerFunction":{"Ref":"OrderConsumerFunction"},"OrdersTable":{"Ref":"OrdersTable"},"PageTopic":{"Ref":"PageTopic"},"PublisherDeadLetterQueue":{"Fn::GetAtt":["PublisherDeadLetterQueue","QueueName"]},"ServerErrors":{"Ref":"ServerErrors"},"ShipdaySilentHours":{"Ref":"ShipdaySilentHours"},"ShipdayWebhookErrors":{"Ref":"ShipdayWebhookErrors"},"ShipdayWebhookFunction":{"Ref":"ShipdayWebhookFunction"},"ShipdayWebhookLogs":{"Ref":"ShipdayWebhookLogs"},"StackName":{"Ref":"AWS::StackName"},"StatusPublisherFunction":{"Ref":"StatusPublisherFunction"},"TicketTopic":{"Ref":"TicketTopic"},"WebhookRelayFunction":{"Ref":"WebhookRelayFunction"},"WebhooksTable":{"Ref":"WebhooksTable"}}},"Type":"AWS::Serverless::Application"}
                    + nothing
                /Resources/OrderConsumerFunction/Properties/AutoPublishAliasAllProperties
                    - true
                    + nothing
                /Resources/OrderConsumerFunction/Properties/CodeUri
                    - nothing
                    + "s3://code/order-consumer"
                /Resources/OrderConsumerFunction/Properties/DeploymentPreference
                    - {"Alarms":[{"Ref":"OrderConsumerErrors"}],"Role":{"Fn::GetAtt":["ReleaseRole","Arn"]},"Type":{"Ref":"TrafficShift"}}
                    + nothing
                /Resources/OrderConsumerFunction/Properties/Events/Batch/Properties/ScalingConfig/MaximumConcurrency
                    - {"Ref":"ConsumerConcurrency"}
                    + 20
                /Resources/ShipdayWebhookFunction/Properties/AutoPublishAliasAllProperties
                    - true
                    + nothing
                /Resources/ShipdayWebhookFunction/Properties/CodeUri
                    - nothing
                    + "s3://code/shipday-webhook"
                /Resources/ShipdayWebhookFunction/Properties/DeploymentPreference
                    - {"Alarms":[{"Ref":"ShipdayWebhookErrors"},{"Ref":"ServerErrors"}],"Role":{"Fn::GetAtt":["ReleaseRole","Arn"]},"Type":{"Ref":"TrafficShift"}}
                    + nothing
                /Resources/ShipdayWebhookFunctionWebhookIntegration
                    - nothing
                    + {"Properties":{"ApiId":{"Ref":"WebhooksApi"},"IntegrationType":"AWS_PROXY","IntegrationUri":{"Fn::GetAtt":["ShipdayWebhookFunction","Arn"]},"PayloadFormatVersion":"2.0","TimeoutInMillis":9000},"Type":"AWS::ApiGatewayV2::Integration"}
                /Resources/ShipdayWebhookFunctionWebhookRoute
                    - nothing
                    + {"Properties":{"ApiId":{"Ref":"WebhooksApi"},"RouteKey":"POST /webhooks/shipday","Target":{"Fn::Sub":"integrations/${ShipdayWebhookFunctionWebhookIntegration}"}},"Type":"AWS::ApiGatewayV2::Route"}
                /Resources/StatusPublisherFunction/Properties/AutoPublishAliasAllProperties
                    - true
                    + nothing
                /Resources/StatusPublisherFunction/Properties/CodeUri
                    - nothing
                    + "s3://code/status-publisher"
                /Resources/StatusPublisherFunction/Properties/DeploymentPreference
                    - {"Alarms":[{"Ref":"StatusPublisherErrors"}],"Role":{"Fn::GetAtt":["ReleaseRole","Arn"]},"Type":{"Ref":"TrafficShift"}}
                    + nothing
                /Resources/WebhookRelayFunction/Properties/AutoPublishAliasAllProperties
                    - true
                    + nothing
                /Resources/WebhookRelayFunction/Properties/CodeUri
                    - nothing
                    + "s3://code/webhook-relay"
                /Resources/WebhookRelayFunction/Properties/DeploymentPreference
                    - {"Alarms":[{"Ref":"WebhookRelayErrors"}],"Role":{"Fn::GetAtt":["ReleaseRole","Arn"]},"Type":{"Ref":"TrafficShift"}}
                    + nothing
            "#]],
        );
    }

    #[test]
    fn no_resource_but_the_nested_applications_disappears_or_changes_its_type() {
        let types = |template: &Value| -> BTreeSet<(String, String)> {
            let resources = template["Resources"].as_object().unwrap();
            resources
                .iter()
                .map(|(name, it)| (name.clone(), it["Type"].to_string()))
                .collect()
        };
        let everything = Surroundings {
            enforce_iam: true,
            watch_port: Some(9_000),
            ..surroundings()
        };

        let before = real_template();
        let after = types(&changed(&before, &everything));
        let gone: Vec<_> = types(&before).difference(&after).cloned().collect();
        let application = json!("AWS::Serverless::Application").to_string();
        let nested = ["MerchantEndpoint", "Operations"];
        assert_eq!(
            gone,
            nested.map(|name| (name.to_owned(), application.clone()))
        );
    }

    #[test]
    fn only_null_conditions_go_and_batch_sends_come_when_policies_are_enforced() {
        let before = changed(&real_template(), &surroundings());
        let after = changed(
            &real_template(),
            &Surroundings {
                enforce_iam: true,
                ..surroundings()
            },
        );

        check(
            &before,
            &after,
            &expect![[r#"
                /Resources/ArmadaWebhookRole/Properties/Policies/0/PolicyDocument/Statement/0/Condition/Null
                    - {"dynamodb:LeadingKeys":"false"}
                    + nothing
                /Resources/ArmadaWebhookRole/Properties/Policies/0/PolicyDocument/Statement/1/Condition/Null
                    - {"dynamodb:LeadingKeys":"false"}
                    + nothing
                /Resources/ArmadaWebhookRole/Properties/Policies/0/PolicyDocument/Statement/2/Action
                    - "sqs:SendMessage"
                    + ["sqs:SendMessage","sqs:SendMessageBatch"]
                /Resources/OrderConsumerRole/Properties/Policies/0/PolicyDocument/Statement/1/Action
                    - "sqs:SendMessage"
                    + ["sqs:SendMessage","sqs:SendMessageBatch"]
                /Resources/ShipdayWebhookRole/Properties/Policies/0/PolicyDocument/Statement/0/Condition/Null
                    - {"dynamodb:LeadingKeys":"false"}
                    + nothing
                /Resources/ShipdayWebhookRole/Properties/Policies/0/PolicyDocument/Statement/1/Condition/Null
                    - {"dynamodb:LeadingKeys":"false"}
                    + nothing
                /Resources/ShipdayWebhookRole/Properties/Policies/0/PolicyDocument/Statement/2/Action
                    - "sqs:SendMessage"
                    + ["sqs:SendMessage","sqs:SendMessageBatch"]
                /Resources/StatusPublisherRole/Properties/Policies/0/PolicyDocument/Statement/3/Action/4
                    - nothing
                    + "sqs:SendMessageBatch"
                /Resources/StatusPublisherRole/Properties/Policies/0/PolicyDocument/Statement/4/Action
                    - "sqs:SendMessage"
                    + ["sqs:SendMessage","sqs:SendMessageBatch"]
                /Resources/WebhookRelayRole/Properties/Policies/0/PolicyDocument/Statement/2/Action/2
                    - nothing
                    + "sqs:SendMessageBatch"
            "#]],
        );
    }

    #[test]
    fn only_one_variable_per_function_is_added_when_functions_are_watched() {
        let before = changed(&real_template(), &surroundings());
        let after = changed(
            &real_template(),
            &Surroundings {
                watch_port: Some(9_000),
                ..surroundings()
            },
        );

        check(
            &before,
            &after,
            &expect![[r#"
                /Resources/ArmadaWebhookFunction/Properties/Environment/Variables/MINISTACK_LAMBDA_PROXY_URL
                    - nothing
                    + "http://127.0.0.1:9000/2015-03-31/functions/armada-webhook/invocations"
                /Resources/OrderConsumerFunction/Properties/Environment/Variables/MINISTACK_LAMBDA_PROXY_URL
                    - nothing
                    + "http://127.0.0.1:9000/2015-03-31/functions/order-consumer/invocations"
                /Resources/ShipdayWebhookFunction/Properties/Environment/Variables/MINISTACK_LAMBDA_PROXY_URL
                    - nothing
                    + "http://127.0.0.1:9000/2015-03-31/functions/shipday-webhook/invocations"
                /Resources/StatusPublisherFunction/Properties/Environment/Variables/MINISTACK_LAMBDA_PROXY_URL
                    - nothing
                    + "http://127.0.0.1:9000/2015-03-31/functions/status-publisher/invocations"
                /Resources/WebhookRelayFunction/Properties/Environment/Variables/MINISTACK_LAMBDA_PROXY_URL
                    - nothing
                    + "http://127.0.0.1:9000/2015-03-31/functions/webhook-relay/invocations"
            "#]],
        );
    }
}
