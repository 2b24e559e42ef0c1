//! Secrets and ids, drawn from the operating system's randomness.

use std::iter;

const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const URL_SAFE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const URL_KEY_LENGTH: usize = 43;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoRandomness(#[from] getrandom::Error);

/// A token for Shipday: 32 letters and digits, which is all that its form takes; 190 bits.
pub(crate) fn shipday_token() -> Result<String, NoRandomness> {
    draw(LETTERS_AND_DIGITS, 32)
}

/// A key for a registered URL: 43 characters that need no escaping there; 258 bits.
pub(crate) fn url_key() -> Result<String, NoRandomness> {
    draw(URL_SAFE, URL_KEY_LENGTH)
}

/// Whether a key can be one of [`url_key`]'s: one that a person made up could be guessed.
pub(crate) fn is_url_key(key: &str) -> bool {
    key.len() == URL_KEY_LENGTH && key.bytes().all(|byte| URL_SAFE.contains(&byte))
}

/// An id for an Armada webhook, like those of its samples.
pub(crate) fn webhook_id() -> Result<String, NoRandomness> {
    Ok(format!("wh_{}", draw(LETTERS_AND_DIGITS, 26)?))
}

/// A word that nothing else has.
pub(crate) fn nonce() -> Result<String, NoRandomness> {
    draw(LETTERS_AND_DIGITS, 16)
}

/// A seed for a simulation.
pub(crate) fn seed() -> Result<u32, NoRandomness> {
    let bytes = random_bytes()?;
    Ok(bytes
        .iter()
        .take(4)
        .fold(0, |seed, byte| seed << 8 | u32::from(*byte)))
}

fn draw(alphabet: &[u8], length: usize) -> Result<String, NoRandomness> {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let missing = length - text.len();
        text.extend(
            random_bytes()?
                .into_iter()
                .filter_map(|byte| pick(alphabet, byte))
                .take(missing),
        );
    }
    Ok(text)
}

/// The character that a random byte stands for. The last bytes stand for none: with them, the first
/// characters of an alphabet would come more often than the others.
fn pick(alphabet: &[u8], byte: u8) -> Option<char> {
    let rounds = 256 / alphabet.len();
    let fair = iter::repeat_n(alphabet, rounds).flatten();
    fair.copied().nth(usize::from(byte)).map(char::from)
}

#[expect(clippy::disallowed_methods, reason = "the one source of secrets")]
fn random_bytes() -> Result<[u8; 64], NoRandomness> {
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_character_of_an_alphabet_is_equally_likely() {
        for alphabet in [LETTERS_AND_DIGITS, URL_SAFE] {
            let mut count = BTreeMap::new();
            for picked in (0..=u8::MAX).filter_map(|byte| pick(alphabet, byte)) {
                *count.entry(picked).or_insert(0) += 1;
            }

            assert_eq!(count.len(), alphabet.len());
            assert_eq!(count.into_values().collect::<BTreeSet<_>>().len(), 1);
        }
    }

    #[test]
    fn a_token_fits_into_shipdays_form() {
        let token = shipday_token().unwrap();

        assert_eq!(token.len(), 32);
        assert!(
            token.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{token}"
        );
        assert_ne!(token, shipday_token().unwrap());
    }

    #[test]
    fn a_url_key_needs_no_escaping() {
        let key = url_key().unwrap();

        assert_eq!(key.len(), 43);
        assert!(key.bytes().all(|byte| URL_SAFE.contains(&byte)), "{key}");
    }
}
