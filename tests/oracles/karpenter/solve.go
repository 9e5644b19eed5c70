package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	fakecr "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/fake"
	"sigs.k8s.io/karpenter/pkg/controllers/provisioning/scheduling"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/operator/injection"
	"sigs.k8s.io/karpenter/pkg/operator/logging"
	"sigs.k8s.io/karpenter/pkg/operator/options"
	"sigs.k8s.io/karpenter/pkg/test"
)

// Outcome is what Karpenter opens for the pods.
type Outcome struct {
	Pods         int            `json:"pods"`
	Unplaced     int            `json:"unplaced"`
	Nodes        int            `json:"nodes"`
	PricePerHour float64        `json:"pricePerHour"`
	Seconds      float64        `json:"seconds"`
	Offers       map[string]int `json:"offers"`
}

func solve(arguments []string) error {
	flags := flag.NewFlagSet("solve", flag.ExitOnError)
	cluster := flags.String("cluster", "pods.json", "kubectl list with the pending pods")
	offers := flags.String("catalog", "catalog.yaml", "Plimsoll's NodeCatalog")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	pods, err := readPods(*cluster)
	if err != nil {
		return err
	}
	catalog, err := readCatalog(*offers)
	if err != nil {
		return err
	}
	types, err := catalog.instanceTypes()
	if err != nil {
		return err
	}
	outcome, err := schedule(pods, types)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(outcome)
}

func readPods(path string) ([]*corev1.Pod, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	var pods []*corev1.Pod
	for _, item := range list.Items {
		var kind metav1.TypeMeta
		if err := json.Unmarshal(item, &kind); err != nil {
			return nil, err
		}
		if kind.Kind != "Pod" {
			continue
		}
		pod := &corev1.Pod{}
		if err := json.Unmarshal(item, pod); err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// schedule sets Karpenter's scheduler up as its own benchmark does, and times one Solve from an empty cluster.
func schedule(pods []*corev1.Pod, types []*cloudprovider.InstanceType) (Outcome, error) {
	log.SetLogger(logging.NopLogger)
	ctx := options.ToContext(injection.WithControllerName(context.Background(), "provisioner"), test.Options())
	pool := test.NodePool(v1.NodePool{Spec: v1.NodePoolSpec{Limits: v1.Limits{
		corev1.ResourceCPU:    resource.MustParse("10000000"),
		corev1.ResourceMemory: resource.MustParse("10000000Gi"),
	}}})
	provider := fake.NewCloudProvider()
	provider.InstanceTypes = types
	client := fakecr.NewFakeClient()
	now := &clock.RealClock{}
	cluster := state.NewCluster(now, client, provider)
	pools := []*v1.NodePool{pool}
	sold := map[string][]*cloudprovider.InstanceType{pool.Name: types}
	workers := scheduling.NumConcurrentReconciles(5)
	started := time.Now()
	topology, err := scheduling.NewTopology(ctx, client, cluster, nil, pools, sold, pods, workers)
	if err != nil {
		return Outcome{}, err
	}
	scheduler := scheduling.NewScheduler(ctx, client, pools, cluster, nil, topology, sold, nil,
		events.NewRecorder(&record.FakeRecorder{}), now, nil, nil, workers)
	results, err := scheduler.Solve(ctx, pods)
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{Pods: len(pods), Unplaced: len(results.PodErrors), Nodes: len(results.NewNodeClaims),
		Seconds: time.Since(started).Seconds(), Offers: map[string]int{}}
	for _, claim := range results.NewNodeClaims {
		name, price, err := cheapest(claim)
		if err != nil {
			return Outcome{}, err
		}
		outcome.Offers[name]++
		outcome.PricePerHour += price
	}
	return outcome, nil
}

// cheapest is what a provider would launch for a claim: of the types that are left, the one with the cheapest offering
// that meets the claim's requirements.
func cheapest(claim *scheduling.NodeClaim) (string, float64, error) {
	for _, known := range claim.InstanceTypeOptions.OrderByPrice(claim.Requirements) {
		offerings := known.Offerings.Available().Compatible(claim.Requirements)
		if len(offerings) > 0 {
			return known.Name, offerings.Cheapest().Price, nil
		}
	}
	return "", 0, fmt.Errorf("no type is left for a node claim")
}
