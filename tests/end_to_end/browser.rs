//! A headless Chromium, driven over its DevTools protocol: a line of JSON for each command, through a pipe.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::stack::eventually;

/// How long Chromium may take to answer on a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// The width of a small phone.
pub(crate) const PHONE: (u32, u32) = (360, 740);
/// The size of a desk's screen.
pub(crate) const DESK: (u32, u32) = (1440, 900);

/// A page in a browser of its own.
pub(crate) struct Browser {
    chromium: Child,
    commands: RefCell<ChildStdin>,
    messages: Receiver<Value>,
    session: RefCell<Option<String>>,
    last_id: Cell<u64>,
    /// What the page should not have said: errors, and violations of its own policy.
    complaints: RefCell<Vec<String>>,
    folder: PathBuf,
}

impl Browser {
    /// Starts it with an empty page. What it writes goes to a folder of this name.
    pub(crate) fn start(name: &str) -> Self {
        let root = hookctl::repository_root().unwrap();
        let program = root.join(".dev/browser/chromium");
        assert!(program.is_file(), "no Chromium: run `make browser` first");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(folder.join("profile"));
        fs::create_dir_all(&folder).unwrap();
        // Its pipe is the file descriptors 3 and 4, which only a shell can give.
        let mut chromium = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#])
            .arg(program)
            // The tests run as root in some places, where its sandbox does not, and show it nothing but the board.
            .args(["--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("chromium.log")).unwrap())
            .spawn()
            .unwrap();
        let answers = BufReader::new(chromium.stdout.take().unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in answers.split(0) {
                let message = serde_json::from_slice(&message.unwrap()).unwrap();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let browser = Self {
            commands: RefCell::new(chromium.stdin.take().unwrap()),
            chromium,
            messages,
            session: RefCell::default(),
            last_id: Cell::new(0),
            complaints: RefCell::default(),
            folder,
        };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", &attach);
        *browser.session.borrow_mut() = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    fn ask(&self, method: &str, parameters: &Value) -> Value {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &*self.session.borrow() {
            command["sessionId"] = json!(session);
        }
        let mut pipe = self.commands.borrow_mut();
        write!(pipe, "{command}\0").unwrap();
        pipe.flush().unwrap();
        loop {
            let mut message = self
                .messages
                .recv_timeout(ANSWERED_WITHIN)
                .unwrap_or_else(|error| panic!("{method}: {error}"));
            self.note(&message);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }

    fn note(&self, message: &Value) {
        let parameters = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => &parameters["exceptionDetails"],
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                &parameters["entry"]
            }
            _ => return,
        };
        self.complaints.borrow_mut().push(complaint.to_string());
    }

    /// What the page complained about since it was last asked.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.evaluate("null");
        self.complaints.take()
    }

    /// Opens a page.
    pub(crate) fn open(&self, url: &str) {
        let answer = self.ask("Page.navigate", &json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// Lets the page at this address read and write the clipboard, which a person would be asked for.
    pub(crate) fn allow_clipboard(&self, url: &str) {
        let permissions = json!(["clipboardReadWrite", "clipboardSanitizedWrite"]);
        let grant = json!({ "origin": url, "permissions": permissions });
        self.ask("Browser.grantPermissions", &grant);
    }

    /// Makes the window so wide and high.
    pub(crate) fn resize(&self, (width, height): (u32, u32)) {
        let is_phone = width == PHONE.0;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.ask("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Prefers `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// What an expression comes to on the page.
    #[track_caller]
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.ask("Runtime.evaluate", &parameters);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true on the page.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        eventually(expression, || {
            (self.evaluate(expression) == true).then_some(())
        });
    }

    /// The text of what a selector finds first, as it is shown.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.evaluate(&format!(
            "document.querySelector({}).innerText",
            json!(selector)
        ));
        text.as_str().unwrap().to_owned()
    }

    /// Presses keys, one after the other, by the names that the web has for them.
    pub(crate) fn press(&self, keys: &[&str]) {
        for key in keys {
            let text = match *key {
                "Enter" => "\r",
                key if key.chars().count() == 1 => key,
                _ => "",
            };
            let code = match *key {
                "Enter" => 13,
                "Escape" => 27,
                "Tab" => 9,
                _ => 0,
            };
            let down = json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.ask("Input.dispatchKeyEvent", &down);
            let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
            self.ask("Input.dispatchKeyEvent", &up);
        }
    }

    /// Keeps a picture of the window.
    pub(crate) fn screenshot(&self, name: &str) {
        let picture = self.ask("Page.captureScreenshot", &json!({ "format": "png" }));
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap());
        fs::write(self.folder.join(format!("{name}.png")), picture.unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
    }
}
