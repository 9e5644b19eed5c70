//! What the scheduler reserves for a pod.
//!
//! Follows `k8s.io/component-helpers/resource.PodRequests` of Kubernetes 1.36 with status resources, which is what
//! kube-scheduler calls, after the defaulting that the API server does on creation.

use k8s_openapi::api::core::v1::{Container as K8sContainer, ContainerStatus, PodSpec, PodStatus};

use crate::domain::Resources;
use crate::domain::snapshot::Container;

use super::object::FieldError;
use super::quantities::amounts;

/// Requests and limits of a pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PodResources {
    /// What the scheduler reserves.
    pub requests: Resources,
    /// Sum of the container limits, of resources that every ordinary container and sidecar limits.
    pub limits: Resources,
    /// Each ordinary container and sidecar.
    pub containers: Vec<Container>,
}

/// The requests and limits of a pod; without a status, of one to come.
///
/// # Errors
/// If an amount is impossible.
pub(super) fn pod_resources(spec: &PodSpec, status: Option<&PodStatus>) -> Result<PodResources, FieldError> {
    let running = Running::of(status);
    let mut pod = PodResources::default();

    for (i, container) in spec.containers.iter().enumerate() {
        let read = read_container(container, "containers", i)?;
        pod.requests.add(&running.container_requests(&read, &spec_path("containers", i))?);
        pod.containers.push(read);
    }

    // While init container i starts, it runs beside the sidecars before it.
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for (i, container) in spec.init_containers.iter().flatten().enumerate() {
        let read = read_container(container, "initContainers", i)?;
        if container.restart_policy.as_deref() == Some("Always") {
            let requests = running.container_requests(&read, &spec_path("initContainers", i))?;
            pod.requests.add(&requests);
            sidecars.add(&requests);
            starting.raise_to(&sidecars);
            pod.containers.push(read);
        } else {
            let mut beside_sidecars = read.requests;
            beside_sidecars.add(&sidecars);
            starting.raise_to(&beside_sidecars);
        }
    }
    pod.requests.raise_to(&starting);
    pod.limits = common_limits(&pod.containers);

    pod_level(spec, &running, &mut pod)?;
    pod.requests.add(&amounts(spec.overhead.as_ref(), format_args!("spec.overhead"))?);
    Ok(pod)
}

fn spec_path(list: &str, i: usize) -> String {
    format!("spec.{list}[{i}]")
}

/// A container's requests and limits; a limit without a request is also the request, as the API server defaults it.
fn read_container(container: &K8sContainer, list: &str, i: usize) -> Result<Container, FieldError> {
    let resources = container.resources.as_ref();
    let given = resources.and_then(|r| r.requests.as_ref());
    let mut requests = amounts(given, format_args!("spec.{list}[{i}].resources.requests"))?;
    let limits = amounts(resources.and_then(|r| r.limits.as_ref()), format_args!("spec.{list}[{i}].resources.limits"))?;
    for (name, limit) in limits.iter() {
        if given.is_none_or(|given| !given.contains_key(name)) {
            requests.set(name, limit);
        }
    }
    Ok(Container { name: container.name.clone(), requests, limits })
}

fn common_limits(containers: &[Container]) -> Resources {
    let mut limits = Resources::default();
    for container in containers {
        limits.add(&container.limits);
    }
    limits.0.retain(|name, _| containers.iter().all(|c| c.limits.get(name) > 0));
    limits
}

/// Requests and limits of the pod as a whole take the place of the containers' sums, resource by resource.
fn pod_level(spec: &PodSpec, running: &Running<'_>, pod: &mut PodResources) -> Result<(), FieldError> {
    let Some(resources) = &spec.resources else { return Ok(()) };
    let mut requests = amounts(resources.requests.as_ref(), format_args!("spec.resources.requests"))?;
    let mut limits = amounts(resources.limits.as_ref(), format_args!("spec.resources.limits"))?;
    requests.0.retain(|name, _| is_pod_level(name));
    limits.0.retain(|name, _| is_pod_level(name));
    for (name, limit) in limits.iter() {
        let given = resources.requests.as_ref().is_some_and(|given| given.contains_key(name));
        if !given && pod.requests.get(name) == 0 {
            requests.set(name, limit);
        }
        pod.limits.set(name, limit);
    }
    let requests = running.effective(requests, running.pod_actual()?, &running.pod_allocated()?);
    for (name, amount) in requests.iter().filter(|(name, _)| is_pod_level(name)) {
        pod.requests.set(name, amount);
    }
    Ok(())
}

fn is_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

/// What a pod's status says of an in-place resize.
struct Running<'a> {
    status: Option<&'a PodStatus>,
    /// The kubelet has said that the desired size will never fit.
    infeasible: bool,
}

impl<'a> Running<'a> {
    fn of(status: Option<&'a PodStatus>) -> Self {
        let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let pending = conditions.iter().find(|c| c.type_ == "PodResizePending");
        Self { status, infeasible: pending.is_some_and(|c| c.reason.as_deref() == Some("Infeasible")) }
    }

    /// While a resize is under way the largest of desired, actual and allocated is reserved.
    fn effective(&self, desired: Resources, actual: Option<Resources>, allocated: &Resources) -> Resources {
        let Some(actual) = actual else { return desired };
        let mut largest = if self.infeasible { Resources::default() } else { desired };
        largest.raise_to(&actual);
        largest.raise_to(allocated);
        largest
    }

