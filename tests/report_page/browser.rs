//! A page as headless Chromium sees it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

const CHROMIUM: &str = "/usr/bin/chromium";
const LIMIT: Duration = Duration::from_secs(90);

/// What was found on one page at one width.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seen {
    pub(crate) page: String,
    pub(crate) width: u32,
    /// Pixels the page is wider than its window.
    pub(crate) overflow: i64,
    /// Elements that reach beyond the window without scrolling inside themselves.
    pub(crate) beyond: Vec<String>,
    pub(crate) charts: usize,
    /// Charts without a text alternative or without any size.
    pub(crate) unnamed_charts: usize,
    pub(crate) flat_charts: usize,
    pub(crate) tables: usize,
    pub(crate) links: usize,
    pub(crate) broken_links: Vec<String>,
    pub(crate) outside_links: Vec<String>,
    pub(crate) scripts: usize,
    pub(crate) handlers: usize,
    pub(crate) headline: String,
}

/// What was found, and what the console said.
pub(crate) struct Visit {
    pub(crate) seen: Vec<Seen>,
    pub(crate) console: Vec<String>,
}

/// Whether the browser is there. Without it the test has nothing to say, unless `PLIMSOLL_REQUIRE_TOOLS` demands it.
#[expect(clippy::print_stdout, reason = "whoever runs the tests should see what was skipped")]
pub(crate) fn is_installed() -> bool {
    let installed = Path::new(CHROMIUM).exists();
    assert!(
        installed || std::env::var_os("PLIMSOLL_REQUIRE_TOOLS").is_none(),
        "{CHROMIUM} is missing and PLIMSOLL_REQUIRE_TOOLS is set"
    );
    if !installed {
        println!("skipped: {CHROMIUM} is missing");
    }
    installed
}

/// Opens each page at each width in a frame of its own and measures it there.
pub(crate) fn visit(pages: &[(&str, String)], widths: &[u32]) -> Visit {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut frames = String::new();
    for (name, page) in pages {
        std::fs::write(directory.path().join(format!("{name}.html")), page).expect("the page is written");
        for width in widths {
            let _ =
                writeln!(frames, "<iframe src='{name}.html' data-page='{name}' width='{width}' height='900'></iframe>");
        }
    }
    let wrapper = directory.path().join("wrapper.html");
    let text = include_str!("wrapper.html").replace("FRAMES", &frames);
    std::fs::write(&wrapper, text).expect("the wrapper is written");
    let (dom, messages) = run(&wrapper, directory.path());
    let start = dom.find("<pre>").unwrap_or_else(|| panic!("no result in the page: {dom}\n{messages}"));
    let end = dom.find("</pre>").expect("the result ends");
    let json = dom[start + 5..end].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let console = messages.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Visit { seen: serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}")), console }
}

fn run(wrapper: &Path, directory: &Path) -> (String, String) {
    let output = |name: &str| std::fs::File::create(directory.join(name)).expect("an output file");
    let child = Command::new(CHROMIUM)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--hide-scrollbars"])
        .args(["--window-size=1400,1000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", directory.join("profile").display()))
        .arg(format!("file://{}", wrapper.display()))
        .stdin(Stdio::null())
        .stdout(output("dom"))
        .stderr(output("messages"))
        .spawn()
        .expect("chromium starts");
    wait(child);
    let read =
        |name: &str| String::from_utf8_lossy(&std::fs::read(directory.join(name)).unwrap_or_default()).into_owned();
    (read("dom"), read("messages"))
}

fn wait(mut child: Child) {
    let started = Instant::now();
    while child.try_wait().expect("chromium can be waited for").is_none() {
        if started.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            panic!("chromium did not finish within {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
