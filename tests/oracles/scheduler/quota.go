package main

import (
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	admissionquota "k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	quota "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/kubernetes/pkg/quota/v1/evaluator/core"
	clock "k8s.io/utils/clock/testing"
)

// evaluator charges pods as the API server does, before any that are being deleted have had their time.
var evaluator = core.NewPodEvaluator(nil, clock.NewFakeClock(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))

// refusal is what the quotas of its namespace say to the pod if it were made beside the others; empty if they let it.
func refusal(cluster *objects, pod *v1.Pod) (string, error) {
	var quotas []v1.ResourceQuota
	for _, one := range cluster.quotas {
		if one.Namespace != pod.Namespace {
			continue
		}
		charged, err := withUsage(one, cluster.pods, pod)
		if err != nil {
			return "", err
		}
		quotas = append(quotas, charged)
	}
	kind, resource := v1.SchemeGroupVersion.WithKind("Pod"), v1.SchemeGroupVersion.WithResource("pods")
	attributes := admission.NewAttributesRecord(pod, nil, kind, pod.Namespace, pod.Name, resource, "", admission.Create,
		&metav1.CreateOptions{}, false, nil)
	_, err := admissionquota.CheckRequest(quotas, attributes, evaluator, nil)
	if err == nil {
		return "", nil
	}
	message := err.Error()
	if _, reason, found := strings.Cut(message, "is forbidden: "); found {
		return reason, nil
	}
	return "", err
}

// withUsage is the quota with what all pods but one are charged.
func withUsage(one *v1.ResourceQuota, pods []*v1.Pod, but *v1.Pod) (v1.ResourceQuota, error) {
	charged := *one.DeepCopy()
	charged.Status.Hard = charged.Spec.Hard.DeepCopy()
	used := v1.ResourceList{}
	for name, hard := range charged.Spec.Hard {
		zero := hard.DeepCopy()
		zero.Set(0)
		used[name] = zero
	}
	for _, pod := range pods {
		if pod.Namespace != but.Namespace || pod.Name == but.Name {
			continue
		}
		matches, err := evaluator.Matches(&charged, pod)
		if err != nil {
			return charged, err
		}
		if !matches {
			continue
		}
		usage, err := evaluator.Usage(pod)
		if err != nil {
			return charged, err
		}
		used = quota.Add(used, quota.Mask(usage, quota.ResourceNames(used)))
	}
	charged.Status.Used = used
	return charged, nil
}
