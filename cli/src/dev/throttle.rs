//! `hookctl dev throttle`: a table that refuses the functions, on demand.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::error::DevError;
use super::proxy;
use super::record::Record;
use crate::arguments::{StackChoice, Throttle, ThrottledTable};
use crate::output::Output;
use crate::stack::{Stack, output as output_of};

/// Runs the command.
pub(crate) async fn run(
    root: &Path,
    options: &Throttle,
    choice: &StackChoice,
    output: Output,
) -> Result<(), DevError> {
    let (endpoint, table) = match &options.function_endpoint {
        Some(endpoint) => {
            let stack = Stack::open(choice).await?;
            let name = |table| stack.output(table_output(table)).map(str::to_owned);
            (endpoint.clone(), options.table.map(name).transpose()?)
        }
        None => {
            let record = Record::running(root)?.ok_or(DevError::NothingRunning)?;
            let name = |table| {
                let found = output_of(&record.stack_name, &record.outputs, table_output(table));
                found.map(str::to_owned)
            };
            let table = options.table.map(name).transpose()?;
            (record.function_endpoint, table)
        }
    };
    let seconds = options.seconds;
    let throttled = match table {
        Some(table) => {
            let throttle = proxy::Throttle { table, seconds };
            proxy::throttle(&endpoint, &throttle)?;
            Some(throttle)
        }
        None => {
            proxy::throttle_nothing(&endpoint)?;
            None
        }
    };
    Ok(output.result(&Throttled { throttled })?)
}

/// The output that holds a table's name.
const fn table_output(table: ThrottledTable) -> &'static str {
    match table {
        ThrottledTable::Webhooks => "WebhooksTableName",
        ThrottledTable::Orders => "OrdersTableName",
        ThrottledTable::Installations => "InstallationsTableName",
    }
}

#[derive(Serialize)]
struct Throttled {
    throttled: Option<proxy::Throttle>,
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.throttled {
            Some(proxy::Throttle { table, seconds }) => write!(
                f,
                "DynamoDB refuses the functions' calls about {table} for {seconds} seconds, or until `hookctl dev throttle --off`."
            ),
            None => f.write_str("DynamoDB refuses nothing any more."),
        }
    }
}
