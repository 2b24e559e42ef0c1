//! The drill of `docs/operations.md`, with its own commands, and those commands of its entries that the local stack can
//! carry out.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::runbook_page::{Block, Documented, Expected, blocks};
use crate::stack::{Stack, bootstrap, target_folder};
use crate::tests;

tests![the_drill_and_the_entries_of_the_runbook_do_what_the_page_says];

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The function that reads Armada's webhooks, and so the one that a drill's change of its mapping is about.
const REBUILT: &str = "armada-webhook";
/// For how long the page asks its reader to repeat a command.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);
/// What a shell says when a command has ended.
const ENDED: &str = "=== ended with";
/// What the page says of the entries' commands, each tried after the command that has this in it.
const EFFECTS: [(&str, &str, &str); 5] = [
    (
        "update-alias",
        r#"aws lambda get-alias --function-name "$FUNCTION" --name live"#,
        r#"# shows: "FunctionVersion": "1""#,
    ),
    (
        " --no-enabled",
        r#"aws lambda get-event-source-mapping --uuid "$CONSUMER""#,
        r#"# shows: "State": "Disabled""#,
    ),
    (
        " --enabled",
        r#"aws lambda get-event-source-mapping --uuid "$CONSUMER""#,
        r#"# shows: "State": "Enabled""#,
    ),
    (
        "--reserved-concurrent-executions 0",
        "hookctl send armada en_route",
        "# refused: 429",
    ),
    (
        "delete-function-concurrency",
        "hookctl send armada en_route",
        "# shows: 200",
    ),
];

fn the_drill_and_the_entries_of_the_runbook_do_what_the_page_says(stack: &Stack) {
    let page = blocks();
    let mut drill = Drill::begin(stack);
    drill.shell.run(the_word_output(&page));
    let (entries, breaks): (Vec<Block>, Vec<Block>) = page
        .into_iter()
        .filter(|block| block.heading.len() > 2)
        .partition(|block| block.heading.starts_with('R'));

    let first = breaks
        .iter()
        .position(|block| block.heading.starts_with("D1 "))
        .unwrap();
    for command in breaks[first..].iter().flat_map(|block| &block.commands) {
        drill.carry_out(command);
    }
    drill.try_entries(&entries);
}

/// The function `output` of the page's top.
fn the_word_output(page: &[Block]) -> &Documented {
    let mut all = page.iter().flat_map(|block| &block.commands);
    let found = all.find(|command| command.text.starts_with("output() {"));
    found.expect("the page says what `output` is")
}

/// Somebody who goes through it, in a copy of the repository.
struct Drill {
    folder: PathBuf,
    shell: Shell,
}

impl Drill {
    fn begin(stack: &Stack) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drill");
        copy_sources(&folder.join("repository"));
        Self {
            shell: Shell::start(stack, &folder),
            folder,
        }
    }

    /// Does what the page says, and looks for what it says will be seen.
    fn carry_out(&mut self, command: &Documented) {
        self.shell.run(command);
        if command.text.contains("shared/providers/") {
            self.reload();
        }
    }

    /// What `make up` does by itself when a file has changed. As committed, the function is built already.
    fn reload(&mut self) {
        let repository = self.folder.join("repository");
        let changed = git(&repository, &["diff", "--quiet", "--", "shared"]);
        let built = match changed.status.code() {
            Some(0) => bootstrap(REBUILT),
            Some(1) => build(&repository),
            _ => panic!("{}", String::from_utf8_lossy(&changed.stderr)),
        };
        let binaries = self.folder.join("lambda");
        fs::create_dir_all(binaries.join(REBUILT)).unwrap();
        fs::copy(built, binaries.join(REBUILT).join("bootstrap")).unwrap();
        self.shell.succeeds(&format!(
            r#"hookctl dev pack --bootstraps '{0}' --into '{0}' &&
               aws lambda update-function-code --function-name "$(output ArmadaWebhookFunctionName)" \
                 --zip-file 'fileb://{0}/{REBUILT}.zip'"#,
            binaries.display()
        ));
    }

    /// Carries out what the entries say of functions, and tries what it does.
    fn try_entries(&mut self, entries: &[Block]) {
        // The local stack has no alias: here are two versions of a function, and an alias on the second.
        self.shell.succeeds(
            r#"F=$(output ArmadaWebhookFunctionName); VERSION=1
               aws lambda publish-version --function-name "$F" &&
               aws lambda update-function-configuration --function-name "$F" --description second &&
               aws lambda publish-version --function-name "$F" &&
               aws lambda create-alias --function-name "$F" --name live --function-version 2"#,
        );
        let mut tried = Vec::new();
        for command in entries.iter().flat_map(|block| &block.commands) {
            if !command.text.contains("aws lambda ") && !command.text.starts_with("FUNCTION=") {
                continue;
            }
            self.shell.run(command);
            for (part, question, answer) in EFFECTS {
                if command.text.contains(part) {
                    let question = format!("{question} {answer}");
                    self.shell.run(&Documented::parse(&question));
                    tried.push(part);
                }
            }
        }
        assert_eq!(tried, EFFECTS.map(|(part, ..)| part));
    }
}

