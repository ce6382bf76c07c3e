//! A headless Chromium, spoken to over a pipe.
//!
//! Its DevTools protocol is JSON, and of its hundreds of commands ten are needed here: a crate with all of them would
//! take longer to compile than all else that only tests need.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value as Json, json};

/// Where Debian puts it; `cargo xtask test` brings it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Json>,
    session: String,
    last: u64,
    /// What the page has done so far, by itself: requests, messages, errors.
    events: Vec<Json>,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn new() -> Self {
        assert!(
            Path::new(CHROMIUM).exists(),
            "no {CHROMIUM}: `cargo xtask test` installs the package chromium"
        );
        let profile = tempfile::tempdir().unwrap();
        // It reads commands from descriptor 3 and answers on descriptor 4; the shell puts our pipes there.
        let mut child = Command::new("/bin/sh")
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2",
                CHROMIUM,
            ])
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run"])
            // Root has no sandbox; the pages are our own.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args([
                "--disable-sync",
                "--disable-extensions",
                "--force-color-profile=srgb",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in output.split(0) {
                let Ok(message) = message else { break };
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            session: String::new(),
            last: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// A window of this size, on a phone or not, in light or dark colours.
    pub(crate) fn view(&mut self, (width, height): (u32, u32), dark: bool) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"media": "", "features": feature}),
        );
    }

    /// Whether pages may run scripts; ours to ask about them do anyway.
    pub(crate) fn allow_scripts(&mut self, allowed: bool) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": !allowed}),
        );
    }

    /// As it is printed, until the next [`Browser::view`].
    pub(crate) fn print(&mut self) {
        self.call("Emulation.setEmulatedMedia", json!({"media": "print"}));
    }

    /// Opens a file and waits until it is there; whatever came before is forgotten.
    pub(crate) fn open(&mut self, path: &str) {
        self.events.clear();
        self.call("Page.navigate", json!({"url": format!("file://{path}")}));
        while !self.has_seen("Page.loadEventFired") {
            let message = self.next();
            self.events.push(message);
        }
    }

    /// The value of an expression on the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Json {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", parameters);
        let failed = answer.get("exceptionDetails");
        assert!(failed.is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Presses a key that types nothing, such as Tab.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// A picture of the page, to be looked at; of a very long one of its beginning.
    pub(crate) fn shoot(&mut self, file: &Path) {
        use base64::Engine as _;
        const MOST: f64 = 5_000.0;
        let size = &self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"];
        let height = size["height"].as_f64().unwrap().min(MOST);
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        let parameters = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let answer = self.call("Page.captureScreenshot", parameters);
        let data = answer["data"].as_str().unwrap();
        let picture = base64::prelude::BASE64_STANDARD.decode(data).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, picture).unwrap();
    }

    /// The addresses that the page has asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = self
            .events
            .iter()
            .filter(|e| e["method"] == "Network.requestWillBeSent");
        let url = |event: &Json| {
            event["params"]["request"]["url"]
                .as_str()
                .map(str::to_owned)
        };
        sent.filter_map(url).collect()
    }

    /// Those of them that the page's policy has not let out.
    pub(crate) fn stopped_by_policy(&self) -> Vec<String> {
        let failed = |event: &&Json| {
            event["method"] == "Network.loadingFailed" && event["params"]["blockedReason"] == "csp"
        };
        let ids = self.events.iter().filter(failed);
        let ids: Vec<_> = ids.map(|event| &event["params"]["requestId"]).collect();
        let of = self.events.iter().filter(|event| {
            event["method"] == "Network.requestWillBeSent"
                && ids.contains(&&event["params"]["requestId"])
        });
        of.filter_map(|event| {
            event["params"]["request"]["url"]
                .as_str()
                .map(str::to_owned)
        })
        .collect()
    }

    /// What the page, or the browser about it, has written to the console: errors, warnings, words.
    pub(crate) fn complaints(&self) -> Vec<&Json> {
        const KINDS: [&str; 3] = [
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
        ];
        let is_one = |e: &&Json| KINDS.iter().any(|kind| e["method"] == **kind);
        self.events.iter().filter(is_one).collect()
    }

    fn has_seen(&self, method: &str) -> bool {
        self.events.iter().any(|event| event["method"] == method)
    }

    fn call(&mut self, method: &str, parameters: Json) -> Json {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = Json::from(self.session.as_str());
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        self.commands.write_all(&text).unwrap();
        loop {
            let message = self.next();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn next(&self) -> Json {
        self.messages
            .recv_timeout(PATIENCE)
            .expect("the browser says nothing any more")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A process of ours, by its handle; its children end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
