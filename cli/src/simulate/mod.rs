//! `hookctl simulate`: plays both providers against a running stack, and checks what comes of it.
//!
//! A [`Plan`] follows from a [`Scenario`] alone: which orders there are, which way each of them goes, which webhooks
//! tell of it, and what goes wrong on their way. So does what every order must end in, which is written down with the
//! ways (`route.rs`) and is asked of nothing under test.

mod body;
mod expectation;
mod life;
mod plan;
mod route;
mod sending;
mod tally;
mod verdict;
mod watching;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::{IdentifierError, PortError, Provider};
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::{Simulate, StackChoice};
use crate::demo;
use crate::http::WebhookAddress;
use crate::output::{Output, OutputError};
use crate::progress::Progress;
use crate::secrets::{self, NoRandomness};
use crate::stack::{Stack, StackError};
use crate::webhook::{ArmadaCredential, with_url_key};
use sending::{FIRST_WAIT, Means, Sending};
use verdict::{Faults, Verdict};
use watching::{Findings, Watch};

pub use body::BodyTemplateError;
pub use expectation::{Answered, Expected, Outcome};
pub(crate) use life::MAX_ORDERS;
pub(crate) use plan::Credentials;
pub use plan::{
    Delivery, Disturbances, Plan, PlanError, PlannedEvent, PlannedOrder, Scenario, ways,
};

/// How often the progress is told and the table looked at.
const TICK: Duration = Duration::from_millis(250);
/// Orders looked at in a tick while webhooks are sent: few, so that looking does not slow down what is measured.
const LOOKS_WHILE_SENDING: usize = 5;
/// Afterwards.
const LOOKS: usize = 250;

/// The simulation was not made, or found something wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulateError {
    /// Something was found.
    #[error("{} order(s) are not as simulated, {} webhook(s) got a wrong answer", .0.orders, .0.answers)]
    Wrong(Faults),
    /// The merchant's credential was not given.
    #[error("the credential of `{merchant}` at {provider} is not known: give {remedy}")]
    NoCredential {
        /// Whose.
        merchant: String,
        /// Where.
        provider: Provider,
        /// Which options say it.
        remedy: &'static str,
    },
    /// The webhooks cannot be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A thread could not be started.
    #[error("no thread can be started for a connection: use fewer with `--connections`")]
    NoThread(#[source] io::Error),
    /// The table did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
    /// No seed could be drawn.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A simulated order's id is none.
    #[error(transparent)]
    Identifier(#[from] IdentifierError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The verdict could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Runs the command.
pub(crate) async fn run(
    options: &Simulate,
    choice: &StackChoice,
    output: Output,
) -> Result<(), SimulateError> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => secrets::seed()?,
    };
    let scenario = Scenario {
        seed,
        orders: options.orders,
        provider: options.provider,
        merchant: options.merchant.clone(),
        disturbances: options.disturbances.into(),
        credentials: credentials(options, choice)?,
    };
    let stack = Stack::open(choice).await?;
    let means = Means {
        addresses: addresses(&stack, options.url_key.as_deref())?,
        rate: options.rate,
        connections: options.connections,
        first_wait: FIRST_WAIT,
    };
    let plan = Arc::new(Plan::new(scenario)?);
    output.message(format_args!(
        "{} orders, {} webhooks, {} a second: seed {seed}",
        options.orders,
        plan.webhooks(),
        options.rate
    ));

    let patience = Duration::from_secs(options.timeout.get().into());
    let watch = Watch::new(Arc::clone(&plan), stack.tables()?.orders);
    let (sending, findings) = simulate(&plan, means, watch, patience, output).await?;
    let verdict = Verdict::new(
        &plan,
        &sending.tally(),
        findings,
        options.rate.get(),
        choice.stack_name.as_deref(),
    );
    output.result(&verdict)?;
    verdict
        .faults()
        .map_or(Ok(()), |faults| Err(SimulateError::Wrong(faults)))
}