/// Copies what git knows, as it is now. What has not changed since the last time is left as it is, and so is what was
/// built of it.
fn copy_sources(into: &Path) {
    let listed = git(Path::new(ROOT), &["ls-files", "-z"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    for file in listed.split_terminator('\0') {
        // Deleted, and not committed yet.
        let Ok(bytes) = fs::read(Path::new(ROOT).join(file)) else {
            continue;
        };
        let bytes = if file == "Cargo.toml" {
            of_its_own(&bytes)
        } else {
            bytes
        };
        let copy = into.join(file);
        if fs::read(&copy).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::write(copy, bytes).unwrap();
        }
    }
    for arguments in [&["init", "--quiet"][..], &["add", "--all"]] {
        let done = git(into, arguments);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

/// The workspace with a version of its own. Cargo would take its crates for those of the repository, whose target folder
/// they share, and overwrite what was built of them.
fn of_its_own(manifest: &[u8]) -> Vec<u8> {
    let version = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"\n");
    let manifest = String::from_utf8_lossy(manifest);
    assert_eq!(manifest.matches(version).count(), 1);
    let drill = version.replace("\"\n", "-drill\"\n");
    manifest.replace(version, &drill).into_bytes()
}

fn git(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(folder).output().unwrap()
}

/// Builds the function from changed sources. A debug build, and with the features that the tests are built with: so
/// only the few crates of this repository are compiled.
fn build(repository: &Path) -> PathBuf {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--offline", "--workspace"])
        .args(["--features", "pipeline-tests/end-to-end"])
        // A test among what is built makes cargo choose the dependencies' features as for tests.
        .args(["--bin", REBUILT, "--test", "allocations"])
        .env("CARGO_TARGET_DIR", target_folder())
        .current_dir(repository);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // `cargo test` sets these for this test. A build script that reads them would run again.
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            cargo.env_remove(&*name);
        }
    }
    let built = cargo.output().unwrap();
    let stderr = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{stderr}");
    target_folder().join("debug").join(REBUILT)
}

/// A shell that knows the stack, as that of a person who has set the variables of the drill.
struct Shell {
    bash: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    fn start(stack: &Stack, folder: &Path) -> Self {
        let programs = folder.join("bin");
        fs::create_dir_all(&programs).unwrap();
        let hookctl = programs.join("hookctl");
        let _ = fs::remove_file(&hookctl);
        symlink(std::env::current_exe().unwrap(), &hookctl).unwrap();
        let path = format!(
            "{}:{ROOT}/.dev/python/bin:{}",
            programs.display(),
            aws::environment("PATH").unwrap_or_default()
        );
        let mut bash = stack
            .environment(Command::new("bash"))
            .args(["--noprofile", "--norc"])
            .env("PATH", path)
            .env("HOME", folder)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .current_dir(folder.join("repository"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(bash.stdout.take().unwrap()).lines();
        Self {
            stdin: bash.stdin.take(),
            bash,
            lines,
        }
    }

    /// Runs a command, with what it says about itself, as often as the page allows.
    #[track_caller]
    fn run(&mut self, command: &Documented) {
        let Documented { text, expected } = command;
        let (succeeds, words) = match expected {
            Expected::Success => return self.succeeds(text),
            Expected::Shows(words) => (true, words),
            Expected::Refused(words) => (false, words),
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (code, said) = self.ask(text);
            if (code == 0) == succeeds && said.contains(words) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{text}\nshould end with {expected:?}, and ended with {code}:\n{said}"
            );
            std::thread::sleep(POLL);
        }
    }

    #[track_caller]
    fn succeeds(&mut self, text: &str) {
        let (code, said) = self.ask(text);
        assert_eq!(code, 0, "{text}\n{said}");
    }

    /// The exit code of a command, and what it said. What it sets stays set.
    fn ask(&mut self, text: &str) -> (i32, String) {
        let stdin = self.stdin.as_mut().unwrap();
        write!(
            stdin,
            "{{ {text}\n}} </dev/null 2>&1; CODE=$?; echo; echo {ENDED} $CODE\n"
        )
        .unwrap();
        let mut said = String::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if let Some(code) = line.strip_prefix(ENDED) {
                return (code.trim().parse().unwrap(), said);
            }
            said.push_str(&line);
            said.push('\n');
        }
        panic!("the shell ended: {said}");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.stdin.take()); // which ends it
        let _ = self.bash.wait();
    }
}
