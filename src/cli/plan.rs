//! `plimsoll plan`.

use crate::domain::InputError;
use crate::domain::plan::Stopped;
use crate::pipeline::{self, Inputs};
use crate::report::{document::PlanDocument, html, text};

use super::arguments::{PlanArguments, PlanFormat};
use super::exit::{Done, Failure};
use super::progress::{Bars, SinceStart, stop_rule};
use super::{inputs, output};

pub(super) fn run(arguments: PlanArguments) -> Result<Done, Failure> {
    let PlanArguments { sources, catalog, from, stop, output: format, html, json, now } = arguments;
    let clock = SinceStart::now();
    for path in [&html, &json].into_iter().flatten() {
        output::expect_place_for(path)?;
    }
    let bars = Bars::new();
    let now_ms = inputs::now_ms(now);
    let from = from.as_deref().map(inputs::load_plan).transpose()?;
    let mut loaded = inputs::load(&sources, now_ms, &bars)?;
    let Some(snapshot) = loaded.snapshot else {
        return Err(InputError::whole("--cluster", "is missing: a plan needs a dump of the cluster")
            .hint("kubectl get nodes,pods,deployments,statefulsets,daemonsets,replicasets,jobs,services,endpointslices,poddisruptionbudgets,horizontalpodautoscalers,priorityclasses,namespaces,persistentvolumeclaims,persistentvolumes,storageclasses,csinodes,resourcequotas -A -o json > dump.json")
            .into());
    };
    let catalog = match &catalog {
        Some(path) => Some(inputs::load_catalog(path, &mut loaded.described)?),
        None => None,
    };
    let earlier = from.map(|(description, plan)| {
        loaded.described.push(description);
        plan
    });
    let provenance = inputs::provenance(loaded.described, now_ms);
    let inputs = Inputs { snapshot, catalog, policy: loaded.policy, samples: loaded.samples, earlier };
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
