package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// The amounts and labels of Karpenter's scheduling benchmark.
var (
	cpuMillis   = []int{100, 250, 500, 1000, 1500}
	memoryMi    = []int{100, 256, 512, 1024, 2048, 4096}
	labelValues = []string{"a", "b", "c", "d", "e", "f", "g"}
	zones       = []string{"test-zone-1", "test-zone-2", "test-zone-3"}
)

// mix draws the benchmark's pods: a fifth each generic, spread over zones, spread over hosts, with affinity to their
// own kind in a zone, and with anti-affinity to their own kind on a host; what is left over is generic.
type mix struct {
	random *rand.Rand
	pods   []corev1.Pod
}

func generate(arguments []string) error {
	flags := flag.NewFlagSet("generate", flag.ExitOnError)
	pods := flags.Int("pods", 1000, "pods")
	sizes := flags.Int("types", 400, "node types: one core, 2 GiB and 10 pods more each")
	seed := flags.Int64("seed", 42, "seed")
	spot := flags.Bool("spot", false, "also sell every type as spot in two of the zones, at the same price")
	out := flags.String("out", ".", "folder for pods.json and catalog.yaml")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	drawn := mix{random: rand.New(rand.NewSource(*seed))}
	drawn.draw(*pods)
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	items := drawn.items()
	list := map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*out, "pods.json"), text, 0o644); err != nil {
		return err
	}
	text, err = yaml.Marshal(catalog(*sizes, *spot))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "catalog.yaml"), text, 0o644)
}

func (m *mix) draw(count int) {
	fifth := count / 5
	m.add(fifth, "generic", func(pod *corev1.Pod) { pod.Labels = m.label("my-label") })
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelHostname} {
		m.add(fifth, "spread", func(pod *corev1.Pod) {
			pod.Labels = m.label("my-label")
			pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
				MaxSkew:           1,
				TopologyKey:       key,
				WhenUnsatisfiable: corev1.DoNotSchedule,
				// The benchmark draws the selector apart from the labels: most pods do not count themselves.
				LabelSelector: &metav1.LabelSelector{MatchLabels: m.label("my-label")},
			}}
		})
	}
	m.add(fifth, "together", func(pod *corev1.Pod) {
		pod.Labels = m.label("my-affininity")
		pod.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: term(pod.Labels, corev1.LabelTopologyZone),
		}}
	})
	m.add(fifth, "apart", func(pod *corev1.Pod) {
		pod.Labels = map[string]string{"app": "nginx"}
		pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: term(pod.Labels, corev1.LabelHostname),
		}}
	})
	m.add(count-5*fifth, "generic", func(pod *corev1.Pod) { pod.Labels = m.label("my-label") })
}

func term(labels map[string]string, key string) []corev1.PodAffinityTerm {
	return []corev1.PodAffinityTerm{{LabelSelector: &metav1.LabelSelector{MatchLabels: labels}, TopologyKey: key}}
}

func (m *mix) label(key string) map[string]string {
	return map[string]string{key: labelValues[m.random.Intn(len(labelValues))]}
}

func (m *mix) add(count int, kind string, rules func(*corev1.Pod)) {
	for range count {
		number := len(m.pods)
		pod := corev1.Pod{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default",
				Name:      fmt.Sprintf("%s-%d", kind, number),
				UID:       types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", number)),
			},
			Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable},
			}},
		}
		rules(&pod)
		cpu := resource.MustParse(fmt.Sprintf("%dm", cpuMillis[m.random.Intn(len(cpuMillis))]))
		memory := resource.MustParse(fmt.Sprintf("%dMi", memoryMi[m.random.Intn(len(memoryMi))]))
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "app", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory},
		}}}
		m.pods = append(m.pods, pod)
	}
}

// items are the pods with their owners: pods alike in everything belong to one ReplicaSet, as in a cluster they would.
func (m *mix) items() []any {
	counts := map[string]int32{}
	owners := make([]string, len(m.pods))
	names := map[string]string{}
	var order []string
	for i, pod := range m.pods {
		shape, _ := json.Marshal([]any{pod.Labels, pod.Spec})
		name, found := names[string(shape)]
		if !found {
			name = fmt.Sprintf("set-%d", len(names))
			names[string(shape)] = name
			order = append(order, name)
		}
		owners[i] = name
		counts[name]++
	}
	controller := true
	var items []any
	for _, name := range order {
		of := &m.pods[slices.Index(owners, name)]
		count := counts[name]
		items = append(items, appsv1.ReplicaSet{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
			Spec: appsv1.ReplicaSetSpec{
				Replicas: &count,
				Selector: &metav1.LabelSelector{MatchLabels: of.Labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: of.Labels}, Spec: of.Spec},
			},
		})
	}
	for i, pod := range m.pods {
		pod.OwnerReferences = []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owners[i], UID: types.UID(owners[i]), Controller: &controller},
		}
		items = append(items, pod)
	}
	return items
}

// catalog sells the benchmark's types at its prices. What the kubelet keeps (0.1 CPU, 10 MiB) is taken off already.
func catalog(sizes int, spot bool) Catalog {
	catalog := Catalog{APIVersion: "plimsoll.dev/v1alpha1", Kind: "NodeCatalog", Metadata: CatalogMetadata{"karpenter-mix"}}
	for i := range sizes {
		size := int64(i + 1)
		offer := Offer{
			Name:         fmt.Sprintf("fake-it-%d", i),
			Zones:        zones,
			CapacityType: "on-demand",
			PricePerHour: 0.1*float64(size) + 0.1*float64(2*size<<30)/1e9,
			Allocatable: corev1.ResourceList{
				corev1.ResourceCPU:    *resource.NewMilliQuantity(1000*size-100, resource.DecimalSI),
				corev1.ResourceMemory: *resource.NewQuantity(2*size<<30-10<<20, resource.BinarySI),
				corev1.ResourcePods:   *resource.NewQuantity(10*size, resource.DecimalSI),
			},
		}
		catalog.Spec.Offers = append(catalog.Spec.Offers, offer)
		if spot {
			offer.CapacityType, offer.Zones = "spot", zones[:2]
			catalog.Spec.Offers = append(catalog.Spec.Offers, offer)
		}
	}
	return catalog
}