/// Sends everything, and looks at the orders until all of them are right or nothing moves any more.
async fn simulate(
    plan: &Arc<Plan>,
    means: Means,
    mut watch: Watch,
    patience: Duration,
    output: Output,
) -> Result<(Sending, Findings), SimulateError> {
    let progress = Progress::in_words(output, plan.webhooks());
    let mut sending = Sending::start(plan, means).map_err(SimulateError::NoThread)?;
    let mut is_sending = true;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while is_sending || (!watch.is_over() && watch.stands_still_for() < patience) {
        tokio::select! {
            complete = sending.complete.recv(), if is_sending => match complete {
                Some(order) => watch.add(order),
                None => {
                    is_sending = false;
                    watch.begin_to_wait();
                }
            },
            _ = ticks.tick() => {
                watch.look(if is_sending { LOOKS_WHILE_SENDING } else { LOOKS }).await?;
                tell(&progress, &sending, &watch, plan.scenario().orders);
            }
        }
    }
    progress.end();
    let findings = watch.end().await?;
    Ok((sending, findings))
}

fn tell(progress: &Progress, sending: &Sending, watch: &Watch, orders: u32) {
    let tally = sending.tally();
    let refused = tally.count(Answered::Unreadable) + tally.count(Answered::Refused);
    let words = format!(
        "{}/{orders} orders right; {} accepted, {} duplicate, {refused} refused, {} wrong",
        watch.right(),
        tally.count(Answered::Accepted),
        tally.count(Answered::Duplicate),
        tally.unexpected(),
    );
    progress.say(tally.sent(), words);
}

/// What was given, else the demo installations' for the demo merchant of the local stack.
fn credentials(options: &Simulate, choice: &StackChoice) -> Result<Credentials, SimulateError> {
    let is_demo = choice.stack_name.is_none() && options.merchant.as_str() == demo::MERCHANT;
    let needs = |provider| !is_demo && options.provider.is_none_or(|only| only == provider);
    let missing = |provider, remedy| SimulateError::NoCredential {
        merchant: options.merchant.to_string(),
        provider,
        remedy,
    };
    let demo = Credentials::demo();
    let armada = match (&options.app_id, &options.installation_id) {
        (Some(app_id), Some(installation_id)) => ArmadaCredential::Installation {
            app_id: app_id.clone(),
            installation_id: installation_id.clone(),
        },
        (None | Some(_), _) if needs(Provider::Armada) => {
            let remedy = "`--app-id` and `--installation-id`, or `--provider shipday`";
            return Err(missing(Provider::Armada, remedy));
        }
        (None | Some(_), _) => demo.armada,
    };
    let shipday_token = match &options.token {
        Some(token) => token.clone(),
        None if needs(Provider::Shipday) => {
            let remedy = "`--token`, or `--provider armada`";
            return Err(missing(Provider::Shipday, remedy));
        }
        None => demo.shipday_token,
    };
    Ok(Credentials {
        armada,
        shipday_token,
    })
}

fn addresses(stack: &Stack, url_key: Option<&str>) -> Result<[WebhookAddress; 2], StackError> {
    let mut armada = stack.webhook_address(Provider::Armada)?;
    if let Some(key) = url_key {
        armada.url = with_url_key(&armada.url, key);
    }
    Ok([armada, stack.webhook_address(Provider::Shipday)?])
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn given(line: &str) -> Result<Credentials, String> {
        let line = format!("hookctl simulate {line}");
        let arguments = Arguments::parse_from(line.split_whitespace());
        let Command::Simulate(options) = arguments.command else {
            panic!("{line}");
        };
        let given = credentials(&options, &arguments.global.stack);
        given.map_err(|error| error.to_string())
    }

    #[test]
    fn the_demo_credentials_are_for_the_demo_merchant_of_the_local_stack_alone() {
        let demo = given("").unwrap();
        assert_eq!(demo.shipday_token, demo::SHIPDAY_TOKEN);

        for (line, remedy) in [
            ("--merchant m", "--app-id"),
            ("--merchant m --provider shipday", "--token"),
            ("--stack-name prod --token t", "--app-id"),
            (
                "--stack-name prod --app-id a --installation-id i",
                "--token",
            ),
        ] {
            let error = given(line).unwrap_err();
            assert!(error.contains(remedy), "{line}: {error}");
        }
        let only_shipday = given("--merchant m --provider shipday --token t").unwrap();
        assert_eq!(only_shipday.shipday_token, "t");
    }
}
