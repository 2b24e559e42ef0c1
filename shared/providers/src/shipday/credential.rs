//! Which installation a Shipday webhook claims to come from.

use domain::{Credential, Headers, Refusal};

/// The secret the merchant entered beside the URL; at most 32 characters. Shipday sends it in a header of
/// this very name.
pub(super) const TOKEN: &str = "token";

pub(super) fn credential(headers: &Headers) -> Result<Credential, Refusal> {
    headers.credential_part(TOKEN).map(Credential::single)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_called_token_and_nothing_else() {
        let with = |name: &str| {
            let mut headers = Headers::default();
            headers.add(name, "abc");
            credential(&headers).map(|_| ())
        };

        assert_eq!(with("Token"), Ok(()));
        assert_eq!(with("x-webhook-token"), Err(Refusal::CredentialMissing));
    }
}
