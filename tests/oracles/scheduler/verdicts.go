package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
)

// view is the snapshot that the plugins look at; it changes from question to question.
type view struct{ fwk.SharedLister }

// verdicts asks about each pod without a node, and with standing also about each other one.
func verdicts(cluster *objects, standing bool) ([]PodAnswer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lister := &view{}
	profile, err := profile(ctx, cluster.informers, lister)
	if err != nil {
		return nil, err
	}
	bound := slices.DeleteFunc(slices.Clone(cluster.pods), func(pod *v1.Pod) bool { return pod.Spec.NodeName == "" })
	now := schedulercache.NewSnapshot(bound, cluster.nodes)
	answers := []PodAnswer{}
	for _, pod := range cluster.pods {
		lister.SharedLister = now
		if pod.Spec.NodeName != "" {
			if !standing {
				continue
			}
			others := slices.DeleteFunc(slices.Clone(bound), func(other *v1.Pod) bool { return other == pod })
			lister.SharedLister = schedulercache.NewSnapshot(others, cluster.nodes)
			pod = pod.DeepCopy()
			pod.Spec.NodeName = ""
		}
		answer, err := ask(ctx, profile, lister, pod)
		if err != nil {
			return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if answer.Refused, err = refusal(cluster, pod); err != nil {
			return nil, fmt.Errorf("quotas for pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// profile is the default profile without device claims, which need more of a control plane.
func profile(ctx context.Context, informers informers.SharedInformerFactory, lister fwk.SharedLister) (framework.Framework, error) {
	defaults, err := latest.Default()
	if err != nil {
		return nil, err
	}
	profile := defaults.Profiles[0]
	multi := &profile.Plugins.MultiPoint
	multi.Enabled = slices.DeleteFunc(multi.Enabled, func(plugin config.Plugin) bool {
		return plugin.Name == names.DynamicResources
	})
	return frameworkruntime.NewFramework(ctx, plugins.NewInTreeRegistry(), &profile,
		frameworkruntime.WithSnapshotSharedLister(lister),
		frameworkruntime.WithInformerFactory(informers),
		frameworkruntime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(informers.Storage().V1().CSINodes().Lister())),
	)
}

// ask follows the scheduler's findNodesThatFitPod, on every node instead of as many as suffice.
func ask(ctx context.Context, profile framework.Framework, lister fwk.SharedLister, pod *v1.Pod) (PodAnswer, error) {
	answer := PodAnswer{Name: pod.Namespace + "/" + pod.Name, Rejected: map[string]Rejection{}}
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		return answer, err
	}
	answer.Requests = requests(info)
	pending := pod.DeepCopy()
	pending.Status = v1.PodStatus{}
	if info, err = framework.NewPodInfo(pending); err != nil {
		return answer, err
	}
	answer.Resizes = !maps.Equal(answer.Requests, requests(info))
	nodes, err := lister.NodeInfos().List()
	if err != nil {
		return answer, err
	}
	diagnosis := framework.Diagnosis{NodeToStatus: framework.NewDefaultNodeToStatus()}
	reject := func(node fwk.NodeInfo, status *fwk.Status) {
		diagnosis.NodeToStatus.Set(node.Node().Name, status)
		answer.Rejected[node.Node().Name] = Rejection{Plugin: status.Plugin(), Reasons: status.Reasons()}
	}
	state := framework.NewCycleState()
	found, status, by := profile.RunPreFilterPlugins(ctx, state, pod)
	switch {
	case status.IsRejected():
		diagnosis.PreFilterMsg = status.Message()
	case !status.IsSuccess():
		return answer, status.AsError()
	}
	for _, node := range nodes {
		if !status.IsSuccess() {
			reject(node, status)
			continue
		}
		if !found.AllNodes() && !found.NodeNames.Has(node.Node().Name) {
			reason := fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sets.List(by))
			reject(node, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason).WithPlugin(sets.List(by)[0]))
			continue
		}
		if status := profile.RunFilterPlugins(ctx, state, pod, node); !status.IsSuccess() {
			if !status.IsRejected() {
				return answer, status.AsError()
			}
			reject(node, status)
		}
	}
	if len(answer.Rejected) == len(nodes) {
		answer.Message = (&framework.FitError{Pod: pod, NumAllNodes: len(nodes), Diagnosis: diagnosis}).Error()
	}
	return answer, nil
}

// requests are what NodeResourcesFit counts for the pod, without amounts of 0.
func requests(pod *framework.PodInfo) map[string]int64 {
	resource := pod.CalculateResource().Resource
	amounts := map[string]int64{
		string(v1.ResourceCPU):              resource.GetMilliCPU(),
		string(v1.ResourceMemory):           resource.GetMemory(),
		string(v1.ResourceEphemeralStorage): resource.GetEphemeralStorage(),
	}
	for name, amount := range resource.GetScalarResources() {
		amounts[string(name)] = amount
	}
	for name, amount := range amounts {
		if amount == 0 {
			delete(amounts, name)
		}
	}
	return amounts
}