    fn container_requests(&self, container: &Container, path: &str) -> Result<Resources, FieldError> {
        let desired = container.requests.clone();
        let Some(status) = self.container_status(&container.name) else { return Ok(desired) };
        let Some(resources) = &status.resources else { return Ok(desired) };
        let in_status = |field| format!("{}.{field}", path.replacen("spec", "status of", 1));
        let actual = amounts(resources.requests.as_ref(), format_args!("{}", in_status("resources.requests")))?;
        let allocated =
            amounts(status.allocated_resources.as_ref(), format_args!("{}", in_status("allocatedResources")))?;
        Ok(self.effective(desired, Some(actual), &allocated))
    }

    fn container_status(&self, name: &str) -> Option<&'a ContainerStatus> {
        let status = self.status?;
        let statuses = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
        statuses.into_iter().find(|s| s.name == name)
    }

    fn pod_actual(&self) -> Result<Option<Resources>, FieldError> {
        let resources = self.status.and_then(|s| s.resources.as_ref());
        resources.map(|r| amounts(r.requests.as_ref(), format_args!("status.resources.requests"))).transpose()
    }

    fn pod_allocated(&self) -> Result<Resources, FieldError> {
        amounts(self.status.and_then(|s| s.allocated_resources.as_ref()), format_args!("status.allocatedResources"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn requests(spec: Value, status: Value) -> Vec<(String, i64)> {
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let status: PodStatus = serde_json::from_value(status).unwrap();
        let pod = pod_resources(&spec, Some(&status)).unwrap();
        pod.requests.iter().map(|(name, amount)| (name.to_owned(), amount)).collect()
    }

    fn cpu(spec: Value, status: Value) -> i64 {
        let requests = requests(spec, status);
        requests.iter().find(|(name, _)| name == "cpu").map_or(0, |(_, amount)| *amount)
    }

    fn asks(cpu: &str) -> Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> Value {
        json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn containers_add_up_and_init_containers_set_a_floor() {
        for (name, containers, init, expected) in [
            ("containers add up", json!([asks("100m"), asks("200m")]), json!([]), 300),
            ("a large init container is a floor", json!([asks("100m")]), json!([asks("1"), asks("500m")]), 1000),
            ("a small init container is nothing", json!([asks("300m")]), json!([asks("200m")]), 300),
            ("a sidecar adds", json!([asks("100m")]), json!([sidecar("50m")]), 150),
            (
                "an init container after a sidecar runs beside it",
                json!([asks("100m")]),
                json!([sidecar("50m"), asks("400m")]),
                450,
            ),
            (
                "an init container before a sidecar runs alone",
                json!([asks("100m")]),
                json!([asks("400m"), sidecar("50m")]),
                400,
            ),
            (
                "sidecars are cumulative",
                json!([asks("10m")]),
                json!([sidecar("50m"), sidecar("70m"), asks("100m")]),
                220,
            ),
            ("nothing asked is nothing", json!([{"name": "c"}]), json!([]), 0),
        ] {
            let spec = json!({"containers": containers, "initContainers": init});
            assert_eq!(cpu(spec, json!({})), expected, "{name}");
        }
    }

    #[test]
    fn a_limit_without_a_request_is_the_request() {
        let container =
            json!({"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Ki"}, "requests": {"cpu": "1"}}});
        let expected = [("cpu".to_owned(), 1000), ("memory".to_owned(), 1024)];
        assert_eq!(requests(json!({"containers": [container]}), json!({})), expected);
        let zero = json!({"name": "c", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "0"}}});
        assert_eq!(cpu(json!({"containers": [zero]}), json!({})), 0, "a request of zero is a request");
    }

    #[test]
    fn overhead_adds_and_pod_level_requests_replace() {
        let spec = json!({
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "100m", "memory": "10", "nvidia.com/gpu": "1"}}}],
            "overhead": {"cpu": "25m"},
            "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3", "memory": "5"}},
        });
        let expected = [("cpu".to_owned(), 2025), ("memory".to_owned(), 10), ("nvidia.com/gpu".to_owned(), 1)];
        assert_eq!(requests(spec, json!({})), expected);
        let only_limits = json!({"containers": [{"name": "c"}], "resources": {"limits": {"cpu": "3"}}});
        assert_eq!(cpu(only_limits, json!({})), 3000);
    }

    #[test]
    fn a_resize_under_way_reserves_the_largest_size() {
        let spec = json!({"containers": [asks("500m")]});
        let status = |actual: &str, allocated: &str, reason: &str| {
            json!({
                "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
                "containerStatuses": [{
                    "name": "c", "allocatedResources": {"cpu": allocated}, "resources": {"requests": {"cpu": actual}},
                }],
            })
        };
        assert_eq!(cpu(spec.clone(), status("800m", "100m", "Deferred")), 800);
        assert_eq!(cpu(spec.clone(), status("100m", "900m", "Deferred")), 900);
        assert_eq!(cpu(spec.clone(), status("100m", "100m", "Deferred")), 500);
        assert_eq!(cpu(spec.clone(), status("100m", "200m", "Infeasible")), 200);
        let without = json!({"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "2"}}]});
        assert_eq!(cpu(spec, without), 500, "without actual resources the status says nothing");
    }

    #[test]
    fn limits_count_where_every_container_has_one() {
        let spec: PodSpec = serde_json::from_value(json!({"containers": [
            {"name": "a", "resources": {"limits": {"cpu": "1", "memory": "5"}}},
            {"name": "b", "resources": {"limits": {"memory": "6"}}},
        ]}))
        .unwrap();
        assert_eq!(pod_resources(&spec, None).unwrap().limits, Resources::of([("memory", 11)]));
    }

    #[test]
    fn a_bad_amount_names_its_container() {
        let spec = json!({"containers": [asks("100m"), asks("10 cores")]});
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let error = pod_resources(&spec, None).unwrap_err();
        assert_eq!(error.field, "spec.containers[1].resources.requests.cpu");
    }
}
