//! Files, ready-made policies and servers into values: the only place where the commands read the world.

use std::path::{Path, PathBuf};

use crate::domain::policy::MetricMapping;
use crate::domain::progress::{Observer, Stage};
use crate::domain::run::Provenance;
use crate::domain::samples::Rows;
use crate::domain::{Catalog, EarlierPlan, InputError, Policy, Samples, Snapshot};
use crate::ingest::metrics::Options;
use crate::ingest::{self, Source};
use crate::report::document;

use super::arguments::{PrometheusArguments, SourceArguments};
use super::exit::Failure;
use super::output;

/// The cluster, the metrics and the policy that the arguments name.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) snapshot: Option<Snapshot>,
    pub(super) samples: Option<Samples>,
    pub(super) policy: Policy,
    /// One line an input: what it is, its name, its size.
    pub(super) described: Vec<String>,
}

/// Reads what the arguments name; `now_ms` ends the history asked of a server.
pub(super) fn load(arguments: &SourceArguments, now_ms: i64, observer: &dyn Observer) -> Result<Loaded, Failure> {
    let SourceArguments { cluster, live, context, metrics, prometheus, policy } = arguments;
    let mut described = Vec::new();
    let policy = load_policy(policy.as_deref(), &mut described)?;
    observer.begin(Stage::Reading, None);
    let dumps = if *live {
        vec![live_dump(context.as_deref(), observer)?]
    } else {
        cluster.iter().map(|p| Source::read(p)).collect::<Result<Vec<_>, _>>()?
    };
    let snapshot = if dumps.is_empty() { None } else { Some(load_snapshot(&dumps, &mut described)?) };
    let mut samples =
        load_samples(metrics, &Options { default_time_ms: now_ms, ..Options::default() }, &mut described)?;
    if let Some(samples) = &samples {
        warn("metrics", &samples.notes);
    }
    if let Some(fetched) = query(prometheus, &policy, now_ms, observer, &mut described)? {
        samples.get_or_insert_with(Samples::default).append(fetched);
    }
    Ok(Loaded { snapshot, samples, policy, described })
}

/// The policy of this file or ready-made name; the default one if none is named.
fn load_policy(named: Option<&Path>, described: &mut Vec<String>) -> Result<Policy, Failure> {
    let Some(path) = named else { return Ok(crate::policy::default_policy()) };
    let source = policy_source(path)?;
    describe("policy", &source, described);
    Ok(crate::policy::parse(&source)?)
}

/// A policy document: a file, or a ready-made one where no such file exists and the name is one of theirs.
pub(super) fn policy_source(path: &Path) -> Result<Source, InputError> {
    match path.to_str().and_then(crate::policy::built_in) {
        Some(text) if !path.exists() => {
            Ok(Source { name: format!("built-in policy {}", path.display()), bytes: text.as_bytes().to_vec() })
        }
        _ => Source::read(path),
    }
}

fn load_snapshot(dumps: &[Source], described: &mut Vec<String>) -> Result<Snapshot, Failure> {
    for dump in dumps {
        describe("cluster", dump, described);
    }
    let snapshot = ingest::kubernetes::snapshot(dumps)?;
    warn("cluster", &snapshot.warnings);
    Ok(snapshot)
}

/// The catalog of this file.
pub(super) fn load_catalog(path: &Path, described: &mut Vec<String>) -> Result<Catalog, Failure> {
    let source = Source::read(path)?;
    describe("catalog", &source, described);
    Ok(ingest::catalog::parse(&source)?)
}

/// What the earlier plan in this file decided, and one line on the file.
pub(super) fn load_plan(path: &Path) -> Result<(String, EarlierPlan), Failure> {
    let source = Source::read(path)?;
    let description = description("plan", &source.name, source.bytes.len() as u64);
    Ok((description, document::parse(&source)?.into()))
}

/// The measurements of these files together; `None` where there is no file.
fn load_samples(paths: &[PathBuf], options: &Options, described: &mut Vec<String>) -> Result<Option<Samples>, Failure> {
    let mut all: Option<Samples> = None;
    for path in paths {
        let source = Source::read(path)?;
        describe("metrics", &source, described);
        let samples = ingest::metrics::read(&source, options)?;
        match &mut all {
            None => all = Some(samples),
            Some(all) => all.append(samples),
        }
    }
    Ok(all)
}

