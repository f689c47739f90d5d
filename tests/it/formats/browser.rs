//! The page in a real browser: it loads nothing but itself, its script runs under its own policy, its filters work.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::leaktap;

/// How long the browser may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a Chromium is.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// A browser without a window, spoken to by its debugging protocol over two pipes.
struct Browser {
    child: Child,
    to: File,
    from: File,
    /// What came and is not yet a whole message.
    waiting: Vec<u8>,
    /// What it told by itself.
    told: Vec<Value>,
    session: Option<String>,
    number: u64,
    _folder: tempfile::TempDir,
}

impl Browser {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        let child = Command::new("sh")
            .args([
                "-c",
                "exec \"$1\" --headless --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage \
                --user-data-dir=\"$2\" --remote-debugging-pipe about:blank 3<\"$3\" 4>\"$4\"",
                "sh",
            ])
            .arg(program)
            .arg(folder.path().join("profile"))
            .arg(&to)
            .arg(&from)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Opened both ways: no end waits for the other.
        let both = |path: &Path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        Self {
            child,
            to: both(&to),
            from: both(&from),
            waiting: Vec::new(),
            told: Vec::new(),
            session: None,
            number: 0,
            _folder: folder,
        }
    }

    /// One message, its end a zero byte.
    fn message(&mut self) -> Value {
        let begun = Instant::now();
        loop {
            if let Some(end) = self.waiting.iter().position(|&byte| byte == 0) {
                let message: Vec<u8> = self.waiting.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "the browser says nothing");
            let mut ready =
                [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&self.from), nix::poll::PollFlags::POLLIN)];
            if nix::poll::poll(&mut ready, nix::poll::PollTimeout::from(1000_u16)).unwrap() > 0 {
                let mut bytes = vec![0; 64 * 1024];
                let length = self.from.read(&mut bytes).unwrap();
                self.waiting.extend_from_slice(&bytes[..length]);
            }
        }
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let answer = self.message();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.told.push(answer);
        }
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let result = self.ask(
            "Runtime.evaluate",
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true}),
        );
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    fn open(&mut self, url: &str) {
        let target = self.ask("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = self.ask("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            self.ask(&format!("{domain}.enable"), json!({}));
        }
        self.ask("Page.navigate", json!({"url": url}));
        self.value("new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done))");
    }

    /// What it told of one kind.
    fn told(&self, method: &str) -> Vec<&Value> {
        self.told
            .iter()
            .filter(|message| message["method"] == method)
            .map(|message| &message["params"])
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_opens_and_filters_in_a_browser() {
    let Some(program) = chromium() else {
        eprintln!("skipped: no Chromium is installed (apt-get install chromium)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, leaktap(&["scan", "captures", "--format", "html"])).unwrap();
    let url = format!("file://{}", path.display());
    let mut browser = Browser::start(&program);
    browser.open(&url);

    let requests: Vec<&str> = browser
        .told("Network.requestWillBeSent")
        .iter()
        .map(|told| told["request"]["url"].as_str().unwrap())
        .collect();
    assert_eq!(requests, [url.as_str()], "the page loads nothing");
    assert!(browser.told("Log.entryAdded").is_empty(), "{:?}", browser.told("Log.entryAdded"));
    assert!(
        browser.told("Runtime.exceptionThrown").is_empty(),
        "{:?}",
        browser.told("Runtime.exceptionThrown")
    );

    let visible = "[...document.querySelectorAll('#leaks tbody tr')].filter((row) => row.offsetHeight > 0)";
    let shown = |browser: &mut Browser| browser.value(&format!("{visible}.length")).as_u64().unwrap();
    let all = shown(&mut browser);
    assert!(all > 100, "{all}");
    assert_eq!(browser.value("document.getElementById('shown').textContent"), format!("{all} of {all}"));
    // The plots have a size on the screen.
    for id in ["by-severity", "by-host", "by-time"] {
        let height =
            browser.value(&format!("document.getElementById('{id}').getBoundingClientRect().height"));
        assert!(height.as_f64().unwrap() > 50.0, "{id}");
    }
    assert!(browser.value("[...document.querySelectorAll('.bar span')].every((bar) => bar.getBoundingClientRect().width > 0)").as_bool().unwrap());

    // A bar filters by its severity; the same click takes it back.
    let bar = "document.querySelector('[data-filter=severity][data-value=high]').click()";
    browser.value(bar);
    let high = shown(&mut browser);
    assert!(high > 0 && high < all, "{high} of {all}");
    let severities =
        browser.value(&format!("[...new Set({visible}.map((row) => row.dataset.severity))].join()"));
    assert_eq!(severities, "high");
    browser.value(bar);
    assert_eq!(shown(&mut browser), all);

    // Typed words, all of which must stand in a row.
    browser.value("(() => { const box = document.getElementById('search'); box.focus(); box.select(); })()");
    browser.ask("Input.insertText", json!({"text": "Stripe API_KEY"}));
    let typed = shown(&mut browser);
    assert!(typed > 0 && typed < all, "{typed}");
    assert!(
        browser
            .value(&format!("{visible}.every((row) => row.textContent.includes('Stripe'))"))
            .as_bool()
            .unwrap()
    );
    browser.value("document.querySelector('.filters button[type=reset]').click()");
    browser.value("new Promise((done) => setTimeout(done))");
    assert_eq!(shown(&mut browser), all);

    // A choice, and a column of the plot over time.
    browser.value(
        "(() => { const box = document.getElementById('exposure'); box.value = 'traceback'; box.dispatchEvent(new Event('input', {bubbles: true})); })()",
    );
    let tracebacks = shown(&mut browser);
    assert!(tracebacks > 0 && tracebacks < all, "{tracebacks}");
    browser.value("document.querySelector('.filters button[type=reset]').click()");
    browser.value("new Promise((done) => setTimeout(done))");
    let column =
        "document.querySelector('#by-time g').dispatchEvent(new MouseEvent('click', {bubbles: true}))";
    browser.value(column);
    let early = shown(&mut browser);
    assert!(early > 0 && early < all, "{early}");
    browser.value(column);

    // Sorted by time; a leak opens and shows its evidence, redacted.
    browser.value("document.querySelector('th[data-sort=time]').click()");
    assert!(browser.value(&format!("{visible}.every((row, i, rows) => !i || BigInt(rows[i - 1].dataset.time) <= BigInt(row.dataset.time))")).as_bool().unwrap());
    browser.value("document.querySelector('#leaks tbody tr[data-rule=stripe-secret-key] summary').click()");
    let text = browser.value("document.querySelector('#leaks details[open] dl').innerText");
    assert!(text.as_str().unwrap().contains("wireshark -r captures/"), "{text}");
    assert!(text.as_str().unwrap().contains('…'), "{text}");
}
