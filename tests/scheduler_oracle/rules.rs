//! Rules that random pods carry, about nodes and about other pods.

use serde_json::{Value, json};

use super::cluster::{APPS, CORDON, Draw, EFFECTS, POD_NAME, TAINT_KEYS, TAINT_VALUES, TIERS, TOPOLOGY_KEYS, ZONE};

/// Rules about nodes.
impl Draw {
    pub(super) fn node_rules(&mut self, spec: &mut Value) {
        if self.carries(1) {
            let (key, value) = match self.below(3) {
                0 => ("disk", self.one(&["ssd", "hdd"])),
                1 => (ZONE, self.one(&["z0", "z1", "z2"])),
                _ => ("rack", self.one(&["k0", "k1"])),
            };
            spec["nodeSelector"] = json!({key: value});
        }
        if self.carries(2) {
            let fields = self.chance(0.3);
            let terms: Vec<Value> = (0..=self.below(3)).map(|_| self.node_term(fields)).collect();
            let required = json!({"nodeSelectorTerms": terms});
            spec["affinity"]["nodeAffinity"] = json!({"requiredDuringSchedulingIgnoredDuringExecution": required});
        }
    }

    pub(super) fn node_term(&mut self, fields: bool) -> Value {
        let expressions: Vec<Value> = (0..=self.below(2)).map(|_| self.node_expression()).collect();
        if !fields {
            return json!({"matchExpressions": expressions});
        }
        let name = format!("n{}", self.below(8));
        let field = json!({"key": "metadata.name", "operator": self.one(&["In", "In", "NotIn"]), "values": [name]});
        match self.below(3) {
            0 => json!({"matchFields": [field], "matchExpressions": expressions}),
            // An empty term matches nothing.
            1 if self.chance(0.2) => json!({}),
            _ => json!({"matchFields": [field]}),
        }
    }

    fn node_expression(&mut self) -> Value {
        let key = self.one(&["disk", "rack", ZONE, "cores", "absent"]);
        let values: [&str; 3] = match key {
            "disk" => ["ssd", "hdd", "nvme"],
            "rack" => ["k0", "k1", "k2"],
            "cores" => ["4", "8", "many"],
            _ => ["z0", "z1", "z2"],
        };
        match self.below(6) {
            0 | 1 => {
                let some: Vec<&str> = values.into_iter().take(1 + self.below(2)).collect();
                json!({"key": key, "operator": self.one(&["In", "NotIn"]), "values": some})
            }
            2 => json!({"key": key, "operator": "Exists"}),
            3 => json!({"key": key, "operator": "DoesNotExist"}),
            _ => {
                json!({"key": "cores", "operator": self.one(&["Gt", "Lt"]), "values": [self.one(&["4", "7", "15", "8"])]})
            }
        }
    }

    pub(super) fn toleration(&mut self) -> Value {
        let mut toleration = match self.below(8) {
            0 => json!({"operator": "Exists"}),
            1 => json!({"key": CORDON, "operator": "Exists"}),
            2 | 3 => json!({"key": self.one(&TAINT_KEYS), "operator": "Exists"}),
            4 => json!({"key": self.one(&TAINT_KEYS), "value": self.one(&TAINT_VALUES)}),
            _ => json!({"key": self.one(&TAINT_KEYS), "operator": "Equal", "value": self.one(&TAINT_VALUES)}),
        };
        if self.chance(0.6) {
            toleration["effect"] = json!(self.one(&EFFECTS));
            if toleration["effect"] == "NoExecute" && self.chance(0.5) {
                toleration["tolerationSeconds"] = json!(300);
            }
        }
        toleration
    }

