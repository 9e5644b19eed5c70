//! `plimsoll plan`.

use crate::domain::InputError;
use crate::domain::plan::Stopped;
use crate::domain::run::Provenance;
use crate::pipeline::{self, Inputs};
use crate::report::{document::PlanDocument, html, text};

use super::arguments::{PlanArguments, PlanFormat};
use super::exit::{Done, Failure};
use super::progress::{Bars, SinceStart, stop_rule};
use super::{inputs, output};

pub(super) fn run(arguments: PlanArguments) -> Result<Done, Failure> {
    let PlanArguments { sources, catalog, stop, output: format, html, json, now } = arguments;
    let clock = SinceStart::now();
    let bars = Bars::new();
    let now_ms = now.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond());
    let mut loaded = inputs::load(&sources, now_ms, &bars)?;
    let Some(snapshot) = loaded.snapshot else {
        return Err(InputError::whole("--cluster", "is missing: a plan needs a dump of the cluster")
            .hint("kubectl get nodes,pods,deployments,statefulsets,daemonsets,replicasets,jobs,services,endpointslices,poddisruptionbudgets,horizontalpodautoscalers,priorityclasses,namespaces,persistentvolumeclaims,persistentvolumes,storageclasses -A -o json > dump.json")
            .into());
    };
    let catalog = match &catalog {
        Some(path) => Some(inputs::load_catalog(path, &mut loaded.described)?),
        None => None,
    };
    let provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: command_line(),
        inputs: loaded.described,
        generated_at_ms: now_ms,
    };
    let inputs = Inputs { snapshot, catalog, policy: loaded.policy, samples: loaded.samples };
    let run = pipeline::plan(inputs, &stop_rule(&stop), &clock, &bars, provenance)?;
    drop(bars);

    let document = PlanDocument::from_run(&run);
    if let Some(path) = html {
        output::write_file(&path, html::page(&run).as_bytes())?;
    }
    if let Some(path) = json {
        output::write_file(&path, document.to_json().as_bytes())?;
    }
    let style = output::style();
    output::print(&match format {
        PlanFormat::Table => text::plan_table(&document, output::width(), style, false),
        PlanFormat::Wide => text::plan_table(&document, output::width(), style, true),
        PlanFormat::Json => document.to_json(),
        PlanFormat::Yaml => document.to_yaml(),
        PlanFormat::Html => html::page(&run),
    })?;
    let certificate = &run.plan.certificate;
    Ok(match certificate.stopped {
        _ if !certificate.feasible => Done::Finding,
        Stopped::Deadline => Done::TimeLimit,
        Stopped::Gap | Stopped::Optimal | Stopped::Exhausted => Done::Fine,
    })
}

/// The command line, words quoted where a shell would need it, so that the report says how to run it again.
pub(super) fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    let quoted = |word: String| {
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let arguments = std::env::args().skip(1).map(quoted);
    std::iter::once("plimsoll".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}
