//! What a user sees of each command: exit code, standard output and standard error in one snapshot.
#![cfg(feature = "cli")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use insta_cmd::assert_cmd_snapshot;

/// The built command, in a folder of its own and with nothing of the user's environment that changes what it prints.
fn plimsoll(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.current_dir(folder.path()).env_clear().env("COLUMNS", "100").env("NO_COLOR", "1");
    command
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn without_a_command_the_help_is_printed_and_the_arguments_are_wrong() {
    let output = plimsoll(&folder()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: plimsoll <COMMAND>"));
}

#[test]
fn a_missing_file_is_named() {
    assert_cmd_snapshot!(plimsoll(&folder()).args(["plan", "--cluster", "nowhere.json"]), @r"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: nowhere.json: failed to read: No such file or directory (os error 2)
    ");
}

#[test]
fn a_truncated_dump_is_an_error_with_its_line_and_column_and_writes_nothing() {
    let folder = folder();
    fs::write(folder.path().join("cut.json"), r#"{"kind": "List", "apiVersion": "v1", "items": [{"kind": "Pod""#)
        .unwrap();
    let output = plimsoll(&folder).args(["plan", "--cluster", "cut.json", "--html", "report.html"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.starts_with("error: cut.json:1:"), "{message}");
    assert!(output.stdout.is_empty());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["cut.json"]);
}

#[test]
fn a_bad_quantity_names_the_object_and_the_field() {
    let folder = folder();
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"shop"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"lots"}}}]}}"#;
    fs::write(folder.path().join("pod.json"), pod).unwrap();
    let output = plimsoll(&folder).args(["plan", "--cluster", "pod.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("Pod shop/web-1") && message.contains("requests.cpu") && message.contains("lots"),
        "{message}"
    );
}

#[test]
fn a_plan_is_repeatable_byte_for_byte() {
    let folder = folder();
    let plan = || {
        plimsoll(&folder)
            .arg("plan")
            .arg("--cluster")
            .arg(project("data/cluster.json"))
            .arg("--catalog")
            .arg(project("data/catalog.yaml"))
            .args(["--now", "2026-11-01T00:00:00Z", "-o", "json"])
            .output()
            .unwrap()
    };
    let (first, second) = (plan(), plan());
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(first.stdout, second.stdout);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = folder();
    let command = format!("'{}' completions bash | head -n 1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_plimsoll"));
    let status = Command::new("bash").args(["-c", &command]).current_dir(folder.path()).output().unwrap().status;
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_forecast_continues_the_steps_of_its_input() {
    let folder = folder();
    let rows: Vec<String> = (1..=96).map(|t| format!("a,{t},{}", 10 + (t % 24))).collect();
    fs::write(folder.path().join("series.csv"), format!("series,step,value\n{}\n", rows.join("\n"))).unwrap();
    let output = plimsoll(&folder)
        .args([
            "forecast",
            "--input",
            "series.csv",
            "--horizon",
            "3",
            "--season",
            "24",
            "--quantiles",
            "0.1,0.5,0.9",
            "-o",
            "csv",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("series,step,mean,q0.1,q0.5,q0.9"));
    let steps: Vec<_> = lines.map(|l| l.split(',').take(2).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(steps, ["a,97", "a,98", "a,99"]);
}

#[test]
fn ready_made_policies_pass_their_own_check() {
    let output = plimsoll(&folder())
        .args(["policy", "check", "web", "queue-worker", "batch", "cost-first", "safety-first"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 5);
}
