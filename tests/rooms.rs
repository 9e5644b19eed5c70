//! Inner rooms import no outer ones: the one-way flow of the design, read off the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room of `src/` may use of the others.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ingest", &["domain"]),
    ("series", &["domain"]),
    ("forecast", &["domain"]),
    ("policy", &["domain", "ingest"]),
    ("sizing", &["domain"]),
    ("optimize", &["domain"]),
    ("decide", &["domain", "sizing"]),
    ("horizon", &["domain", "optimize", "sizing"]),
    ("report", &["domain", "ingest"]),
    ("sample", &["domain", "ingest"]),
    ("cluster", &["domain", "ingest"]),
    ("pipeline", &["domain", "ingest", "series", "forecast", "policy", "sizing", "optimize", "decide", "horizon"]),
    (
        "cli",
        &[
            "cluster", "decide", "domain", "forecast", "ingest", "optimize", "pipeline", "policy", "report", "sample",
            "series", "sizing",
        ],
    ),
];

/// Crates that only some rooms may name.
const KEPT_TO: &[(&str, &[&str])] = &[
    ("polars", &["ingest"]),
    ("kube", &["cluster"]),
    ("tokio", &["ingest", "cluster"]),
    ("hyper", &["ingest"]),
    ("good_lp", &["optimize"]),
    ("highs", &["optimize"]),
    ("minijinja", &["report"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("k8s_openapi", &["ingest", "cluster"]),
];

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("source folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            source_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Unit tests in files of their own, which may use what they like as those beside the code may: waves are held against
/// the checker of plans.
fn is_of_tests(src: &Path, file: &Path) -> bool {
    let inside = file.strip_prefix(src).expect("a file of the sources");
    inside.components().any(|part| part.as_os_str() == "tests") || inside.ends_with("tests.rs")
}

/// Code without comments and without its unit tests, which may use what they like.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn room_of(src: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(src).expect("below src");
    let first = inside.components().next().expect("a component").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Names that follow `prefix` in the code, e.g. every `x` of `crate::x`.
fn names_after<'t>(text: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    text.match_indices(prefix)
        .flat_map(|(at, _)| {
            let rest = &text[at + prefix.len()..];
            let word = |s: &'t str| s.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("");
            match rest.strip_prefix('{') {
                // `use crate::{a::b, c}`: the first word of each part at the outer level.
                Some(group) => group.split('}').next().unwrap_or("").split(',').map(|p| word(p.trim())).collect(),
                None => vec![word(rest)],
            }
        })
        .filter(|n| !n.is_empty())
        .collect()
}

#[test]
fn inner_rooms_import_no_outer_ones() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut files = Vec::new();
    source_files(&src, &mut files);
    let mut wrong = Vec::new();
    let mut checked = BTreeSet::new();
    for file in &files {
        let room = room_of(&src, file);
        if room == "lib" || room == "main" || is_of_tests(&src, file) {
            continue;
        }
        let may = allowed.get(room.as_str()).unwrap_or_else(|| panic!("room {room} is not in the table"));
        checked.insert(room.clone());
        let text = code(&fs::read_to_string(file).expect("source file"));
        for other in names_after(&text, "crate::") {
            if other != room && allowed.contains_key(other) && !may.contains(&other) {
                wrong.push(format!("{}: {room} may not use {other}", file.display()));
            }
        }
        for (name, rooms) in KEPT_TO {
            let named = text.contains(&format!("use {name}::")) || text.contains(&format!(" {name}::"));
            if named && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: {room} may not use the crate {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(checked.len(), MAY_USE.len(), "a room of the table has no files");
}

#[test]
fn the_mathematics_knows_no_input_output_or_clocks() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/src");
    let mut files = Vec::new();
    source_files(&src, &mut files);
    assert!(!files.is_empty());
    for file in files {
        let text = code(&fs::read_to_string(&file).expect("source file"));
        for banned in ["std::fs", "std::io", "std::net", "std::time", "std::env", "SystemTime", "println!"] {
            assert!(!text.contains(banned), "{} uses {banned}", file.display());
        }
    }
}

#[test]
fn a_grouped_import_is_read_name_by_name() {
    assert_eq!(names_after("use crate::{report::x, cli};", "crate::"), BTreeSet::from(["cli", "report"]));
}
