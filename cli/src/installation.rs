//! `hookctl installation`: who may send.

use std::fmt;

use aws::{InstallationsTable, Registration, SystemClock};
use domain::{
    Clock as _, CompanyId, CredentialDigest, Installation, InstallationState, PortError, Provider,
    Refusal, UrlKeyDigest,
};
use serde::Serialize;

use crate::arguments::{self, Add, AddArmada, AddShared, AddShipday, Chosen, StackChoice};
use crate::moment;
use crate::output::{Output, OutputError};
use crate::secrets::{self, NoRandomness};
use crate::stack::{Stack, StackError};
use crate::table;
use crate::webhook::{ArmadaCredential, shipday_digest, with_url_key};

/// As many digits of a digest as people need to tell installations apart.
const SHORT_DIGEST: usize = 12;

/// An installation could not be added, listed or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallationError {
    /// A URL key that was not drawn here.
    #[error(
        "that is no key made by `--url-key`: use the 43 characters behind `?k=` in the app's URL"
    )]
    UrlKey,
    /// A credential that no webhook could carry.
    #[error(
        "no webhook could carry this credential ({0}): use up to 256 visible ASCII characters and no comma"
    )]
    Credential(Refusal),
    /// The credential is registered already.
    #[error("this credential is registered already, as {0}: see `hookctl installation list`")]
    Exists(String),
    /// The end of its life has passed.
    #[error("`--not-after {0}` has passed: its webhooks would be refused from the start")]
    Expired(String),
    /// No installation has such a digest.
    #[error(
        "no {provider} installation has a digest that begins with `{digest}`: see `hookctl installation list`"
    )]
    NotFound {
        /// Whose installations were looked through.
        provider: Provider,
        /// What was asked for.
        digest: String,
    },
    /// Several installations have a digest that begins so.
    #[error(
        "{count} {provider} installations have a digest that begins with `{digest}`: give more digits"
    )]
    Ambiguous {
        /// Whose installations.
        provider: Provider,
        /// What was asked for.
        digest: String,
        /// How many there are.
        count: usize,
    },
    /// The table did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
    /// The stack cannot be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// No secret could be made up.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The result could not be shown.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Runs the command.
pub(crate) async fn run(
    command: arguments::Installation,
    choice: &StackChoice,
    output: Output,
) -> Result<(), InstallationError> {
    let stack = Stack::open(choice).await?;
    match command {
        arguments::Installation::Add(add) => {
            let added = match add {
                Add::Armada(options) => add_armada(&stack, options).await?,
                Add::Shipday(options) => add_shipday(&stack, options).await?,
            };
            output.result(&added)?;
        }
        arguments::Installation::List => {
            output.result(&list(&stack.tables()?.installations).await?)?
        }
        arguments::Installation::Disable(chosen) => {
            output.result(
                &set_state(
                    &stack.tables()?.installations,
                    chosen,
                    InstallationState::Disabled,
                )
                .await?,
            )?;
        }
        arguments::Installation::Enable(chosen) => {
            output.result(
                &set_state(
                    &stack.tables()?.installations,
                    chosen,
                    InstallationState::Active,
                )
                .await?,
            )?;
        }
    }
    Ok(())
}

/// What is shown of an installation. Of a URL key only whether there is one.
#[derive(Serialize)]
struct Shown {
    provider: Provider,
    merchant_id: String,
    state: &'static str,
    digest: String,
    label: String,
    created_at: String,
    not_after: Option<String>,
    has_url_key: bool,
    company_id: Option<String>,
}

impl From<&Installation> for Shown {
    fn from(installation: &Installation) -> Self {
        Self {
            provider: installation.credential.provider,
            merchant_id: installation.merchant_id.to_string(),
            state: installation.state.as_str(),
            digest: installation.credential.sha256.to_string(),
            label: installation.label.clone(),
            created_at: moment::show(installation.created_at_ms),
            not_after: installation.not_after_ms.map(moment::show),
            has_url_key: installation.url_key_sha256.is_some(),
            company_id: installation.company_id.as_ref().map(ToString::to_string),
        }
    }
}

// ---------------------------------------------------------------- add

/// A new installation, and what its merchant has to enter at the provider.
#[derive(Serialize)]
struct Added {
    installation: Shown,
    /// Shown now and never again: only its digest is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    webhook_url: String,
}

