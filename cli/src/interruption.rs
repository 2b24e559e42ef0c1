//! Being stopped by somebody.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The ways to stop a command that has something to bring to its end first.
#[derive(Debug)]
pub(crate) struct Interruption {
    signals: [Signal; 3],
}

impl Interruption {
    /// From now on the signals do not end the process by themselves.
    pub(crate) fn new() -> io::Result<Self> {
        let signals = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let [interrupt, terminate, hangup] = signals.map(signal);
        Ok(Self {
            signals: [interrupt?, terminate?, hangup?],
        })
    }

    /// Waits for one.
    pub(crate) async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// What `work` gives, unless a signal comes first; `work` is dropped then.
    pub(crate) async fn before<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            result = work => Some(result),
            () = self.wait() => None,
        }
    }
}
