//! `Browser`: one headless Chromium with its driver, asked one thing after the other.

use std::{
    future::Future,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator, key::Key, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::served::Studio;

/// How long a page may take for anything: machines that test are often busy with more.
const PATIENCE: Duration = Duration::from_secs(60);

/// One at a time: what is measured in one browser must not be disturbed by another.
static ONE: Mutex<()> = Mutex::new(());

/// A browser that ends with this value.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Driver,
    _alone: MutexGuard<'static, ()>,
}

/// `chromedriver`. It holds the pipe that Chromium is told what to do through, so Chromium ends when it does, however it ends.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// In CSS pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Screen pixels per CSS pixel: 2 with half the width is what zooming to 200 % does.
    pub(crate) scale: f64,
    pub(crate) dark: bool,
}

impl Look {
    pub(crate) const DESKTOP: Self = Self { width: 1280, height: 900, scale: 1.0, dark: false };
    pub(crate) const PHONE: Self = Self { width: 390, height: 844, scale: 2.0, dark: false };
    /// A 1280 pixel wide window at 200 %.
    pub(crate) const ZOOMED: Self = Self { width: 640, height: 450, scale: 2.0, dark: false };

    pub(crate) fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

/// A command of Chromium's own that WebDriver has no word for.
#[derive(Debug)]
struct Special {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Special {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (axum::http::Method, Option<String>) {
        (axum::http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// A browser, or `None` with a word about what is skipped.
    pub(crate) fn open(test: &str) -> Option<Self> {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((driver, port)) = driver() else {
            eprintln!("skipped: {test} needs chromium and chromedriver (`make browser`)");
            return None;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut args = vec!["--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
        if rustix::process::geteuid().is_root() {
            args.push("--no-sandbox");
        }
        let wanted = json!({ "goog:chromeOptions": { "args": args }, "goog:loggingPrefs": { "browser": "ALL" } });
        let wanted: Map<String, Value> = serde_json::from_value(wanted).unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let client = runtime.block_on(ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&address));
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                // A driver without a browser, or with one of another version.
                eprintln!("skipped: {test} needs a chromium that chromedriver can start: {error}");
                return None;
            }
        };
        let browser = Self { runtime, client, driver, _alone: alone };
        browser.look(Look::DESKTOP);
        Some(browser)
    }

    /// A browser that has opened the studio by its printed address.
    pub(crate) fn of(test: &str, studio: &Studio) -> Option<Self> {
        let browser = Self::open(test)?;
        browser.go(&studio.url);
        assert_eq!(browser.script("return location.href"), format!("{}/", studio.origin()), "the token stays in the address");
        Some(browser)
    }

    fn wait_for<T>(&self, what: impl Future<Output = Result<T, fantoccini::error::CmdError>>) -> T {
        match self.runtime.block_on(what) {
            Ok(value) => value,
            Err(error) => panic!("the browser refused: {error}"),
        }
    }

    pub(crate) fn go(&self, url: &str) {
        self.wait_for(self.client.goto(url));
    }

    /// What a script's `return` gives.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.wait_for(self.client.execute(script, Vec::new()))
    }

    /// What a script gives to the function `done`.
    pub(crate) fn script_then(&self, script: &str) -> Value {
        self.wait_for(self.client.execute_async(&format!("const done = arguments[arguments.length - 1]; {script}"), Vec::new()))
    }

    /// The text of the first element of a selector.
    pub(crate) fn text(&self, css: &str) -> String {
        let text = self.script(&format!("return document.querySelector({css:?})?.innerText ?? null"));
        text.as_str().unwrap_or_else(|| panic!("there is no {css} on the page:\n{}", self.page())).to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&self, condition: &str) {
        let until = Instant::now() + PATIENCE;
        while self.script(&format!("return Boolean({condition})")) != true {
            assert!(
                Instant::now() < until,
                "{condition}: not so after {PATIENCE:?}; the page says:\n{}\n{:?}",
                self.page(),
                self.complaints()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn page(&self) -> String {
        self.script("return location.href + '\\n' + document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Types into whatever has the focus.
    pub(crate) fn keys(&self, keys: &str) {
        self.wait_for(async { self.client.active_element().await?.send_keys(keys).await });
    }

    pub(crate) fn key(&self, key: Key) {
        self.keys(&char::from(key).to_string());
    }

    pub(crate) fn click(&self, css: &str) {
        self.wait_for(async { self.client.find(Locator::Css(css)).await?.click().await });
    }

    fn special(&self, path: &'static str, body: Value) -> Value {
        self.wait_for(self.client.issue_cmd(Special { path, body }))
    }

    /// A command of the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, params: Value) -> Value {
        self.special("goog/cdp/execute", json!({ "cmd": command, "params": params }))
    }

    pub(crate) fn look(&self, Look { width, height, scale, dark }: Look) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false }),
        );
        let scheme = if dark { "dark" } else { "light" };
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }));
    }

    /// What the browser had to complain about since it was asked last: scripts that failed, files that are missing, what the page's own policy forbids.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.special("se/log", json!({ "type": "browser" }));
        let lines = log.as_array().into_iter().flatten().filter(|line| line["level"] == "SEVERE");
        lines.filter_map(|line| line["message"].as_str().map(str::to_owned)).collect()
    }

    /// What axe-core finds serious or critical, each with the elements; `None`, with a word, where there is no axe-core.
    pub(crate) fn axe(&self) -> Option<Vec<String>> {
        let path = axe_path();
        let Ok(source) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: axe needs {} (`make browser`)", path.display());
            return None;
        };
        self.script(&source);
        let found = self.script_then(
            "axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations.filter((one) => ['serious', 'critical'].includes(one.impact))
               .map((one) => `${one.id} (${one.impact}): ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? '')).join(' | ')}`)),
               (error) => done([`axe failed: ${error}`]))",
        );
        Some(found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked first, so that Chromium removes its own files; the driver's end takes care of what is left.
        let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), self.client.clone().close()).await });
        let _ = self.driver.0.kill();
    }
}

/// A driver that listens, and its port.
fn driver() -> Option<(Driver, u16)> {
    let child = Command::new("chromedriver")
        .args(["--port=0", "--log-level=SEVERE"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut driver = Driver(child);
    let lines = BufReader::new(driver.0.stdout.take()?).lines().map_while(Result::ok);
    // "ChromeDriver was started successfully on port 43211."
    let port = lines.into_iter().find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())?;
    Some((driver, port))
}

/// Where `tools/fetch.py browser` puts axe-core.
fn axe_path() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = || set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache")).join("catgen-pipe");
    set("CATGEN_CACHE").unwrap_or_else(base).join("axe/axe.min.js")
}
