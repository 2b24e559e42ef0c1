//! What the board reads from, opened again when it is lost.

use std::sync::{Arc, Mutex, PoisonError};

use aws::DeadLetterQueue;

use crate::arguments::StackChoice;
use crate::stack::{Stack, StackError, Tables};

/// A stack, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    /// Its name.
    pub(super) name: String,
    /// Its tables.
    pub(super) tables: Tables,
    /// Its dead letters.
    pub(super) dead_letters: DeadLetterQueue,
}

/// Opens the stack that was chosen.
#[derive(Debug)]
pub(super) struct Desk {
    choice: StackChoice,
    opened: Mutex<Option<Arc<Opened>>>,
}

impl Desk {
    /// A desk with the stack open.
    pub(super) async fn open(choice: &StackChoice) -> Result<Self, StackError> {
        let desk = Self {
            choice: choice.clone(),
            opened: Mutex::default(),
        };
        desk.opened().await?;
        Ok(desk)
    }

    /// The stack as it was opened last, or anew.
    pub(super) async fn opened(&self) -> Result<Arc<Opened>, StackError> {
        if let Some(opened) = self.kept().clone() {
            return Ok(opened);
        }
        let stack = Stack::open(&self.choice).await?;
        let opened = Arc::new(Opened {
            name: stack.name().to_owned(),
            tables: stack.tables()?,
            dead_letters: stack.queues()?.dead_letters,
        });
        *self.kept() = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Does not trust what was opened any more: its tables may be others now, its credentials new ones.
    pub(super) fn close(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Arc<Opened>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
