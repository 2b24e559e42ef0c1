//! The functions' code, in the local stack's S3.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use domain::sha256_hex;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::emulator;
use super::error::DevError;
use super::template::Function;

const BUCKET: &str = "code";
/// Not compressed: it travels from one process of this machine to another.
const LOCAL: CompressionMethod = CompressionMethod::Stored;

/// Uploads every function's `<folder>/<binary>/bootstrap`, or nothing but a name for it where there is no folder
/// because the functions run elsewhere. Gives the address of each, by binary.
///
/// The name holds the code's digest: the same name would tell CloudFormation that nothing has changed.
pub(crate) fn upload(
    endpoint: &str,
    functions: &[Function],
    folder: Option<&Path>,
) -> Result<BTreeMap<String, String>, DevError> {
    emulator::request(endpoint, "s3", "PUT", &format!("/{BUCKET}"), b"")?;
    functions
        .iter()
        .map(|function| {
            let archive = match folder {
                Some(folder) => pack(&folder.join(&function.binary).join("bootstrap"), LOCAL)?,
                None => archive(b"", LOCAL)
                    .map_err(|source| unpackable(Path::new(&function.binary), source))?,
            };
            let digest: String = sha256_hex(&archive).chars().take(16).collect();
            let key = format!("{}-{digest}.zip", function.binary);
            emulator::request(endpoint, "s3", "PUT", &format!("/{BUCKET}/{key}"), &archive)?;
            Ok((function.binary.clone(), format!("s3://{BUCKET}/{key}")))
        })
        .collect()
}

/// A function's archive. The same bytes for the same code, whenever and wherever it was built and whatever its mode is;
/// the compressor is one that Cargo.lock pins.
pub(crate) fn pack(bootstrap: &Path, method: CompressionMethod) -> Result<Vec<u8>, DevError> {
    if !bootstrap.is_file() {
        return Err(DevError::NoBootstrap(bootstrap.to_owned()));
    }
    let code = fs::read(bootstrap).map_err(|source| DevError::file(bootstrap, source))?;
    archive(&code, method).map_err(|source| unpackable(bootstrap, source))
}

fn archive(bootstrap: &[u8], method: CompressionMethod) -> Result<Vec<u8>, ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(method)
        // The first day of 1980, a zip's earliest.
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("bootstrap", options)?;
    archive.write_all(bootstrap)?;
    Ok(archive.finish()?.into_inner())
}

fn unpackable(path: &Path, source: ZipError) -> DevError {
    DevError::Unpackable {
        path: path.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_code_makes_another_archive() {
        assert_eq!(
            archive(b"code", LOCAL).unwrap(),
            archive(b"code", LOCAL).unwrap()
        );
        assert_ne!(
            archive(b"code", LOCAL).unwrap(),
            archive(b"other", LOCAL).unwrap()
        );
    }
}
