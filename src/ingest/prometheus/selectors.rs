//! What to ask a server for: the metrics that a mapping knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::policy::MetricMapping;

/// One instant vector selector for each set of label filters in the mapping, naming all metrics with those filters:
/// `{__name__=~"a|b",container!=""}`. The number of queries depends on the mapping, never on the cluster.
#[must_use]
pub fn instant_queries_for(mapping: &MetricMapping) -> Vec<String> {
    let mut names_by_filter: BTreeMap<&BTreeMap<String, String>, BTreeSet<&str>> = BTreeMap::new();
    for rule in &mapping.rules {
        names_by_filter.entry(&rule.where_labels).or_default().extend(rule.names.iter().map(String::as_str));
    }
    // A metric asked for without a filter covers all filters on it.
    let unfiltered = names_by_filter.get(&BTreeMap::new()).cloned().unwrap_or_default();
    names_by_filter
        .into_iter()
        .filter_map(|(filter, mut names)| {
            if !filter.is_empty() {
                names.retain(|name| !unfiltered.contains(name));
            }
            (!names.is_empty()).then(|| selector(&names, filter))
        })
        .collect()
}

fn selector(names: &BTreeSet<&str>, filter: &BTreeMap<String, String>) -> String {
    let names: Vec<String> = names.iter().map(|name| regex_literal(name)).collect();
    let name = format!("__name__=~{}", quoted(&names.join("|")));
    let filters = filter.iter().map(|(label, value)| match value.as_str() {
        "*" => format!("{label}!=\"\""),
        "!" => format!("{label}=\"\""),
        value => format!("{label}={}", quoted(value)),
    });
    format!("{{{}}}", std::iter::once(name).chain(filters).collect::<Vec<_>>().join(","))
}

/// The text as a regular expression that matches it and nothing else. Prometheus anchors expressions itself.
fn regex_literal(text: &str) -> String {
    let escape = |character: char| {
        if character.is_ascii_punctuation() && character != '_' && character != ':' {
            vec!['\\', character]
        } else {
            vec![character]
        }
    };
    text.chars().flat_map(escape).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::{MetricKind, MetricRule};
    use crate::domain::series::Signal;

    fn rule(names: &[&str], filter: &[(&str, &str)]) -> MetricRule {
        MetricRule {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            signal: Signal::CpuCores,
            kind: MetricKind::Counter,
            scale: 1.0,
            where_labels: filter.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
            namespace_labels: Vec::new(),
            pod_labels: Vec::new(),
            workload_labels: Vec::new(),
        }
    }

    #[test]
    fn metrics_of_one_filter_share_a_query() {
        let rules = vec![
            rule(&["cpu_total", "cpu.seconds"], &[]),
            rule(&["memory_bytes"], &[("container", "*"), ("image", "!"), ("job", "a\"b")]),
            rule(&["requests_total"], &[]),
            rule(&["requests_total"], &[("code", "200")]),
        ];
        assert_eq!(
            instant_queries_for(&MetricMapping { rules }),
            [
                r#"{__name__=~"cpu\\.seconds|cpu_total|requests_total"}"#,
                r#"{__name__=~"memory_bytes",container!="",image="",job="a\"b"}"#,
            ]
        );
    }

    #[test]
    fn an_empty_mapping_asks_nothing() {
        assert_eq!(instant_queries_for(&MetricMapping::default()), [""; 0]);
    }
}
