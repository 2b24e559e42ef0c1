//! The tools of the local stack: a Python environment in `.dev/python`, pinned by `cli/dev/requirements.txt`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use domain::sha256_hex;

use super::error::DevError;
use super::process::ProcessGroup;
use crate::output::Output;

const REQUIREMENTS: &str = "cli/dev/requirements.txt";
/// Newest first: a machine may have several, and its `python3` may be the oldest.
const PYTHONS: [&str; 6] = [
    "python3",
    "python3.15",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
];
/// Succeeds on a Python that can make the environment.
const IS_USABLE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
/// How often it is looked whether another installation is done.
const POLL: Duration = Duration::from_millis(200);

/// The folder of everything that the local stack writes.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join(".dev")
}

/// The environment's own Python.
pub(crate) fn python(root: &Path) -> PathBuf {
    environment(root).join("bin/python")
}

/// The environment's `cargo-lambda`.
pub(crate) fn cargo_lambda(root: &Path) -> PathBuf {
    environment(root).join("bin/cargo-lambda")
}

/// Checks that the tools are installed.
pub(crate) fn require(root: &Path) -> Result<(), DevError> {
    if is_installed(root)? {
        Ok(())
    } else {
        Err(DevError::ToolsMissing)
    }
}

/// Installs the tools, unless they are installed already.
pub(crate) async fn install(root: &Path, output: Output) -> Result<(), DevError> {
    let folder = folder(root);
    fs::create_dir_all(&folder).map_err(|source| DevError::file(&folder, source))?;
    let _lock = lock(&folder.join("tools.lock"), output).await?;
    if is_installed(root)? {
        return Ok(());
    }

    let system_python = find_python()?;
    output.message("installing the local tools into .dev/python, once (540 MB)");
    // Without it until the end, so that an installation that was cut off is not taken for a whole one.
    let stamp_file = stamp_file(root);
    if stamp_file.exists() {
        fs::remove_file(&stamp_file).map_err(|source| DevError::file(&stamp_file, source))?;
    }
    let environment = environment(root);
    run(
        "python3 -m venv",
        Command::new(system_python)
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )
    .await?;
    run(
        "pip install",
        Command::new(python(root))
            // cargo-lambda asks for ziglang, 400 MB that only cross-compiling needs; hence `--no-deps`.
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "--requirement",
            ])
            .arg(root.join(REQUIREMENTS))
            .args(["--no-input", "--disable-pip-version-check"]),
    )
    .await?;
    fs::write(&stamp_file, stamp(root)?).map_err(|source| DevError::file(&stamp_file, source))
}

/// Runs a command to its end. What it says goes to stderr, where it does not mix with results.
pub(crate) async fn run(what: &'static str, command: &mut Command) -> Result<(), DevError> {
    let program = PathBuf::from(command.get_program());
    let not_started = |source| DevError::not_started(&program, source);
    let started = ProcessGroup::start(command.stdout(Stdio::from(io::stderr())));
    let status = started
        .map_err(not_started)?
        .ended()
        .await
        .map_err(not_started)?;
    if status.success() {
        Ok(())
    } else {
        Err(DevError::CommandFailed { what, status })
    }
}

fn environment(root: &Path) -> PathBuf {
    folder(root).join("python")
}

fn stamp_file(root: &Path) -> PathBuf {
    environment(root).join("installed")
}

fn is_installed(root: &Path) -> Result<bool, DevError> {
    let stamp = stamp(root)?;
    Ok(python(root).is_file() && fs::read_to_string(stamp_file(root)).is_ok_and(|it| it == stamp))
}

/// What the environment depends on: the requirements; where it is, because its scripts name that place; and which
/// Python it is made of, because another version has its packages elsewhere.
fn stamp(root: &Path) -> Result<String, DevError> {
    let path = root.join(REQUIREMENTS);
    let requirements = fs::read(&path).map_err(|source| DevError::file(&path, source))?;
    let made_of = fs::canonicalize(python(root)).unwrap_or_default();
    Ok(format!(
        "{}\n{}\n{}\n",
        sha256_hex(&requirements),
        environment(root).display(),
        made_of.display()
    ))
}

fn find_python() -> Result<&'static str, DevError> {
    let is_usable = |python: &&str| {
        let run = Command::new(python)
            .args(["-c", IS_USABLE])
            .stdin(Stdio::null())
            .output();
        run.is_ok_and(|run| run.status.success())
    };
    PYTHONS
        .into_iter()
        .find(is_usable)
        .ok_or(DevError::NoPython)
}

/// Waits until no other process installs.
async fn lock(path: &Path, output: Output) -> Result<File, DevError> {
    let file = File::create(path).map_err(|source| DevError::file(path, source))?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(DevError::file(path, source)),
            Err(TryLockError::WouldBlock) => {
                if !said {
                    output.message("waiting for another installation of the local tools");
                    said = true;
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }
}
