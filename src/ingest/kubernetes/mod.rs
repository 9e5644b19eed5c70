//! What `kubectl get … -o json|yaml` prints into a Snapshot.
