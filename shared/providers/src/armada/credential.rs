//! Which installation an Armada webhook claims to come from.

use domain::{Credential, Headers, Refusal};

/// The application, with [`INSTALLATION_ID`] the credential of v1. Both are ids, not secrets.
pub(super) const APP_ID: &str = "x-armada-app-id";
/// The merchant's installation of the application.
pub(super) const INSTALLATION_ID: &str = "x-armada-installation-id";
/// The merchant's API key id: the credential of v2.
pub(super) const KEY_ID: &str = "x-armada-key-id";

/// v1's two ids, or v2's key id where neither of them is there.
pub(super) fn credential(headers: &Headers) -> Result<Credential, Refusal> {
    match (
        headers.credential_part(APP_ID),
        headers.credential_part(INSTALLATION_ID),
    ) {
        (Err(Refusal::CredentialMissing), Err(Refusal::CredentialMissing)) => {
            headers.credential_part(KEY_ID).map(Credential::single)
        }
        (app_id, installation_id) => Ok(Credential::armada_installation(app_id?, installation_id?)),
    }
}

#[cfg(test)]
mod tests {
    use domain::Provider;

    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.add(name, *value);
        }
        credential(&headers).map(|credential| credential.digest(Provider::Armada).to_string())
    }

    #[test]
    fn v1_needs_both_ids() {
        let digest = Credential::armada_installation("app", "inst")
            .digest(Provider::Armada)
            .to_string();

        assert_eq!(
            with(&[
                ("X-Armada-App-Id", "app"),
                ("x-armada-installation-id", "inst")
            ]),
            Ok(digest)
        );
        assert_eq!(with(&[(APP_ID, "app")]), Err(Refusal::CredentialMissing));
        assert_eq!(
            with(&[(INSTALLATION_ID, "inst"), (KEY_ID, "key")]),
            Err(Refusal::CredentialMissing)
        );
        assert_eq!(with(&[]), Err(Refusal::CredentialMissing));
    }

    #[test]
    fn v2_is_known_by_its_key_id() {
        let digest = Credential::single("key")
            .digest(Provider::Armada)
            .to_string();

        assert_eq!(with(&[(KEY_ID, "key")]), Ok(digest));
    }

    #[test]
    fn a_repeated_id_is_refused() {
        let repeated = [(APP_ID, "app"), (APP_ID, "app"), (INSTALLATION_ID, "inst")];

        assert_eq!(with(&repeated), Err(Refusal::CredentialRepeated));
    }
}
