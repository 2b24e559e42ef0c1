//! The registry of installations, remembered in the function.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{CredentialDigest, Installation, Installations, PortError};
use lru::LruCache;
use tokio::time::{Instant, timeout};

/// How long a known installation is not asked for again: so long a revoked credential may live on.
const HIT_LIVES: Duration = Duration::from_secs(60);
/// How long an unknown credential is not asked for again, so that a flood of one wrong credential is not a
/// flood of reads; and so long a new installation may have to wait.
const MISS_LIVES: Duration = Duration::from_secs(5);
/// How long a refresh may take before the stale answer is used.
const REFRESH_WAIT: Duration = Duration::from_millis(300);
/// Most installations remembered.
const MAX_HITS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Most unknown credentials remembered.
const MAX_MISSES: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// The registry behind a bounded memory. A stale hit is used while the table does not answer, so that an
/// outage does not refuse the merchants this function already knows; an unknown sender is never let in.
pub(crate) struct CachedRegistry<I> {
    installations: I,
    hits: Mutex<LruCache<CredentialDigest, (Installation, Instant)>>,
    misses: Mutex<LruCache<CredentialDigest, Instant>>,
}

impl<I: Installations> CachedRegistry<I> {
    pub(crate) fn new(installations: I) -> Self {
        Self {
            installations,
            hits: Mutex::new(LruCache::new(MAX_HITS)),
            misses: Mutex::new(LruCache::new(MAX_MISSES)),
        }
    }

    /// The installation registered for a credential, at most [`HIT_LIVES`] old unless the table is down.
    pub(crate) async fn find(
        &self,
        credential: &CredentialDigest,
    ) -> Result<Option<Installation>, PortError> {
        let now = Instant::now();
        let known = lock(&self.hits).get(credential).cloned();
        match known {
            Some((installation, at)) if now.duration_since(at) < HIT_LIVES => {
                Ok(Some(installation))
            }
            Some((stale, _)) => match timeout(REFRESH_WAIT, self.fetch(credential)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) | Err(_) => Ok(Some(stale)),
            },
            None if self.is_fresh_miss(credential, now) => Ok(None),
            None => self.fetch(credential).await,
        }
    }

    fn is_fresh_miss(&self, credential: &CredentialDigest, now: Instant) -> bool {
        lock(&self.misses)
            .get(credential)
            .is_some_and(|at| now.duration_since(*at) < MISS_LIVES)
    }

    async fn fetch(
        &self,
        credential: &CredentialDigest,
    ) -> Result<Option<Installation>, PortError> {
        let answer = self.installations.find(credential).await?;
        let now = Instant::now();
        match &answer {
            Some(installation) => {
                lock(&self.misses).pop(credential);
                lock(&self.hits).put(credential.clone(), (installation.clone(), now));
            }
            None => {
                lock(&self.hits).pop(credential);
                lock(&self.misses).put(credential.clone(), now);
            }
        }
        Ok(answer)
    }
}

/// A panic elsewhere must not make the memory unusable: whatever is in it is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
