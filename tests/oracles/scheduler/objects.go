package main

import (
	"context"
	"encoding/json"
	"fmt"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	core "k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
)

// objects of a cluster after the API server's code has had them.
type objects struct {
	nodes  []*v1.Node
	pods   []*v1.Pod
	quotas []*v1.ResourceQuota
	// Informers that are never started: what plugins list is put into their stores by hand.
	informers informers.SharedInformerFactory
}

// read takes the objects in as the API server does on creation: defaults, the pod strategy's changes (label keys
// folded into selectors), validation of pods and nodes. A pod's status and deletion time are kept as given.
func read(items []json.RawMessage) (*objects, error) {
	read := &objects{informers: informers.NewSharedInformerFactory(nil, 0)}
	decoder := legacyscheme.Codecs.UniversalDecoder()
	for _, item := range items {
		internal, err := runtime.Decode(decoder, item)
		if err != nil {
			return nil, err
		}
		if err := read.add(internal); err != nil {
			return nil, err
		}
	}
	return read, nil
}

func (o *objects) add(internal runtime.Object) error {
	switch object := internal.(type) {
	case *core.Pod:
		status := object.Status
		podregistry.Strategy.PrepareForCreate(context.Background(), object)
		if errors := podregistry.Strategy.Validate(context.Background(), object); len(errors) > 0 {
			return fmt.Errorf("pod %s/%s: %v", object.Namespace, object.Name, errors.ToAggregate())
		}
		object.Status = status
		pod := &v1.Pod{}
		if err := legacyscheme.Scheme.Convert(object, pod, nil); err != nil {
			return err
		}
		pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		// What is done is not in the scheduler's list of pods.
		if pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed {
			o.pods = append(o.pods, pod)
		}
		return nil
	case *core.Node:
		if errors := validation.ValidateNode(object); len(errors) > 0 {
			return fmt.Errorf("node %s: %v", object.Name, errors.ToAggregate())
		}
		node := &v1.Node{}
		if err := legacyscheme.Scheme.Convert(object, node, nil); err != nil {
			return err
		}
		o.nodes = append(o.nodes, node)
		return o.informers.Core().V1().Nodes().Informer().GetIndexer().Add(node)
	}
	for _, version := range []runtime.GroupVersioner{v1.SchemeGroupVersion, storagev1.SchemeGroupVersion} {
		if object, err := legacyscheme.Scheme.ConvertToVersion(internal, version); err == nil {
			return o.store(object)
		}
	}
	return fmt.Errorf("no version of %T is known here", internal)
}

func (o *objects) store(object runtime.Object) error {
	core, storage := o.informers.Core().V1(), o.informers.Storage().V1()
	var informer cache.SharedIndexInformer
	switch object := object.(type) {
	case *v1.ResourceQuota:
		o.quotas = append(o.quotas, object)
		return nil
	case *v1.Namespace:
		informer = core.Namespaces().Informer()
	case *v1.PersistentVolume:
		informer = core.PersistentVolumes().Informer()
	case *v1.PersistentVolumeClaim:
		informer = core.PersistentVolumeClaims().Informer()
	case *storagev1.StorageClass:
		informer = storage.StorageClasses().Informer()
	case *storagev1.CSINode:
		informer = storage.CSINodes().Informer()
	default:
		return fmt.Errorf("objects of type %T mean nothing to the filters asked here", object)
	}
	return informer.GetIndexer().Add(object)
}
