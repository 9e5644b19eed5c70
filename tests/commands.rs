//! What a user sees of each command: exit code, standard output and standard error in one snapshot.
#![cfg(feature = "cli")]

use std::fmt::Write as _;
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
fn a_place_that_cannot_be_written_is_the_users_mistake_and_said_before_any_work() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for (arguments, reason) in [
        (
            "plan --cluster nowhere.json --html nowhere/r.html",
            "nowhere/r.html: can't be written: there is no folder nowhere",
        ),
        ("plan --cluster nowhere.json --json file/p.json", "file/p.json: can't be written: there is no folder file"),
        ("plan --cluster nowhere.json --html folder", "folder: can't be written: it is a folder"),
        ("sample --out file/in", "file/in: can't be written: Not a directory"),
        ("man --out file", "file: can't be written: File exists"),
    ] {
        let output = plimsoll(&folder).args(arguments.split(' ')).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(message.starts_with(&format!("error: {reason}")), "{arguments}: {message}");
    }
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

/// Two series of hours with a day cycle and some noise, as a long table with timestamps.
fn hours(len: usize) -> String {
    let mut text = "series,timestamp,value\n".to_owned();
    for name in ["a", "b"] {
        for t in 0..len {
            let noise = ((t * 7919 + name.len()) % 101) as f64 / 50.0;
            let value = 20.0 + 8.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + noise;
            let _ = writeln!(text, "{name},{},{value:.4}", 1_793_491_200 + 3600 * t);
        }
    }
    text
}

