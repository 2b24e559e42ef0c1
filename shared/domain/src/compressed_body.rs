//! A webhook's body as it is stored and sent: deflated, with the providers' field names known beforehand.

use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};
use serde::{Deserialize, Serialize};

/// What a stored body may refer back to, as if it stood before it: the field names of both providers, which are
/// most of a body. Never changed, because stored bodies need it; another one gets another mark.
const DICTIONARY: &[u8] = include_bytes!("body_dictionary_1.txt");
/// The byte before a body that refers to [`DICTIONARY`]. No deflated data begins with it: its block type is reserved.
const MARK: u8 = 0x07;
/// Deflate level: 6 is where a body of one or two kilobytes stops getting smaller.
const COMPRESSION_LEVEL: i32 = 6;
/// Most bytes a stored body may inflate to: what a Lambda invocation can carry.
pub(crate) const MAX_INFLATED_BYTES: usize = 6 * 1024 * 1024;

thread_local! {
    /// Kept, because its tables are a quarter of a megabyte: to have them anew for each body costs more than to
    /// deflate it. A negative window means no zlib header; 0 is the default strategy.
    static COMPRESSOR: RefCell<CompressorOxide> = RefCell::new(CompressorOxide::new(
        create_comp_flags_from_zip_params(COMPRESSION_LEVEL, -15, 0),
    ));
}

/// A body, deflated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
pub struct CompressedBody(Vec<u8>);

/// A stored body cannot be read again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The text of a queue message is not base64.
    #[error("the stored body is not base64")]
    NotBase64,
    /// It is no deflated data, or inflates to more than any webhook can have.
    #[error("the stored body cannot be inflated")]
    NotDeflated,
    /// Inflated, it has another digest than its record says.
    #[error("the stored body has another digest than its record")]
    OtherDigest,
}

impl CompressedBody {
    /// Deflates a body.
    pub fn deflate(body: &[u8]) -> Self {
        COMPRESSOR.with_borrow_mut(|compressor| {
            compressor.reset();
            // What the dictionary itself becomes ends at a whole byte, and is left out.
            let mut stored = Vec::with_capacity(DICTIONARY.len() + body.len());
            deflate_into(compressor, DICTIONARY, TDEFLFlush::Sync, &mut stored);
            stored.clear();
            stored.push(MARK);
            deflate_into(compressor, body, TDEFLFlush::Finish, &mut stored);
            Self(stored)
        })
    }

    /// Takes bytes that [`CompressedBody::as_bytes`] gave before.
    pub const fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The deflated bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The body as received. One without the mark was deflated by itself.
    ///
    /// # Errors
    /// [`BodyError::NotDeflated`].
    pub fn inflate(&self) -> Result<Vec<u8>, BodyError> {
        match self.0.split_first() {
            Some((&MARK, deflated)) => inflate_after_dictionary(deflated),
            _ => decompress_to_vec_with_limit(&self.0, MAX_INFLATED_BYTES).ok(),
        }
        .ok_or(BodyError::NotDeflated)
    }
}

/// Appends what `input` becomes.
fn deflate_into(
    compressor: &mut CompressorOxide,
    mut input: &[u8],
    flush: TDEFLFlush,
    output: &mut Vec<u8>,
) {
    loop {
        let written = output.len();
        // Room for what does not get smaller, so that one round is the rule and a flush is marked once.
        output.resize(written + input.len() + input.len() / 8 + 64, 0);
        let room = output.get_mut(written..).unwrap_or_default();
        let (status, taken, made) = compress(compressor, input, room, flush);
        output.truncate(written + made);
        input = input.get(taken..).unwrap_or_default();
        let is_done = if flush == TDEFLFlush::Finish {
            status != TDEFLStatus::Okay
        } else {
            input.is_empty()
        };
        if is_done {
            return;
        }
    }
}

