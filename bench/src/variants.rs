//! The webhook function built in other ways: what each setting of the build and each early connection is worth.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::certificates::Certificates;
use crate::contestants::{Contestant, Role, native, run};

/// How one differs from what is deployed.
struct Variant {
    name: &'static str,
    /// Variables of the build.
    build: &'static [(&'static str, &'static str)],
    /// A target to be named, for flags that must not reach build scripts.
    target: Option<&'static str>,
    /// A change of the source, in `bench/variants`.
    patch: Option<&'static str>,
    /// Whether everything the system trusts is parsed.
    system_roots: bool,
}

/// The variant that the others are compared with.
pub(crate) const DEPLOYED_NAME: &str = "as deployed";

const DEPLOYED: Variant = Variant {
    name: DEPLOYED_NAME,
    build: &[],
    target: None,
    patch: None,
    system_roots: false,
};

const STATIC: &str = "-C target-feature=+crt-static -C relocation-model=static";

const VARIANTS: [Variant; 7] = [
    DEPLOYED,
    Variant {
        name: "system roots",
        system_roots: true,
        ..DEPLOYED
    },
    Variant {
        name: "no early connection",
        patch: Some("no-early-connection.patch"),
        ..DEPLOYED
    },
    Variant {
        name: "connection during init",
        patch: Some("connection-during-init.patch"),
        ..DEPLOYED
    },
    Variant {
        name: "panic = abort",
        build: &[("CARGO_PROFILE_RELEASE_PANIC", "abort")],
        ..DEPLOYED
    },
    Variant {
        name: "opt-level = s",
        build: &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")],
        ..DEPLOYED
    },
    Variant {
        name: "static",
        build: &[("RUSTFLAGS", STATIC)],
        target: Some("x86_64-unknown-linux-gnu"),
        ..DEPLOYED
    },
];

/// Builds all variants of Armada's function; those of the same build share it.
///
/// # Errors
/// When one does not build, or a patch does not apply any more.
pub(crate) fn build(repository: &Path, certificates: &Certificates) -> Result<Vec<Contestant>> {
    let folder = repository.join(".dev/bench/variants");
    fs::create_dir_all(&folder)?;
    let built = VARIANTS
        .iter()
        .map(|variant| {
            let program = folder.join(variant.name.replace([' ', '='], "-"));
            if !variant.system_roots {
                fs::copy(variant.build(repository, &folder)?, &program)?;
            } else {
                fs::copy(folder.join(DEPLOYED.name.replace(' ', "-")), &program)?;
            }
            let mut contestant = native(variant.name, Role::ArmadaWebhook, &program)?;
            let roots = if variant.system_roots {
                &certificates.system
            } else {
                &certificates.amazon
            };
            contestant.set("SSL_CERT_FILE", roots.display());
            Ok(contestant)
        })
        .collect();
    forget_worktree(repository, &folder.join("source"))?;
    built
}

fn forget_worktree(repository: &Path, source: &Path) -> Result<()> {
    if source.exists() {
        let path = source.display().to_string();
        run(repository, "git", &["worktree", "remove", "--force", &path])?;
    }
    Ok(())
}

impl Variant {
    /// Builds it from the commit that is checked out.
    fn build(&self, repository: &Path, folder: &Path) -> Result<PathBuf> {
        let source = folder.join("source");
        forget_worktree(repository, &source)?;
        run(
            repository,
            "git",
            &[
                "worktree",
                "add",
                "--detach",
                &source.display().to_string(),
                "HEAD",
            ],
        )?;
        if let Some(patch) = self.patch {
            let patch = repository
                .join("bench/variants")
                .join(patch)
                .canonicalize()?;
            run(&source, "git", &["apply", &patch.display().to_string()])?;
        }
        let target = folder.join("target");
        let mut command = Command::new("cargo");
        command
            .args(["build", "--locked", "--release", "-p", "armada-webhook"])
            .args(self.target.iter().flat_map(|target| ["--target", target]))
            .envs(self.build.iter().copied())
            .env("CARGO_TARGET_DIR", &target)
            .current_dir(&source);
        eprintln!("$ {command:?}");
        let status = command.status().context("cannot run cargo")?;
        ensure!(
            status.success(),
            "the variant {:?} does not build",
            self.name
        );
        let built = self
            .target
            .map_or_else(|| target.clone(), |name| target.join(name));
        Ok(built.join("release/armada-webhook"))
    }
}
