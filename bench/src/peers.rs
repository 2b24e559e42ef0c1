//! The functions of others: how they are installed, built and started. Everything goes to `.dev/bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::certificates::Certificates;
use crate::contestants::{Contestant, Role, native, run};

/// What Python's runtime interface client and its installer bring, which Lambda's runtime has of its own.
const NOT_DEPLOYED: [&str; 6] = [
    "awslambdaric",
    "pip",
    "pkg_resources",
    "setuptools",
    "simplejson",
    "snapshot_restore_py",
];

/// Installs and builds all peers. What is there already and unchanged is left alone.
///
/// # Errors
/// When an installer or compiler fails.
pub(crate) fn install(repository: &Path) -> Result<()> {
    rust(repository)?;
    typescript(repository)?;
    python(repository)
}

/// One by one: built together they would share their dependencies' features.
fn rust(repository: &Path) -> Result<()> {
    let bench = repository.join("bench");
    let plain = ["build", "--locked", "--release", "-p", "plain-rust"];
    run(&bench, "cargo", &plain)?;
    let floor = ["build", "--locked", "--profile", "floor", "-p", "floor"];
    run(&bench, "cargo", &floor)
}

fn typescript(repository: &Path) -> Result<()> {
    let from = repository.join("bench/peers/typescript");
    let to = repository.join(".dev/bench/typescript");
    copy(&from, &to)?;
    let lock = fs::read_to_string(from.join("package-lock.json"))?;
    let installed = to.join("installed.lock");
    if fs::read_to_string(&installed).ok().as_ref() != Some(&lock) {
        run(
            &to,
            "npm",
            &["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        )?;
        native_client(repository, &from, &to)?;
        fs::write(&installed, lock)?;
    }
    run(&to, "node", &["build.mjs"])
}

/// Builds the native half of the runtime interface client, without which it does not run.
fn native_client(repository: &Path, from: &Path, to: &Path) -> Result<()> {
    let tools = repository.join(".dev/bench/native-build");
    let requirements = from
        .join("native-build-requirements.txt")
        .display()
        .to_string();
    environment(&tools, &requirements)?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("npm");
    command
        .args(["rebuild", "aws-lambda-ric"])
        .current_dir(to)
        .env("PATH", format!("{}:{path}", tools.join("bin").display()));
    if let Some(headers) = node_headers() {
        command.env("npm_config_nodedir", headers);
    }
    eprintln!("$ npm rebuild aws-lambda-ric");
    let built = command.output().context("cannot run npm")?;
    anyhow::ensure!(
        built.status.success(),
        "npm rebuild aws-lambda-ric failed: {}",
        String::from_utf8_lossy(&built.stderr)
    );
    Ok(())
}

/// Where Node was installed with its headers, so that they need not be downloaded.
fn node_headers() -> Option<PathBuf> {
    let output = Command::new("node")
        .args(["-p", "process.execPath"])
        .output()
        .ok()?;
    let program = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let prefix = program.parent()?.parent()?;
    prefix
        .join("include/node/node_api.h")
        .exists()
        .then(|| prefix.to_owned())
}

fn python(repository: &Path) -> Result<()> {
    let from = repository.join("bench/peers/python");
    let to = repository.join(".dev/bench/python");
    let requirements = from.join("requirements.txt");
    environment(&to, &requirements.display().to_string())?;
    let functions = to.join("functions");
    copy(&from, &functions)?;
    let compile = ["-m", "compileall", "-q", "."];
    run(
        &functions,
        &to.join("bin/python3").display().to_string(),
        &compile,
    )
}

/// A virtual environment with these requirements, made anew when they have changed.
fn environment(folder: &Path, requirements: &str) -> Result<()> {
    let wanted = fs::read_to_string(requirements)?;
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).ok().as_ref() == Some(&wanted) {
        return Ok(());
    }
    let path = folder.display().to_string();
    run(Path::new("."), "python3", &["-m", "venv", "--clear", &path])?;
    let pip = folder.join("bin/pip").display().to_string();
    run(
        Path::new("."),
        &pip,
        &["install", "-q", "--require-hashes", "-r", requirements],
    )?;
    fs::write(installed, wanted)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// All peers, once they are installed.
///
/// # Errors
/// When one is not there.
pub(crate) fn all(repository: &Path, certificates: &Certificates) -> Result<Vec<Contestant>> {
    let built = repository.join("bench/target");
    let webhook = Role::ArmadaWebhook;
    let mut peers = vec![
        native("floor", webhook, &built.join("floor/floor-webhook"))?,
        native("plain-rust", webhook, &built.join("release/plain-webhook"))?,
        native(
            "plain-rust-consumer",
            Role::Consumer,
            &built.join("release/plain-consumer"),
        )?,
    ];
    for peer in &mut peers {
        // Trust as in Lambda: the plain one parses what the system trusts, the floor Amazon's roots.
        peer.set("SSL_CERT_FILE", certificates.system.display());
        peer.set("AWS_CA_BUNDLE", certificates.amazon.display());
    }
    let typescript = repository.join(".dev/bench/typescript");
    let python = repository.join(".dev/bench/python");
    for (name, role, folder) in [
        ("typescript", webhook, "webhook"),
        (
            "typescript-idempotency",
            Role::IdempotentWebhook,
            "webhook-idempotency",
        ),
        ("typescript-consumer", Role::Consumer, "consumer"),
        (
            "typescript-consumer-single",
            Role::SingleUpdateConsumer,
            "consumer-single-update",
        ),
    ] {
        peers.push(node(name, role, &typescript, folder, certificates)?);
    }
    for (name, role, module) in [
        ("python", webhook, "webhook"),
        (
            "python-idempotency",
            Role::IdempotentWebhook,
            "webhook_idempotency",
        ),
        ("python-consumer", Role::Consumer, "consumer"),
        (
            "python-consumer-single",
            Role::SingleUpdateConsumer,
            "consumer_single_update",
        ),
    ] {
        peers.push(cpython(name, role, &python, module, certificates)?);
    }
    Ok(peers)
}

fn node(
    name: &'static str,
    role: Role,
    typescript: &Path,
    folder: &str,
    certificates: &Certificates,
) -> Result<Contestant> {
    let typescript = typescript.canonicalize()?;
    let client = typescript.join("node_modules/aws-lambda-ric/index.mjs");
    let folder = typescript.join("dist").join(folder);
    let mut peer = Contestant {
        name,
        role,
        command: vec![
            "node".to_owned(),
            client.display().to_string(),
            "index.handler".to_owned(),
        ],
        package: vec![folder.join("index.mjs")],
        folder,
        variables: Vec::new(),
        is_native: false,
    };
    peer.set("_HANDLER", "index.handler");
    peer.set("NODE_EXTRA_CA_CERTS", certificates.authority.display());
    // It would be said at every cold start, and counted.
    peer.set("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", true);
    Ok(peer)
}

fn cpython(
    name: &'static str,
    role: Role,
    python: &Path,
    module: &str,
    certificates: &Certificates,
) -> Result<Contestant> {
    let python = python.canonicalize()?;
    let handler = format!("{module}.handler");
    let interpreter = python.join("bin/python3").display().to_string();
    let folder = python.join("functions");
    let mut package = deployed(&python)?;
    package.extend(sources(&folder)?);
    let mut peer = Contestant {
        name,
        role,
        command: vec![
            interpreter,
            "-m".to_owned(),
            "awslambdaric".to_owned(),
            handler.clone(),
        ],
        folder,
        variables: Vec::new(),
        package,
        is_native: false,
    };
    peer.set("_HANDLER", handler);
    peer.set("AWS_CA_BUNDLE", certificates.system.display());
    Ok(peer)
}

/// The packages that a deployment needs beside the functions.
fn deployed(python: &Path) -> Result<Vec<PathBuf>> {
    let library = fs::read_dir(python.join("lib"))?
        .flatten()
        .next()
        .context("no library in the virtual environment")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(library.path().join("site-packages"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_left_out = NOT_DEPLOYED.iter().any(|other| name.starts_with(other))
            || name.ends_with(".dist-info")
            || name.starts_with("runtime_client")
            || name.starts_with("_distutils")
            || name.starts_with("distutils")
            || name == "__pycache__"
            || name == "bin";
        if !is_left_out {
            found.push(path);
        }
    }
    Ok(found)
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(entries
        .filter(|path| path.extension().is_some_and(|end| end == "py"))
        .collect())
}
