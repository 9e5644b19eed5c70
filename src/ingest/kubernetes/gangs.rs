//! Pod groups: of the coscheduling plugin (`scheduling.x-k8s.io`), and Kubernetes' own (`scheduling.k8s.io`).

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::scheduling::v1alpha2 as scheduling;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::domain::rules::Labels;

use super::object::FieldError;

/// Label by which the coscheduling plugin knows the pods of a group.
const GROUP_LABEL: &str = "scheduling.x-k8s.io/pod-group";

/// A group as the coscheduling plugin has it, with what is read of it.
#[derive(Debug, Deserialize)]
pub(super) struct CoschedulingGroup {
    #[serde(default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: CoschedulingSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CoschedulingSpec {
    min_member: i32,
}

/// Pods that must be placed at once; 0 where a group asks for none.
///
/// # Errors
/// If the number is negative.
pub(super) fn coscheduling(group: &CoschedulingGroup) -> Result<u32, FieldError> {
    members(group.spec.min_member, "spec.minMember")
}

/// Pods that must be placed at once; 0 where the group is no gang.
///
/// # Errors
/// If the number is negative.
pub(super) fn pod_group(group: &scheduling::PodGroup) -> Result<u32, FieldError> {
    let gang = group.spec.scheduling_policy.gang.as_ref();
    gang.map_or(Ok(0), |gang| members(gang.min_count, "spec.schedulingPolicy.gang.minCount"))
}

fn members(number: i32, field: &str) -> Result<u32, FieldError> {
    u32::try_from(number).map_err(|_| FieldError::new(field, format!("is {number}, expected at least 0")))
}

/// The group that a pod says it is in.
pub(super) fn group_of(spec: &core::PodSpec, labels: &Labels) -> Option<String> {
    let own = spec.scheduling_group.as_ref().and_then(|group| group.pod_group_name.clone());
    own.or_else(|| labels.get(GROUP_LABEL).cloned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_kinds_of_group_say_how_many_pods_are_needed() {
        let read = |value| coscheduling(&serde_json::from_value(value).unwrap());
        assert_eq!(
            read(json!({"metadata": {"name": "g"}, "spec": {"minMember": 4, "scheduleTimeoutSeconds": 9}})),
            Ok(4)
        );
        assert_eq!(read(json!({"metadata": {"name": "g"}})), Ok(0));
        let negative = FieldError::new("spec.minMember", "is -1, expected at least 0");
        assert_eq!(read(json!({"spec": {"minMember": -1}})), Err(negative));
        let read = |policy| {
            let group = json!({"metadata": {"name": "g"}, "spec": {"schedulingPolicy": policy}});
            pod_group(&serde_json::from_value(group).unwrap())
        };
        assert_eq!(read(json!({"gang": {"minCount": 3}})), Ok(3));
        assert_eq!(read(json!({"basic": {}})), Ok(0));
        let negative = FieldError::new("spec.schedulingPolicy.gang.minCount", "is -2, expected at least 0");
        assert_eq!(read(json!({"gang": {"minCount": -2}})), Err(negative));
    }

    #[test]
    fn a_pod_is_in_the_group_it_names_or_is_labelled_with() {
        let spec = |group| core::PodSpec {
            scheduling_group: Some(core::PodSchedulingGroup { pod_group_name: group }),
            ..core::PodSpec::default()
        };
        let labels = Labels::from([(GROUP_LABEL.to_owned(), "b".to_owned())]);
        assert_eq!(group_of(&spec(Some("a".to_owned())), &labels), Some("a".to_owned()));
        assert_eq!(group_of(&spec(None), &labels), Some("b".to_owned()));
        assert_eq!(group_of(&core::PodSpec::default(), &Labels::new()), None);
    }
}