/// The measurements of these files, to be read a piece at a time: those of one file from where they lie, those of several
/// together. Also whether they count steps instead of telling times.
pub(super) fn open_rows(
    paths: &[PathBuf],
    options: &Options,
    described: &mut Vec<String>,
) -> Result<(Box<dyn Rows>, bool), Failure> {
    let mut opened = Vec::new();
    for path in paths {
        let (rows, size) = ingest::metrics::open(path, options)?;
        described.push(description("metrics", &source_name(path), size));
        opened.push(rows);
    }
    let counts_steps = opened.first().is_some_and(|rows| rows.counts_steps());
    if let Some(other) = opened.iter().position(|rows| rows.counts_steps() != counts_steps) {
        let what = |steps: bool| if steps { "counts steps" } else { "has times" };
        let (name, first) = (source_name(&paths[other]), source_name(&paths[0]));
        let problem = format!("{}, but {first} {}", what(!counts_steps), what(counts_steps));
        return Err(InputError::whole(name, problem).hint("forecast them apart").into());
    }
    if opened.len() == 1 {
        return Ok((opened.remove(0), counts_steps));
    }
    let mut all = Samples::default();
    for mut rows in opened {
        let mut samples = Samples::default();
        rows.read(&mut |piece| samples.extend(piece))?;
        samples.keys = rows.keys().to_vec();
        samples.notes = rows.notes();
        all.append(samples);
    }
    Ok((Box::new(all), counts_steps))
}

/// The name of an input for messages.
pub(super) fn source_name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

#[cfg(feature = "cluster")]
fn live_dump(context: Option<&str>, observer: &dyn Observer) -> Result<Source, Failure> {
    crate::cluster::dump(context, observer).map_err(|e| {
        InputError::whole(context.unwrap_or("current context"), e.to_string())
            .hint("check with `kubectl get nodes`; every listed kind must be readable")
            .into()
    })
}

#[cfg(not(feature = "cluster"))]
fn live_dump(_: Option<&str>, _: &dyn Observer) -> Result<Source, Failure> {
    Err(InputError::whole("--live", "this build can't read a live cluster")
        .hint("build with the feature `cluster`")
        .into())
}

#[cfg(feature = "cluster")]
fn query(
    arguments: &PrometheusArguments,
    policy: &Policy,
    now_ms: i64,
    observer: &dyn Observer,
    described: &mut Vec<String>,
) -> Result<Option<Samples>, Failure> {
    use ingest::prometheus::{self, Endpoint};

    let PrometheusArguments { prometheus: url, since_days, bearer_token_file, ca_file } = arguments;
    let Some(url) = url else { return Ok(None) };
    let read = |path: &Option<PathBuf>| path.as_deref().map(Source::read).transpose();
    let bearer = match read(bearer_token_file)? {
        Some(source) => Some(source.text()?.trim().to_owned()),
        None => None,
    };
    let ca_pem = read(ca_file)?.map(|s| s.bytes);
    let endpoint = Endpoint { bearer, ca_pem, ..Endpoint::new(url) };
    let start_ms = now_ms - i64::from(*since_days) * 86_400_000;
    let mapping: &MetricMapping = &policy.metrics;
    let queries = prometheus::instant_queries_for(mapping);
    observer.begin(Stage::Fetching, None);
    let step_ms = policy.planning.step_ms;
    let samples = prometheus::query_range(&endpoint, &queries, start_ms, now_ms, step_ms, &mut |done, _| {
        observer.done(done as u64);
    })
    .map_err(|e| InputError::whole(url, e.to_string()))?;
    described.push(format!("metrics  {url}  {since_days} days"));
    warn("metrics", &samples.notes);
    Ok(Some(samples))
}

#[cfg(not(feature = "cluster"))]
fn query(
    arguments: &PrometheusArguments,
    _: &Policy,
    _: i64,
    _: &dyn Observer,
    _: &mut Vec<String>,
) -> Result<Option<Samples>, Failure> {
    match &arguments.prometheus {
        None => Ok(None),
        Some(url) => Err(InputError::whole(url.clone(), "this build can't query a server")
            .hint("build with the feature `cluster`")
            .into()),
    }
}

fn describe(what: &str, source: &Source, described: &mut Vec<String>) {
    described.push(description(what, &source.name, source.bytes.len() as u64));
}

fn description(what: &str, name: &str, size: u64) -> String {
    let size = match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{:.1} KiB", size as f64 / 1024.0),
        _ => format!("{:.1} MiB", size as f64 / 1_048_576.0),
    };
    format!("{what}  {name}  {size}")
}

/// Most warnings of one kind printed; the rest is counted.
const MOST_WARNINGS: usize = 10;

pub(super) fn warn(what: &str, warnings: &[String]) {
    for warning in warnings.iter().take(MOST_WARNINGS) {
        output::message(&format!("warning: {what}: {warning}"));
    }
    if warnings.len() > MOST_WARNINGS {
        output::message(&format!("warning: {what}: and {} more", warnings.len() - MOST_WARNINGS));
    }
}

/// The time a run counts as, milliseconds since the Unix epoch: the one given, or the present.
pub(super) fn now_ms(given: Option<i64>) -> i64 {
    given.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond())
}

/// How this run came about, for a report.
pub(super) fn provenance(inputs: Vec<String>, generated_at_ms: i64) -> Provenance {
    Provenance { version: env!("CARGO_PKG_VERSION").to_owned(), command: command_line(), inputs, generated_at_ms }
}

/// The command line, words quoted where a shell would need it, so that the report says how to run it again.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    let quoted = |word: String| {
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let arguments = std::env::args().skip(1).map(quoted);
    std::iter::once("plimsoll".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}
