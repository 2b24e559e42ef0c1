//! `hookctl` on the tables of a strict DynamoDB, in this process.

use hookctl::{Place, run_at};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::strict_dynamodb::Database;

/// What a command said with `--json`, line by line.
pub(crate) struct Said {
    pub(crate) code: u8,
    pub(crate) lines: Vec<Value>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The parts of the lines that have this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&Value> {
        let parts = self.lines.iter().filter_map(|line| line.get(name));
        parts.collect()
    }

    pub(crate) fn summary(&self) -> &Value {
        self.all("summary")[0]
    }

    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a command, given as it would be typed after `hookctl`, words in single quotes included.
pub(crate) async fn hookctl(database: &Database, line: &str) -> Said {
    hookctl_at(&database.address(), line).await
}

/// The same, on a database that is reached at this address.
pub(crate) async fn hookctl_at(address: &str, line: &str) -> Said {
    hookctl_in(&place(address), line).await
}

/// The same, on any services.
pub(crate) async fn hookctl_in(place: &Place, line: &str) -> Said {
    let line = format!("{line} --json");
    let ended = run_at(place, &words(&line)).await;
    Said {
        code: ended.code,
        lines: ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        stdout: ended.stdout,
        stderr: ended.stderr,
    }
}

/// What a person sees of a command.
pub(crate) async fn shown(database: &Database, line: &str) -> String {
    shown_at(&database.address(), line).await
}

/// The same, on a database that is reached at this address.
pub(crate) async fn shown_at(address: &str, line: &str) -> String {
    run_at(&place(address), &words(line)).await.stdout
}

/// An address that passes everything on to the database, after a look at each request; one that must not pass ends
/// its connection.
pub(crate) async fn in_front_of<F, R>(database: &Database, may_pass: F) -> String
where
    F: Fn(String) -> R + Clone + Send + 'static,
    R: Future<Output = bool> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let behind = database.address();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&behind).await.unwrap();
            let (mut asked, mut answer) = client.into_split();
            let (mut answered, mut ask) = server.into_split();
            let may_pass = may_pass.clone();
            let back =
                tokio::spawn(async move { tokio::io::copy(&mut answered, &mut answer).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(read @ 1..) = asked.read(&mut bytes).await {
                    let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
                    if !may_pass(request).await || ask.write_all(&bytes[..read]).await.is_err() {
                        back.abort();
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The tables at this address, as a stack would name them.
pub(crate) fn place(address: &str) -> Place {
    let outputs = [
        ("InstallationsTableName", "InstallationsTable"),
        ("WebhooksTableName", "WebhooksTable"),
        ("OrdersTableName", "OrdersTable"),
    ];
    let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Place {
        name: "STACK".to_owned(),
        endpoint: format!("http://{address}"),
        outputs: outputs.into(),
    }
}

/// What a shell makes of a line: every second part stands in quotes.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(n, part)| {
        if n % 2 == 0 {
            part.split_whitespace().collect()
        } else {
            vec![part]
        }
    });
    words.collect()
}
