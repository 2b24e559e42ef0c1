//! `make deploy`, with a `sam` and a `hookctl` that only write down what they are asked for.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Everything else that it calls.
const TOOLS: [&str; 8] = ["awk", "bash", "cat", "dirname", "env", "git", "make", "sh"];

/// A clone of what a deployment needs, with one commit.
struct Clone {
    folder: PathBuf,
    environment: &'static str,
}

/// What a deployment did and said.
struct Deployed {
    is_done: bool,
    /// What `sam` and `hookctl` were asked for.
    calls: Vec<String>,
    stderr: String,
}

impl Clone {
    fn new(name: &str, environment: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deploy-{name}"));
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(folder.join("bin")).unwrap();
        let clone = Self {
            folder,
            environment,
        };
        for tool in TOOLS {
            symlink(installed(tool), clone.folder.join("bin").join(tool)).unwrap();
        }
        // The pinned one: a machine's own may be a shim that needs more than itself.
        let python = Path::new(ROOT).join(".dev/python/bin/python");
        symlink(
            python.canonicalize().unwrap(),
            clone.folder.join("bin/python3"),
        )
        .unwrap();
        for name in ["sam", "hookctl"] {
            clone.put(name, "exit 0");
        }
        for file in ["Makefile", "deploy.sh", "samconfig.toml"] {
            fs::copy(Path::new(ROOT).join(file), clone.folder.join(file)).unwrap();
        }
        fs::write(clone.folder.join(".gitignore"), "bin\ncalls\n").unwrap();
        clone.git(&["init", "--quiet"]);
        clone.git(&["add", "."]);
        clone.git(&["commit", "--quiet", "--message", "A release"]);
        clone.git(&["tag", "v1"]);
        clone
    }

    /// Puts a program there that writes down what it is asked for, and ends so.
    fn put(&self, name: &str, end: &str) {
        let path = self.folder.join("bin").join(name);
        let calls = self.folder.join("calls");
        let text = format!(
            "#!/bin/sh\necho \"{name} $*\" >>'{}'\n{end}\n",
            calls.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = self.command("git");
        for option in ["user.name=Test", "user.email=test@example.com"] {
            git.args(["-c", option]);
        }
        assert!(git.args(arguments).status().unwrap().success());
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("bin").join(name));
        command
            .env_clear()
            .env("PATH", self.folder.join("bin"))
            .env("HOME", &self.folder)
            .current_dir(&self.folder);
        command
    }

    fn deploy(&self) -> Deployed {
        let mut make = self.command("make");
        make.args(["deploy", "HOOKCTL=hookctl"]);
        if !self.environment.is_empty() {
            make.arg(format!("ENV={}", self.environment));
        }
        let output = make.output().unwrap();
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        Deployed {
            is_done: output.status.success(),
            calls: calls.lines().map(str::to_owned).collect(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Where a program of this machine is.
fn installed(tool: &str) -> String {
    let asked = Command::new("sh")
        .args(["-c", "command -v \"$0\"", tool])
        .output();
    let path = String::from_utf8(asked.unwrap().stdout).unwrap();
    path.trim_end().to_owned()
}

#[test]
fn a_release_is_built_deployed_and_then_checked() {
    let deployed = Clone::new("prod", "prod").deploy();

    assert!(deployed.is_done, "{}", deployed.stderr);
    assert_eq!(
        deployed.calls,
        [
            "hookctl --version",
            "sam build --config-env prod",
            "sam deploy --config-env prod",
            "hookctl --stack-name delivery-webhooks-prod --region us-east-1 smoke",
        ]
    );
}

#[test]
fn without_an_environment_it_is_your_own_stack_as_it_lies_there() {
    let clone = Clone::new("dev", "");
    fs::write(clone.folder.join("not-committed"), "").unwrap();

    let deployed = clone.deploy();

    assert!(deployed.is_done, "{}", deployed.stderr);
    assert_eq!(deployed.calls[1], "sam build --config-env default");
    assert_eq!(deployed.calls[2], "sam deploy --config-env default");
    assert_eq!(
        deployed.calls[3],
        "hookctl --stack-name delivery-webhooks-dev --region us-east-1 smoke"
    );
}

#[test]
fn what_is_no_commit_is_not_released() {
    for (name, file) in [("changed", "samconfig.toml"), ("new", "new-file")] {
        let clone = Clone::new(name, "prod");
        let path = clone.folder.join(file);
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + "\n").unwrap();

        let deployed = clone.deploy();

        assert!(!deployed.is_done);
        assert!(deployed.calls.is_empty(), "{:?}", deployed.calls);
        assert!(
            deployed.stderr.contains("must be a commit") && deployed.stderr.contains(file),
            "{}",
            deployed.stderr
        );
    }
}

#[test]
fn without_sam_or_with_an_unknown_environment_it_says_what_to_do() {
    let clone = Clone::new("no-sam", "dev");
    fs::remove_file(clone.folder.join("bin/sam")).unwrap();
    let deployed = clone.deploy();
    assert!(!deployed.is_done && deployed.calls.is_empty());
    assert!(
        deployed.stderr.contains("`sam` is not installed: https://"),
        "{}",
        deployed.stderr
    );

    let deployed = Clone::new("no-such-environment", "staging").deploy();
    assert!(!deployed.is_done && deployed.calls.is_empty());
    assert!(
        deployed.stderr.contains("`staging`: use ENV=dev"),
        "{}",
        deployed.stderr
    );
}

#[test]
fn what_was_not_deployed_is_not_checked() {
    for step in ["build", "deploy"] {
        let clone = Clone::new(&format!("fails-to-{step}"), "prod");
        clone.put("sam", &format!("[ $1 != {step} ]"));

        let deployed = clone.deploy();

        assert!(!deployed.is_done);
        let last = deployed.calls.last().unwrap();
        assert_eq!(*last, format!("sam {step} --config-env prod"));
    }
}

#[test]
fn a_release_that_does_not_pass_says_how_to_go_back() {
    let clone = Clone::new("fails-the-check", "prod");
    clone.put("hookctl", "[ $1 = --version ]");

    let deployed = clone.deploy();

    assert!(!deployed.is_done);
    for told in [
        "v1 is live on delivery-webhooks-prod",
        "docs/operations.md, R1",
        "git checkout TAG",
        "make deploy ENV=prod",
    ] {
        assert!(
            deployed.stderr.contains(told),
            "{told}: {}",
            deployed.stderr
        );
    }
}