async fn add_armada(stack: &Stack, options: AddArmada) -> Result<Added, InstallationError> {
    let credential = match (options.key_id, options.app_id, options.installation_id) {
        (Some(key_id), _, _) => ArmadaCredential::Key { key_id },
        (None, app_id, installation_id) => ArmadaCredential::Installation {
            app_id: app_id.unwrap_or_default(),
            installation_id: installation_id.unwrap_or_default(),
        },
    };
    let digest = credential.digest().map_err(InstallationError::Credential)?;
    let url_key = match options.existing_url_key {
        Some(key) if secrets::is_url_key(&key) => Some(key),
        Some(_) => return Err(InstallationError::UrlKey),
        None => options.url_key.then(secrets::url_key).transpose()?,
    };
    let installation = new(
        digest,
        options.shared,
        url_key.as_deref().map(UrlKeyDigest::of),
        None,
    )?;
    let url = stack.webhook_url(Provider::Armada)?;
    register(&stack.tables()?.installations, &installation).await?;
    Ok(Added {
        installation: (&installation).into(),
        token: None,
        webhook_url: url_key.map_or_else(|| url.to_owned(), |key| with_url_key(url, &key)),
    })
}

async fn add_shipday(stack: &Stack, options: AddShipday) -> Result<Added, InstallationError> {
    let token = secrets::shipday_token()?;
    let digest = shipday_digest(&token).map_err(InstallationError::Credential)?;
    let installation = new(digest, options.shared, None, options.company_id)?;
    let url = stack.webhook_url(Provider::Shipday)?;
    register(&stack.tables()?.installations, &installation).await?;
    Ok(Added {
        installation: (&installation).into(),
        token: Some(token),
        webhook_url: url.to_owned(),
    })
}

fn new(
    credential: CredentialDigest,
    options: AddShared,
    url_key_sha256: Option<UrlKeyDigest>,
    company_id: Option<CompanyId>,
) -> Result<Installation, InstallationError> {
    let now = SystemClock.now_ms();
    if let Some(end) = options.not_after.filter(|end| *end <= now) {
        return Err(InstallationError::Expired(moment::show(end)));
    }
    Ok(Installation {
        credential,
        merchant_id: options.merchant,
        state: InstallationState::Active,
        label: options.label,
        created_at_ms: now,
        not_after_ms: options.not_after,
        url_key_sha256,
        company_id,
    })
}

async fn register(
    table: &InstallationsTable,
    installation: &Installation,
) -> Result<(), InstallationError> {
    match table.register(installation).await? {
        Registration::Registered => Ok(()),
        Registration::Exists => Err(InstallationError::Exists(
            installation.credential.to_string(),
        )),
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown {
            provider,
            merchant_id,
            digest,
            ..
        } = &self.installation;
        writeln!(
            f,
            "Registered {merchant_id} at {provider}, digest {digest}.\n"
        )?;
        writeln!(f, "To be entered at {provider}:\n")?;
        writeln!(f, "  URL    {}", self.webhook_url)?;
        if let Some(token) = &self.token {
            writeln!(f, "  token  {token}")?;
        }
        if self.token.is_some() || self.installation.has_url_key {
            writeln!(
                f,
                "\nKeep it now: only a digest is stored, so it cannot be shown again."
            )?;
        }
        Ok(())
    }
}

// ---------------------------------------------------------------- list

#[derive(Serialize)]
struct List {
    installations: Vec<Shown>,
}

async fn list(table: &InstallationsTable) -> Result<List, InstallationError> {
    let mut installations = table.list().await?;
    installations.sort_by(|a, b| {
        let place = |it: &Installation| {
            (
                it.merchant_id.clone(),
                it.credential.provider,
                it.created_at_ms,
            )
        };
        place(a).cmp(&place(b))
    });
    Ok(List {
        installations: installations.iter().map(Shown::from).collect(),
    })
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.installations.is_empty() {
            return writeln!(f, "No installations.");
        }
        let heading = [
            "MERCHANT",
            "PROVIDER",
            "STATE",
            "DIGEST",
            "CREATED",
            "NOT AFTER",
            "URL KEY",
            "COMPANY",
            "LABEL",
        ];
        let mut rows = vec![heading.map(str::to_owned)];
        for it in &self.installations {
            let or_dash = |text: Option<&String>| text.map_or_else(|| "-".to_owned(), Clone::clone);
            rows.push([
                it.merchant_id.clone(),
                it.provider.to_string(),
                it.state.to_owned(),
                it.digest.chars().take(SHORT_DIGEST).collect(),
                it.created_at.clone(),
                or_dash(it.not_after.as_ref()),
                if it.has_url_key { "yes" } else { "no" }.to_owned(),
                or_dash(it.company_id.as_ref()),
                it.label.clone(),
            ]);
        }
        f.write_str(&table::align("", &rows))
    }
}