fn printed(folder: &tempfile::TempDir, arguments: &[&str]) -> String {
    let output = plimsoll(folder).arg("forecast").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_backtest_prints_scores_beside_naive_methods_in_every_form() {
    let folder = folder();
    fs::write(folder.path().join("in.csv"), hours(400)).unwrap();
    let backtest = ["--input", "in.csv", "--horizon", "24", "--backtest", "--origins", "2", "--every", "12h"];
    let table = printed(&folder, &backtest);
    assert!(
        table.starts_with(
            "scored against 2 rolling origins 12 steps apart: 2 series, 4 windows of 24 steps, season 24\n"
        )
    );
    let csv = printed(&folder, &[&backtest[..], &["-o", "csv"]].concat());
    let mase = |method: &str| -> f64 {
        let line = csv.lines().find(|l| l.starts_with(&format!("{method},MASE,"))).expect("a score");
        line.split(',').nth(2).unwrap().parse().unwrap()
    };
    assert!(mase("Plimsoll") < mase("seasonal naive") && mase("seasonal naive") < mase("last value"), "{csv}");
    let json: serde_json::Value =
        serde_json::from_str(&printed(&folder, &[&backtest[..], &["-o", "json"]].concat())).unwrap();
    assert_eq!((&json["kind"], &json["scores"]["windows"]), (&"ForecastScores".into(), &4.into()));
    let wrong = plimsoll(&folder).arg("forecast").args(&backtest[..7]).args(["--every", "90m"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("--every: is 90m, not a whole number of the input's steps")
    );
}

#[test]
fn a_state_goes_on_with_new_samples_only_and_a_damaged_one_is_left_alone() {
    let folder = folder();
    fs::write(folder.path().join("first.csv"), hours(300)).unwrap();
    fs::write(folder.path().join("more.csv"), hours(302)).unwrap();
    let go = |input: &str| printed(&folder, &["--input", input, "--horizon", "6", "--state", "s.json", "-o", "csv"]);
    let first = go("first.csv");
    assert_eq!(first, go("first.csv"), "nothing new changes nothing");
    let next = go("more.csv");
    // Two hours on, the fit is still the first one's: its path is read on.
    assert_eq!(first.lines().nth(3), next.lines().nth(1));
    let state = folder.path().join("s.json");
    let whole = fs::read(&state).unwrap();
    let cut = &whole[..whole.len() / 2];
    fs::write(&state, cut).unwrap();
    let output = plimsoll(&folder).args(["forecast", "--input", "more.csv", "--state", "s.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: s.json: is not a whole saved state"));
    assert_eq!(fs::read(&state).unwrap(), cut);
}

#[test]
fn the_page_of_forecasts_marks_events_and_refers_to_nothing_outside() {
    let folder = folder();
    fs::write(folder.path().join("in.csv"), hours(400)).unwrap();
    fs::write(folder.path().join("events.yaml"), "events:\n- {name: <sale>, date: 2026-11-17}\n").unwrap();
    let arguments =
        ["--input", "in.csv", "--horizon", "24", "--events", "events.yaml", "--now", "2026-11-23T00:00:00Z"];
    let page = printed(&folder, &[&arguments[..], &["--backtest", "-o", "html"]].concat());
    assert!(page.len() < 2_000_000);
    assert_eq!(page.matches("role=\"img\"").count(), 3, "two fans and the coverage");
    assert!(
        page.contains("&lt;sale&gt;") && page.contains("class=\"marked event\"") && page.contains("known event</li>")
    );
    for outside in ["<script", "http://", "https://", "url(", "@import", "NaN"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(printed(&folder, &[&arguments[..], &["-o", "html", "--out", "page.html"]].concat()), "");
    assert!(fs::read_to_string(folder.path().join("page.html")).unwrap().starts_with("<!doctype html>"));
}

#[test]
fn wide_long_compressed_and_parquet_tables_give_one_forecast() {
    let folder = folder();
    let value = |t: usize| 10.0 + (t % 24) as f64 + ((t * 7919) % 13) as f64 / 7.0;
    let long: Vec<String> = (0..120).map(|t| format!("a,{t},{}", value(t))).collect();
    let wide: Vec<String> = (0..120).map(|t| format!("{t},{}", value(t))).collect();
    let (long, wide) = (long.join("\n"), wide.join("\n"));
    fs::write(folder.path().join("long.csv"), format!("series,step,value\n{long}")).unwrap();
    fs::write(folder.path().join("wide.csv"), format!("step,a\n{wide}")).unwrap();
    let go = |input: &str| printed(&folder, &["--input", input, "--horizon", "5", "--season", "24", "-o", "csv"]);
    assert_eq!(go("long.csv"), go("wide.csv"));
    let zipped = Command::new("gzip").arg("-k").arg(folder.path().join("long.csv")).status().unwrap();
    assert!(zipped.success());
    assert_eq!(go("long.csv"), go("long.csv.gz"));
    let mut table = polars::df!("series" => vec!["a"; 120], "step" => (0..120_i64).collect::<Vec<_>>(), "value" => (0..120).map(value).collect::<Vec<_>>()).unwrap();
    let file = fs::File::create(folder.path().join("long.parquet")).unwrap();
    polars::prelude::ParquetWriter::new(file).finish(&mut table).unwrap();
    assert_eq!(go("long.csv"), go("long.parquet"));
}

/// What planning the sample cluster under a ready-made policy prints.
fn sample_planned(folder: &tempfile::TempDir, policy: &str, more: &[&str]) -> Vec<u8> {
    let output = plimsoll(folder)
        .args(["plan", "--policy", policy, "--now", "2026-11-01T00:00:00Z"])
        .args(more)
        .arg("--cluster")
        .arg(project("data/cluster.json"))
        .arg("--catalog")
        .arg(project("data/catalog.yaml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The sample cluster's plan under a ready-made policy, as a file in the folder.
fn planned(folder: &tempfile::TempDir, policy: &str) -> String {
    let file = format!("{policy}.json");
    sample_planned(folder, policy, &["--json", &file]);
    file
}

fn compared(folder: &tempfile::TempDir, first: &str, second: &str) -> serde_json::Value {
    let output = plimsoll(folder).args(["compare", first, second, "-o", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn plans_are_compared_part_by_part_and_a_plan_is_like_itself() {
    let folder = folder();
    let (web, cost) = (planned(&folder, "web"), planned(&folder, "cost-first"));
    let same = compared(&folder, &web, &web);
    for list in ["workloads", "nodes", "cautions"] {
        assert_eq!(same[list], serde_json::json!([]), "{list}");
    }
    assert_eq!(same["placedElsewhere"], 0);

    let forth = compared(&folder, &web, &cost);
    let back = compared(&folder, &cost, &web);
    assert_eq!(forth["cost"]["first"], back["cost"]["second"]);
    assert_eq!(forth["placedElsewhere"], back["placedElsewhere"]);
    assert!(forth["cautions"][0].as_str().unwrap().contains("different policies"), "{forth:#}");
    let table = plimsoll(&folder).args(["compare", &web, &cost]).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("COST AN HOUR") && table.contains("no plan below"), "{table}");
}

/// A node that is full of the pods of a ReplicaSet, and a more important pod that waits.
fn crowded_cluster() -> String {
    let pod = |name: &str, owner: &str, priority: i32, node: Option<&str>| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "shop", "name": name, "labels": {"app": owner},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "controller": true}]},
            "spec": {"priority": priority, "nodeName": node,
                "containers": [{"name": "main", "resources": {"requests": {"cpu": "1500m"}}}]},
            "status": {"phase": if node.is_some() { "Running" } else { "Pending" }},
        })
    };
    let set = |name: &str, replicas: u32| {
        serde_json::json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": "shop", "name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": []}}},
        })
    };
    let node = serde_json::json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a"}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "20"}},
    });
    let items = [
        node,
        set("batch", 2),
        set("front", 1),
        pod("batch-0", "batch", 0, Some("a")),
        pod("batch-1", "batch", 0, Some("a")),
        pod("front-0", "front", 5000, None),
    ];
    serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn a_running_pod_is_stopped_for_a_more_important_one_only_where_the_policy_allows_it() {
    let folder = folder();
    fs::write(folder.path().join("crowded.json"), crowded_cluster()).unwrap();
    let go = |preemption: &str, more: &[&str]| {
        let policy = format!(
            "apiVersion: plimsoll.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: p}}\nspec:\n  targets: \
             [{{name: all, scaleReplicas: false}}]\n  disruption: {{addNodes: false, preemption: {preemption}}}\n"
        );
        fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        let arguments = ["plan", "--cluster", "crowded.json", "--policy", "policy.yaml"];
        plimsoll(&folder).args(arguments).args(more).output().unwrap()
    };
    let document = |preemption: &str| -> serde_json::Value {
        let output = go(preemption, &["-o", "json", "--json", "plan.json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let forbidden = document("never");
    assert_eq!(forbidden.get("preempted"), None);
    let rule = "preemption of pods of lower priority, which disruption.preemption does not allow (1 pod)";
    assert_eq!(forbidden["certificate"]["unmodelledRules"], serde_json::json!([rule]));
    assert_eq!(forbidden["unplaced"][0]["workload"], "ReplicaSet/front");

    let allowed = document("lowerPriority");
    assert_eq!(allowed["certificate"]["feasible"], true, "{}", allowed["certificate"]);
    assert_eq!(allowed["certificate"]["unmodelledRules"], serde_json::json!([]));
    let stopped = &allowed["preempted"][0];
    assert_eq!((&stopped["workload"], &stopped["node"]), (&"ReplicaSet/batch".into(), &"a".into()));
    assert_eq!(stopped["by"]["pod"], "front-0");
    assert_eq!(
        (&allowed["unplaced"][0]["workload"], &allowed["unplaced"][0]["count"]),
        (&"ReplicaSet/batch".into(), &1.into())
    );
    let actions: Vec<&str> = allowed["steps"]["waves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wave| wave["actions"][0]["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["preempt", "bind"]);
    let cost = |plan: &serde_json::Value| plan["certificate"]["costPerHour"].as_f64().unwrap();
    assert!(cost(&allowed) < cost(&forbidden));

    let explained = plimsoll(&folder).args(["explain", "plan.json", "shop/batch"]).output().unwrap();
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("wave 1: stop shop/batch-"), "{explained}");
    let again = go("lowerPriority", &["--from", "plan.json", "-o", "json"]);
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["preempted"], allowed["preempted"], "an earlier plan is taken up with whom it stops");
    let table = String::from_utf8(go("lowerPriority", &["--html", "page.html"]).stdout).unwrap();
    let sentence = "1 pod is stopped to make room for more important ones:\n  shop/batch-";
    assert!(table.contains(sentence) && table.contains("on a, for shop/front-0"), "{table}");
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("Pods stopped to make room for more important ones"));
}

