//! A document read back.

use serde::Deserialize;

use super::{API_VERSION, KIND, PlanDocument, Quantities};
use crate::domain::{InputError, Location};
use crate::ingest::source::Source;

const HINT: &str = "give the file that `plimsoll plan … -o json` wrote";

/// What any document says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heading {
    api_version: Option<String>,
    kind: Option<String>,
}

/// Reads a plan in JSON or YAML.
///
/// # Errors
/// If it is not text, neither JSON nor YAML, another kind of document, of another version, or lacks a field or has a
/// quantity that is none; says where.
pub fn parse(source: &Source) -> Result<PlanDocument, InputError> {
    let text = source.text()?;
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.is_empty() {
        return Err(InputError::whole(&source.name, "is empty, expected a plan").hint(HINT));
    }
    let json = trimmed.starts_with(['{', '[']);
    check_heading(&read::<Heading>(source, text, json)?, source)?;
    let document: PlanDocument = read(source, text, json)?;
    check_quantities(&document, source)?;
    Ok(document)
}

fn read<T: serde::de::DeserializeOwned>(source: &Source, text: &str, json: bool) -> Result<T, InputError> {
    let text = text.trim_start_matches('\u{feff}');
    if json { read_json(source, text) } else { read_yaml(source, text) }
}

fn read_json<T: serde::de::DeserializeOwned>(source: &Source, text: &str) -> Result<T, InputError> {
    serde_json::from_str(text).map_err(|error| {
        // serde_json repeats the place at the end of its message.
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&place).unwrap_or(&message);
        let problem = match error.classify() {
            serde_json::error::Category::Eof => format!("ends too early: {message}"),
            serde_json::error::Category::Syntax => format!("is not JSON: {message}"),
            serde_json::error::Category::Data | serde_json::error::Category::Io => {
                format!("is not a {KIND}: {message}")
            }
        };
        InputError::at(&source.name, Location::LineColumn(error.line(), error.column()), problem).hint(HINT)
    })
}

fn read_yaml<T: serde::de::DeserializeOwned>(source: &Source, text: &str) -> Result<T, InputError> {
    // A plan of a large cluster is larger than what YAML parsers take from strangers; its size is bounded by the
    // source, aliases by the remaining limits.
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_reader_input_bytes: None,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().and_then(|location| {
            let line = usize::try_from(location.line()).ok()?;
            let column = usize::try_from(location.column()).ok()?;
            Some(Location::LineColumn(line, column))
        });
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default();
        let problem = format!("is neither JSON nor YAML of a {KIND}: {message}");
        InputError::at(&source.name, place.unwrap_or(Location::Whole), problem).hint(HINT)
    })
}

fn check_heading(heading: &Heading, source: &Source) -> Result<(), InputError> {
    let error = |problem: String| Err(InputError::whole(&source.name, problem).hint(HINT));
    match (heading.api_version.as_deref(), heading.kind.as_deref()) {
        (Some(API_VERSION), Some(KIND)) => Ok(()),
        (_, None) => error(format!("has no kind, expected {KIND}")),
        (None, Some(KIND)) => error(format!("has no apiVersion, expected {API_VERSION}")),
        (Some(version), Some(KIND)) => error(format!("has apiVersion {version:?}, expected {API_VERSION:?}")),
        (_, Some(kind)) => error(format!("is of kind {kind:?}, expected {KIND:?}")),
    }
}

fn check_quantities(document: &PlanDocument, source: &Source) -> Result<(), InputError> {
    let check = |object: String, field: &str, quantities: &Quantities| match quantities.malformed() {
        None => Ok(()),
        Some((name, text)) => Err(InputError::at(
            &source.name,
            Location::Object { object, field: format!("{field}.{name}") },
            format!("{text:?} is no quantity, expected a number with an optional suffix such as m or Mi"),
        )),
    };
    for workload in &document.workloads {
        let object = || format!("{} {}", workload.kind, workload.full_name());
        check(object(), "requestsNow", &workload.requests_now)?;
        check(object(), "requests", &workload.requests)?;
    }
    for node in &document.nodes {
        let object = || format!("Node {}", node.name);
        check(object(), "allocatable", &node.allocatable)?;
        check(object(), "usedNow", &node.used_now)?;
        check(object(), "used", &node.used)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAST: &str = r#"{ "apiVersion": "plimsoll.dev/v1alpha1", "kind": "CapacityPlan",
  "certificate": { "costPerHour": 12.3, "boundPerHour": 12.1, "gap": 0.016, "modelGap": 0.01, "packingGap": 0.006,
                   "feasible": true, "stopped": "gap", "unmodelledRules": [] },
  "workloads": [ { "namespace": "shop", "kind": "Deployment", "name": "web", "replicasNow": 2, "replicas": 3,
                   "requests": { "cpu": "300m", "memory": "128Mi" }, "risk": null, "why": "" } ],
  "nodes": [], "placements": [], "unplaced": [] }"#;

    fn source(text: &str) -> Source {
        Source { name: "plan.json".to_owned(), bytes: text.as_bytes().to_vec() }
    }

    fn problem(text: &str) -> String {
        parse(&source(text)).unwrap_err().to_string()
    }

    #[test]
    fn the_contract_alone_is_a_document() {
        let document = parse(&source(LEAST)).unwrap();
        assert_eq!(document.workloads[0].requests.written("memory"), "128Mi");
        assert_eq!(document.workloads[0].risk, None);
    }

    #[test]
    fn yaml_is_read_too_and_a_byte_order_mark_is_skipped() {
        let document = parse(&source(LEAST)).unwrap();
        assert_eq!(parse(&source(&document.to_yaml())).unwrap(), document);
        assert_eq!(parse(&source(&format!("\u{feff}{LEAST}"))).unwrap(), document);
    }

    #[test]
    fn other_documents_are_refused_by_name() {
        assert_eq!(problem(""), "plan.json: is empty, expected a plan");
        assert_eq!(problem("{}"), "plan.json: has no kind, expected CapacityPlan");
        assert_eq!(
            problem(r#"{"kind":"List","apiVersion":"v1"}"#),
            "plan.json: is of kind \"List\", expected \"CapacityPlan\""
        );
        assert_eq!(
            problem(&LEAST.replace("v1alpha1", "v9")),
            "plan.json: has apiVersion \"plimsoll.dev/v9\", expected \"plimsoll.dev/v1alpha1\""
        );
        assert_eq!(
            problem(&LEAST.replace("128Mi", "lots")),
            "plan.json: Deployment shop/web: requests.memory: \"lots\" is no quantity, expected a number with an \
             optional suffix such as m or Mi"
        );
    }

    #[test]
    fn a_truncated_or_broken_document_names_the_place() {
        assert!(problem(&LEAST[..200]).starts_with("plan.json:3:20: ends too early: "), "{}", problem(&LEAST[..200]));
        assert!(problem("{,}").starts_with("plan.json:1:2: is not JSON: "));
        let missing = LEAST.replace("\"feasible\": true, ", "");
        assert!(problem(&missing).contains("is not a CapacityPlan: missing field `feasible`"), "{}", problem(&missing));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = parse(&source(&text));
        }

        #[test]
        fn any_truncation_is_refused(cut in 0..LEAST.len() - 1) {
            prop_assert!(parse(&source(&LEAST[..cut])).is_err());
        }
    }
}
