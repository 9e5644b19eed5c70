//! What `kubectl get … -o json|yaml` prints, into a [`Snapshot`].
//!
//! ```text
//! Source ─read─▶ Document of values ─object─▶ drafts ─inventory─▶ by name ─assemble─▶ Snapshot
//! ```
//!
//! Every object goes through `k8s-openapi`'s own type for it, so that a dump means here what it means to the API
//! server, and is cut down to a draft at once: a dump is never held as a whole tree.

mod assemble;
mod gangs;
mod inventory;
mod nodes;
mod object;
mod pods;
mod quantities;
mod quotas;
mod read;
mod requests;
mod rules;
mod services;
mod times;
mod volumes;
mod warnings;
mod workloads;

use crate::domain::snapshot::Snapshot;
use crate::domain::{InputError, Location};

use super::Source;
use inventory::Inventory;

/// The command whose output is asked for, for hints.
const KUBECTL: &str = "kubectl get nodes,pods,deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs,services,\
endpointslices,poddisruptionbudgets,horizontalpodautoscalers,priorityclasses,namespaces,persistentvolumeclaims,\
persistentvolumes,storageclasses,csinodes,resourcequotas -A -o json";

/// Reads a cluster from one or several exports: Lists, single objects, several YAML documents, concatenated JSON, in
/// any order and mix. Where an object is given twice the later one counts, with a warning. Objects of kinds that
/// say nothing about scheduling are counted in [`Snapshot::ignored_kinds`].
///
/// A pod bound to a node that is not in the export keeps that node's name: it counts as a replica, holds nothing
/// that can be planned, and stays where it is. Where the export has no nodes at all, every pod is taken as unbound.
///
/// # Errors
/// If a source is no JSON or YAML (with line and column), if an object contradicts its kind's schema or states an
/// impossible amount (with object and field), or if there is no node, pod or workload in any of the sources.
pub fn snapshot(sources: &[Source]) -> Result<Snapshot, InputError> {
    let mut inventory = Inventory::default();
    for source in sources {
        for object in read::read(source)? {
            let object = object.map_err(|rejected| {
                let location = Location::Object { object: rejected.object, field: rejected.field };
                InputError::at(&source.name, location, rejected.problem)
            })?;
            inventory.add(object);
        }
    }
    if inventory.is_empty() {
        let names: Vec<&str> = sources.iter().map(|s| s.name.as_str()).collect();
        let others = inventory.ignored_kinds.keys().cloned().collect::<Vec<_>>().join(", ");
        let problem = if others.is_empty() {
            "holds no Kubernetes objects".to_owned()
        } else {
            format!("holds no nodes, pods or workloads, only {others}")
        };
        return Err(InputError::whole(names.join(", "), problem).hint(format!("export the cluster with `{KUBECTL}`")));
    }
    Ok(assemble::assemble(inventory))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn source(text: impl Into<Vec<u8>>) -> Source {
        Source { name: "dump".to_owned(), bytes: text.into() }
    }

    fn refused(text: impl Into<Vec<u8>>) -> String {
        snapshot(&[source(text)]).unwrap_err().to_string()
    }

    fn pod(name: &str, spec: &str) -> String {
        format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"shop"}},"spec":{{"containers":[{{"name":"c"}}]{spec}}}}}"#
        )
    }

    #[test]
    fn what_is_no_dump_is_refused_with_its_place() {
        for (text, message) in [
            ("", "dump: is empty, expected the output of kubectl get -o json"),
            (" \n\t", "dump: is empty, expected the output of kubectl get -o json"),
            ("{}", "dump: object ?: kind: is missing, expected a kind such as Pod"),
            ("[]", "dump: holds no Kubernetes objects"),
            ("[1]", "dump: item 1: is a number, expected an object"),
            (r#"{"kind":"List","items":[]}"#, "dump: holds no Kubernetes objects"),
            (r#"{"kind":"List","items":null}"#, "dump: holds no Kubernetes objects"),
            (
                r#"{"kind":"ConfigMap","metadata":{"name":"x"}}"#,
                "dump: holds no nodes, pods or workloads, only ConfigMap",
            ),
            (r#"{"kind":"Pod"}"#, "dump: Pod without a name: metadata.name: is missing"),
            (r#"{"kind":7,"metadata":{"name":"x"}}"#, "dump: object x: kind: is a number, expected a kind such as Pod"),
            (r#"{"kind":"Pod","metadata":{"name":"p"}}"#, "dump: Pod p: spec: is missing"),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
    }

    #[test]
    fn syntax_errors_tell_line_and_column() {
        assert_eq!(refused("{\n \"kind\": \"Pod\",\n }"), "dump:3:2: trailing comma");
        let truncated = refused("{\"kind\": \"List\",\n\"items\": [{\"kind\": \"Po");
        assert!(truncated.starts_with("dump:2:22: the JSON ends too early: "), "{truncated}");
        let yaml = refused("kind: Pod\nmetadata: {name: x\nspec: [\n");
        assert!(yaml.starts_with("dump:"), "{yaml}");
        assert!(yaml.split(':').nth(1).is_some_and(|line| line.parse::<usize>().is_ok()), "{yaml}");
        assert_eq!(refused([0xff, 0xfe, b'{', 0]), "dump: is UTF-16 text, expected UTF-8");
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        let text = r#"{"kind":"Deployment","metadata":{"name":"web","namespace":"shop"},
            "spec":{"replicas":"three","selector":{},"template":{"spec":{"containers":[]}}}}"#;
        assert_eq!(
            refused(text),
            r#"dump: Deployment shop/web: spec.replicas: invalid type: string "three", expected i32"#
        );
        let text = r#"{"kind":"Pod","metadata":{"name":"p","namespace":"shop"},
            "spec":{"containers":[{"name":"a"},{"name":"b","ports":[{"containerPort":"http"}]}]}}"#;
        assert!(refused(text).contains("Pod shop/p: spec.containers[1].ports[0].containerPort: "), "{}", refused(text));
    }

    #[test]
    fn impossible_amounts_name_object_and_field() {
        let text = r#"{"kind":"Pod","metadata":{"name":"web-1","namespace":"shop"},
            "spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"-1"}}}]}}"#;
        assert_eq!(
            refused(text),
            "dump: Pod shop/web-1: spec.containers[0].resources.requests.cpu: is -1, expected an amount of at least 0"
        );
        let text = r#"{"kind":"Node","metadata":{"name":"n"},"status":{"allocatable":{"memory":"16 GB"}}}"#;
        assert!(refused(text).starts_with("dump: Node n: status.allocatable.memory: invalid quantity \"16 GB\""));
        let text = r#"{"kind":"StatefulSet","metadata":{"name":"s"},"spec":{"replicas":2000000000,"selector":{},"template":{}}}"#;
        assert!(refused(text).contains("StatefulSet s: spec.replicas: is 2000000000"), "{}", refused(text));
    }

    #[test]
    fn deep_nesting_and_alias_bombs_are_refused() {
        for open in ["[", "{\"a\":", "{\"items\":["] {
            let message = refused(open.repeat(100_000));
            assert!(message.contains("recursion limit exceeded"), "{message}");
        }
        let mut indented = String::new();
        for i in 0..5000 {
            writeln!(indented, "{}a:", " ".repeat(i)).unwrap();
        }
        let flow = format!("a: {}", "[".repeat(100_000));
        let block = format!("- {}", "- ".repeat(100_000));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let alias = vec![format!("*a{}", i - 1); 10].join(",");
            writeln!(bomb, "a{i}: &a{i} [{alias}]").unwrap();
        }
        for text in [indented, flow, block, bomb] {
            let message = refused(text);
            assert!(message.starts_with("dump:"), "{message}");
        }
    }

    #[test]
    fn unknown_kinds_are_counted_and_other_groups_kinds_are_not_mistaken() {
        let text = format!(
            r#"{}{{"kind":"Service","apiVersion":"serving.knative.dev/v1","metadata":{{"name":"s"}}}}{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"t"}}}}"#,
            pod("p", "")
        );
        let snapshot = snapshot(&[source(text)]).unwrap();
        let ignored: Vec<(&str, usize)> = snapshot.ignored_kinds.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        assert_eq!(ignored, [("Secret", 1), ("Service.serving.knative.dev", 1)]);
        assert!(snapshot.services.is_empty());
    }

    #[test]
    fn a_typed_list_gives_its_elements_their_kind_wherever_it_says_it() {
        let item = r#"{"metadata":{"name":"p","namespace":"shop"},"spec":{"containers":[]}}"#;
        for text in [
            format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{item}]}}"#),
            format!(r#"{{"items":[{item}],"kind":"PodList","apiVersion":"v1"}}"#),
            format!(r#"{{"kind":"List","items":[{{"kind":"PodList","items":[{item}]}}]}}"#),
            format!(r#"[{{"kind":"PodList","items":[{item}]}}]"#),
        ] {
            assert_eq!(snapshot(&[source(text.clone())]).unwrap().pods.len(), 1, "{text}");
        }
    }

    #[test]
    fn an_object_given_twice_counts_once_and_the_later_one_wins() {
        let first = source(pod("p", r#","nodeName":"a""#) + r#"{"kind":"Node","metadata":{"name":"a"}}"#);
        let second = source(pod("p", ""));
        let snapshot = snapshot(&[first, second]).unwrap();
        assert_eq!(snapshot.pods.len(), 1);
        assert_eq!(snapshot.pods[0].node, None);
        assert!(
            snapshot.warnings.contains(&"Pod shop/p: is in the input more than once; the last one counts".to_owned())
        );
    }

    #[test]
    fn owners_are_resolved_with_and_without_the_replica_set() {
        let owned = |name: &str, hash: &str| {
            format!(
                r#"{{"kind":"Pod","metadata":{{"name":"{name}-{hash}-x","namespace":"shop","labels":{{"pod-template-hash":"{hash}"}},
                "ownerReferences":[{{"controller":true,"kind":"ReplicaSet","name":"{name}-{hash}","apiVersion":"apps/v1","uid":"u"}}]}},
                "spec":{{"containers":[]}}}}"#
            )
        };
        let set = r#"{"kind":"ReplicaSet","apiVersion":"apps/v1","metadata":{"name":"web-abc","namespace":"shop",
            "ownerReferences":[{"controller":true,"kind":"Rollout","name":"web","apiVersion":"argoproj.io/v1alpha1","uid":"r"}]},
            "spec":{"replicas":3,"selector":{"matchLabels":{"app":"web","pod-template-hash":"abc"}}}}"#;
        let snapshot = snapshot(&[source(format!("{set}{}{}", owned("web", "abc"), owned("api", "def")))]).unwrap();
        let workloads: Vec<(&str, &str, u32, bool)> = snapshot
            .workloads
            .iter()
            .map(|w| (w.id.kind.as_str(), w.id.name.as_str(), w.replicas, w.scalable))
            .collect();
        assert_eq!(workloads, [("Deployment", "api", 1, true), ("Rollout", "web", 3, false)]);
        assert_eq!(snapshot.workloads[1].selector.match_labels.len(), 1, "the hash is of one revision only");
        assert!(snapshot.warnings.iter().any(|w| w.starts_with("ReplicaSet shop/api-def: is not in the input")));
    }

    #[test]
    fn finished_jobs_and_pods_are_left_out_and_a_cron_job_wants_what_its_jobs_want() {
        let job = |name: &str, status: &str| {
            format!(
                r#"{{"kind":"Job","metadata":{{"name":"{name}","namespace":"shop",
                "ownerReferences":[{{"controller":true,"kind":"CronJob","name":"report","apiVersion":"batch/v1","uid":"u"}}]}},
                "spec":{{"parallelism":4,"completions":10,"template":{{"spec":{{"containers":[]}}}}}},"status":{status}}}"#
            )
        };
        let cron = r#"{"kind":"CronJob","metadata":{"name":"report","namespace":"shop"},"spec":{"schedule":"0 3 * * *","jobTemplate":{}}}"#;
        let done = r#"{"conditions":[{"type":"Complete","status":"True"}],"succeeded":10}"#;
        let text = format!("{cron}{}{}", job("report-1", done), job("report-2", r#"{"succeeded":7}"#));
        let snapshot = snapshot(&[source(text)]).unwrap();
        assert_eq!(snapshot.workloads.len(), 1);
        assert_eq!((snapshot.workloads[0].id.kind.as_str(), snapshot.workloads[0].replicas), ("CronJob", 3));
    }

    #[test]
    fn a_pod_on_an_unknown_node_keeps_it_with_a_warning() {
        let node = r#"{"kind":"Node","metadata":{"name":"a"},"status":{"allocatable":{"cpu":"1","pods":"9"}}}"#;
        let gone = pod("p", r#","nodeName":"gone""#);
        let with_nodes = snapshot(&[source(format!("{node}{gone}"))]).unwrap();
        assert_eq!(with_nodes.pods[0].node.as_deref(), Some("gone"));
        assert_eq!(with_nodes.warnings.len(), 1);
        let without_nodes = snapshot(&[source(gone)]).unwrap();
        assert_eq!(without_nodes.pods[0].node, None);
    }

    #[test]
    fn a_static_pod_is_part_of_its_node() {
        let text = r#"{"kind":"Node","metadata":{"name":"n","labels":{"kubernetes.io/hostname":"h"}}}
            {"kind":"Pod","metadata":{"name":"proxy-n","namespace":"kube-system","annotations":{"kubernetes.io/config.mirror":"x"},
            "ownerReferences":[{"controller":true,"kind":"Node","name":"n","apiVersion":"v1","uid":"u"}]},
            "spec":{"nodeName":"n","containers":[]}}"#;
        let snapshot = snapshot(&[source(text)]).unwrap();
        assert!(snapshot.workloads[0].daemon && snapshot.pods[0].do_not_evict);
        let rules = &snapshot.templates[0].rules;
        let on_host = |host: &str| BTreeMap::from([("kubernetes.io/hostname".to_owned(), host.to_owned())]);
        assert!(rules.selects_node("n", &on_host("h")) && !rules.selects_node("m", &on_host("m")));
    }

    #[test]
    fn label_keys_of_a_spread_are_folded_into_its_selector_once() {
        let spread = |expressions: &str| {
            format!(
                r#"{{"kind":"Pod","metadata":{{"name":"p","labels":{{"rev":"7","topology.kubernetes.io/zone":"z"}}}},"spec":{{"containers":[],
                "topologySpreadConstraints":[{{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","minDomains":3,
                "matchLabelKeys":["rev","absent"],"labelSelector":{{"matchExpressions":[{expressions}]}}}}]}}}}"#
            )
        };
        let merged = r#"{"key":"rev","operator":"In","values":["7"]}"#;
        let once = snapshot(&[source(spread(""))]).unwrap();
        assert_eq!(once, snapshot(&[source(spread(merged))]).unwrap());
        let rule = &once.templates[0].rules.topology_spread[0];
        assert_eq!(rule.selector.as_ref().unwrap().match_expressions.len(), 1);
        assert_eq!((rule.min_domains, rule.honor_affinity, rule.honor_taints), (Some(3), true, false));
        assert!(!once.templates[0].labels.contains_key("topology.kubernetes.io/zone"));
    }

    #[test]
    fn claims_that_are_not_exported_are_warned_of_and_do_not_restrict() {
        let claims = r#","volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"data"}}]"#;
        let snapshot = snapshot(&[source(pod("p", claims))]).unwrap();
        assert!(snapshot.templates[0].rules.volume_affinity.is_empty());
        assert!(
            snapshot.warnings.iter().any(|w| w.starts_with("Pod shop/p: claims a volume")),
            "{:?}",
            snapshot.warnings
        );
    }

    #[test]
    fn a_volumes_claim_says_where_its_pod_may_run_and_what_is_not_read() {
        let objects = r#"
            {"kind":"PersistentVolume","metadata":{"name":"v","labels":{"topology.kubernetes.io/zone":"a__b"}},
             "spec":{"csi":{"driver":"d","volumeHandle":"h"}}}
            {"kind":"PersistentVolumeClaim","metadata":{"namespace":"shop","name":"bound"},
             "spec":{"volumeName":"v","accessModes":["ReadWriteOncePod"]}}
            {"kind":"StorageClass","metadata":{"name":"zonal"},"provisioner":"d","volumeBindingMode":"WaitForFirstConsumer",
             "allowedTopologies":[{"matchLabelExpressions":[{"key":"topology.kubernetes.io/zone","values":["c"]}]}]}
            {"kind":"PersistentVolumeClaim","metadata":{"namespace":"shop","name":"made"},"spec":{"storageClassName":"zonal"}}
            {"kind":"StorageClass","metadata":{"name":"hand"},"provisioner":"kubernetes.io/no-provisioner",
             "volumeBindingMode":"WaitForFirstConsumer"}
            {"kind":"PersistentVolume","metadata":{"name":"w"},"status":{"phase":"Available"},
             "spec":{"storageClassName":"hand","capacity":{"storage":"2Gi"},"nodeAffinity":{"required":{"nodeSelectorTerms":
              [{"matchExpressions":[{"key":"topology.kubernetes.io/zone","operator":"In","values":["d"]}]}]}}}}
            {"kind":"PersistentVolumeClaim","metadata":{"namespace":"shop","name":"found"},
             "spec":{"storageClassName":"hand","resources":{"requests":{"storage":"1Gi"}}}}"#;
        let in_zone = |zone: &str| BTreeMap::from([("topology.kubernetes.io/zone".to_owned(), zone.to_owned())]);
        for (claim, zones, unread) in [
            ("bound", ["a", "b", ""].as_slice(), ["limit on the volumes of a node"].as_slice()),
            ("made", &["c"], &["limit on the volumes of a node"]),
            ("found", &["d"], &[]),
        ] {
            let volume = format!(r#","volumes":[{{"name":"v","persistentVolumeClaim":{{"claimName":"{claim}"}}}}]"#);
            let snapshot = snapshot(&[source(format!("{objects}{}", pod("p", &volume)))]).unwrap();
            let rules = &snapshot.templates[0].rules;
            // A node without a zone is taken to reach what only the labels of volumes place.
            let labels = |zone: &str| if zone.is_empty() { BTreeMap::new() } else { in_zone(zone) };
            let reached: Vec<&str> =
                ["a", "b", "c", "d", ""].into_iter().filter(|zone| rules.selects_node("n", &labels(zone))).collect();
            assert_eq!(reached, zones, "{claim}");
            assert_eq!(rules.unread, unread, "{claim}");
        }
    }

    #[test]
    fn volumes_count_against_their_drivers_limit_by_how_many_pods_use_them() {
        let objects = r#"
            {"kind":"CSINode","apiVersion":"storage.k8s.io/v1","metadata":{"name":"n"},
             "spec":{"drivers":[{"name":"d","nodeID":"n","allocatable":{"count":2}}]}}
            {"kind":"Node","metadata":{"name":"n"}}
            {"kind":"PersistentVolume","metadata":{"name":"v"},"spec":{"csi":{"driver":"d","volumeHandle":"h"}}}
            {"kind":"PersistentVolumeClaim","metadata":{"namespace":"shop","name":"data-db-0"},"spec":{"volumeName":"v"}}
            {"kind":"PersistentVolume","metadata":{"name":"w"},"spec":{"csi":{"driver":"d","volumeHandle":"i"}}}
            {"kind":"PersistentVolumeClaim","metadata":{"namespace":"shop","name":"logs"},
             "spec":{"volumeName":"w","accessModes":["ReadWriteOncePod"]}}"#;
        let uses = |volumes: &[(&str, &str)]| {
            let claims: Vec<String> = volumes
                .iter()
                .map(|(name, claim)| {
                    format!(r#"{{"name":"{name}","persistentVolumeClaim":{{"claimName":"{claim}"}}}}"#)
                })
                .collect();
            format!(r#","volumes":[{}]"#, claims.join(","))
        };
        let db = pod("db-0", &uses(&[("data", "data-db-0"), ("logs", "logs")]));
        let snapshot =
            snapshot(&[source(format!("{objects}{db}{}", pod("reader", &uses(&[("logs", "logs")]))))]).unwrap();
        let limit = crate::domain::volumes::volume_limit("d");
        assert_eq!(snapshot.nodes[0].volume_limits.get(&limit), 2);
        let volumes = |name: &str| {
            let pod = snapshot.pods.iter().find(|pod| pod.name == name).unwrap();
            let volumes = &snapshot.templates[pod.template].rules.volumes;
            (volumes.own.get(&limit), volumes.shared.len(), volumes.single.join(","))
        };
        assert_eq!((volumes("db-0"), volumes("reader")), ((1, 1, "logs".to_owned()), (0, 1, "logs".to_owned())));
        let negative = objects.replace(r#""count":2"#, r#""count":-2"#);
        assert_eq!(refused(negative), "dump: CSINode n: spec.drivers[0].allocatable.count: is -2, expected at least 0");
    }

    #[test]
    fn a_pod_is_in_a_gang_only_if_its_group_is_in_the_input_and_is_one() {
        let group = |least: u32| {
            format!(
                r#"{{"kind":"PodGroup","apiVersion":"scheduling.x-k8s.io/v1alpha1",
                "metadata":{{"namespace":"shop","name":"train"}},"spec":{{"minMember":{least}}}}}"#
            )
        };
        let member = r#"{"kind":"Pod","metadata":{"name":"p","namespace":"shop","labels":{"scheduling.x-k8s.io/pod-group":"train"}},
            "spec":{"containers":[]}}"#;
        for (groups, gang, unread) in [
            (group(3), Some("train"), [].as_slice()),
            (group(0), None, &[]),
            (String::new(), None, &["pod group that is not in the input"]),
        ] {
            let snapshot = snapshot(&[source(format!("{groups}{member}"))]).unwrap();
            let template = &snapshot.templates[0];
            assert_eq!((template.gang.as_deref(), snapshot.gangs.len()), (gang, usize::from(gang.is_some())));
            assert_eq!(template.rules.unread, unread);
        }
    }

    #[test]
    fn a_label_of_one_pod_is_kept_where_a_rule_selects_by_it() {
        let pods = |key: &str| {
            let term = format!(r#"{{"topologyKey":"zone","labelSelector":{{"matchLabels":{{"{key}":"0"}}}}}}"#);
            let affinity =
                r#","affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[TERM]}}"#;
            let one = r#"{"kind":"Pod","metadata":{"name":"db-0","labels":{"apps.kubernetes.io/pod-index":"0"}},"spec":{"containers":[]}}"#;
            let text = format!("{one}{}", pod("p", &affinity.replace("TERM", &term)));
            let snapshot = snapshot(&[source(text)]).unwrap();
            snapshot.templates.iter().filter(|t| t.labels.contains_key("apps.kubernetes.io/pod-index")).count()
        };
        assert_eq!((pods("app"), pods("apps.kubernetes.io/pod-index")), (0, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = snapshot(&[source(text)]);
        }

        #[test]
        fn a_dump_cut_anywhere_is_refused(cut in 1usize..400) {
            let whole = format!(r#"{{"kind":"List","items":[{},{}]}}"#, pod("a", ""), pod("b", ""));
            if cut < whole.len() {
                prop_assert!(snapshot(&[source(&whole[..cut])]).is_err());
            }
        }

        #[test]
        fn a_dump_with_one_byte_changed_is_read_or_refused(at in 0usize..300, byte in any::<u8>()) {
            let mut bytes = format!(r#"{{"kind":"List","items":[{},{}]}}"#, pod("a", ""), pod("b", "")).into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = snapshot(&[source(bytes)]);
        }
    }
}
