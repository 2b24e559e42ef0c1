//! A test authority whose chain has the shape of AWS's: a root, an intermediate and a leaf, all RSA-2048.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Where Debian, and Amazon Linux by a link, keep the certificates that the system trusts.
const SYSTEM_BUNDLES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// The services' certificate, and the files by which functions are told to trust it.
#[derive(Clone)]
pub(crate) struct Certificates {
    /// Accepts TLS connections for `localhost`.
    pub(crate) acceptor: TlsAcceptor,
    /// The test authority alone, for what adds it to authorities of its own.
    pub(crate) authority: PathBuf,
    /// Everything the system trusts, and the test authority.
    pub(crate) system: PathBuf,
    /// Amazon's five roots, and the test authority.
    pub(crate) amazon: PathBuf,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Certificates {
    /// Makes them anew, and writes the bundles into `folder`.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(crate) fn make(folder: &Path, amazon_roots: &Path) -> Result<Self> {
        let root_key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let root_params = authority("Bench Root")?;
        let root = root_params.self_signed(&root_key)?;
        let root_issuer = Issuer::new(root_params, root_key);

        let middle_key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let middle_params = authority("Bench Intermediate")?;
        let middle = middle_params.signed_by(&middle_key, &root_issuer)?;
        let middle_issuer = Issuer::new(middle_params, middle_key);

        let leaf_key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let leaf = CertificateParams::new(["localhost".to_owned()])?
            .signed_by(&leaf_key, &middle_issuer)?;

        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone(), middle.der().clone(), root.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
            )?;

        fs::create_dir_all(folder)?;
        let pem = root.pem();
        let write = |name: &str, others: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, format!("{others}\n{pem}"))
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority: write("authority.pem", "")?,
            system: write("system.pem", &system_bundle()?)?,
            amazon: write("amazon.pem", &fs::read_to_string(amazon_roots)?)?,
        })
    }
}

fn authority(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(params)
}

fn system_bundle() -> Result<String> {
    SYSTEM_BUNDLES
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .with_context(|| format!("none of {SYSTEM_BUNDLES:?} is there; install ca-certificates"))
}