/// Inflates what refers back to [`DICTIONARY`]; `None` when it cannot be, or is longer than any webhook.
fn inflate_after_dictionary(mut deflated: &[u8]) -> Option<Vec<u8>> {
    let most = DICTIONARY.len() + MAX_INFLATED_BYTES;
    let mut body = DICTIONARY.to_vec();
    let mut end = body.len();
    body.resize((end + deflated.len().saturating_mul(4)).min(most), 0);
    let mut inflater = Box::<DecompressorOxide>::default();
    loop {
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, taken, made) = decompress(&mut inflater, deflated, &mut body, end, flags);
        end += made;
        if status == TINFLStatus::Done {
            body.truncate(end);
            return Some(body.split_off(DICTIONARY.len()));
        }
        if status != TINFLStatus::HasMoreOutput || body.len() >= most {
            return None;
        }
        deflated = deflated.get(taken..)?;
        body.resize(body.len().saturating_mul(2).min(most), 0);
    }
}

impl fmt::Debug for CompressedBody {
    /// Its size only: the body holds personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompressedBody({} bytes)", self.0.len())
    }
}

impl TryFrom<String> for CompressedBody {
    type Error = BodyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64
            .decode(text)
            .map(Self)
            .map_err(|_| BodyError::NotBase64)
    }
}

impl From<CompressedBody> for String {
    fn from(body: CompressedBody) -> Self {
        BASE64.encode(body.0)
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;
    use proptest::prelude::*;

    use super::*;
    use crate::Sha256Hex;

    fn inflated(stored: &[u8]) -> Result<Vec<u8>, BodyError> {
        CompressedBody::from_stored(stored.to_vec()).inflate()
    }

    proptest! {
        #[test]
        fn any_body_survives_its_storage(body in prop::collection::vec(any::<u8>(), 0..4_096), times in 1..64_usize) {
            let body = body.repeat(times);
            prop_assert_eq!(CompressedBody::deflate(&body).inflate(), Ok(body));
        }

        #[test]
        fn any_bytes_are_inflated_or_refused(stored in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = inflated(&stored);
            let _ = inflated(&[&[MARK], stored.as_slice()].concat());
        }
    }

    #[test]
    fn a_body_survives_a_message() {
        let stored = CompressedBody::deflate(br#"{"code":"EAA6CAC9D5"}"#);

        assert_eq!(
            CompressedBody::try_from(String::from(stored.clone())),
            Ok(stored)
        );
    }

    #[test]
    fn a_body_that_was_deflated_by_itself_can_still_be_read() {
        for body in [&b""[..], b"{}", &[7; 1_000], DICTIONARY] {
            let alone = compress_to_vec(body, 6);
            assert_ne!(alone.first(), Some(&MARK));
            assert_eq!(inflated(&alone), Ok(body.to_vec()));
        }
    }

    #[test]
    fn the_dictionary_never_changes() {
        assert_eq!(
            Sha256Hex::of(DICTIONARY).as_str(),
            "420c5163093dfdef09a6b36120fc138a34f9ae34cb2c73448861c1139f14f192"
        );
    }

    #[test]
    fn a_body_that_is_not_ours_is_an_error_and_never_fills_the_memory() {
        for stored in [&[0xff; 8][..], &[], &[MARK], &[MARK, 0xff]] {
            assert_eq!(inflated(stored), Err(BodyError::NotDeflated));
        }
        let longest = vec![0; MAX_INFLATED_BYTES];
        assert_eq!(CompressedBody::deflate(&longest).inflate(), Ok(longest));
        let bomb = CompressedBody::deflate(&vec![0; MAX_INFLATED_BYTES + 1]);
        assert_eq!(bomb.inflate(), Err(BodyError::NotDeflated));
        assert_eq!(
            CompressedBody::try_from("#".to_owned()),
            Err(BodyError::NotBase64)
        );
    }

    #[test]
    fn a_body_is_never_printed() {
        assert_eq!(
            format!("{:?}", CompressedBody::from_stored(b"abc".to_vec())),
            "CompressedBody(3 bytes)"
        );
    }
}