#[test]
fn a_comparison_with_what_is_no_plan_names_the_file() {
    let folder = folder();
    fs::write(folder.path().join("other.json"), "{}").unwrap();
    let web = planned(&folder, "web");
    let output = plimsoll(&folder).args(["compare", &web, "other.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.starts_with("error: other.json"), "{message}");
}

/// The sample cluster's plan under the policy `web`, begun from an earlier plan.
fn planned_from(folder: &tempfile::TempDir, earlier: &str, gap: &str) -> serde_json::Value {
    let printed = sample_planned(folder, "web", &["--from", earlier, "--gap", gap, "-o", "json"]);
    serde_json::from_slice(&printed).unwrap()
}

fn all_kept(plan: &serde_json::Value) -> [bool; 2] {
    ["workloads", "placements"].map(|part| {
        let part = &plan["kept"][part];
        assert!(part["of"].as_u64() > Some(0), "{part}");
        part["kept"] == part["of"]
    })
}

#[test]
fn a_plan_begun_from_an_earlier_one_is_that_one_where_it_is_good_enough_and_else_no_dearer() {
    let folder = folder();
    let (web, cost_first) = (planned(&folder, "web"), planned(&folder, "cost-first"));
    let text = fs::read_to_string(folder.path().join(&web)).unwrap();
    let first: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(first.get("kept"), None);
    let zipped = Command::new("gzip").arg("-k").arg(folder.path().join(&web)).status().unwrap();
    assert!(zipped.success());
    for earlier in [&web, &format!("{web}.gz")] {
        let again = planned_from(&folder, earlier, "0.99");
        for list in ["workloads", "nodes", "placements", "removals", "unplaced"] {
            assert_eq!(first[list], again[list], "{list}");
        }
        assert_eq!(all_kept(&again), [true; 2]);
    }
    let cost = |plan: &serde_json::Value| plan["certificate"]["costPerHour"].as_f64().unwrap();
    let better = planned_from(&folder, &web, "0");
    assert!(cost(&better) <= cost(&first) + 1e-6, "{} from {}", cost(&better), cost(&first));
    // Whatever another policy chose, the plan is one of this policy.
    assert_eq!(planned_from(&folder, &cost_first, "0.005")["certificate"]["feasible"], true);
}

#[test]
fn of_a_plan_of_another_cluster_nothing_is_kept_and_the_plan_says_so() {
    let folder = folder();
    let web = fs::read_to_string(folder.path().join(planned(&folder, "web"))).unwrap();
    let other =
        web.replace("\"namespace\": \"", "\"namespace\": \"other-").replace("\"name\": \"node-", "\"name\": \"other-");
    fs::write(folder.path().join("other.json"), other).unwrap();
    let plan = planned_from(&folder, "other.json", "0.005");
    assert_eq!(plan["certificate"]["feasible"], true);
    for part in ["workloads", "placements"] {
        assert_eq!(plan["kept"][part]["kept"], 0, "{part}");
        assert!(plan["kept"][part]["of"].as_u64() > Some(0), "{part}");
    }
    let table = String::from_utf8(sample_planned(&folder, "web", &["--from", "other.json"])).unwrap();
    assert!(table.contains("Kept of the earlier plan: 0 of "), "{table}");
}

#[test]
fn what_is_no_plan_is_refused_to_begin_from() {
    let folder = folder();
    fs::write(folder.path().join("other.json"), "{}").unwrap();
    assert_cmd_snapshot!(plimsoll(&folder).args(["plan", "--from", "other.json", "--cluster"]).arg(project("data/cluster.json")), @r"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: other.json: has no kind, expected CapacityPlan
      hint: give the file that `plimsoll plan … -o json` wrote
    ");
}

/// Files in a folder, sorted, with their contents.
fn contents(folder: &tempfile::TempDir) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn what_cannot_be_forecast_is_refused_with_its_reason_and_nothing_is_written() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("good.csv", &hours(100));
    write("empty.csv", "");
    write("header.csv", "series,step,value\n");
    write("nan.csv", "series,step,value\na,1,NaN\na,2,NaN\n");
    write("text.csv", "series,step,value\na,1,5\na,2,lots\n");
    write("infinite.csv", "series,step,value\na,1,5\na,2,inf\n");
    write("other.csv", "series,timestamp,value\nz,1793491200,2\nz,1793494800,3\n");
    write("tens.csv", "series,step,value\na,0,5\na,10,6\na,20,5\n");
    write("halves.csv", "series,step,value\na,0,5\na,0.5,6\n");
    write("one.csv", "series,step,value\na,0,5\n");
    write("ragged.csv", "series,step,value\na,0,5\na,1,6,7\n");
    write("quote.csv", "series,step,va\"lue\na,0,5\n");
    write("events.yaml", "events:\n- {name: sale}\n");
    write("old.json", r#"{"kind":"PlimsollForecastState","version":1,"stepMs":3600000,"rows":[]}"#);
    write("cut.json", r#"{"kind":"PlimsollForecastState","version":4,"ste"#);
    write("minutes.json", r#"{"kind":"PlimsollForecastState","version":4,"stepMs":60000,"rows":[]}"#);
    fs::write(folder.path().join("cut.parquet"), b"PAR1\x15\x04\x15").unwrap();
    fs::write(folder.path().join("noise.csv"), [0_u8, 159, 146, 150, 255, 0, 7]).unwrap();
    let before = contents(&folder);
    for (arguments, reason) in [
        ("--input empty.csv", "empty.csv: is empty"),
        ("--input header.csv", "header.csv: holds no measurement"),
        ("--input nan.csv", "nan.csv: holds no measurement: cells without a value left out: 2"),
        ("--input text.csv", "text.csv: row 2: column \"value\": found \"lots\" where a number was expected"),
        ("--input infinite.csv", "infinite.csv: row 2: column \"value\": found inf where a finite number was expected"),
        ("--input tens.csv", "tens.csv: counts steps that are 10 apart, expected 1"),
        ("--input good.csv --input tens.csv", "tens.csv: counts steps, but good.csv has times"),
        ("--input halves.csv", "halves.csv: row 2: column \"step\": found 0.5 where a whole step was expected"),
        ("--input one.csv", "one.csv: holds no series of two samples, which a forecast needs"),
        ("--input ragged.csv", "ragged.csv: row 2: has 4 fields, but the header names 3"),
        ("--input quote.csv", "quote.csv:1: has a quote in its header that nothing closes"),
        ("--input cut.parquet", "cut.parquet: is a broken table"),
        ("--input noise.csv", "noise.csv: "),
        ("--input good.csv --horizon 0", "invalid value '0' for '--horizon <STEPS>'"),
        ("--input good.csv --horizon 100001", "invalid value '100001' for '--horizon <STEPS>'"),
        ("--input good.csv --quantiles 0.5,1", "expected a level between 0 and 1"),
        ("--input good.csv --horizon 5 --lead 6", "--lead: is 6 steps, beyond the horizon of 5"),
        ("--input good.csv --events events.yaml", "events.yaml:2:3: events[0]: expected exactly one of date, dates"),
        ("--input good.csv --truth other.csv", "--truth: leaves nothing to score"),
        ("--input good.csv --backtest --horizon 5000", "--backtest: leaves nothing to score"),
        ("--input good.csv --state old.json", "old.json: was written in version 1 of the state's form"),
        ("--input good.csv --state cut.json", "cut.json: is not a whole saved state"),
        ("--input good.csv --state minutes.json", "holds samples 60000 ms apart, the input's are 3600000 ms apart"),
        ("--input good.csv --state nowhere/s.json", "can't be written: there is no folder nowhere"),
        ("--input good.csv --out nowhere/page.html -o html", "can't be written: there is no folder nowhere"),
    ] {
        let output = plimsoll(&folder).arg("forecast").args(arguments.split(' ')).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {message}");
        assert!(message.starts_with("error: ") && message.contains(reason), "{arguments}: {message}");
        assert!(output.stdout.is_empty(), "{arguments}");
        assert_eq!(contents(&folder), before, "{arguments}");
    }
}

#[test]
fn shuffled_and_repeated_rows_are_forecast_like_those_in_order() {
    let folder = folder();
    let rows: Vec<String> = (0..200).map(|t| format!("a,{t},{}", 10 + t % 24 + t * 7919 % 5)).collect();
    let table = |rows: &[String]| format!("series,step,value\n{}\n", rows.join("\n"));
    // 77 and 200 share no factor: every row once.
    let shuffled: Vec<String> = (0..200).map(|i| rows[i * 77 % 200].clone()).collect();
    let repeated: Vec<String> = rows.iter().chain(&rows[50..60]).cloned().collect();
    let forecast = |rows: &[String]| {
        fs::write(folder.path().join("in.csv"), table(rows)).unwrap();
        printed(&folder, &["--input", "in.csv", "--horizon", "3", "--season", "24", "-o", "csv"])
    };
    let in_order = forecast(&rows);
    assert_eq!(in_order.lines().count(), 4);
    assert_eq!((forecast(&shuffled), forecast(&repeated)), (in_order.clone(), in_order));
}

#[test]
fn known_events_reach_the_forecast_and_its_scores() {
    let folder = folder();
    // Ten weeks of hours; on some days a sale doubles the load.
    let mut text = "series,timestamp,value\n".to_owned();
    for t in 0..24 * 70_usize {
        let usual = 20.0 + 8.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + ((t * 7919) % 101) as f64 / 50.0;
        let sale = [9, 23, 30, 44, 61, 69].contains(&(t / 24));
        let _ = writeln!(text, "a,{},{:.3}", 1_793_491_200 + 3600 * t, if sale { 2.0 * usual } else { usual });
    }
    let (past, truth) = text.split_at(text.match_indices('\n').nth(24 * 69).unwrap().0 + 1);
    fs::write(folder.path().join("past.csv"), past).unwrap();
    fs::write(folder.path().join("truth.csv"), format!("series,timestamp,value\n{truth}")).unwrap();
    let dates: Vec<String> = [9, 23, 30, 44, 61, 69]
        .iter()
        .map(|day| jiff::Timestamp::from_second(1_793_491_200 + 86_400 * day).unwrap().to_string()[..10].to_owned())
        .collect();
    fs::write(folder.path().join("events.yaml"), format!("events:\n- {{name: sale, dates: [{}]}}\n", dates.join(", ")))
        .unwrap();
    let mase = |events: &[&str]| -> f64 {
        let scored = ["--input", "past.csv", "--truth", "truth.csv", "--horizon", "24", "--season", "24", "-o", "csv"];
        let scores = printed(&folder, &[&scored[..], events].concat());
        let line = scores.lines().find(|l| l.starts_with("Plimsoll,MASE,")).expect("a score").to_owned();
        line.split(',').nth(2).unwrap().parse().unwrap()
    };
    let (unknown, known) = (mase(&[]), mase(&["--events", "events.yaml"]));
    assert!(known < 0.3 * unknown, "{known} against {unknown}");
    let table = printed(&folder, &["--input", "past.csv", "--horizon", "24", "--events", "events.yaml"]);
    assert!(
        table.contains("\nEVENTS\na: sale: × 2") && table.contains("5 past occurrences; covers 24 steps"),
        "{table}"
    );
}