// ---------------------------------------------------------------- disable and enable

#[derive(Serialize)]
struct Changed {
    provider: Provider,
    merchant_id: String,
    digest: String,
    state: &'static str,
    /// Functions remember an installation for so long.
    effective_within_seconds: u32,
}

async fn set_state(
    table: &InstallationsTable,
    chosen: Chosen,
    state: InstallationState,
) -> Result<Changed, InstallationError> {
    let all = table.list().await?;
    let installation = choose(&all, &chosen)?;
    if !table.set_state(&installation.credential, state).await? {
        return Err(InstallationError::NotFound {
            provider: chosen.provider,
            digest: chosen.digest,
        });
    }
    Ok(Changed {
        provider: installation.credential.provider,
        merchant_id: installation.merchant_id.to_string(),
        digest: installation.credential.sha256.to_string(),
        state: state.as_str(),
        effective_within_seconds: 60,
    })
}

fn choose<'a>(
    all: &'a [Installation],
    chosen: &Chosen,
) -> Result<&'a Installation, InstallationError> {
    let Chosen { provider, digest } = chosen.clone();
    let fits = |it: &&Installation| {
        it.credential.provider == provider
            && !digest.is_empty()
            && it.credential.sha256.as_str().starts_with(&digest)
    };
    let fitting: Vec<_> = all.iter().filter(fits).collect();
    match fitting.as_slice() {
        [installation] => Ok(installation),
        [] => Err(InstallationError::NotFound { provider, digest }),
        several => Err(InstallationError::Ambiguous {
            provider,
            digest,
            count: several.len(),
        }),
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            provider,
            merchant_id,
            state,
            effective_within_seconds,
            ..
        } = self;
        let digest: String = self.digest.chars().take(SHORT_DIGEST).collect();
        writeln!(
            f,
            "{merchant_id} at {provider}, digest {digest}: {state}. \
             It takes effect within {effective_within_seconds} seconds."
        )
    }
}

#[cfg(test)]
mod tests {
    use domain::{EpochMillis, MerchantId};

    use super::*;

    fn installation(token: &str) -> Installation {
        Installation {
            credential: shipday_digest(token).unwrap(),
            merchant_id: MerchantId::parse("shop-1").unwrap(),
            state: InstallationState::Active,
            label: String::new(),
            created_at_ms: EpochMillis::new(0),
            not_after_ms: None,
            url_key_sha256: None,
            company_id: None,
        }
    }

    fn chosen(provider: Provider, digest: &str) -> Chosen {
        Chosen {
            provider,
            digest: digest.to_owned(),
        }
    }

    #[test]
    fn an_installation_is_chosen_by_a_beginning_that_fits_no_other() {
        // 26 digests, 16 first digits: the first digit of some fits several.
        let all: Vec<_> = ('a'..='z')
            .map(|token| installation(&token.to_string()))
            .collect();
        let whole = all[0].credential.sha256.as_str();

        assert_eq!(
            choose(&all, &chosen(Provider::Shipday, &whole[..12])).unwrap(),
            &all[0]
        );
        let mut first_digits = "0123456789abcdef"
            .chars()
            .map(|digit| chosen(Provider::Shipday, &digit.to_string()));
        let is_ambiguous =
            |it| matches!(choose(&all, &it), Err(InstallationError::Ambiguous { .. }));
        assert!(first_digits.any(is_ambiguous));
        for nothing in [
            chosen(Provider::Armada, whole),
            chosen(Provider::Shipday, ""),
            chosen(Provider::Shipday, "xyz"),
        ] {
            assert!(
                matches!(
                    choose(&all, &nothing),
                    Err(InstallationError::NotFound { .. })
                ),
                "{nothing:?}"
            );
        }
    }

    #[test]
    fn a_list_shows_no_more_of_a_digest_than_is_needed() {
        let shown = List {
            installations: vec![Shown::from(&installation("a"))],
        }
        .to_string();

        assert!(
            shown.contains("ca978112ca1b ") && !shown.contains("ca978112ca1bbd"),
            "{shown}"
        );
    }
}
