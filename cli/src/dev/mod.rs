//! The local stack: `template.yaml` on this machine, without an AWS account and without containers.
//!
//! MiniStack plays the AWS services; the real template is deployed to it, changed in the few places that
//! `overlay.rs` lists. It runs the functions itself, as built for Lambda, or hands their calls to `cargo lambda
//! watch`, which reloads them on every change.
//!
//! `hookctl dev up` runs one for people, the end-to-end tests run several at once:
//!
//! ```no_run
//! use hookctl::dev::{DevError, Functions, LocalStack, LocalStackOptions};
//!
//! # async fn example() -> Result<(), DevError> {
//! let repository = hookctl::repository_root()?;
//! let stack = LocalStack::start(LocalStackOptions {
//!     port: 0,
//!     functions: Functions::Bootstraps(repository.join("target/lambda")),
//!     enforce_iam: true,
//!     folder: repository.join("target/tmp/my-test"),
//!     change_template: None,
//!     function_endpoint: None,
//!     repository,
//! })
//! .await?;
//! let address = stack.webhook_address(domain::Provider::Shipday);
//! let answer = hookctl::post(&address, &[("token", "unknown")], b"[]")?;
//! assert_eq!(answer.status, 401);
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```

mod code;
mod commands;
mod deployment;
mod emulator;
mod endpoint;
mod error;
mod hints;
mod overlay;
mod pack;
mod process;
mod proxy;
mod record;
mod samples;
mod template;
mod throttle;
mod tools;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::Provider;
use serde_json::Value;

use crate::demo;
use crate::http::WebhookAddress;
use crate::sdk;
use crate::stack::{Tables, tables, through_endpoint, url_output};

pub(crate) use commands::run;
use deployment::{Deployed, Deployment};
use emulator::{Emulator, Settings};
pub use error::DevError;
pub(crate) use hints::program_from_here;
use proxy::Proxy;
pub use proxy::{ForwardError, Forwarder, refusal};
pub(crate) use record::Record;
pub use record::RecordError;
pub use template::TemplateError;
use watch::Watch;

/// Where the functions run.
#[derive(Clone, Debug)]
pub enum Functions {
    /// In MiniStack, from the `<binary>/bootstrap` files in this folder: what `cargo lambda build` makes, in
    /// `target/lambda`.
    Bootstraps(PathBuf),
    /// Under `cargo lambda watch`, which listens on this port of 127.0.0.1.
    Watched {
        /// The port; 0 takes a free one.
        port: u16,
    },
}

/// How a local stack is run.
#[derive(Clone, Debug)]
pub struct LocalStackOptions {
    /// The repository's root, see [`crate::repository_root`]. The tools must be installed there: `hookctl dev tools`.
    pub repository: PathBuf,
    /// The port of the AWS services on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where the functions run.
    pub functions: Functions,
    /// Whether the roles' policies are enforced. Watched functions have no role, so theirs are not.
    pub enforce_iam: bool,
    /// For logs (`log/`) and temporary files (`tmp/`, emptied first). No other stack may use it at the same time.
    pub folder: PathBuf,
    /// A change to the template after all others, for what a test needs different.
    pub change_template: Option<fn(&mut Value)>,
    /// The endpoint that the functions use, for example of a proxy that injects faults. `None` is that of the stack's own
    /// proxy, which `hookctl dev throttle` tells what to refuse.
    pub function_endpoint: Option<String>,
}

/// A running local stack. Dropping it ends its processes, which blocks the thread for some seconds at most.
#[derive(Debug)]
pub struct LocalStack {
    // Dropped in this order: nothing calls what is gone already.
    watch: Option<Watch>,
    emulator: Emulator,
    proxy: Option<Proxy>,
    deployment: Deployment,
    deployed: Deployed,
    options: LocalStackOptions,
}

impl LocalStack {
    /// Starts one and waits until it takes webhooks. It has no installations yet.
    ///
    /// # Errors
    /// Why it does not run; nothing is left running then.
    pub async fn start(options: LocalStackOptions) -> Result<Self, DevError> {
        let mut stack = Self::start_services(options).await?;
        stack.deploy().await?;
        stack.start_watch().await?;
        stack.functions_answer().await?;
        Ok(stack)
    }

    /// The first step: the AWS services, empty.
    async fn start_services(mut options: LocalStackOptions) -> Result<Self, DevError> {
        tools::require(&options.repository)?;
        options.port = emulator::free_port(options.port, commands::PORT_OPTION)?;
        if let Functions::Watched { port } = &mut options.functions {
            *port = emulator::free_port(*port, commands::WATCH_PORT_OPTION)?;
        }
        let proxy = match &options.function_endpoint {
            Some(_) => None,
            None => Some(Proxy::start(emulator::endpoint(options.port))?),
        };
        let emulator = Emulator::start(Settings {
            root: &options.repository,
            port: options.port,
            folder: &options.folder,
            enforce_iam: options.enforce_iam,
            function_endpoint: function_endpoint(&options, proxy.as_ref()),
        })
        .await?;
        let deployment = Deployment {
            root: options.repository.clone(),
            endpoint: emulator.endpoint.clone(),
            functions: options.functions.clone(),
            enforce_iam: options.enforce_iam,
            change_template: options.change_template,
        };
        Ok(Self {
            watch: None,
            emulator,
            proxy,
            deployment,
            deployed: Deployed::default(),
            options,
        })
    }

    /// The second step: the template.
    async fn deploy(&mut self) -> Result<(), DevError> {
        self.deployed = self.deployment.run().await?;
        Ok(())
    }

    /// The third step: the functions, unless MiniStack runs them.
    async fn start_watch(&mut self) -> Result<(), DevError> {
        let Functions::Watched { port } = self.options.functions else {
            return Ok(());
        };
        let environment = self.deployment.environment(&self.deployed)?;
        let endpoint = self.function_endpoint();
        let (root, folder) = (&self.options.repository, &self.options.folder);
        self.watch = Some(Watch::start(root, port, folder, endpoint, &environment).await?);
        Ok(())
    }

    /// The last step: waits until a webhook would not have to wait for a compiler.
    async fn functions_answer(&mut self) -> Result<(), DevError> {
        match &mut self.watch {
            Some(watch) => watch.compiled(&self.deployed.functions).await,
            None => Ok(()),
        }
    }

    /// Where the AWS services are; access key and secret key are `test`, the region is us-east-1.
    pub fn endpoint(&self) -> &str {
        &self.emulator.endpoint
    }

    /// Where its functions call them.
    pub fn function_endpoint(&self) -> &str {
        function_endpoint(&self.options, self.proxy.as_ref())
    }

    /// The name that its CloudFormation stack has.
    pub const fn stack_name(&self) -> &'static str {
        deployment::STACK_NAME
    }

    /// The outputs of the template: names of tables and functions, URLs of queues.
    pub const fn outputs(&self) -> &BTreeMap<String, String> {
        &self.deployed.outputs
    }

    /// Where a provider sends its webhooks.
    pub fn webhook_address(&self, provider: Provider) -> WebhookAddress {
        // Every deployment has these outputs, see `Deployment::run`.
        let url = self
            .deployed
            .outputs
            .get(url_output(provider))
            .map_or("", String::as_str);
        through_endpoint(self.endpoint(), url)
    }

    /// Registers the demo installations, as `hookctl dev up` does.
    ///
    /// # Errors
    /// When a table is missing or does not answer.
    pub async fn register_demo_installations(&self) -> Result<(), DevError> {
        Ok(demo::register(&self.tables()?.installations).await?)
    }

    fn tables(&self) -> Result<Tables, DevError> {
        Ok(tables(self.stack_name(), self.outputs(), &self.dynamodb())?)
    }

    /// A client for its DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&sdk::local(self.endpoint()))
    }

    /// A client for its SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&sdk::local(self.endpoint()))
    }

    /// Ends its processes, without blocking the thread.
    pub async fn stop(self) {
        // It cannot fail, and its panic would be one in a destructor.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Waits until one of its processes ends by itself, which none should.
    async fn ended(&mut self) -> DevError {
        match &mut self.watch {
            None => self.emulator.ended().await,
            Some(watch) => tokio::select! {
                error = watch.ended() => error,
                error = self.emulator.ended() => error,
            },
        }
    }

    /// From now on shows on stderr what watched functions say.
    fn show_function_output(&self) {
        if let Some(watch) = &self.watch {
            watch.show_output();
        }
    }

    /// Where the functions' errors are.
    fn log(&self) -> PathBuf {
        self.watch
            .as_ref()
            .map_or(&self.emulator.log, |watch| &watch.log)
            .clone()
    }

    /// Its processes, each the leader of a group.
    fn processes(&self) -> Vec<process::ProcessIdentity> {
        let watch = self.watch.as_ref().map(|watch| watch.group.identity());
        watch
            .into_iter()
            .chain([self.emulator.group.identity()])
            .cloned()
            .collect()
    }
}

/// The endpoint that functions use: one that was asked for, else that of the stack's own proxy.
fn function_endpoint<'a>(options: &'a LocalStackOptions, proxy: Option<&'a Proxy>) -> &'a str {
    let own = proxy.map(|proxy| proxy.endpoint.as_str());
    options
        .function_endpoint
        .as_deref()
        .or(own)
        .unwrap_or_default()
}