    /// Host ports of a container and of a sidecar, or of all ports on the host's own network.
    pub(super) fn ports(&mut self, spec: &mut Value) {
        let on_host = self.chance(0.3);
        if on_host {
            spec["hostNetwork"] = json!(true);
        }
        for container in ["containers", "initContainers"] {
            let Some(first) = spec[container].as_array_mut().and_then(|list| list.first_mut()) else { continue };
            let number: u16 = if self.chance(0.8) { 8080 } else { 9090 };
            let mut port = json!({"containerPort": number});
            if on_host && self.chance(0.5) {
                port["hostPort"] = json!(number);
            } else if !on_host {
                port["hostPort"] = json!(number);
                if self.chance(0.5) {
                    port["hostIP"] = json!(self.one(&["10.0.0.1", "10.0.0.2", "0.0.0.0"]));
                }
            }
            if self.chance(0.4) {
                port["protocol"] = json!(self.one(&["TCP", "UDP", "SCTP"]));
            }
            first["ports"] = json!([port]);
        }
    }
}

/// Rules about other pods.
impl Draw {
    pub(super) fn pod_rules(&mut self, spec: &mut Value) {
        for (family, kind) in [(3, "podAffinity"), (4, "podAntiAffinity")] {
            if self.carries(family) {
                let terms: Vec<Value> = (0..=self.below(2)).map(|_| self.pod_term()).collect();
                spec["affinity"][kind] = json!({"requiredDuringSchedulingIgnoredDuringExecution": terms});
            }
        }
        if self.carries(9) {
            let preferred = json!([{"weight": 10, "podAffinityTerm": self.pod_term()}]);
            spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = preferred;
        }
    }

    fn pod_term(&mut self) -> Value {
        let mut term = json!({"topologyKey": self.one(&TOPOLOGY_KEYS)});
        if self.chance(0.95) {
            term["labelSelector"] = self.selector();
            match self.below(6) {
                0 => term["matchLabelKeys"] = json!([self.one(&["pod-template-hash", "absent"])]),
                1 => term["mismatchLabelKeys"] = json!([self.one(&["pod-template-hash", "absent"])]),
                _ => {}
            }
        }
        match self.below(6) {
            0 => term["namespaces"] = json!(["data", "shop"]),
            1 => term["namespaceSelector"] = json!({}),
            2 => term["namespaceSelector"] = json!({"matchLabels": {"team": self.one(&["front", "back"])}}),
            3 if self.chance(0.5) => {
                term["namespaces"] = json!(["ops"]);
                term["namespaceSelector"] =
                    json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["front"]}]});
            }
            _ => {}
        }
        term
    }

    fn selector(&mut self) -> Value {
        match self.below(30) {
            29 => json!({"matchExpressions": [{"key": POD_NAME, "operator": "In", "values": ["p0", "p1", "p2"]}]}),
            28 => json!({"matchLabels": {(ZONE): "z0"}}),
            0 | 5..8 => json!({}),
            1 | 8..11 => json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
            2 | 11..14 => json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}),
            3 | 14..17 => {
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [self.one(&APPS)]}]})
            }
            4 | 17..20 => {
                let expression = json!({"key": "app", "operator": "In", "values": [self.one(&APPS), self.one(&APPS)]});
                json!({"matchLabels": {"tier": self.one(&TIERS)}, "matchExpressions": [expression]})
            }
            _ => json!({"matchLabels": {"app": self.one(&APPS)}}),
        }
    }

    pub(super) fn spread(&mut self) -> Value {
        let hard = self.chance(0.85);
        let mut spread = json!({
            "maxSkew": 1 + self.below(2), "topologyKey": self.one(&TOPOLOGY_KEYS),
            "whenUnsatisfiable": if hard { "DoNotSchedule" } else { "ScheduleAnyway" },
        });
        if self.chance(0.95) {
            spread["labelSelector"] = self.selector();
            if self.chance(0.2) {
                spread["matchLabelKeys"] = json!([self.one(&["pod-template-hash", "absent"])]);
            }
        }
        if hard && self.chance(0.3) {
            spread["minDomains"] = json!(1 + self.below(4));
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if self.chance(0.4) {
                spread[policy] = json!(self.one(&["Honor", "Ignore"]));
            }
        }
        spread
    }
}
