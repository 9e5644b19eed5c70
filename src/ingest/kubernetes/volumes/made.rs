//! Claims that are made with pods to come, and so are not in a dump: those a `StatefulSet` makes from its templates, and
//! those of ephemeral volumes.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::domain::rules::SchedulingRules;

use super::super::object::{FieldError, Name};
use super::{ClaimDraft, Volumes, claim};

/// What is named as unmodelled of replicas to come: their volume may be made in another place than the plan has them in,
/// is there already, or is one that only the owner can tell.
const MADE_AT_ONCE: &str = "volume made before its pod is placed";
const THERE_ALREADY: &str = "volume that a replica to come has already";
const CLASSLESS: &str = "volume without a storage class";

/// A claim that is made with each pod to come: by a `StatefulSet`, or for an ephemeral volume.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct ClaimTemplate {
    /// Name of the volume; the claim is called `NAME-POD`.
    name: String,
    /// Says that it has no class, where another that says nothing has the default one.
    classless: bool,
    claim: ClaimDraft,
}

impl ClaimTemplate {
    /// Storage asked for, bytes: claims are served the smallest first.
    pub(in super::super) fn size(&self) -> i64 {
        self.claim.request
    }
}

/// Reads a claim that is made with each pod.
///
/// # Errors
/// As of a claim.
pub(in super::super) fn claim_template(
    name: String,
    metadata: ObjectMeta,
    spec: Option<core::PersistentVolumeClaimSpec>,
) -> Result<ClaimTemplate, FieldError> {
    let classless = spec.as_ref().is_some_and(|spec| spec.storage_class_name.as_deref() == Some(""));
    let claim = claim(core::PersistentVolumeClaim { metadata, spec, status: None })?;
    Ok(ClaimTemplate { name, classless, claim })
}

impl Volumes {
    /// Adds what a claim says about where pods to come may run that each have one of their own.
    ///
    /// # Errors
    /// What is missing from the dump, so that the claim does not restrict them.
    pub(in super::super) fn restrict_to_made(
        &self,
        rules: &mut SchedulingRules,
        namespace: &str,
        made: &ClaimTemplate,
    ) -> Result<(), &'static str> {
        if made.classless {
            rules.unread.push(CLASSLESS.to_owned());
            return Ok(());
        }
        let mut claim = made.claim.clone();
        let default = self.classes.iter().find(|(_, class)| class.is_default).map(|(name, _)| name);
        claim.class = claim.class.or_else(|| default.cloned());
        let class = claim.class.as_ref().and_then(|name| self.classes.get(name));
        match class {
            None if claim.class.is_none() => {
                Err("makes claims of the default StorageClass, which is not in the input; \
                                                  their volumes are taken to be made anywhere")
            }
            Some(class) if !class.waits_for_pod => {
                rules.unread.push(MADE_AT_ONCE.to_owned());
                rules.volumes_to_make.extend(Some(class.topologies.clone()).filter(|terms| !terms.is_empty()));
                if class.makes() {
                    self.count_volume(rules, &class.provisioner, String::new(), true);
                }
                Ok(())
            }
            _ => {
                let name = Name { namespace: namespace.to_owned(), name: made.name.clone() };
                self.restrict_to_class(rules, &name, &claim, true)
            }
        }
    }

    /// Names claims, or volumes kept for them, that pods to come would find: they decide where each may run.
    pub(in super::super) fn name_kept(
        &self,
        rules: &mut SchedulingRules,
        namespace: &str,
        made: &[ClaimTemplate],
        is_to_come: &dyn Fn(&str) -> bool,
    ) {
        let kept = self.persistent.values().filter_map(|volume| volume.claim.as_ref()).map(|(claim, _)| claim);
        let mut claims = self.claims.keys().chain(kept).filter(|claim| claim.namespace == namespace);
        let is_for = |claim: &Name, made: &ClaimTemplate| {
            let pod = claim.name.strip_prefix(made.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
            pod.is_some_and(is_to_come)
        };
        if claims.any(|claim| made.iter().any(|made| is_for(claim, made))) {
            rules.unread.push(THERE_ALREADY.to_owned());
        }
    }
}
