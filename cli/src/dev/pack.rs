//! `hookctl dev pack`: the functions as the zips that Lambda takes, the same zip for the same bootstrap.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zip::CompressionMethod;

use super::code;
use super::error::DevError;
use crate::arguments::Pack;
use crate::output::Output;
use crate::table;

/// Packs every function that was built.
pub(crate) fn run(options: &Pack, output: Output) -> Result<(), DevError> {
    let packages = pack(&options.bootstraps, &options.into)?;
    Ok(output.result(&Packages { packages })?)
}

/// Makes `<function>.zip` in `into` of each `<function>/bootstrap` in `bootstraps`.
fn pack(bootstraps: &Path, into: &Path) -> Result<Vec<Package>, DevError> {
    let functions = built_functions(bootstraps)?;
    fs::create_dir_all(into).map_err(|source| DevError::file(into, source))?;
    functions
        .into_iter()
        .map(|function| {
            let zip = code::pack(
                &bootstraps.join(&function).join("bootstrap"),
                CompressionMethod::Deflated,
            )?;
            let path = into.join(format!("{function}.zip"));
            fs::write(&path, &zip).map_err(|source| DevError::file(&path, source))?;
            Ok(Package {
                function,
                path,
                bytes: zip.len(),
                code_sha256: STANDARD.encode(Sha256::digest(&zip)),
            })
        })
        .collect()
}

/// The folders that have a bootstrap, by name.
fn built_functions(bootstraps: &Path) -> Result<Vec<String>, DevError> {
    let mut functions = Vec::new();
    // A folder that does not exist has no bootstrap either.
    for entry in fs::read_dir(bootstraps).into_iter().flatten() {
        let entry = entry.map_err(|source| DevError::file(bootstraps, source))?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.path().join("bootstrap").is_file()
        {
            functions.push(name);
        }
    }
    if functions.is_empty() {
        return Err(DevError::NoBootstrap(bootstraps.join("*/bootstrap")));
    }
    functions.sort();
    Ok(functions)
}

#[derive(Serialize)]
struct Packages {
    packages: Vec<Package>,
}

#[derive(Serialize)]
struct Package {
    function: String,
    path: PathBuf,
    bytes: usize,
    /// As Lambda shows it of a function's code.
    code_sha256: String,
}

impl fmt::Display for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["PACKAGE", "BYTES", "CODE SHA-256"].map(str::to_owned)];
        for package in &self.packages {
            rows.push([
                package.path.display().to_string(),
                package.bytes.to_string(),
                package.code_sha256.clone(),
            ]);
        }
        f.write_str(&table::align("", &rows))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions};
    use std::io::{Cursor, Read as _};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, SystemTime};

    use expect_test::expect;
    use zip::ZipArchive;

    use super::*;

    /// A folder of this test's own, gone at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let name = format!("hookctl-{}-{test}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        /// Builds a function, as far as packing is concerned.
        fn build(&self, function: &str, code: &[u8], mode: u32, modified_s: u64) -> PathBuf {
            let folder = self.0.join(function);
            fs::create_dir_all(&folder).unwrap();
            let bootstrap = folder.join("bootstrap");
            fs::write(&bootstrap, code).unwrap();
            fs::set_permissions(&bootstrap, Permissions::from_mode(mode)).unwrap();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(modified_s);
            let file = File::options().append(true).open(&bootstrap).unwrap();
            file.set_modified(modified).unwrap();
            self.0.clone()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Something that a compressor has work with.
    fn code() -> Vec<u8> {
        (0..200_000_u32)
            .flat_map(|n| (n / 7).wrapping_mul(n).to_le_bytes())
            .collect()
    }

    #[test]
    fn the_same_bootstrap_makes_the_same_package_whenever_and_wherever_it_was_built() {
        let (here, there) = (Folder::new("pack-here"), Folder::new("pack-there"));
        let one = here.build("relay", &code(), 0o755, 1_000_000_000);
        let other = there.build("relay", &code(), 0o600, 1_700_000_000);

        let first = pack(&one, &one.join("packages")).unwrap().remove(0);
        let second = pack(&other, &other.join("packages")).unwrap().remove(0);

        assert_eq!(
            fs::read(&first.path).unwrap(),
            fs::read(&second.path).unwrap()
        );
        assert_eq!(first.code_sha256, second.code_sha256);
        // Changes with the compressor. Nothing has to be done about it, but the next release uploads unchanged code.
        expect![["2byEC498qdadoYm2zdE5wqK9vllLI3m48VYSmnAkUj8="]].assert_eq(&first.code_sha256);
    }

    #[test]
    fn a_package_is_one_file_that_lambda_can_run() {
        let folder = Folder::new("pack-content");
        let bootstraps = folder.build("relay", &code(), 0o600, 1_700_000_000);
        let package = pack(&bootstraps, &bootstraps.join("packages"))
            .unwrap()
            .remove(0);

        let zip = fs::read(package.path).unwrap();
        assert_eq!(zip.len(), package.bytes);
        assert!(zip.len() < code().len());
        let mut archive = ZipArchive::new(Cursor::new(zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut unpacked = Vec::new();
        file.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == code());
    }

    #[test]
    fn every_function_that_was_built_is_packed_and_none_is_an_error() {
        let folder = Folder::new("pack-many");
        folder.build("webhook", b"code", 0o755, 0);
        let bootstraps = folder.build("consumer", b"code", 0o755, 0);
        fs::create_dir_all(bootstraps.join("not-built")).unwrap();

        let packages = pack(&bootstraps, &bootstraps.join("packages")).unwrap();

        let names: Vec<_> = packages.iter().map(|it| it.function.as_str()).collect();
        assert_eq!(names, ["consumer", "webhook"]);
        let nothing = bootstraps.join("not-built");
        assert!(matches!(
            pack(&nothing, &nothing),
            Err(DevError::NoBootstrap(_))
        ));
    }

    #[test]
    fn packages_are_listed_with_the_digest_that_lambda_shows() {
        let packages = Packages {
            packages: vec![Package {
                function: "relay".to_owned(),
                path: PathBuf::from("target/packages/relay.zip"),
                bytes: 2_907_114,
                code_sha256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            }],
        };

        expect![[r#"
            PACKAGE                    BYTES    CODE SHA-256
            target/packages/relay.zip  2907114  47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
        "#]]
        .assert_eq(&packages.to_string());
    }
}
