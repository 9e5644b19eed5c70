//! A live cluster, read through its API server into the same dump that `kubectl get … -o json` prints.
//!
//! Reads only. What comes back goes through `crate::ingest::kubernetes` like any other dump, so that a live cluster
//! and an exported one mean the same.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ResourceQuota, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use thiserror::Error;

use crate::domain::progress::{Observer, Stage};
use crate::ingest::Source;

/// Objects asked for at once; the API server hands out the rest page by page.
const PAGE_SIZE: u32 = 500;

/// Why a live cluster could not be read.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No usable kubeconfig.
    #[error("failed to read the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The client can't be built.
    #[error("failed to connect: {}", said(.0))]
    Client(#[source] Box<kube::Error>),
    /// One kind can't be listed; a plan on part of a cluster would be wrong, so nothing is returned.
    #[error("failed to list {kind}: {}", said(.source))]
    List {
        /// The kind.
        kind: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The listed objects can't be written as JSON.
    #[error("failed to keep the listed objects: {0}")]
    Encode(#[from] serde_json::Error),
    /// No runtime for the requests.
    #[error("failed to start: {0}")]
    Runtime(#[from] std::io::Error),
}

/// An API server's own words where it answered, else the error with its causes: `client error (Connect)` alone does not
/// say that it was the certificate.
fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("{} ({} {})", status.message, status.code, status.reason);
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| match cause.to_string() {
        cause if text.ends_with(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}

/// Lists what a plan needs of the cluster that the kubeconfig's context (the current one if `None`) names.
///
/// # Errors
/// If the cluster can't be reached or any of the kinds can't be listed: a part of a cluster is never returned.
pub fn dump(context: Option<&str>, observer: &dyn Observer) -> Result<Source, ClusterError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
        let config = match context {
            Some(_) => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await.map_err(|e| ClusterError::Client(Box::new(kube::Error::InferConfig(e))))?,
        };
        let name = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|e| ClusterError::Client(Box::new(e)))?;
        let bytes = list_all(&client, observer).await?;
        Ok(Source { name, bytes })
    })
}

/// Every kind, one after the other, as one `List`.
async fn list_all(client: &Client, observer: &dyn Observer) -> Result<Vec<u8>, ClusterError> {
    observer.begin(Stage::Fetching, None);
    let mut items = Vec::new();
    macro_rules! list {
        ($($kind:ty),+ $(,)?) => { $( list_kind(client, &ApiResource::erase::<$kind>(&()), observer, &mut items).await?; )+ };
    }
    list!(
        Node,
        Pod,
        Deployment,
        StatefulSet,
        DaemonSet,
        ReplicaSet,
        Job,
        CronJob,
        Service,
        EndpointSlice,
        PodDisruptionBudget,
        HorizontalPodAutoscaler,
        PriorityClass,
        Namespace,
        PersistentVolumeClaim,
        PersistentVolume,
        CSINode,
        ResourceQuota,
        StorageClass,
    );
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
    Ok(serde_json::to_vec(&list)?)
}

/// Lists one kind page by page. Objects of a list do not say what they are, so that is added.
async fn list_kind(
    client: &Client,
    kind: &ApiResource,
    observer: &dyn Observer,
    items: &mut Vec<serde_json::Value>,
) -> Result<(), ClusterError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    let mut parameters = ListParams::default().limit(PAGE_SIZE);
    loop {
        let page = api
            .list(&parameters)
            .await
            .map_err(|e| ClusterError::List { kind: kind.plural.clone(), source: Box::new(e) })?;
        for object in page.items {
            let mut object = serde_json::to_value(object)?;
            object["apiVersion"] = kind.api_version.clone().into();
            object["kind"] = kind.kind.clone().into();
            items.push(object);
        }
        observer.done(items.len() as u64);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::domain::progress::Unwatched;

    /// Answers list requests on loopback until the client has asked for every kind; pods come in two pages.
    fn serve(fail_on: Option<&'static str>) -> (std::thread::JoinHandle<usize>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut asked = 0;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut first = String::new();
                reader.read_line(&mut first).unwrap();
                while {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap() > 2
                } {}
                let path = first.split(' ').nth(1).unwrap_or("").to_owned();
                asked += 1;
                let failed = fail_on.is_some_and(|kind| path.contains(kind));
                let meta =
                    if path.contains("/pods") && !path.contains("continue=") { r#"{"continue":"two"}"# } else { "{}" };
                let items = if path.contains("/pods") { r#"[{"metadata":{"name":"p"}}]"# } else { "[]" };
                let (status, body) = if failed {
                    ("403 Forbidden", r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods is forbidden","reason":"Forbidden","code":403}"#.to_owned())
                } else {
                    ("200 OK", format!(r#"{{"kind":"X","apiVersion":"v1","metadata":{meta},"items":{items}}}"#))
                };
                write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
                if failed || path.contains("storageclasses") {
                    return asked;
                }
            }
            asked
        });
        (server, url)
    }

    fn listed(url: &str) -> Result<Vec<u8>, ClusterError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let config = Config::new(url.parse().unwrap());
            let client = Client::try_from(config).map_err(|e| ClusterError::Client(Box::new(e)))?;
            list_all(&client, &Unwatched).await
        })
    }

    #[test]
    fn every_kind_is_listed_page_by_page_into_a_dump_with_kinds() {
        let (server, url) = serve(None);
        let bytes = listed(&url).unwrap();
        assert_eq!(server.join().unwrap(), 20, "19 kinds, one of them in two pages");
        let dump: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let kinds: Vec<_> = dump["items"].as_array().unwrap().iter().map(|i| i["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Pod", "Pod"]);
    }

    #[test]
    fn a_kind_that_may_not_be_listed_fails_the_whole() {
        let (server, url) = serve(Some("/pods"));
        let error = listed(&url).unwrap_err();
        server.join().unwrap();
        assert_eq!(error.to_string(), "failed to list pods: pods is forbidden (403 Forbidden)");
    }
}
